"""`vmap`: a function of one element becomes a function of arrays of elements."""

import functools
import operator

import numpy as np

from tracejit import tree
from tracejit.calls import parameters
from tracejit.control import scan
from tracejit.errors import ConcretizationError, DimError, UnsupportedError, user_frame
from tracejit.symbolic import dims
from tracejit.symbolic.batching import batch
from tracejit.symbolic.graph import depending, substitute
from tracejit.symbolic.ir import Node
from tracejit.symbolic.ops.random import draw
from tracejit.symbolic.ops.reduce import reduce_max
from tracejit.symbolic.ops.shape import iota, stacked, transpose
from tracejit.symbolic.text import inner_graphs
from tracejit.symbolic.types import I64
from tracejit.trace.convert import twin
from tracejit.trace.guards import guarded_int
from tracejit.trace.shapes import resized
from tracejit.trace.staging import Leaf, Same
from tracejit.trace.tracer import Restart, Tracer, current_trace, wrap
from tracejit.transforms import Call, Transform, as_array, flat

__all__ = ["vmap"]


def vmap(fun, in_axes=0, out_axes=0, axis_size=None):
    """Return the function that applies `fun` to every element of a batch, all at once.

    The operations of `fun` become operations on the whole batch, as one would write them by hand: products of matrices
    become one batched product, or a single large one where the other side is shared; decompositions run on stacks of
    matrices; a loop runs as long as its longest element, the others held where they ended; and of a branch on a value
    that differs between elements both sides are computed, to choose from. What does not depend on the batch is computed
    once. A function that draws from a generator, or prints, is applied to one element after the other, as in a loop.

    Parameters
    ----------
    fun : callable
        Of one element of the batch; may write to its arguments in place, loop, branch, and be itself a transform.
    in_axes : int, None, or a nest of them
        Along which axis of each argument the batch lies; None for an argument that all elements share. One for all
        positional arguments, or a tuple of one per argument, each of which may be nested as the argument is. Arguments
        by keyword are mapped along their first axis.
    out_axes : int, None, or a nest of them
        Where the batch lies in the results. None for a result that is the same for all elements.
    axis_size : int, optional
        Number of elements; needed where no argument is mapped.

    Returns
    -------
    callable
        Same arguments as `fun`, with one more axis where they are mapped. What `fun` writes to an element is written to
        the caller's array.

    Raises
    ------
    ValueError
        Where the arguments have different numbers of elements, or lack an axis.
    UnsupportedError
        Where `fun` writes to an array that all elements share, or makes an array whose size differs between elements.

    Examples
    --------
    >>> distances = vmap(lambda x, y: np.sqrt(((x - y) ** 2).sum()), in_axes=(0, None))
    """
    in_axes = tuple(in_axes) if isinstance(in_axes, list) else in_axes

    def inline(*args, **kwargs):
        made = _Batch(fun, in_axes, axis_size, args, kwargs)
        flow = current_trace().root.flow
        if flow is None or not flow.decided:
            return made.result(out_axes)
        place = "elements", user_frame()
        try:
            return made.each(out_axes) if place in flow.decisions else made.result(out_axes)
        except ConcretizationError:  # where it has to be known what each element is, each is looked at
            flow.decisions[place] = "unroll"
            raise Restart from None

    return Transform(fun, inline, (vmap, (fun, in_axes, out_axes, axis_size)))


