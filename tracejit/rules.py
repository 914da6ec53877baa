"""Derivative rules of the user's own: `custom_jvp` and `custom_vjp`, under the names and with the meaning of JAX's.

Outside of derivatives such a function is what it is without its rule. Where a derivative may be taken, its rule is
traced in place of it, into an op that stays closed until then (`symbolic.ops.custom`).
"""

import functools
import inspect

import numpy as np

from tracejit import tree
from tracejit.errors import UnsupportedError, user_frame
from tracejit.pickles import LeadsBack
from tracejit.symbolic.graph import close, substitute, topological
from tracejit.symbolic.ir import new_variable
from tracejit.symbolic.ops import custom
from tracejit.symbolic.ops.control import results
from tracejit.symbolic.ops.shape import zeros
from tracejit.trace.convert import twin
from tracejit.trace.staging import Leaf, subtrace
from tracejit.trace.tracer import Tracer, as_tracer, current_trace, wrap

__all__ = ["StagedCall", "custom_jvp", "custom_vjp"]


# ---------------------------------------------------------------- a call, traced on its own
class Nest:
    """A nested result of a trace: its structure, and per leaf the output of the graph that it is, or its value."""

    def __init__(self, structure, specs, types):
        self.structure, self.specs = structure, specs
        self._types = types

    def nodes(self, outs):
        """Return the nodes of the leaves that are arrays, from those of the graph's outputs."""
        return [outs[spec[1]] for spec in self.specs if spec[0] == "out"]

    def _map(self, leaf, other):
        return tree.unflatten(self.structure, [leaf(s) if s[0] == "out" else other(s[1]) for s in self.specs])

    def build(self, nodes):
        """Return the nest over nodes of its arrays, in order."""
        rest = iter(nodes)
        return self._map(lambda s: wrap(next(rest), scalar=s[2] is True, weak=s[2] == "python"), lambda value: value)

    def marks(self):
        """Return the nest with marks to trace its arrays."""
        return self._map(self._mark, lambda value: value)

    def directions(self):
        """Return the nest of what a derivative has in its place: marks for arrays, 0 for what is none."""
        return self._map(self._mark, lambda value: 0)

    def _mark(self, spec):
        return Leaf(self._types[spec[1]], weak=spec[2] == "python", scalar=spec[2] is True)


class Staged:
    """A function of marked arguments that returns a tuple, traced: its graph, captures, and a Nest per result."""

    def __init__(self, name, fun, marked, bound, orders):
        traced = subtrace(fun, marked, {}, name=name, bound=bound, orders=orders, boundary=True)
        if traced.writes or traced.effects:
            raise UnsupportedError(f"{name}, whose derivative is taken in a way of its own, prints or writes to an "
                                   "array from outside", where=user_frame(),
                                   do="write to a copy and return it; print around it")
        self.graph, self.captures = traced.graph, traced.captures
        self.results, specs = [], iter(traced.outputs)
        for part in traced.out_tree.children():
            mine = [next(specs) for _ in range(part.num_leaves)]
            self.results.append(Nest(part, mine, traced.graph.out_types))


