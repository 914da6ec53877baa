"""Structured control flow, under the names and with the meaning that JAX's users know.

Inside a jitted function each becomes one loop or branch of the compiled code, its body traced once; outside they
compile by themselves.
"""

import functools
import operator

import numpy as np

from tracejit import tree
from tracejit.symbolic import dims
from tracejit.symbolic.ir import const, dim
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice
from tracejit.symbolic.ops.scalar import cast, subtract
from tracejit.symbolic.ops.shape import reshape, zeros
from tracejit.symbolic.types import I64
from tracejit.trace.control import staged_cond, staged_for, staged_switch, staged_while
from tracejit.trace.convert import twin
from tracejit.trace.tracer import Storage, Tracer, as_tracer, current_trace, wrap
from tracejit.transforms import outside

__all__ = ["associative_scan", "cond", "fori_loop", "map", "scan", "switch", "while_loop"]


def cond(pred, true_fun, false_fun, *operands):
    """Return ``true_fun(*operands) if pred else false_fun(*operands)``; only the chosen one runs.

    Parameters
    ----------
    pred : bool
        A truth value of one element.
    true_fun, false_fun : callable
        Give results of the same structure, shapes and dtypes; a Python number takes the dtype of the other's result.
        They may write to arrays in place.
    *operands
        Arrays, numbers, and nests of them.

    Raises
    ------
    CarryError
        Where the results differ in structure, shape or dtype.
    """
    if current_trace() is None:
        return outside(_cond, true_fun, false_fun)(pred, *operands)
    return _cond(true_fun, false_fun, pred, *operands)


def _cond(true_fun, false_fun, pred, *operands):
    return staged_cond(pred, _branch(true_fun), _branch(false_fun), operands, names=("the result",), what="cond")[0]


def switch(index, branches, *operands):
    """Return ``branches[index](*operands)``; only the chosen one runs, and the index is clipped to those there are.

    Parameters
    ----------
    index : int
    branches : sequence of callable
        Give results of the same structure, shapes and dtypes; see `cond`.
    *operands
        Arrays, numbers, and nests of them.
    """
    if not branches:
        raise ValueError("switch of no branches")
    if current_trace() is None:
        return outside(_switch, *branches, count=len(branches))(index, *operands)
    return _switch(*branches, index, *operands, count=len(branches))


def _switch(*args, count):
    branches, index, operands = args[:count], args[count], args[count + 1:]
    if np.dtype(getattr(index, "dtype", type(index))).kind not in "biu":
        raise TypeError(f"switch takes an integer index, not a {type(index).__name__} of dtype "
                        f"{np.dtype(getattr(index, 'dtype', type(index)))}")
    return staged_switch(index, [_branch(f) for f in branches], operands, names=("the result",), what="switch")[0]


def _branch(function):
    function = twin(function)
    return lambda state: (function(*state),)


def while_loop(cond_fun, body_fun, init_val):
    """Return what ``val = init_val; while cond_fun(val): val = body_fun(val)`` leaves in ``val``.

    Parameters
    ----------
    cond_fun : callable
        ``cond_fun(val) -> bool`` of one element.
    body_fun : callable
        ``body_fun(val) -> val``, of the structure, shapes and dtypes that it is given; a Python number takes the dtype
        that the body gives it.
    init_val
        Arrays, numbers, and nests of them. A body that writes to an array it is given leaves these as they are.

    Raises
    ------
    CarryError
        Where the value changes its structure, shape or dtype from one iteration to the next.
    """
    if current_trace() is None:
        return outside(_while_loop, cond_fun, body_fun)(init_val)
    return _while_loop(cond_fun, body_fun, init_val)


def _while_loop(cond_fun, body_fun, init_val):
    test, body = twin(cond_fun), twin(body_fun)
    return staged_while(lambda state: test(state[0]), lambda state: (body(state[0]),), (_own(init_val),),
                        names=("val",), what="while_loop")[0]


def fori_loop(lower, upper, body_fun, init_val, *, unroll=None):
    """Return what ``val = init_val; for i in range(lower, upper): val = body_fun(i, val)`` leaves in ``val``.

    Parameters
    ----------
    lower, upper : int
        May be arguments of the jitted function: they cost no new trace.
    body_fun : callable
        ``body_fun(i, val) -> val``; see `while_loop`.
    init_val
        Arrays, numbers, and nests of them.
    unroll : int or bool, optional
        Taken for JAX's sake, see `scan`.
    """
    if current_trace() is None:
        return outside(_fori_loop, body_fun)(lower, upper, init_val)
    return _fori_loop(body_fun, lower, upper, init_val)


