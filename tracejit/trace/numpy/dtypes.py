"""Questions about types and shapes, answered while tracing, and conversions."""

import numpy as np

from tracejit.trace.numpy.common import axes_of, known_dtype
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import Tracer, as_tracer


def _token(x):
    """Return what NumPy's promotion should see: a dtype, or a Python number of the right kind."""
    if not isinstance(x, Tracer):
        return x
    return x.python_type(0) if x.weak else x.dtype


@implements(np.result_type)
def result_type(*arrays_and_dtypes):
    """Return the dtype that promotion gives."""
    return np.result_type(*(_token(x) for x in arrays_and_dtypes))


@implements(np.can_cast)
def can_cast(from_, to, casting="safe"):
    """Return whether a cast is allowed under a rule."""
    if isinstance(to, Tracer):
        raise TypeError("Cannot construct a dtype from an array")
    return np.can_cast(_token(from_), to, casting)


@implements(np.min_scalar_type, differs="a traced scalar gives its dtype, whatever its value")
def min_scalar_type(a):
    """Return the dtype of an array."""
    return as_tracer(a).dtype


@implements(np.common_type)
def common_type(*arrays):
    """Return the inexact scalar type common to arrays."""
    return np.common_type(*(np.empty(0, as_tracer(a).dtype) for a in arrays))


@implements(np.iscomplexobj)
def iscomplexobj(x):
    """Return whether the dtype is complex."""
    return as_tracer(x).dtype.kind == "c"


@implements(np.isrealobj)
def isrealobj(x):
    """Return whether the dtype is not complex."""
    return as_tracer(x).dtype.kind != "c"


@implements(np.isscalar)
def isscalar(element):
    """Return whether this is a scalar to NumPy, not an array."""
    return element.scalar or element.weak if isinstance(element, Tracer) else np.isscalar(element)


# ---------------------------------------------------------------- shapes
@implements(np.ndim)
def ndim(a):
    """Return the rank."""
    return as_tracer(a).ndim


@implements(np.shape)
def shape(a):
    """Return the shape."""
    return as_tracer(a).shape


@implements(np.size)
def size(a, axis=None):
    """Return the number of elements, or of those along axes."""
    x = as_tracer(a)
    if axis is None:
        return x.size
    return int(np.prod([x.shape[d] for d in axes_of(axis, x.ndim)], dtype=int))


def astype(x, dtype, /, *, copy=True, device=None):
    """Return the elements in another dtype."""
    if not isinstance(x, (Tracer, np.ndarray)):
        raise TypeError(f"Input should be a NumPy array. It is a {type(x)} instead.")
    return as_tracer(x).astype(known_dtype(dtype, float), copy=copy)


if hasattr(np, "astype"):
    implements(np.astype)(astype)


# ---------------------------------------------------------------- memory
def _shares(x, y, max_work, exact):
    if not isinstance(max_work, (int, np.integer, type(None))):
        raise ValueError("max_work must be an integer")
    x, y = as_tracer(x), as_tracer(y)
    if x._storage is not y._storage:
        return False
    # the shadows of one storage's views have the strides and addresses of the real ones
    return exact(x.shadow, y.shadow)


@implements(np.shares_memory)
def shares_memory(a, b, /, max_work=-1):
    """Return whether two arrays have elements in common."""
    return _shares(a, b, max_work, np.shares_memory)


@implements(np.may_share_memory)
def may_share_memory(a, b, /, max_work=0):
    """Return whether two arrays may have elements in common."""
    return _shares(a, b, max_work, np.may_share_memory)
