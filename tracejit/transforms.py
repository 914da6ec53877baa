"""Derivatives of Python functions: trace the function, transform its graph, put the result into the trace around it.

Inside a jitted function a transform adds nodes to the graph being traced; outside it compiles by itself.
"""

import functools

import numpy as np

from tracejit import tree
from tracejit.calls import global_name
from tracejit.errors import NotDifferentiableError, user_frame
from tracejit.opt.pipeline import prepare
from tracejit.symbolic import autodiff
from tracejit.symbolic.graph import Graph
from tracejit.symbolic.ops.scalar import stop_gradient as hold
from tracejit.symbolic.ops.shape import full
from tracejit.trace.staging import Leaf, subtrace
from tracejit.trace.tracer import Tracer, as_tracer, current_trace, wrap

__all__ = ["Transform", "make", "stop_gradient"]


def stop_gradient(x):
    """Return `x`, an array or any nest of them, as a constant to every derivative around it."""
    def stop(leaf):
        if not isinstance(leaf, Tracer) and not hasattr(type(leaf), "__tracejit_array__"):
            return leaf
        leaf = as_tracer(leaf) if current_trace() is not None else leaf
        return wrap(hold(leaf.node), scalar=leaf.scalar, weak=leaf.weak) if isinstance(leaf, Tracer) else leaf
    return tree.map(stop, x)


class Transform:
    """A function that is another one, transformed; `inline` runs inside a trace, a call outside compiles it.

    `again` is what makes it anew: a function, and its arguments.
    """

    def __init__(self, fun, inline, jit, again):
        self._again = again
        functools.update_wrapper(self, fun, updated=())
        self._inline = inline
        self._compiled = jit(inline, name=f"{again[0].__name__}_{getattr(fun, '__name__', 'f')}")

    def __call__(self, *args, **kwargs):
        if current_trace() is not None:
            return self._inline(*args, **kwargs)
        return self._compiled(*args, **kwargs)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def __getattr__(self, name):
        if name.startswith("__") or name in ("_compiled", "_inline", "_again"):
            raise AttributeError(name)
        return getattr(self._compiled, name)  # .trace, .cache_info, …


    def __reduce__(self):
        name = getattr(self, "__qualname__", "")
        return name if global_name(getattr(self, "__module__", None), name) is self else self._again

    def __repr__(self):
        return f"<{self._again[0].__name__} of {getattr(self, '__name__', 'a function')}>"


class Call:
    """A call of a function traced on its own: its graph, and the nodes to put it back into the trace around it.

    The params of the graph are the floating arrays in the positional arguments numbered `moving`. All else is passed on
    as it is, so that a Python number may decide, and an array be written.
    """

    def __init__(self, fun, args, kwargs, moving):
        self.args = tree.map(_traced, tuple(args))
        self.leaves, self.spans = [], {}
        marked = list(self.args)
        for i in sorted(moving):
            own = [x for x in tree.leaves(self.args[i]) if _moves(x)]
            self.spans[i] = range(len(self.leaves), len(self.leaves) + len(own))
            self.leaves += own
            marked[i] = tree.map(_mark, self.args[i])
        self.traced = subtrace(fun, marked, tree.map(_traced, kwargs), bound=[x.node for x in self.leaves])
        self.inputs = [*(x.node for x in self.leaves), *self.traced.captures]
        self.graph = prepare(self.traced.graph)

    def with_added(self, nodes):
        """Return the inputs of a derived graph: what it adds stands before the captures."""
        visible = len(self.inputs) - self.graph.captures
        return [*self.inputs[:visible], *nodes, *self.inputs[visible:]]

    def finish(self, values):
        """Return the function's own result, rebuilt from nodes of the graph's outputs, its writes carried out."""
        for leaf, out in self.traced.writes:
            self.leaves[leaf][...] = wrap(values[out])
        for storage, out in self.traced.effects:
            storage.write(values[out])
        return self.rebuild(values)

    def rebuild(self, values, tangents=False):
        """Return the structure of the function's result over nodes of the graph's outputs."""
        made = {}

        def leaf(spec):
            if spec[0] != "out":
                return spec[1] * 0 if tangents and isinstance(spec[1], (int, float, complex, np.number)) else spec[1]
            if spec not in made:
                made[spec] = wrap(values[spec[1]], scalar=spec[2] is True, weak=spec[2] == "python")
            return made[spec]
        return tree.unflatten(self.traced.out_tree, [leaf(spec) for spec in self.traced.outputs])


