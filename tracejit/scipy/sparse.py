"""The names of `scipy.sparse`, for inside and outside of jitted functions."""

import scipy.sparse as _module
import scipy.sparse.linalg  # noqa: F401  (so that it is there as an attribute)

from tracejit.trace.numpy.namespace import member as _member
from tracejit.trace.tracer import current_trace as _current_trace


def __getattr__(name):
    if name.startswith("__") or _current_trace() is None:
        return getattr(_module, name)
    return _member(_module, name)


def __dir__():
    return dir(_module)
