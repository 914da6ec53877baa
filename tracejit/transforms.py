"""Derivatives of Python functions: trace the function, transform its graph, put the result into the trace around it.

Inside a jitted function a transform adds nodes to the graph being traced; outside it compiles by itself.
"""

import functools

import numpy as np

from tracejit import tree
from tracejit.errors import NotDifferentiableError, user_frame
from tracejit.opt.pipeline import prepare
from tracejit.symbolic import autodiff
from tracejit.symbolic.graph import Graph
from tracejit.symbolic.ops.shape import full
from tracejit.trace.staging import Leaf, subtrace
from tracejit.trace.tracer import Tracer, as_tracer, current_trace, wrap

__all__ = ["Transform", "make"]


class Transform:
    """A function that is another one, transformed; `inline` runs inside a trace, a call outside compiles it."""

    def __init__(self, fun, inline, jit):
        functools.update_wrapper(self, fun, updated=())
        self._inline = inline
        self._compiled = jit(inline, name=f"{inline.__name__}_{getattr(fun, '__name__', 'f')}")

    def __call__(self, *args, **kwargs):
        if current_trace() is not None:
            return self._inline(*args, **kwargs)
        return self._compiled(*args, **kwargs)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def __getattr__(self, name):
        if name.startswith("__") or name in ("_compiled", "_inline"):
            raise AttributeError(name)
        return getattr(self._compiled, name)  # .trace, .cache_info, …


class Call:
    """A call of a function traced on its own: its graph, and the nodes to put it back into the trace around it."""

    def __init__(self, fun, args, kwargs):
        self.args = tree.map(_traced, args)
        self.kwargs = tree.map(_traced, kwargs)
        self.leaves = [x for x in tree.leaves((self.args, self.kwargs)) if isinstance(x, Tracer)]
        marked = tree.map(_mark, (self.args, self.kwargs))
        self.traced = subtrace(fun, *marked)
        self.inputs = [*(x.node for x in self.leaves), *self.traced.captures]
        self.graph = prepare(self.traced.graph)

    def positions(self, argnums, what):
        """Return, per argnum, the param positions of that argument's leaves."""
        spans, at = [], 0
        for arg in self.args:
            count = sum(isinstance(x, Tracer) for x in tree.leaves(arg))
            spans.append(range(at, at + count))
            at += count
        out = []
        for number in argnums:
            if not -len(spans) <= number < len(spans):
                raise ValueError(f"{what}: argnums={number}, but the function was called with {len(spans)} "
                                 "positional arguments")
            out.append(spans[number])
            for position in spans[number]:
                kind = self.graph.params[position]
                if kind.kind not in "fc":
                    raise NotDifferentiableError(
                        f"{what}: argument {number} holds {kind}, and only floats have a derivative",
                        where=user_frame(), do="Convert it with astype(float), or leave it out of argnums.")
        return out

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

    def rebuild(self, values):
        """Return the structure of the function's result over nodes of the graph's outputs."""
        made = {}

        def leaf(spec):
            if spec[0] != "out":
                return spec[1]
            if spec not in made:
                made[spec] = wrap(values[spec[1]], scalar=spec[2] is True, weak=spec[2] == "python")
            return made[spec]
        return tree.unflatten(self.traced.out_tree, [leaf(spec) for spec in self.traced.outputs])


def _mark(x):
    return Leaf(x.type, weak=x.weak, scalar=x.scalar) if isinstance(x, Tracer) else x


def _traced(x):
    """Return array-like leaves as tracers; others are static."""
    if isinstance(x, (Tracer, np.ndarray, np.generic, bool, int, float, complex)) or hasattr(x, "__tracejit_array__"):
        return as_tracer(x)
    return x