def _fori_loop(body_fun, lower, upper, init_val):
    body = twin(body_fun)
    first, last = (cast(as_tracer(n).node, I64) for n in (lower, upper))
    from_zero = first is const(0, I64)
    return staged_for(last if from_zero else subtract(last, first),
                      lambda k, state: (body(k if from_zero else lower + k, state[0]),), (_own(init_val),),
                      names=("val",), what="fori_loop")[0]


def scan(f, init, xs=None, length=None, reverse=False, unroll=1, until=None):
    """Loop over the leading axis of arrays, carrying a value and stacking results.

    Parameters
    ----------
    f : callable
        ``f(carry, x) -> (carry, y)``; the carry keeps its structure, shapes and dtypes, see `while_loop`.
    init
        The first carry: arrays, numbers, and nests of them.
    xs : optional
        Arrays, or nests of them, of one length along their first axis: each call gets one row. None: `length` says how
        often, and x is None.
    length : int, optional
        Needed where there are no `xs`.
    reverse : bool
        From the last row to the first; the results lie where their rows do.
    unroll : int or bool
        Taken for JAX's sake: how often a body is repeated is the C compiler's choice.
    until : callable, optional
        ``until(carry, y) -> bool`` of what `f` has returned: the loop ends after the first row for which it holds.

    Returns
    -------
    carry
        The last one.
    ys
        The results, stacked along a new first axis; of the rows that were reached, where there is an `until`.

    Examples
    --------
    >>> scan(lambda total, x: (total + x, total * x), 0.0, np.arange(4.0))
    """
    if current_trace() is None:
        return outside(_scan, f, length=None if length is None else operator.index(length), reverse=bool(reverse),
                       until=until)(init, xs)
    return _scan(f, init, xs, length=length, reverse=reverse, until=until)


def _scan(f, init, xs, *, length, reverse, until=None):
    body = twin(f)
    rows, structure = _rows(xs)
    count = _length(rows, length)
    stacks = _Stacks(count)

    def step(k, carry):
        k = cast(as_tracer(k).node, I64)
        place = subtract(dim(dims.minus(count, 1)), k) if reverse else k
        result = body(carry, tree.unflatten(structure, [_row(x, place) for x in rows]))
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"the function given to scan returns (carry, y), and this one a {type(result).__name__}")
        stacks.put(result[1], place)
        return result
    if until is None:
        carry, = staged_for(count, lambda k, state: step(k, state[0])[:1], (_own(init),), names=("carry",), what="scan")
        return carry, stacks.result()
    ends = twin(until)

    def turn(state):
        result = step(state[1], state[0])
        return result[0], state[1] + 1, np.logical_not(as_tracer(ends(*result))).reshape(())
    carry, turns, _ = staged_while(
        lambda state: np.logical_and(as_tracer(state[1]) < wrap(dim(count), weak=True), state[2]), turn,
        (_own(init), 0, np.True_), names=("carry", "the number of rows", "the condition"), what="scan")
    reached = slice(count - turns, None) if reverse else slice(None, turns)
    return carry, tree.map(lambda y: y[reached], stacks.result(), is_leaf=_is_tracer)


def map(f, xs, *, batch_size=None):
    """Return ``f`` of each row of `xs`, stacked; xs and the results are arrays or nests of them.

    One row after the other, so nothing larger than a row is held beside them; `batch_size` is taken for JAX's sake.
    """
    return scan(_without_carry(f), None, xs)[1]


@functools.lru_cache(64)
def _without_carry(f):
    return functools.partial(_mapped, f)


def _mapped(f, carry, x):
    return carry, twin(f)(x)


def associative_scan(fn, elems, reverse=False, axis=0):
    """Return all partial results ``fn(fn(x0, x1), x2), ...`` along an axis, the first element first.

    Parameters
    ----------
    fn : callable
        ``fn(a, b)`` of two slices of length 1 along `axis` (nests like `elems`), associative.
    elems
        An array, or a nest of arrays, of one length along `axis`.
    reverse : bool
        From the last to the first: ``fn(fn(x[-1], x[-2]), x[-3]), ...``.
    axis : int
    """
    if current_trace() is None:
        return outside(_associative_scan, fn, reverse=bool(reverse), axis=operator.index(axis))(elems)
    return _associative_scan(fn, elems, reverse=reverse, axis=axis)


