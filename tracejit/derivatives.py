"""Derivatives of Python functions: gradients, tangents pushed forward, cotangents pulled back.

Complex numbers: the gradient of a real function of ``z = x + iy`` is ``df/dx - i df/dy``, whose conjugate points
uphill; a cotangent c pairs with a tangent t as ``Re(sum(c * t))``. Where ``holomorphic=True``, a function from complex
numbers to complex numbers has the one derivative df/dz that does not depend on the direction.
"""

import functools

import numpy as np

from tracejit import tree
from tracejit.api import jit_inline
from tracejit.errors import NotDifferentiableError, user_frame
from tracejit.symbolic import autodiff
from tracejit.symbolic.graph import Graph
from tracejit.symbolic.ir import map_attrs
from tracejit.symbolic.ops.scalar import stop_gradient as hold
from tracejit.symbolic.ops.shape import slice_, zeros
from tracejit.trace.shapes import resized
from tracejit.trace.sparse import patterns, values, with_patterns, with_values
from tracejit.trace.staging import Leaf
from tracejit.trace.tracer import Tracer, as_tracer, current_trace, wrap
from tracejit.transforms import Call, Transform, as_array, flat, outside

__all__ = ["Moving", "grad", "jvp", "linearize", "positions", "stop_gradient", "value_and_grad", "vjp"]


def stop_gradient(x):
    """Return `x`, an array or any nest of them, as a constant to every derivative around it."""
    def stop(leaf):
        if not isinstance(leaf, Tracer) and not hasattr(type(leaf), "__tracejit_array__"):
            return leaf
        leaf = as_tracer(leaf) if current_trace() is not None else leaf
        return wrap(hold(leaf.node), scalar=leaf.scalar, weak=leaf.weak) if isinstance(leaf, Tracer) else leaf
    return tree.map(stop, x)


# ---------------------------------------------------------------- gradients
def value_and_grad(fun, argnums=0, has_aux=False, holomorphic=False):
    """Return the function that gives the value of `fun` and its gradient.

    Parameters
    ----------
    fun : callable
        Returns a real scalar, or ``(scalar, aux)`` where `has_aux`.
    argnums : int or tuple of int
        The positional arguments to differentiate; each a float array, a Python float, or any nesting of them.
    has_aux : bool
        Whether `fun` returns auxiliary results that are passed on.
    holomorphic : bool
        Whether `fun` is a holomorphic function of complex arguments, with a complex result.

    Returns
    -------
    callable
        Same arguments as `fun`; returns ``(value, gradient)`` (``((value, aux), gradient)`` where `has_aux`), the
        gradient in the structure, shapes and dtypes of the argument, a tuple of them where `argnums` is one. With
        respect to ``z = x + iy`` it is ``df/dx - i df/dy``.

    Raises
    ------
    NotDifferentiableError
        For integer arguments, a cost that is no real scalar, or an operation without a derivative.
    """
    def inline(*args, **kwargs):
        numbers = positions(argnums, args, "grad", holomorphic)
        call = Moving(fun, args, kwargs, numbers)
        cost = _cost_position(call, has_aux, holomorphic)
        graph = call.graph
        if cost is None:  # a number that depends on nothing
            values = graph.call(call.inputs)
            gradients = [zeros(x.type) for x in call.leaves]
        else:
            # The cost comes first, as the differentiation of graphs has it; all outputs follow.
            ordered = Graph(graph.params, (graph.outs[cost], *graph.outs), graph.captures)
            derived = autodiff.value_and_grad(ordered, tuple(range(len(call.leaves))), holomorphic)
            nodes = derived.call(call.inputs)
            values, gradients = nodes[1:1 + len(graph.outs)], nodes[1 + len(graph.outs):]
        result = call.finish(values)
        pieces = [wrap(g, scalar=x.scalar or x.weak) for g, x in zip(gradients, call.leaves)]
        return result, call.in_place_of(argnums, numbers, pieces)

    return Transform(fun, inline, (value_and_grad, (fun, argnums, has_aux, holomorphic)))


