"""The NumPy namespace, for inside and outside of jitted functions: ``import tracejit.numpy as tnp``.

Outside, a name is NumPy's own object, and gives NumPy's arrays. Inside, it is what the same name means in traced code,
also where tracing does not reach by itself: in a library that was given this module, or that asked an array for its
namespace. It conforms to the Python array API standard 2024.12 as NumPy does.
"""

import numpy as _np

from tracejit.trace.numpy.namespace import member as _member
from tracejit.trace.tracer import current_trace as _current_trace


def __getattr__(name):
    if name.startswith("__") or _current_trace() is None:
        return getattr(_np, name)
    return _member(_np, name)


def __dir__():
    return dir(_np)


__array_api_version__ = _np.__array_api_version__
__array_namespace_info__ = _np.__array_namespace_info__
