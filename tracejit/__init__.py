"""Plain NumPy functions, traced to a graph, differentiated, rewritten, and run as one C function."""

import importlib

from tracejit import errors, extend, printing, testing
from tracejit._version import __version__
from tracejit.api import CacheInfo, jit
from tracejit.batches import vmap
from tracejit.calls import ShapeDtype
from tracejit.checkpoints import checkpoint, keep_under
from tracejit.config import config
from tracejit.control import associative_scan, cond, fori_loop, map, scan, switch, while_loop
from tracejit.derivatives import grad, jvp, linearize, stop_gradient, value_and_grad, vjp
from tracejit.device import device, devices
from tracejit.jacobians import hessian, hvp, jacfwd, jacobian, jacrev
from tracejit.rules import custom_jvp, custom_vjp
from tracejit.shared import Shared, shared
from tracejit.sparse_derivatives import sparse_hessian, sparse_jacobian

__all__ = [
    "CacheInfo", "ShapeDtype", "Shared", "__version__", "associative_scan", "checkpoint", "cond", "config",
    "custom_jvp", "custom_vjp", "device", "devices", "errors", "extend", "fori_loop", "grad", "hessian", "hvp",
    "jacfwd", "jacobian", "jacrev", "jit", "jvp", "keep_under", "linearize", "map", "printing", "scan", "shared",
    "sparse_hessian", "sparse_jacobian", "stop_gradient", "switch", "testing", "value_and_grad", "vjp", "vmap",
    "while_loop",
]

#: Modules that cost time at import (they need numpy.random or SciPy), and are imported when they are named.
_LATER = ("numpy", "random", "scipy")


def __getattr__(name):
    if name in _LATER:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LATER})