def grad(fun, argnums=0, has_aux=False, holomorphic=False):
    """Return the function that gives the gradient of `fun`; see `value_and_grad`.

    Where `has_aux`, it returns ``(gradient, aux)``.
    """
    both = value_and_grad(fun, argnums, has_aux, holomorphic)._inline

    def inline(*args, **kwargs):
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return Transform(fun, inline, (grad, (fun, argnums, has_aux, holomorphic)))


# ---------------------------------------------------------------- tangents and cotangents
def jvp(fun, primals, tangents, has_aux=False):
    """Return ``(fun(*primals), directional derivative along tangents)``.

    Parameters
    ----------
    fun : callable
        Any function of arrays, or of nests of arrays; returns ``(value, aux)`` where `has_aux`.
    primals, tangents : tuple
        One entry per positional argument; a tangent has its primal's structure and shapes. Those of integers are not
        looked at.
    has_aux : bool
        Whether `fun` returns auxiliary results, which come as a third one: ``(value, tangent, aux)``.
    """
    if current_trace() is None:
        return outside(_jvp, fun, has_aux)(primals, tangents)
    return _jvp(fun, has_aux, primals, tangents)


def _jvp(fun, has_aux, primals, tangents):
    call = Moving(fun, primals, {}, range(len(primals)))
    value = call.value(has_aux, "jvp")
    directions = call.arguments.tangents(tangents, "jvp: the tangents")
    pushed = autodiff.jvp(call.reduced(value), tuple(range(len(directions))))
    moved = value.tangents(pushed.call(call.with_added(directions))[len(value.wanted):])
    result = call.finish(call.graph.call(call.inputs))
    moved = with_patterns(moved, patterns(result[0] if has_aux else result))
    return (result[0], moved, result[1]) if has_aux else (result, moved)


def linearize(fun, *primals, has_aux=False):
    """Return ``(fun(*primals), push)`` where ``push(*tangents)`` is the directional derivative along tangents.

    What the derivative needs of the point is computed once and kept, so that each further direction costs the linear
    part alone.

    Parameters
    ----------
    fun : callable
        Any function of arrays, or of nests of arrays; returns ``(value, aux)`` where `has_aux`.
    *primals
        The point: arrays, numbers, and nests of them.
    has_aux : bool
        Whether `fun` returns auxiliary results, which come as a third one: ``(value, push, aux)``.
    """
    result, kept, linear = _split(_pushforward, fun, has_aux, primals)

    def push(*tangents):
        """Return the directional derivative along tangents, one per primal."""
        return linear(kept, tangents)
    return (result[0], push, result[1]) if has_aux else (result, push)


def vjp(fun, *primals, has_aux=False):
    """Return ``(fun(*primals), pull)`` where ``pull(cotangent)`` gives a tuple of one cotangent per primal.

    What the derivative needs of the point is computed once and kept, so that each further cotangent costs the linear
    part alone.

    Parameters
    ----------
    fun : callable
        Any function of arrays, or of nests of arrays; returns ``(value, aux)`` where `has_aux`.
    *primals
        The point: arrays, numbers, and nests of them.
    has_aux : bool
        Whether `fun` returns auxiliary results, which come as a third one: ``(value, pull, aux)``.
    """
    result, kept, linear = _split(_pullback, fun, has_aux, primals)

    def pull(cotangent):
        """Return one cotangent per primal, for a cotangent of the value."""
        return linear(kept, cotangent)
    return (result[0], pull, result[1]) if has_aux else (result, pull)


def _split(how, fun, has_aux, primals):
    """Return (result of the function, arrays that its derivative needs, the derivative as a Linear)."""
    if current_trace() is None:
        return outside(how, fun, has_aux)(primals)
    return how(fun, has_aux, primals)