class _Batch:
    """A call of a function on the elements of a batch."""

    def __init__(self, fun, in_axes, axis_size, args, kwargs):
        leaves, structure = flat(args, kwargs)
        self.fun, self.structure = fun, structure
        names = functools.cache(lambda: _names(fun, args, kwargs))
        axes = [axis if isinstance(x, Tracer) else None for x, axis in zip(leaves, _input_axes(in_axes, args, kwargs))]
        stacks = [None if axis is None else _in_front(x, axis, k, names)
                  for k, (x, axis) in enumerate(zip(leaves, axes))]
        self.size = _size(stacks, axes, axis_size, names)
        self.stacks, marks = _marked(stacks, self.size)
        self._given, self._marks = list(zip(leaves, stacks)), marks

    def _compute(self):
        """Put the batch into the trace: results of all elements, and those that are the same for all."""
        fun, title = self.fun, f"vmap of {getattr(self.fun, '__name__', 'a function')}"
        self.call = Call(fun, [x if s is None else s for x, s in self._given], self.structure, self._marks, mapped=True)
        for k in self.call.traced.layouts:
            self.stacks[k].look_at_layout()
        graph, inputs, count = self.call.graph, self.call.inputs, len(self.stacks)
        try:
            whole = batch(graph, [True] * count + [False] * graph.captures, self.size)
        except UnsupportedError as error:
            raise UnsupportedError(f"{title}: {error.what}", where=user_frame(), do=error.do) from None
        self._stacked = whole.call(inputs)
        differs = depending(graph.outs, graph.inputs()[:count])
        shared = dict(zip(graph.inputs()[count:], inputs[count:]))
        self._single = {k: substitute([out], shared)[0] for k, out in enumerate(graph.outs) if out not in differs}

    def result(self, out_axes):
        """Return the results of all elements, and carry out what the function writes."""
        self._compute()
        traced = self.call.traced
        if self._takes_turns():
            return self._one_by_one(out_axes)
        for storage, out in traced.effects:
            self._affect(storage, out)
        for leaf, out in traced.writes:
            self.stacks[leaf][...] = wrap(self._stacked[out])
        axes = self._axes(out_axes, tree.unflatten(traced.out_tree, range(len(traced.outputs))))
        made = {}
        return tree.unflatten(traced.out_tree, [
            self._output(spec, axis, made) for spec, axis in zip(traced.outputs, axes)])

    def _takes_turns(self):
        """Return whether each element continues where the one before ended: in a stream of random numbers, in print."""
        flow = current_trace().root.flow
        lines = [] if flow is None else flow.lines.values()
        own = {storage for storage, _ in self.call.traced.effects if flow is None or storage is not flow.token}
        prints = any(not own.isdisjoint((line.count, line.when, *line.values)) for line in lines)
        graph = self.call.traced.graph
        return prints or bool(own) and any(n.op is draw for g in (graph, *inner_graphs(graph)) for n in g.topological())

    def each(self, out_axes):
        """Return the results of all elements, each of which is traced on its own."""
        size = guarded_int(wrap(self.size), "the number of elements") if isinstance(self.size, Node) else self.size
        if not size:
            return self.result(out_axes)
        found = [tree.map(as_array, self._element(k)) for k in range(size)]
        leaves = []
        for axis, *xs in zip(self._axes(out_axes, found[0]), *map(tree.leaves, found)):
            same = isinstance(xs[0], Tracer) and axis is None and all(x.node is xs[0].node for x in xs)
            leaves.append(xs[0] if same or not isinstance(xs[0], Tracer) else _from_front(np.stack(xs), axis))
        return tree.unflatten(tree.flatten(found[0])[1], leaves)

    def _one_by_one(self, out_axes):
        """Return what the loop over the elements gives."""
        found = scan(lambda carry, k: (carry, self._element(k)), None, wrap(iota(I64, (self.size,))))[1]
        leaves, structure = tree.flatten(found)
        return tree.unflatten(structure, [_from_front(x, axis) for x, axis in zip(leaves, self._axes(out_axes, found))])

    def _element(self, k):
        """Return what the function gives for one element."""
        args, kwargs = tree.unflatten(self.structure, [x if s is None else s[k] for x, s in self._given])
        return twin(self.fun)(*args, **kwargs)

    def _affect(self, storage, out):
        """Carry out a write to an array from outside of the function, of which only one is known how."""
        flow = current_trace().root.flow
        if flow is not None and storage is flow.token:  # it stands for what has to hold, for each of the elements
            node = self._stacked[out]
            storage.write(node if out in self._single else reduce_max(node, axes=(0,)) if self.size else storage.value)
            return
        traced = self.call.traced
        where = traced.notes.get(traced.graph.outs[out]) or user_frame()
        raise UnsupportedError(
            f"each element of a batch writes to an array of type {storage.value.type} that all of them share",
            where=where, do="map that array, too (in_axes), or return the value and combine those of all elements "
            "outside, as with .sum(0)")

    @staticmethod
    def _axes(out_axes, result):
        try:
            return tree.spread(out_axes, result)
        except ValueError as error:
            raise ValueError(f"vmap: out_axes={out_axes!r} is not nested as the result is: {error}") from None

    def _output(self, spec, axis, made):
        """Return one leaf of the result, with the axis of the batch in its place."""
        if spec[0] == "const" and not isinstance(as_array(spec[1]), Tracer):
            return spec[1]
        key = (spec[1:], axis)
        if spec[0] == "const":
            node, single = None, as_array(spec[1]).node
        elif key in made:
            return made[key]
        else:
            node, single = self._stacked[spec[1]], self._single.get(spec[1])
        if axis is None:
            if single is None:
                raise ValueError(_DIFFERS)
            form = {"scalar": spec[2] is True, "weak": spec[2] == "python"} if spec[0] == "out" else {}
            return made.setdefault(key, wrap(single, **form)) if spec[0] == "out" else spec[1]
        out = _from_front(wrap(stacked(single, self.size) if node is None else node), axis)
        return made.setdefault(key, out) if spec[0] == "out" else out