class StagedCall:
    """The arguments of a call whose function becomes a closed op.

    Attributes
    ----------
    static : list
        The arguments without a derivative, as they are.
    given : list
        The others, their arrays and floats as tracers; `leaves` are these, flat, and `moving` the numbers of those that
        are of floating or complex dtype.
    """

    def __init__(self, name, args, nondiff=()):
        for k in nondiff:
            if not -len(args) <= k < len(args):
                raise ValueError(f"{name}: nondiff_argnums has {k}, and there are {len(args)} arguments")
        numbers = [k % len(args) for k in nondiff]
        self.name, self._args, self._numbers = name, args, numbers
        self.static = [args[k] for k in numbers]
        self.given = [tree.map(_array, x) for k, x in enumerate(args) if k not in numbers]
        self.leaves = [x for x in tree.leaves(self.given) if isinstance(x, Tracer)]
        sized = next((x for x in self.leaves if not x.type.is_static), None)
        if sized is not None:
            raise UnsupportedError(f"{name}, whose derivative is taken in a way of its own, of an array whose size is "
                                   f"known at run time only: {sized.type}", where=user_frame(),
                                   do="mask with np.where, and call it with an array of fixed size")
        self.moving = tuple([k for k, x in enumerate(self.leaves) if x.dtype.kind in "fc"])

    def merged(self, given):
        """Return all arguments, with others in place of `given`."""
        rest = iter(given)
        return [x if k in self._numbers else next(rest) for k, x in enumerate(self._args)]

    def marks(self):
        """Return the arguments `given` with marks to trace their arrays."""
        return tree.map(lambda x: _mark(x) if isinstance(x, Tracer) else x, self.given)

    def tangents(self):
        """Return marks for the tangents of `given`; those of integers are zeros."""
        def mark(x):
            if not isinstance(x, Tracer):
                return 0
            return _mark(x) if x.dtype.kind in "fc" else wrap(zeros(x.type), scalar=x.scalar, weak=x.weak)
        return tree.map(mark, self.given)

    def trace(self, fun, marked, bound=None, orders=0):
        """Trace a function of marked arguments that returns a tuple."""
        return Staged(self.name, fun, marked, [x.node for x in self.leaves] if bound is None else bound, orders)

    def operands(self, *captured):
        """Return (the nodes that an op of these arguments takes, variables for them, {captured node: its variable})."""
        more = list(dict.fromkeys(node for row in captured for node in row))
        nodes = [*(x.node for x in self.leaves), *more]
        variables = [new_variable(n.type) for n in nodes]
        return nodes, variables, dict(zip(more, variables[len(self.leaves):]))

    def closed(self, fun, orders=0):
        """Return (operands, Graph over them, Nest) of the function itself."""
        traced = self.trace(lambda *given: (tree.map(_array, twin(fun)(*self.merged(given))),), self.marks(),
                            orders=orders)
        nodes, variables, table = self.operands(traced.captures)
        outs = traced.graph.call([*variables[:len(self.leaves)], *(table[c] for c in traced.captures)])
        out, = traced.results
        return nodes, close(variables, out.nodes(outs)), out

    def sealed(self, fun):
        """Return the function's result, of an op that has no derivative any more."""
        nodes, body, out = self.closed(fun)
        return out.build(results(custom.sealed(*nodes, name=self.name, body=body)))


def _array(x):
    """Return arrays and floats as tracers; other values stay."""
    if isinstance(x, (Tracer, np.ndarray, np.generic, float, complex)) or hasattr(type(x), "__tracejit_array__"):
        return as_tracer(x)
    return x


def _is_none(x):
    return x is None


def _mark(x):
    return Leaf(x.type, weak=x.weak, scalar=x.scalar)


def _fitted(found, wanted, what):
    """Return a derivative as a tracer of the dtype of the value that it belongs to, whose shape it has."""
    found = as_tracer(found)
    complex_to_real = found.dtype.kind == "c" and wanted.dtype.kind != "c"
    if found.node.shape != wanted.node.shape or complex_to_real:
        raise ValueError(f"{what} is of type {found.type}, and belongs to a value of type {wanted.type}")
    return found if found.dtype == wanted.dtype else found.astype(wanted.dtype)


# ---------------------------------------------------------------- functions with rules


class _Ruled(LeadsBack):
    """A function with a rule; a decorator, too."""

    _RULE = ""  # what gives it its rule

    def __new__(cls, fun=None, nondiff_argnums=(), *rules):
        if fun is None:
            return functools.partial(cls, nondiff_argnums=nondiff_argnums)
        return super().__new__(cls)

    def __init__(self, fun, nondiff_argnums=(), *rules):
        if not callable(fun):
            raise TypeError(f"{type(self).__name__} takes a function, not {type(fun).__name__}")
        functools.update_wrapper(self, fun, updated=())
        self._fun = fun
        self._nondiff = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else tuple(nondiff_argnums)
        self._rules = rules or None

    def __call__(self, *args, **kwargs):
        if self._rules is None:
            raise AttributeError(f"{self._name} has no derivative rule yet: give it one with {self._RULE}")
        trace = current_trace()
        if trace is None:
            return self._fun(*args, **kwargs)
        if trace.orders is None:
            return twin(self._fun)(*args, **kwargs)
        call = StagedCall(self._name, _positional(self._fun, args, kwargs), self._nondiff)
        return self._staged(call) if trace.orders else call.sealed(self._fun)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def _recipe(self):
        return type(self), self._fun, self._nondiff

    def _rest(self):
        return self._rules or ()

    def __repr__(self):
        return f"<{type(self).__name__} {self._name}>"

    @property
    def _name(self):
        return getattr(self._fun, "__name__", type(self._fun).__name__)