def _pushforward(fun, has_aux, primals):
    call = Moving(fun, primals, {}, range(len(primals)))
    value = call.value(has_aux, "linearize")
    forward, graph = autodiff.linearize(call.reduced(value), range(len(call.leaves)))
    take = functools.partial(call.arguments.tangents, what="linearize: the tangents")
    result = call.finish(call.graph.call(call.inputs))
    positions = patterns(result[0] if has_aux else result)
    return result, call.kept(value, forward) + positions, Linear(graph, take, value.tangents, len(positions))


def _pullback(fun, has_aux, primals):
    call = Moving(fun, primals, {}, range(len(primals)))
    value = call.value(has_aux, "vjp")
    forward, graph = autodiff.linearize_transpose(call.reduced(value), range(len(call.leaves)))
    positions = patterns(call.args)
    linear = Linear(graph, value.cotangents, call.arguments.cotangents, len(positions))
    kept = call.kept(value, forward) + positions
    return call.finish(call.graph.call(call.inputs)), kept, linear


class Linear:
    """A linear function of arrays: a graph over what it needs of the point and what it is applied to.

    ``take(given)`` returns the nodes of what it is applied to, ``give(nodes)`` its result, whose sparse arrays have
    their numbers in the places that the last `positions` of those arrays say.
    """

    def __init__(self, graph, take, give, positions):
        self.graph, self._take, self._give, self._positions = graph, take, give, positions
        self._compiled = jit_inline(self._inline, "linear")

    def __call__(self, kept, given):
        """Return its value, for arrays that it needs of the point."""
        return (self._compiled if current_trace() is None else self._inline)(kept, given)

    def _inline(self, kept, given):
        kept = [as_tracer(x) for x in kept]
        needed, places = kept[:len(kept) - self._positions], kept[len(kept) - self._positions:]
        nodes = _of_types(self.graph, [x.node for x in needed], self._take(given))
        return with_patterns(self._give(self.graph.call(nodes)), places)


def _of_types(graph, needed, given):
    """Return the arguments of a graph; what is needed of the point and has a size known at run time is cut to the size
    that is kept with it, and what is given must have that size.
    """
    table = dict(zip(graph.inputs(), [*needed, *given]))
    kinds = [map_attrs(kind, table) for kind in graph.params]
    cut = [node if node.type is kind else slice_(node, [0] * node.ndim, [1] * node.ndim, kind.shape)
           for node, kind in zip(needed, kinds)]
    for node, kind in zip(given, kinds[len(needed):]):
        for axis, size in enumerate(kind.shape):
            if node.shape[axis] is not size and node.shape[axis] != size:
                node = resized(node, axis, size)
        cut.append(node)
    return cut


# ---------------------------------------------------------------- calls whose arguments move
class Moving(Call):
    """A call of a function whose graph has as params the floating arrays in the arguments numbered `numbers`."""

    def __init__(self, fun, args, kwargs, numbers):
        leaves, structure = flat(args, kwargs)
        owners = [i for i, arg in enumerate(args) for _ in tree.leaves(arg)]
        owners += [None] * (len(leaves) - len(owners))
        marks = [Leaf(x.type, weak=x.weak, scalar=x.scalar) if owner in numbers and _moves(x) else None
                 for x, owner in zip(leaves, owners)]
        super().__init__(fun, leaves, structure, marks)
        self.arguments = _Arguments(tree.structure(tuple(args)), leaves[:len(owners)], marks)
        self.args, self._owners = tree.unflatten(structure, leaves)[0], [
            owner for owner, mark in zip(owners, marks) if mark is not None]

    def in_place_of(self, argnums, numbers, pieces):
        """Return the arguments that `argnums` names with a piece in place of each array in them that moves."""
        found = [_fill(self.args[n], [p for p, owner in zip(pieces, self._owners) if owner == n]) for n in numbers]
        return found[0] if isinstance(argnums, int) else tuple(found)

    def kept(self, value, forward):
        """Return what the derivative of a value needs of the point, as arrays of their own."""
        return [wrap(node) for node in forward.call(self.inputs)[len(value.wanted):]]

    def value(self, has_aux, what):
        """Return what is differentiated of the result."""
        specs, structure = self.traced.outputs, self.traced.out_tree
        if has_aux:
            result = tree.unflatten(structure, range(len(specs)))
            if type(result) is not tuple or len(result) != 2:
                raise TypeError(f"{what}: with has_aux the function returns (value, aux), and this one a "
                                f"{type(result).__name__}")
            structure = tree.structure(result[0])
            specs = specs[:len(tree.leaves(result[0]))]
        return _Value(structure, specs, self.graph)

    def reduced(self, value):
        """Return the graph of what is differentiated of the result, and no more."""
        return Graph(self.graph.params, [self.graph.outs[k] for k in value.wanted], self.graph.captures)