def _argnums(argnums):
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)


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
        numbers = _argnums(argnums)

        def value_and_grad(*args, **kwargs):
            call = Call(fun, args, kwargs)
            positions = call.positions(numbers, "grad")
            cost = _cost_position(call, has_aux)
            wrt = [p for span in positions for p in span]
            graph = call.graph
            # The cost comes first, as the differentiation of graphs has it; all outputs follow.
            ordered = Graph(graph.params, (graph.outs[cost], *graph.outs), graph.captures)
            derived = autodiff.value_and_grad(ordered, tuple(wrt))
            nodes = derived.call(call.inputs)
            n = len(graph.outs)
            values, gradients = nodes[1:1 + n], list(nodes[1 + n:])
            result = call.finish(values)
            out, at = [], 0
            for number, span in zip(numbers, positions):
                leaves = [call.leaves[p] for p in span]
                pieces = [wrap(g, scalar=x.scalar or x.weak) for g, x in zip(gradients[at:at + len(span)], leaves)]
                out.append(_fill(call.args[number], pieces))
                at += len(span)
            gradient = out[0] if isinstance(argnums, int) else tuple(out)
            return result, gradient

        return Transform(fun, value_and_grad, jit)

    def grad(fun, argnums=0, has_aux=False):
        """Return the function that gives the gradient of `fun`; see `value_and_grad`.

        Where `has_aux`, it returns ``(gradient, aux)``.
        """
        both = value_and_grad(fun, argnums, has_aux)._inline

        def grad(*args, **kwargs):
            value, gradient = both(*args, **kwargs)
            return (gradient, value[1]) if has_aux else gradient

        return Transform(fun, grad, jit)

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
            call = Call(fun, tuple(primals), {})
            given = [_traced(t) for t in tree.leaves(tuple(tangents))]
            if len(given) != len(call.leaves):
                raise ValueError(f"jvp: {len(call.leaves)} primal arrays and {len(given)} tangents")
            graph = call.graph
            active = [i for i, x in enumerate(call.leaves) if graph.params[i].kind in "fc"]
            pushed = autodiff.jvp(graph, tuple(active))
            directions = [_tangent_node(given[i], graph.params[i]) for i in active]
            nodes = pushed.call(call.with_added(directions))
            n = len(graph.outs)
            return call.finish(nodes[:n]), call.rebuild(nodes[n:])

        return jvp(primals, tangents) if current_trace() is not None else jit(jvp, name="jvp")(primals, tangents)

    def vjp(fun, *primals):
        """Return ``(fun(*primals), pull)`` where ``pull(cotangent)`` gives one cotangent per primal."""
        def pull_back(primals, cotangent):
            call = Call(fun, tuple(primals), {})
            graph = call.graph
            cts = [_traced(c) for c in tree.leaves(cotangent)]
            active = [i for i in range(len(call.leaves)) if graph.params[i].kind in "fc"]
            pulled = autodiff.vjp(graph, tuple(active))
            weights = [_tangent_node(c, t) for c, t in zip(cts, graph.out_types)]
            weights += [full(0, t) for t in graph.out_types[len(cts):]]
            nodes = dict(zip(active, pulled.call(call.with_added(weights))))
            pieces = [wrap(nodes[i] if i in nodes else full(0, graph.params[i]), scalar=x.scalar or x.weak)
                      for i, x in enumerate(call.leaves)]
            return _fill(call.args, pieces)

        if current_trace() is not None:
            out = fun(*primals)
            return out, lambda cotangent: pull_back(primals, cotangent)
        compiled = jit(pull_back, name="vjp")
        return jit(fun)(*primals), lambda cotangent: compiled(primals, cotangent)

    return value_and_grad, grad, jvp, vjp


def _cost_position(call, has_aux):
    """Return which output of the graph is the cost: the first leaf, a real scalar."""
    result = call.traced.outputs
    leaf = call.traced.out_tree
    types = call.graph.out_types
    first = result[0] if result else None
    ok = first is not None and first[0] == "out" and types[first[1]].shape == () and types[first[1]].kind == "f"
    if ok and (has_aux or len(result) == 1):
        return first[1]
    found = "nothing" if first is None else (str(types[first[1]]) if first[0] == "out" else f"{first[0]} of {leaf}")
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


def _fill(structure, pieces):
    """Return `structure` with its traced leaves replaced by `pieces`, in order."""
    pieces = iter(pieces)
    return tree.map(lambda x: next(pieces) if isinstance(x, Tracer) else x, structure)
