"""Ufuncs on tracers: NEP 50 promotion (NumPy itself is asked), broadcasting, `where=`, `out=`, and the five methods."""

import numpy as np

from tracejit.errors import DimError, UnsupportedError, user_frame
from tracejit.symbolic.ir import Node, const, scalar_literal
from tracejit.symbolic.ops.scalar import bitwise_and, cast, check, greater_equal, less_equal, select
from tracejit.symbolic.ops.shape import full, full_like, reshape, zeros
from tracejit.symbolic.types import BOOL, I64, Type, supported_dtype
from tracejit.trace.floating import watched
from tracejit.trace.guards import guarded_int
from tracejit.trace.gufuncs import contract
from tracejit.trace.numpy.ufuncs import find
from tracejit.trace.shapes import common as meeting
from tracejit.trace.shapes import shown, spread
from tracejit.trace.tracer import PYTHON_DTYPES, Tracer, as_tracer, current_trace, python_const, wrap

_COMPARISONS = {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}


class Operand:
    """An input of a ufunc: a concrete Python number, or a tracer."""

    __slots__ = ("number", "tracer", "token", "shape")

    def __init__(self, x):
        if type(x) in PYTHON_DTYPES and type(x) is not bool:
            self.number, self.tracer, self.token, self.shape = x, None, type(x), ()
        else:
            self.number, self.tracer = None, as_tracer(x)
            weak = self.tracer.weak and self.tracer.dtype != BOOL  # Python's bool is NumPy's
            self.token = self.tracer.python_type if weak else self.tracer.dtype
            self.shape = self.tracer.type.shape

    def node(self, dtype):
        """Return the operand in the dtype of the loop; a Python integer that does not fit raises as in NumPy."""
        if self.tracer is None:
            return python_const(self.number, dtype)
        node = self.tracer.node
        return integer_as(node, dtype) if self.token is int else cast(node, dtype)

    def is_run_time_integer(self):
        """Return whether this is a Python integer of which only the compiled function sees the value."""
        return self.tracer is not None and self.token is int and scalar_literal(self.tracer.node) is None

    def is_mutable(self):
        """Return whether NumPy would see an array here, of rank 0 or more, and not a scalar."""
        return self.tracer is not None and not self.tracer.scalar and not self.tracer.weak


def integer_as(node, dtype):
    """Return the node of a Python integer in another dtype, where it has to fit."""
    literal = scalar_literal(node)
    if literal is not None:
        return python_const(int(literal), dtype)
    if dtype.kind in "iu" and dtype != node.dtype:
        node = _in_range(node, dtype)
    return cast(node, dtype)


def _in_range(node, dtype):
    info = np.iinfo(dtype)
    fine = greater_equal(node, full_like(max(info.min, -2**63), node))
    if info.max < 2**63:
        fine = bitwise_and(fine, less_equal(node, full_like(info.max, node)))
    return check(node, fine, error=f"range_{dtype.name}", detail=())


def apply_ufunc(ufunc, *inputs, out=None, where=True, dtype=None, sig=None, signature=None, casting="same_kind",
                order="K", subok=True, axes=None, axis=None, keepdims=False):
    """Return ``ufunc(*inputs, ...)`` as NumPy computes it: the result's dtype, shape and form are NumPy's.

    Results are Tracers (a tuple for ufuncs with several outputs); `out` may hold Tracers or arrays from outside.
    """
    if len(inputs) != ufunc.nin:
        if len(inputs) < ufunc.nin or len(inputs) > ufunc.nin + ufunc.nout or out is not None:
            raise TypeError(f"{ufunc.__name__}() takes from {ufunc.nin} to {ufunc.nin + ufunc.nout} positional "
                            f"arguments but {len(inputs)} were given")
        given = inputs[ufunc.nin:] + (None,) * (ufunc.nin + ufunc.nout - len(inputs))
        inputs, out = inputs[:ufunc.nin], given
    outs = _outputs(out, ufunc.nout)
    operands = [Operand(x) for x in inputs]
    loop = resolve(ufunc, operands, outs, dtype, signature if signature is not None else sig, casting)
    if ufunc.signature is not None:
        nodes = [o.node(d) for o, d in zip(operands, loop)]
        results = [cast(contract(ufunc, nodes, axes, axis, keepdims), loop[-1])]
        if where is not True:
            raise TypeError(f"{ufunc.__name__}() got an unexpected keyword argument 'where'")
    else:
        results = _apply_elementwise(ufunc, operands, loop, outs, where)
    tracers = [o.tracer for o in operands if o.tracer is not None]
    layout, like = (None, ()) if ufunc.signature is not None else (memory_order(tracers, results[0]), tracers)
    return _deliver(ufunc, results, outs, where, layout, like)