def _associative_scan(fn, elems, *, reverse, axis):
    combine = twin(fn)
    elems = tree.map(lambda x: as_tracer(x).swapaxes(0, axis), elems, is_leaf=_is_tracer)
    if _length(tree.leaves(elems, is_leaf=_is_tracer), None) == 0:
        return tree.map(lambda x: x.swapaxes(0, axis).copy(), elems, is_leaf=_is_tracer)

    def expanded(row):
        return tree.map(lambda x: x[None].swapaxes(0, axis), row, is_leaf=_is_tracer)

    def step(carry, row):
        row = tree.map(lambda x: x.swapaxes(0, axis)[0], combine(expanded(carry), expanded(row)), is_leaf=_is_tracer)
        return row, row
    first, rest = (slice(-1, None), slice(None, -1)) if reverse else (slice(None, 1), slice(1, None))
    start = tree.map(lambda x: x[first], elems, is_leaf=_is_tracer)
    _, rows = _scan(step, tree.map(lambda x: x[0].copy(), start, is_leaf=_is_tracer),
                    tree.map(lambda x: x[rest], elems, is_leaf=_is_tracer), length=None, reverse=reverse)
    joined = tree.map(lambda a, b: np.concatenate([b, a] if reverse else [a, b]), start, rows, is_leaf=_is_tracer)
    return tree.map(lambda x: x.swapaxes(0, axis), joined, is_leaf=_is_tracer)


# ---------------------------------------------------------------- rows and stacks
def _is_tracer(x):
    return isinstance(x, Tracer)


def _own(init):
    """Return a first value whose arrays are the loop's own: a body that writes to them changes no others."""
    def own(x):
        if isinstance(x, np.ndarray):
            x = as_tracer(x)
        return wrap(x.node) if _is_tracer(x) and not (x.weak or x.scalar) else x
    return tree.map(own, init, is_leaf=_is_tracer)


def _rows(xs):
    leaves, structure = tree.flatten(xs, is_leaf=_is_tracer)
    return [as_tracer(x) for x in leaves], structure


def _length(rows, length):
    """Return the one length of all rows."""
    found = {x.node.shape[0] if x.ndim else None for x in rows}
    if None in found:
        raise ValueError("scan got a value without axes among xs: each must be an array to take rows of")
    if length is not None:
        found.add(operator.index(length))
    if not found:
        raise ValueError("scan got neither xs nor a length")
    first = found.pop()
    if any(not dims.same(first, n) for n in found):
        sizes = ", ".join(sorted(str(n) if type(n) is int else "one known at run time" for n in (first, *found)))
        raise ValueError(f"scan got values with different leading axis sizes: {sizes}")
    return first


def _row(x, place):
    """Return one row of an array, at a place that is known to be within."""
    node = x.node
    if type(node.shape[0]) is int and not node.shape[0]:
        return wrap(zeros(node.type.with_shape(node.shape[1:])), scalar=node.ndim == 1)
    row = dynamic_slice(node, place, *[const(0, I64)] * (node.ndim - 1), sizes=(1, *node.shape[1:]))
    return wrap(reshape(row, node.shape[1:]), scalar=node.ndim == 1)


class _Stacks:
    """Arrays of the trace around a loop, which the loop's body fills row by row."""

    def __init__(self, count):
        self.count, self.trace = count, current_trace()
        self.structure, self.stacks = None, []

    def put(self, y, place):
        """Write the leaves of a result to their rows; the stacks are made as the body is traced the first time."""
        leaves, self.structure = tree.flatten(y, is_leaf=_is_tracer)
        nodes = [as_tracer(leaf).node for leaf in leaves]
        for i, node in enumerate(nodes):
            kind = node.type.with_shape((self.count, *node.shape))
            if i == len(self.stacks):
                self.stacks.append(None)
            if self.stacks[i] is None or self.stacks[i].value.type is not kind:  # a carry has found its dtype
                self.stacks[i] = Storage(zeros(kind), self.trace)
            stack = self.stacks[i]
            if type(self.count) is not int or self.count:
                row = reshape(node, (1, *node.shape))
                stack.write(dynamic_set_slice(stack.value, row, place, *[const(0, I64)] * node.ndim))
        del self.stacks[len(nodes):]

    def result(self):
        """Return the stacks as arrays, nested as the results are."""
        return tree.unflatten(self.structure, [Tracer(stack) for stack in self.stacks])
