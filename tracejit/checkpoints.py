"""Reverse mode with less memory: `checkpoint` computes inner values again instead of keeping them."""

import functools
import math
import operator

from tracejit.kernels.fuse import op_cost
from tracejit.opt.pipeline import prepare
from tracejit.pickles import StandsFor
from tracejit.rules import StagedCall
from tracejit.symbolic.autodiff import linearize_transpose
from tracejit.symbolic.graph import graphs_in, topological
from tracejit.symbolic.ir import const_op, const_value, param, scalar_literal
from tracejit.symbolic.ops.checkpoint import checkpoint as checkpoint_op
from tracejit.symbolic.ops.contract import dot_general_op, matmul
from tracejit.symbolic.ops.control import for_loop, results
from tracejit.symbolic.types import Type
from tracejit.trace.convert import twin
from tracejit.trace.tracer import current_trace

__all__ = ["checkpoint", "keep_under"]

#: Ops whose results the policy "dots" keeps.
_DOTS = (dot_general_op, matmul)
#: Ops that only rename elements: to keep their results would gain nothing.
_VIEWS = frozenset(("broadcast", "reshape", "transpose", "slice", "item", "iota", "cast"))
#: Turns that a loop is taken to make where their number is known at run time only.
_TURNS = 100


class keep_under:
    """The policy of `checkpoint` that keeps as much as fits into some bytes of memory.

    Parameters
    ----------
    bytes : int
        How much the kept values may take together, for one call of the function.

    Notes
    -----
    Greedy: of all inner values the one is kept next that saves most arithmetic per byte, given what is kept already; a
    value saves what need not be computed again once it is there. The arithmetic is estimated from the graph: additions
    per element, multiplications of products, turns of loops.
    """

    def __init__(self, bytes):
        self.bytes = operator.index(bytes)
        if self.bytes < 0:
            raise ValueError(f"keep_under takes a number of bytes, not {bytes}")

    def __repr__(self):
        return f"keep_under({self.bytes})"


def checkpoint(fun=None, *, policy="nothing"):
    """Return `fun`, whose inner values reverse-mode derivatives compute again when they need them.

    Memory for time: without it each value that the derivative needs is kept from the way forward until the way back has
    come to it. With it the arguments are kept, and what `policy` says; the rest is computed a second time. Values,
    derivatives and forward mode are the same, and outside of derivatives it is `fun`.

    Parameters
    ----------
    fun : callable
        Of arrays, numbers and nests of them: a layer, or the body of a loop, whose way back then stores carries only.
    policy : str, int or keep_under
        What is kept: "nothing"; "dots", the results of products of matrices; "everything", which is `fun` itself; or as
        much as fits into so many bytes, by the arithmetic it saves, see `keep_under`.

    Returns
    -------
    callable
        Same arguments and results.

    Raises
    ------
    ValueError
        For another policy.
    UnsupportedError
        Where a derivative is taken of a function that writes to its arguments, or has arguments whose size is known at
        run time only.

    Examples
    --------
    >>> layer = tracejit.checkpoint(lambda x, w: np.tanh(x @ w), policy="dots")
    """
    if fun is None:
        return functools.partial(checkpoint, policy=policy)
    if not callable(fun):
        raise TypeError(f"checkpoint takes a function, not {type(fun).__name__}")
    if not isinstance(policy, (str, keep_under)):
        policy = keep_under(policy)
    if isinstance(policy, str) and policy not in ("nothing", "dots", "everything"):
        raise ValueError(f"the policy of checkpoint is 'nothing', 'dots', 'everything' or a number, not {policy!r}")
    return _Checkpointed(fun, policy)