def _outputs(out, n):
    if out is None:
        return (None,) * n
    if isinstance(out, tuple):
        if len(out) != n:
            raise ValueError("The 'out' tuple must have exactly one entry per ufunc output")
    else:
        out = (out,)
        if n != 1:
            raise TypeError("'out' must be a tuple of arrays")
    return tuple(None if o is None else _array_output(o) for o in out)


def _array_output(out):
    if not isinstance(out, (Tracer, np.ndarray)) and not hasattr(type(out), "__tracejit_array__"):
        raise TypeError("return arrays must be of ArrayType")
    out = as_tracer(out)
    if out.scalar or out.weak:
        raise TypeError("return arrays must be of ArrayType")
    if out.is_readonly():
        raise ValueError("output array is read-only")
    return out


def resolve(ufunc, operands, outs, dtype=None, signature=None, casting="same_kind"):
    """Return the dtypes of the loop that NumPy would run, inputs then outputs."""
    tokens = [o.token for o in operands] + [None if o is None else o.dtype for o in outs]
    if all(type(t) is type for t in tokens[:len(operands)]):
        tokens[:len(operands)] = [PYTHON_DTYPES[t] for t in tokens[:len(operands)]]  # NumPy compares them as objects
    if dtype is not None:
        signature = (None,) * ufunc.nin + (np.dtype(dtype),) * ufunc.nout
    elif isinstance(signature, tuple):
        signature = tuple(None if s is None else np.dtype(s) for s in signature)
    extra = {} if signature is None else {"signature": signature}
    found = ufunc.resolve_dtypes(tuple(tokens), casting=casting, **extra)
    for kind in found:
        if supported_dtype(kind) is None:
            raise UnsupportedError(f"the ufunc {ufunc.__name__} in dtype {kind}", where=user_frame(),
                                   do="convert the arguments to a numeric dtype of at most 64 bits (128 if complex)")
    return found


# ---------------------------------------------------------------- element by element
def _apply_elementwise(ufunc, operands, loop, outs, where):
    shapes = [o.shape for o in operands]
    if where is not True:
        shapes.append(as_tracer(where).type.shape)
    shape = broadcast_shapes(shapes, [o.type.shape for o in outs if o is not None])
    if ufunc in _COMPARISONS:
        known = _compare_out_of_range(ufunc, operands, loop, shape)
        if known is not None:
            return [known]
        if any(o.is_run_time_integer() for o in operands) and all(d.kind in "iu" for d in loop[:2]):
            # compared as numbers: one that the other's dtype does not hold is no mistake
            loop = tuple(o.tracer.dtype if o.tracer is not None and o.tracer.dtype == np.uint64 else I64
                         for o in operands) + loop[2:]
    nodes = [spread(o.node(d), shape) for o, d in zip(operands, loop)]
    results = find(ufunc)(*nodes)
    results = results if isinstance(results, tuple) else (results,)
    results = [cast(r, d) for r, d in zip(results, loop[ufunc.nin:])]
    return watched(ufunc, nodes, results) if where is True else results


def broadcast_shapes(shapes, out_shapes=()):
    """Return the common shape of operands; outputs must have room for it and may not be stretched."""
    ndim = max((len(s) for s in (*shapes, *out_shapes)), default=0)
    common = [1] * ndim
    for shape in (*shapes, *out_shapes):
        for axis, n in enumerate(shape, ndim - len(shape)):
            if n != 1:
                if common[axis] not in (1, n):
                    n = meeting(common[axis], n)
                    if n is None:
                        _refuse_shapes("operands could not be broadcast together with shapes", (*shapes, *out_shapes))
                common[axis] = n
    for shape in out_shapes:
        if tuple(common) != shape and not _may_match(common, shape):
            raise DimError(f"non-broadcastable output operand with shape {shown(shape)} doesn't match the broadcast "
                           f"shape {shown(common)}", where=user_frame(), do="pass an `out` of the shape of the result")
    return tuple(common)