def _moves(x):
    return isinstance(x, Tracer) and x.dtype.kind in "fc"


def _mark(x):
    return Leaf(x.type, weak=x.weak, scalar=x.scalar) if _moves(x) else x


def _traced(x):
    """Return array-like leaves as tracers; others are static."""
    if isinstance(x, (Tracer, np.ndarray, np.generic, bool, int, float, complex)) or hasattr(x, "__tracejit_array__"):
        return as_tracer(x)
    return x


def _numbers(argnums, args, what):
    """Return the positions that argnums name; raise where one does not exist, or holds integers."""
    numbers = []
    for number in (argnums,) if isinstance(argnums, int) else tuple(argnums):
        if not -len(args) <= number < len(args):
            raise ValueError(f"{what}: argnums={number}, but the function was called with {len(args)} positional "
                             "arguments")
        numbers.append(number % len(args))
        for x in map(_traced, tree.leaves(args[number])):
            if isinstance(x, Tracer) and not _moves(x):
                raise NotDifferentiableError(
                    f"{what}: argument {number} holds {x.type}, and only floats have a derivative",
                    where=user_frame(), do="Convert it with astype(float), or leave it out of argnums.")
    return numbers


def make(jit):
    """Return the transforms over the given `jit`, which compiles them where there is no trace around them."""

    def value_and_grad(fun, argnums=0, has_aux=False):
        """Return the function that gives the value of `fun` and its gradient.

        Parameters
        ----------
        fun : callable
            Returns a real scalar, or ``(scalar, aux)`` where `has_aux`.
        argnums : int or tuple of int
            The positional arguments to differentiate; each a float array, a Python float, or any nesting of them.
        has_aux : bool
            Whether `fun` returns auxiliary results that are passed on.

        Returns
        -------
        callable
            Same arguments as `fun`; returns ``(value, gradient)`` (``((value, aux), gradient)`` where `has_aux`), the
            gradient in the structure, shapes and dtypes of the argument, a tuple of them where `argnums` is one.

        Raises
        ------
        NotDifferentiableError
            For integer arguments, a cost that is no real scalar, or an operation without a derivative.
        """
        def inline(*args, **kwargs):
            numbers = _numbers(argnums, args, "grad")
            call = Call(fun, args, kwargs, set(numbers))
            cost = _cost_position(call, has_aux)
            graph = call.graph
            if cost is None:  # a number that depends on nothing
                values = graph.call(call.inputs)
                gradients = [full(0, x.type) for x in call.leaves]
            else:
                # The cost comes first, as the differentiation of graphs has it; all outputs follow.
                ordered = Graph(graph.params, (graph.outs[cost], *graph.outs), graph.captures)
                derived = autodiff.value_and_grad(ordered, tuple(range(len(call.leaves))))
                nodes = derived.call(call.inputs)
                values, gradients = nodes[1:1 + len(graph.outs)], nodes[1 + len(graph.outs):]
            result = call.finish(values)
            pieces = [wrap(g, scalar=x.scalar or x.weak) for g, x in zip(gradients, call.leaves)]
            out = [_fill(call.args[n], [pieces[p] for p in call.spans[n]]) for n in numbers]
            return result, out[0] if isinstance(argnums, int) else tuple(out)

        return Transform(fun, inline, jit, (value_and_grad, (fun, argnums, has_aux)))

    def grad(fun, argnums=0, has_aux=False):
        """Return the function that gives the gradient of `fun`; see `value_and_grad`.

        Where `has_aux`, it returns ``(gradient, aux)``.
        """
        both = value_and_grad(fun, argnums, has_aux)._inline

        def inline(*args, **kwargs):
            value, gradient = both(*args, **kwargs)
            return (gradient, value[1]) if has_aux else gradient

        return Transform(fun, inline, jit, (grad, (fun, argnums, has_aux)))

    def jvp(fun, primals, tangents):
        """Return ``(fun(*primals), directional derivative along tangents)``.

        Parameters
        ----------
        fun : callable
            Any function of arrays, or of nests of arrays.
        primals, tangents : tuple
            One entry per positional argument; a tangent has its primal's structure and shapes.
        """
        def jvp(primals, tangents):
            call = Call(fun, primals, {}, range(len(primals)))
            given = _matching(tuple(tangents), tree.structure(call.args), "jvp: the tangents", "the primals")
            given = [t for t, x in zip(given, tree.leaves(call.args)) if _moves(x)]
            directions = [_tangent_node(_traced(t), x.type) for t, x in zip(given, call.leaves)]
            pushed = autodiff.jvp(call.graph, tuple(range(len(given))))
            nodes = pushed.call(call.with_added(directions))
            n = len(call.graph.outs)
            return call.finish(nodes[:n]), call.rebuild(nodes[n:], tangents=True)

        return jvp(primals, tangents) if current_trace() is not None else jit(jvp, name="jvp")(primals, tangents)

    def vjp(fun, *primals):
        """Return ``(fun(*primals), pull)`` where ``pull(cotangent)`` gives one cotangent per primal."""
        def pull_back(primals, cotangent):
            call = Call(fun, primals, {}, range(len(primals)))
            weights = [full(0, t) for t in call.graph.out_types]
            given = _matching(cotangent, call.traced.out_tree, "vjp: the cotangent", "the result")
            for c, spec in zip(given, call.traced.outputs):
                if spec[0] == "out":  # several leaves may be one output
                    weights[spec[1]] = weights[spec[1]] + _tangent_node(_traced(c), weights[spec[1]].type)
            pulled = autodiff.vjp(call.graph, tuple(range(len(call.leaves))))
            nodes = iter(pulled.call(call.with_added(weights)))
            return _fill(call.args, [wrap(next(nodes) if _moves(x) else full(0, x.type), scalar=x.scalar or x.weak)
                                     for x in tree.leaves(call.args) if isinstance(x, Tracer)])

        if current_trace() is not None:
            out = fun(*primals)
            return out, lambda cotangent: pull_back(primals, cotangent)
        compiled = jit(pull_back, name="vjp")
        return jit(fun)(*primals), lambda cotangent: compiled(primals, cotangent)

    return value_and_grad, grad, jvp, vjp