class custom_jvp(_Ruled):
    """Give a function a forward-mode derivative of its own, from which reverse mode follows by transposition.

    Parameters
    ----------
    fun : callable
        Of arrays, numbers and nests of them.
    nondiff_argnums : int or tuple of int
        Positional arguments without a derivative: the rule gets them first, as they are, and they need not be arrays.

    Notes
    -----
    ``f.defjvp(rule)`` gives it the rule ``rule(*nondiff, primals, tangents) -> (result, tangent of the result)``,
    linear in the tangents; `primals` and `tangents` are tuples. It may call `f`. The tangent of an argument that does
    not change is zeros, also of one of integer dtype. Under a derivative the value is the rule's. Keyword arguments are
    made positional. A value that the function takes from around it, and not as an argument, must not be differentiated.

    Examples
    --------
    >>> @tracejit.custom_jvp
    ... def logistic(x):
    ...     return 1 / (1 + np.exp(-x))
    >>> @logistic.defjvp
    ... def logistic_jvp(primals, tangents):
    ...     y = logistic(*primals)
    ...     return y, y * (1 - y) * tangents[0]
    """

    _RULE = "defjvp"

    def defjvp(self, rule):
        """Set the rule; returns it, so that this is a decorator."""
        self._change(_rules=(rule,))
        return rule

    def defjvps(self, *rules):
        """Set one rule per argument, ``rule(tangent, result, *primals) -> tangent of the result``; None for zero."""
        if self._nondiff:
            raise TypeError(f"{self._name}: defjvps is for functions without nondiff_argnums; use defjvp")
        self._change(_rules=(functools.partial(_added, self, rules),))

    def _staged(self, call):
        def pushed(primals, tangents):
            found = twin(self._rules[0])(*call.static, tuple(primals), tuple(tangents))
            if not isinstance(found, tuple) or len(found) != 2:
                raise TypeError(f"the rule of {self._name} returns (result, tangent), not a {type(found).__name__}")
            out, tangent = tree.map(_array, found[0]), found[1]
            if tree.structure(tangent) != tree.structure(out):
                raise TypeError(f"the rule of {self._name} returns a tangent nested as {tree.structure(tangent)}, and "
                                f"a result nested as {tree.structure(out)}")
            pairs = [(x, t) for x, t in zip(tree.leaves(out), tree.leaves(tangent))
                     if isinstance(x, Tracer) and x.dtype.kind in "fc"]
            return out, [_fitted(t, x, f"a tangent that the rule of {self._name} returns") for x, t in pairs]
        traced = call.trace(pushed, [call.marks(), call.tangents()], orders=-1)
        nodes, variables, table = call.operands(traced.captures)
        count = len(call.leaves)
        directions = [new_variable(call.leaves[k].type) for k in call.moving]
        outs = traced.graph.call([*variables[:count], *directions, *(table[c] for c in traced.captures)])
        out, slopes = (part.nodes(outs) for part in traced.results)
        if not set(directions).isdisjoint(topological(out)):
            raise TypeError(f"the result that the rule of {self._name} returns depends on the tangents")
        made = custom.custom_jvp(*nodes, name=self._name, moving=call.moving, body=close(variables, out),
                                 rule=close([*variables, *directions], slopes))
        return traced.results[0].build(results(made))


def _added(f, rules, primals, tangents):
    """The rule that `defjvps` makes of one per argument."""
    value = f(*primals)
    terms = [rule(t, value, *primals) for rule, t in zip(rules, tangents, strict=True) if rule is not None]
    if not terms:
        return value, tree.map(lambda y: y * 0, value)
    return value, tree.map(lambda *parts: functools.reduce(lambda a, b: a + b, parts), *terms)


