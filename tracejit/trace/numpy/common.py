"""What the chapters share: refusals, fresh arrays with a memory order, axes, `out=`, static arguments."""

import operator

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ir import const
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.types import supported_dtype
from tracejit.trace.numpy.registry import name_of
from tracejit.trace.tracer import Tracer, as_tracer, wrap
from tracejit.trace.values import concrete
from tracejit.trace.values import known as known_tracer

#: NumPy's mark for an argument that was not given.
NO = np._NoValue

#: An array of known content and at most this many elements is a literal of the graph, a larger one a formula.
SMALL = 64


def refuse_option(function, option, do):
    """Raise the error for an option that a traced function does not take."""
    raise UnsupportedError(f"{name_of(function)} with {option}", where=user_frame(), do=do)


def refuse_size(function, do):
    """Raise the error for a result whose size depends on the data."""
    raise UnsupportedError(f"{name_of(function)}: the size of its result depends on the data", where=user_frame(),
                           do=do)


def only(function, **options):
    """Refuse the options that were given: each is ``name=(value, default)``."""
    for name, (value, default) in options.items():
        if value is not default and (isinstance(value, (Tracer, np.ndarray)) or value != default):
            refuse_option(function, f"{name}=", f"leave {name} at its default")


def known_dtype(dtype, default=None):
    """Return the dtype that was asked for, refusing what a graph cannot hold; None gives the default."""
    if dtype is None:
        return default if default is None else np.dtype(default)
    if isinstance(dtype, (Tracer, np.ndarray)):
        raise TypeError("Cannot construct a dtype from an array")
    found = supported_dtype(dtype)
    if found is None:
        raise UnsupportedError(f"an array of dtype {np.dtype(dtype)} in a traced function", where=user_frame(),
                               do="use a bool, integer, float or complex dtype")
    return found


def fresh(node, order="C", like=None, scalar=False):
    """Return a new array that holds `node`, in the memory order asked for (relative to the tracer `like`)."""
    if not node.type.is_static:
        return wrap(node, scalar=scalar)
    layout = like.shadow if like is not None and like.type.is_static else None
    if layout is None:
        layout = np.lib.stride_tricks.as_strided(np.empty((), node.dtype), node.shape, (0,) * node.ndim)
        order = "C" if order in ("K", "A") else order
    if scalar or node.ndim < 2 or order == "C":
        return wrap(node, scalar=scalar)
    made = np.empty_like(layout, node.dtype, order, subok=False, shape=node.shape)  # only its strides are used
    return wrap(node, layout=made, like=[like] if like is not None and order in "KA" else ())


def axis_of(axis, ndim, name="axis"):
    """Return one axis counted from the front; raises NumPy's AxisError."""
    if isinstance(axis, Tracer):
        axis = static(axis, name)
    return normalize_axis_index(operator.index(axis), ndim)


def axes_of(axis, ndim):
    """Return the axes as a rising tuple: all for None."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(sorted(normalize_axis_tuple(axis, ndim)))


def known(x):
    """Return the content of an array-like that is known while tracing as an ndarray or number, else None."""
    if isinstance(x, Tracer):
        return known_tracer(x)
    if isinstance(x, (list, tuple)):
        parts = [known(e) for e in x]
        return None if any(p is None for p in parts) else np.array(parts)
    if isinstance(x, np.ndarray):
        return None  # its content may differ at the next call
    return np.asarray(x)


def static(x, what, function=None):
    """Return an argument that decides a shape or a program as a plain value: where it is traced, guarded."""
    if isinstance(x, (bool, int, float, str, type(None))):
        return x
    found = known(x) if not isinstance(x, np.ndarray) else x
    if found is None:
        if isinstance(x, (list, tuple)):
            return np.array([static(e, what, function) for e in x])
        name = f"{what} of {name_of(function)}" if function else what
        found = concrete(as_tracer(x), name, f"pass {what} as a Python value, and declare the argument it comes from "
                         "as static")
    return found.item() if found.ndim == 0 else found


def static_ints(x, what, function=None):
    """Return a tuple of ints (one int gives a tuple of one) that must be known while tracing."""
    if isinstance(x, (list, tuple)):
        return tuple(operator.index(static(e, what, function)) for e in x)
    found = static(x, what, function)
    if isinstance(found, np.ndarray):
        return tuple(operator.index(e) for e in found)
    return (operator.index(found),)


def root(square, power=np.sqrt):
    """Return a root of what is not negative, whose derivative is taken to be 0 at 0: of a norm, it is a subgradient."""
    return np.where(np.equal(square, 0), 0, power(square))[()]


def deliver(result, out, casting="unsafe"):
    """Return `result`, written into `out` where that is given, as NumPy's functions do."""
    if out is None:
        return result
    target = as_tracer(out)
    result = as_tracer(result)
    if target.type.shape != result.type.shape:
        raise ValueError(f"output array has shape {target.shape}, the result has shape {result.shape}")
    if not np.can_cast(result.dtype, target.dtype, casting):
        raise TypeError(f"Cannot cast output from {result.dtype!r} to {target.dtype!r} with casting rule {casting!r}")
    target._write(cast(result.node, target.dtype))
    return target


def literal(value, dtype=None):
    """Return a known array as a Tracer."""
    return wrap(const(np.asarray(value, dtype)))


def common_dtype(*tracers):
    """Return the dtype that NumPy promotes arrays to, Python numbers being weak."""
    return np.result_type(*(x.python_type(0) if x.weak and x.python_type is not bool else x.dtype for x in tracers))


def check_fits(value, dtype):
    """Raise NumPy's error for a Python integer that a dtype cannot hold."""
    number, limits = known(value), np.iinfo(dtype)
    if number is not None and number.dtype.kind in "iu" and not limits.min <= int(number) <= limits.max:
        raise OverflowError(f"Python integer {int(number)} out of bounds for {dtype}")


def cast_to(x, dtype):
    """Return a Tracer in another dtype, itself where it has that one; a scalar stays one."""
    return x if x.dtype == dtype else wrap(cast(x.node, dtype), scalar=x.scalar)