def _cost_position(call, has_aux):
    """Return which output of the graph is the cost: the first leaf, a real scalar; None for a constant."""
    result = call.traced.outputs
    types = call.graph.out_types
    first = result[0] if result else None
    constant = first is not None and first[0] == "const" and isinstance(first[1], (float, np.floating))
    ok = first is not None and first[0] == "out" and types[first[1]].shape == () and types[first[1]].kind == "f"
    if (ok or constant) and (has_aux or len(result) == 1):
        return None if constant else first[1]
    found = "nothing" if first is None else str(types[first[1]]) if first[0] == "out" else type(first[1]).__name__
    if len(result) > 1 and not has_aux:
        found = f"{len(result)} results"
    raise NotDifferentiableError(
        f"grad needs a function that returns one real scalar, and this one returns {found}", where=user_frame(),
        do="Reduce the result with .sum() or .mean(), return (cost, aux) with has_aux=True, or use vjp.")


def _tangent_node(tracer, kind):
    node = tracer.node
    if node.type != kind:
        node = tracer.astype(kind.dtype).node
    if node.type != kind:
        raise ValueError(f"a tangent or cotangent has shape {node.shape}, its value {kind.shape}")
    return node


def _matching(given, structure, what, other):
    """Return the leaves of a tree that must have a certain structure."""
    leaves, found = tree.flatten(given)
    if found != structure:
        raise ValueError(f"{what} must be nested as {other} is: {found} and {structure}")
    return leaves


def _fill(structure, pieces):
    """Return `structure` with its traced leaves replaced by `pieces`, in order."""
    pieces = iter(pieces)
    return tree.map(lambda x: next(pieces) if isinstance(x, Tracer) else x, structure)