class custom_vjp(_Ruled):
    """Give a function a reverse-mode derivative of its own.

    Parameters
    ----------
    fun : callable
        Of arrays, numbers and nests of them.
    nondiff_argnums : int or tuple of int
        Positional arguments without a derivative: ``bwd`` gets them first, as they are, and they need not be arrays.

    Raises
    ------
    NotDifferentiableError
        Where a forward-mode derivative of it is asked for: write such a function with `custom_jvp`.

    Notes
    -----
    ``f.defvjp(fwd, bwd)`` gives it the rule: ``fwd`` takes the arguments of `f` and returns ``(result, residuals)``,
    and ``bwd(*nondiff, residuals, cotangent)`` returns a tuple of one cotangent per argument, nested as that is,
    None for zeros. Both may call `f`. Under a derivative the value is that of ``fwd``. Keyword arguments are made
    positional. A value that the function takes from around it, and not as an argument, must not be differentiated.

    Examples
    --------
    >>> @tracejit.custom_vjp
    ... def clipped(x, bound):
    ...     return x
    >>> clipped.defvjp(lambda x, bound: (x, bound), lambda bound, ct: (np.clip(ct, -bound, bound), None))
    """

    _RULE = "defvjp"

    def defvjp(self, fwd, bwd):
        """Set the two halves of the rule."""
        self._change(_rules=(fwd, bwd))

    def _staged(self, call):
        fwd, bwd = self._rules

        def forward(*given):
            found = twin(fwd)(*call.merged(given))
            if not isinstance(found, tuple) or len(found) != 2:
                raise TypeError(f"fwd of {self._name} returns (result, residuals), not a {type(found).__name__}")
            return tree.map(_array, found[0]), found[1]
        ahead = call.trace(forward, call.marks(), orders=-1)
        out, kept = ahead.results
        known = ahead.graph.call([*(x.node for x in call.leaves), *ahead.captures])
        back = call.trace(lambda res, ct: (self._cotangents(call, twin(bwd)(*call.static, res, ct)),),
                          [kept.marks(), out.directions()], kept.nodes(known), orders=-1)
        nodes, variables, table = call.operands(ahead.captures, back.captures)
        outs = ahead.graph.call([*variables[:len(call.leaves)], *(table[c] for c in ahead.captures)])
        values, saved = out.nodes(outs), kept.nodes(outs)
        # what bwd takes from around it comes to it as residuals do
        inside, arriving, outside = ([new_variable(n.type) for n in row] for row in (saved, values, back.captures))
        pulled = back.results[0].nodes(back.graph.call([*inside, *arriving, *outside]))
        zero = {a: zeros(a.type) for a in arriving if a.type.kind not in "fc"}
        made = custom.custom_vjp(
            *nodes, name=self._name, moving=call.moving, body=close(variables, values),
            residuals=close(variables, [*saved, *(table[c] for c in back.captures)]),
            backward=close([*inside, *outside, *(a for a in arriving if a not in zero)], substitute(pulled, zero)))
        return out.build(results(made))

    def _cotangents(self, call, found):
        """Return one cotangent per array that moves, from what ``bwd`` returned."""
        if not isinstance(found, (tuple, list)) or len(found) != len(call.given):
            many = f" of {len(found)}" if isinstance(found, (tuple, list)) else ""
            raise TypeError(f"bwd of {self._name} returns a tuple of {len(call.given)}, one cotangent per argument, "
                            f"not a {type(found).__name__}{many}")
        out = []
        for k, (given, part) in enumerate(zip(call.given, found)):
            what = f"the cotangent that bwd of {self._name} returns for argument {k}"
            leaves, structure = tree.flatten(given, is_leaf=_is_none)
            if part is None:
                parts = [None] * len(leaves)
            else:
                parts, nested = tree.flatten(part, is_leaf=_is_none)
                if nested != structure:
                    raise TypeError(f"{what} is nested as {nested}, and the argument as {structure}")
            out += [wrap(zeros(x.type)) if t is None else _fitted(t, x, what) for x, t in zip(leaves, parts)
                    if isinstance(x, Tracer) and x.dtype.kind in "fc"]
        return out


def _positional(fun, args, kwargs):
    """Return all arguments as positional ones, defaults too."""
    try:
        signature = inspect.signature(fun)
    except (TypeError, ValueError):
        if kwargs:
            raise UnsupportedError("keyword arguments of a function with a derivative rule, whose signature is unknown",
                                   where=user_frame(), do="pass them by position") from None
        return args
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        raise TypeError(f"{getattr(fun, '__name__', fun)}: keyword-only arguments ({', '.join(bound.kwargs)}) of a "
                        "function with a derivative rule; make them positional")
    return bound.args
