"""Arrays of unknown size where their size has to be a number: the trace takes those of its own call, and is guarded."""

import numpy as np

from tracejit.symbolic.ir import new_variable
from tracejit.trace.guards import guarded_int
from tracejit.trace.tracer import Storage, Tracer, as_tracer, current_trace, wrap
from tracejit.trace.views import Reshape

#: Functions of NumPy that do with sizes known at run time only.
SIZED = set()


def sized(*functions):
    """Note that the traced meaning of functions does with sizes that only the compiled function knows."""
    SIZED.update(functions)


def settled(x, what):
    """Return a view of an array with the sizes that it has in this call, each of which becomes a guard.

    Raises
    ------
    ConcretizationError
        Where the trace has no actual inputs, or the sizes depend on a loop's.
    """
    if x.type.is_static:
        return x
    shape = tuple(n if type(n) is int else guarded_int(wrap(n, weak=True), f"the size of an array in {what}", _REMEDY)
                  for n in x.type.shape)
    kind = x.type.with_shape(shape)
    return x.derive(Reshape(shape), Storage(new_variable(kind), current_trace()).shadow)


_REMEDY = "use slices with fixed bounds, or keep the full size and mask with np.where"


def arguments(what, args, kwargs):
    """Return the arguments of a function with all arrays of unknown size settled."""
    if not any(map(_has_sized, args)) and not any(map(_has_sized, kwargs.values())):
        return args, kwargs
    return tuple(_settle(a, what) for a in args), {k: _settle(a, what) for k, a in kwargs.items()}


def _has_sized(x):
    if isinstance(x, Tracer):
        return not x.type.is_static
    if hasattr(type(x), "__tracejit_array__") and hasattr(type(x), "matches"):
        return True  # elements that a mask selects
    return isinstance(x, (list, tuple)) and any(map(_has_sized, x))


def _settle(x, what):
    if hasattr(type(x), "__tracejit_array__") and hasattr(type(x), "matches"):
        x = as_tracer(x)
    if isinstance(x, Tracer):
        return x if x.type.is_static else settled(x, what)
    return type(x)([_settle(e, what) for e in x]) if type(x) in (list, tuple) else x


sized(
    np.sum, np.prod, np.max, np.amax, np.min, np.amin, np.all, np.any, np.ptp, np.count_nonzero,
    np.mean, np.var, np.std,
    np.dot, np.inner, np.vdot, np.outer, np.matmul, np.linalg.outer, np.linalg.matmul, np.linalg.vecdot,
    np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.squeeze, np.expand_dims,
    np.atleast_1d, np.atleast_2d, np.atleast_3d, np.broadcast_to, np.flip, np.fliplr, np.flipud,
    np.concatenate, np.concat, np.stack, np.vstack, np.hstack, np.dstack, np.column_stack, np.append,
    np.zeros, np.ones, np.empty, np.full, np.zeros_like, np.ones_like, np.empty_like, np.full_like, np.arange,
    np.array, np.asarray, np.asanyarray, np.copy, np.where, np.cumsum, np.cumprod, np.clip, np.diff,
    np.shape, np.size, np.ndim, np.isnan, np.isfinite, np.real, np.imag, np.round, np.around, np.average,
    np.argmax, np.argmin, np.searchsorted, np.sort, np.argsort, np.unique, np.histogram,
)