def _may_match(common, shape):
    """Return whether a shape may turn out to be another at run time."""
    return len(common) == len(shape) and all(
        n == m or not (type(n) is int and type(m) is int) for n, m in zip(common, shape))


def _refuse_shapes(what, shapes):
    raise DimError(f"{what} {' '.join(map(shown, shapes))}", where=user_frame(),
                   do="make the shapes equal, or 1 where one should be repeated (x[:, None] adds an axis)")


def _compare_out_of_range(ufunc, operands, loop, shape):
    """Return the answer of a comparison with a Python integer that the other operand's dtype cannot hold, else None."""
    for place, operand in enumerate(operands):
        dtype = loop[place]
        if type(operand.number) is int and dtype.kind in "iu" and not (
                np.iinfo(dtype).min <= operand.number <= np.iinfo(dtype).max):
            pair = [0, 0]
            pair[place] = 1 if operand.number > 0 else -1
            return full(bool(ufunc(*pair)), Type(BOOL, shape))
    return None


def memory_order(tracers, result):
    """Return an array laid out in memory as NumPy lays out a result that goes through all of them, None for C order."""
    arrays = [t for t in tracers if t.ndim > 1]
    if all(t.is_c_contiguous() for t in arrays):
        return None
    sizes = [n for shape in (result.shape, *(t.type.shape for t in arrays)) for n in shape]
    if any(isinstance(n, Node) for n in sizes):
        return None
    return order_of([t.shadow for t in arrays], result.dtype, result.shape)


def folded_order(x, axes, keepdims, result):
    """Return an array laid out as NumPy lays out the fold of a tracer along axes, None for C order."""
    if x.ndim < 2 or x.is_c_contiguous() or not x.type.is_static or 0 in x.shape:
        return None
    kept = x.shadow[(*(0 if a in axes else slice(None) for a in range(x.ndim)), ...)]  # a view, even of no axes
    out = order_of([kept], result.dtype, kept.shape)
    return out if out is None or not keepdims else np.expand_dims(out, axes)


def order_of(arrays, dtype, shape):
    """Return a new array that lies as NumPy chooses for a result of arrays that broadcast, None for C order."""
    out = np.nditer([*arrays, None], ["zerosize_ok"], [["readonly"]] * len(arrays) + [["writeonly", "allocate"]],
                    [None] * len(arrays) + [dtype], itershape=shape).operands[-1]
    return None if out.flags.c_contiguous else out


def _deliver(ufunc, results, outs, where, layout, like):
    delivered = []
    for result, out in zip(results, outs):
        if out is not None and not out.type.is_static and result.shape != out.type.shape:
            result = spread(result, out.type.shape)
        if out is not None and out.type.is_static and not result.type.is_static:
            what = f"the size of the result of {ufunc.__name__}, which has an `out`"
            result = reshape(result, [guarded_int(n, what) if isinstance(n, Node) else n for n in result.shape])
        if out is not None and out.type.shape != result.shape:
            raise DimError(f"{ufunc.__name__}: the output has shape {shown(out.shape)}, the result "
                           f"{shown(result.shape)}", where=user_frame(), do="pass an `out` of the shape of the result")
        if where is not True:
            mask = spread(mask_node(where), result.shape)
            current_trace().note(result, ufunc.__name__)
            current_trace().remark(result, ufunc.__name__, masked=True)
            old = zeros(result.type) if out is None else None
            result = select(mask, result, old) if out is None else select(mask, cast(result, out.dtype), out.node)
        if out is None:
            lies = layout
            if layout is not None and layout.itemsize != result.dtype.itemsize:  # the second of two results
                lies = memory_order(like, result)
            delivered.append(wrap(result, result.ndim == 0, layout=lies, name=ufunc.__name__, like=like))
        else:
            out._write(cast(result, out.dtype))
            delivered.append(out)
    return delivered[0] if ufunc.nout == 1 else tuple(delivered)


def mask_node(where):
    """Return a `where=` argument as a node of bools."""
    mask = as_tracer(where)
    if mask.dtype != BOOL:
        raise TypeError(f"Cannot cast array data from {mask.dtype!r} to dtype('bool') according to the rule 'safe'")
    return mask.node


def literal(value, dtype):
    """Return a number as a node of `dtype`."""
    return const(np.asarray(value).astype(dtype))