class _Arguments:
    """How arguments are nested, and which arrays among them move: what a derivative is applied to, or gives."""

    def __init__(self, structure, leaves, marks):
        self._structure = structure
        #: Per leaf: whether it moves, and its type and form, or what it is.
        self._leaves = [(mark is not None, (x.type, x.scalar or x.weak) if isinstance(x, Tracer) else x)
                        for x, mark in zip(leaves, marks)]

    def tangents(self, given, what):
        """Return the nodes of tangents that are nested as the arguments are."""
        given = _matching(tuple(given), self._structure, what, "the primals")
        return [_tangent_node(t, leaf[0]) for t, (moves, leaf) in zip(given, self._leaves) if moves]

    def cotangents(self, nodes):
        """Return cotangents nested as the arguments are, zeros for what does not move."""
        nodes = iter(nodes)

        def one(moves, what):
            if type(what) is not tuple:
                return what
            return wrap(next(nodes) if moves else zeros(what[0]), scalar=what[1])
        return tree.unflatten(self._structure, [one(*leaf) for leaf in self._leaves])


class _Value:
    """The value of a function: which outputs of its graph have a derivative (`wanted`), and how they are nested."""

    def __init__(self, structure, specs, graph):
        self._structure = structure
        self.wanted = list(dict.fromkeys(spec[1] for spec in specs if spec[0] == "out"))
        places = {k: i for i, k in enumerate(self.wanted)}
        self._types = [graph.outs[k].type for k in self.wanted]
        #: Per leaf: its place among those, and its form; or what stands for the tangent of a constant.
        self._leaves = [(places[spec[1]], spec[2]) if spec[0] == "out" else
                        spec[1] * 0 if isinstance(spec[1], (int, float, complex, np.number, np.ndarray)) else spec[1]
                        for spec in specs]

    def each(self, make, what):
        """Return ``make(place, shape)`` for each leaf, nested as the value is; the place of a constant is None."""
        def one(leaf):
            if type(leaf) is tuple:
                return make(leaf[0], self._types[leaf[0]].shape)
            if not isinstance(leaf, (float, complex, np.inexact, np.ndarray)):
                raise NotDifferentiableError(
                    f"{what}: the result holds a {type(leaf).__name__}, and only floats have a derivative",
                    where=user_frame(), do="Return it as aux, with has_aux=True.")
            return make(None, np.shape(leaf))
        return tree.unflatten(self._structure, [one(leaf) for leaf in self._leaves])

    def tangents(self, nodes):
        """Return tangents nested as the value is."""
        made = {}

        def one(leaf):
            if type(leaf) is not tuple:
                return leaf
            if leaf not in made:
                made[leaf] = wrap(nodes[leaf[0]], scalar=leaf[1] is True, weak=leaf[1] == "python")
            return made[leaf]
        return tree.unflatten(self._structure, [one(leaf) for leaf in self._leaves])

    def cotangents(self, given):
        """Return the nodes of a cotangent that is nested as the value is, one per output."""
        total = [None] * len(self.wanted)
        for c, leaf in zip(_matching(given, self._structure, "vjp: the cotangent", "the result"), self._leaves):
            if type(leaf) is tuple:  # several leaves may be one output
                k = leaf[0]
                node = _tangent_node(c, self._types[k], later=True)
                total[k] = node if total[k] is None else total[k] + node
        return total