class _Checkpointed(StandsFor):
    """A function whose calls under a derivative become a `checkpoint` op."""

    def __init__(self, fun, policy):
        functools.update_wrapper(self, fun, updated=())
        self._fun, self._policy = fun, policy

    def __call__(self, *args, **kwargs):
        trace = current_trace()
        if trace is None:
            return self._fun(*args, **kwargs)
        if not trace.orders or self._policy == "everything":
            return twin(self._fun)(*args, **kwargs)
        call = StagedCall(getattr(self._fun, "__name__", "a function"), (args, kwargs))
        nodes, graph, out = call.closed(lambda args, kwargs: twin(self._fun)(*args, **kwargs))
        graph = prepare(graph)
        kept = [n for n in _kept(graph, self._policy) if n not in graph.outs]
        whole = checkpoint_op(*nodes, body=graph.replace([*graph.outs, *kept]), count=len(graph.outs))
        return out.build(results(whole))

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def _recipe(self):
        return _Checkpointed, self._fun, self._policy

    def __repr__(self):
        return f"<checkpoint of {getattr(self, '__name__', 'a function')}, policy={self._policy!r}>"


# ---------------------------------------------------------------- what is kept
def _kept(graph, policy):
    """Return the inner nodes whose values are kept for the way back."""
    if policy == "nothing":
        return []
    if policy == "dots":
        return [n for n in graph.topological() if n.op in _DOTS]
    return _worth_most(graph, policy.bytes)


def _worth_most(graph, limit):
    """Return nodes that fit into so many bytes, chosen one by one by the arithmetic that each saves per byte."""
    moving = [k for k, t in enumerate(graph.params) if t.kind in "fc"]
    forward, _ = linearize_transpose(graph, moving)
    wanted = [n for n in forward.outs[len(graph.outs):] if type(n.type) is Type]
    order = topological(wanted)
    costs = {n: _cost(n) for n in order}
    candidates = {n: _bytes(n) for n in order if _may_be_kept(n)}
    kept, left = [], limit
    gains = {}
    while True:
        again = _computed(wanted, kept)
        total = sum(costs[n] for n in again)
        best = None
        # what a value saves rarely grows as others are kept, so an old gain is an upper bound
        for n in sorted((n for n in candidates if n in again and candidates[n] <= left),
                        key=lambda n: -gains.get(n, math.inf)):
            if best is not None and gains.get(n, math.inf) <= gains[best]:
                break
            gains[n] = (total - sum(costs[m] for m in _computed(wanted, [*kept, n]))) / candidates[n]
            if best is None or gains[n] > gains[best]:
                best = n
        if best is None or gains[best] <= 0:
            return kept
        kept.append(best)
        left -= candidates.pop(best)


def _computed(wanted, kept):
    """Return the nodes that have to be computed again for `wanted` where the values of `kept` are there."""
    found, stack, there = set(), list(wanted), set(kept)
    while stack:
        node = stack.pop()
        if node not in found and node not in there:
            found.add(node)
            stack += node.args
    return found


def _may_be_kept(node):
    return (node.op is not param and type(node.type) is Type and node.type.is_static and node.type.size > 0
            and node.op.name not in _VIEWS - {"item"} and scalar_literal(node) is None)


def _bytes(node):
    return node.type.size * node.dtype.itemsize


def _cost(node):
    """Return an estimate of the additions that one node takes, given its arguments."""
    if node.op is for_loop:
        count = node.args[0]
        turns = max(0, int(const_value(count))) if count.op is const_op else _TURNS
        return turns * sum(_cost(n) for n in node.attr("body").topological())
    inner = graphs_in(node.attrs)
    if inner:
        return (_TURNS if node.op.name == "while_loop" else 1) * sum(_cost(n) for g in inner for n in g.topological())
    if type(node.type) is not Type or node.op.name in _VIEWS or not all(
            type(a.type) is Type and a.type.is_static for a in (node, *node.args)):
        return 0
    sizes = [a.type.size for a in node.args]
    if node.op in _DOTS:
        x, y = node.args
        return 2 * math.isqrt(max(0, x.type.size * y.type.size * node.type.size))  # (m k) (k n) (m n) is (m k n)^2
    if node.op.elementwise:
        return node.type.size * op_cost(node.op)
    if node.op.routine is not None:
        return sum(sizes) * max(8, math.isqrt(max(sizes, default=0)))
    return max([node.type.size, *sizes])
