"""Plain NumPy functions, traced to a graph, differentiated, rewritten, and run as one C function."""

from tracejit import errors, printing, testing
from tracejit._version import __version__
from tracejit.api import CacheInfo, grad, jit, jvp, value_and_grad, vjp
from tracejit.calls import ShapeDtype
from tracejit.config import config
from tracejit.device import device, devices
from tracejit.shared import Shared, shared
from tracejit.transforms import stop_gradient

__all__ = [
    "CacheInfo", "ShapeDtype", "Shared", "__version__", "config", "device", "devices", "errors", "grad", "jit", "jvp",
    "printing", "shared", "stop_gradient", "testing", "value_and_grad", "vjp",
]