def positions(argnums, args, what, holomorphic=False):
    """Return the positions that argnums name; raise where one does not exist, or holds what does not move."""
    numbers = []
    for number in (argnums,) if isinstance(argnums, int) else tuple(argnums):
        if not -len(args) <= number < len(args):
            raise ValueError(f"{what}: argnums={number}, but the function was called with {len(args)} positional "
                             "arguments")
        numbers.append(number % len(args))
        for x in map(as_array, values(args[number])):
            if isinstance(x, Tracer) and not _moves(x):
                raise NotDifferentiableError(
                    f"{what}: argument {number} holds {x.type}, and only floats have a derivative",
                    where=user_frame(), do="Convert it with astype(float), or leave it out of argnums.")
            if holomorphic and isinstance(x, Tracer) and x.dtype.kind != "c":
                raise NotDifferentiableError(
                    f"{what}: holomorphic=True, and argument {number} holds {x.type}, which is not complex",
                    where=user_frame(), do="Convert it with astype(complex), or leave holomorphic out.")
    return numbers


def _cost_position(call, has_aux, holomorphic):
    """Return which output of the graph is the cost: the first leaf, a real scalar; None for a constant."""
    result = call.traced.outputs
    types = call.graph.out_types
    first = result[0] if result else None
    kind = "c" if holomorphic else "f"
    constant = first is not None and first[0] == "const" and np.ndim(first[1]) == 0 and (
        isinstance(first[1], (float, complex, np.inexact)) and np.asarray(first[1]).dtype.kind == kind)
    ok = first is not None and first[0] == "out" and types[first[1]].shape == () and types[first[1]].kind == kind
    if (ok or constant) and (has_aux or len(result) == 1):
        return None if constant else first[1]
    found = "nothing" if first is None else str(types[first[1]]) if first[0] == "out" else type(first[1]).__name__
    if len(result) > 1 and not has_aux:
        found = f"{len(result)} results"
    wanted = "complex scalar with holomorphic=True" if holomorphic else "real scalar"
    do = "Reduce the result with .sum() or .mean(), return (cost, aux) with has_aux=True, or use vjp."
    if ok is False and first is not None and first[0] == "out" and types[first[1]].kind == "c":
        do = "Take the real part or the modulus, or give holomorphic=True for a holomorphic function."
    raise NotDifferentiableError(f"grad needs a function that returns one {wanted}, and this one returns {found}",
                                 where=user_frame(), do=do)


def _moves(x):
    return isinstance(x, Tracer) and x.dtype.kind in "fc"


def _tangent_node(given, kind, later=False):
    """Return the node of a tangent of a value of some type; `later` sizes known at run time are compared."""
    tracer = as_array(given)
    node = tracer.node if tracer.dtype == kind.dtype else tracer.astype(kind.dtype).node
    fits = len(node.shape) == len(kind.shape) and all(
        n is m or n == m or later and not type(n) is type(m) is int for n, m in zip(node.shape, kind.shape))
    if not fits:
        raise ValueError(f"a tangent or cotangent has the type {node.type}, its value {kind}")
    return node


def _matching(given, structure, what, other):
    """Return the leaves of a tree that must have a certain structure."""
    leaves, found = tree.flatten(given)
    if found != structure:
        raise ValueError(f"{what} must be nested as {other} is: {found} and {structure}")
    return leaves


def _fill(structure, pieces):
    """Return `structure` with its traced values replaced by `pieces`, in order."""
    pieces = iter(pieces)
    filled = [next(pieces) if isinstance(x, Tracer) else x for x in values(structure)]
    return with_values(structure, filled)