_DIFFERS = "vmap: out_axes is None for a result that differs between the elements of the batch"


def _from_front(x, axis):
    """Return a result with the axis of the batch, which is its first, in its place."""
    if axis is None:
        raise ValueError(_DIFFERS)
    place = _normal(axis, x.ndim)
    if place is None:
        raise ValueError(f"vmap: out_axes={axis} for a result of {x.ndim} axes, that of the batch included")
    return wrap(transpose(x.node, [*range(1, place + 1), 0, *range(place + 1, x.ndim)]))


# ---------------------------------------------------------------- arguments
def _input_axes(in_axes, args, kwargs):
    """Return, leaf by leaf of the arguments, the axis along which the batch lies, or None."""
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ValueError(f"vmap: in_axes has {len(in_axes)} entries, and the function was called with {len(args)} "
                         "positional arguments")
    try:
        axes = tree.spread(in_axes, args)
    except ValueError as error:
        raise ValueError(f"vmap: in_axes={in_axes!r} is not nested as the arguments are: {error}") from None
    return [*axes, *([0] * len(tree.leaves(kwargs)))]


def _names(fun, args, kwargs):
    """Return how each leaf of the arguments is called."""
    found = parameters(fun)
    names = [found[i] if i < len(found) else f"argument {i}" for i in range(len(args))]
    return [path for name, x in [*zip(names, args), *kwargs.items()] for path in tree.paths(x, name)]


def _in_front(x, axis, k, names):
    """Return the view of an argument that has the axis of the batch in front."""
    place = _normal(axis, x.ndim)
    if place is None:
        raise ValueError(f"vmap: {names()[k]} has shape {tuple(x.type.shape)}, and no axis {axis} along which its "
                         "elements could lie; give in_axes=None for what all elements share")
    return x if place == 0 else x.transpose([place, *[a for a in range(x.ndim) if a != place]])


def _normal(axis, ndim):
    """Return an axis counted from the front, None where there is no such one."""
    axis = operator.index(axis)
    return axis % ndim if -ndim <= axis < ndim else None


def _size(stacks, axes, axis_size, names):
    """Return the number of elements, on which all arguments have to agree."""
    found = {k: x.type.shape[0] for k, x in enumerate(stacks) if x is not None}
    if not found and axis_size is None:
        raise ValueError("vmap: no argument is mapped, and axis_size is not given")
    sizes = list(found.values()) if axis_size is None else [operator.index(axis_size), *found.values()]
    size = next((n for n in sizes if type(n) is int), sizes[0])
    if any(type(n) is int and n != size for n in sizes):
        told = [f"{names()[k]} has {n} along axis {axes[k]}" for k, n in found.items() if type(n) is int]
        told += [] if axis_size is None else [f"axis_size is {axis_size}"]
        raise DimError(f"vmap: the arguments have different numbers of elements: {', '.join(told)}", where=user_frame(),
                       do="Map arrays of one size, and give in_axes=None for what all elements share.")
    return size


def _marked(stacks, size):
    """Return the arrays that are mapped, each once, and the marks of their elements."""
    mapped, marks, places = [], [], {}
    for k, x in enumerate(stacks):
        if x is None:
            marks.append(None)
            continue
        if not dims.same(x.type.shape[0], size):
            x = stacks[k] = wrap(resized(x.node, 0, size))
        key = (x._storage, x._steps)
        if key in places:
            marks.append(Same(places[key]))
            continue
        places[key] = len(mapped)
        mapped.append(x)
        marks.append(_element(x))
    return mapped, marks


def _element(x):
    """Return the mark of one element of a batch, as it lies in memory."""
    kind = x.type.with_shape(x.type.shape[1:])
    strides = x.shadow.strides[1:] if kind.is_static and x.type.is_static else None
    readonly = x.type.is_static and not x.shadow.flags.writeable
    plain = Leaf(kind, readonly=readonly, scalar=not kind.shape)
    if strides is None or 0 in kind.shape or strides == np.empty((), kind.dtype).strides:
        return plain
    marked = Leaf(kind, readonly=readonly, scalar=not kind.shape, strides=strides)
    return plain if marked.layout().flags.c_contiguous else marked
