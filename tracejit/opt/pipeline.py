"""The phases in order, and the two passes that the others call: `prepare` before differentiation, `optimize` after it.

Each phase runs its rules together with those of the phases before it, so what it returns is at rest for all of them and
``optimize(optimize(g)) is optimize(g)``. The last step, fuse, is the kernels' partition of the result.
"""

import functools
import weakref

from tracejit.config import config
from tracejit.errors import RewriteError
from tracejit.opt import (  # noqa: F401  they fill the registry
    canonicalize,
    loops,
    products,
    reductions,
    softmaxes,
    specialize,
    stabilize,
    updates,
    views,
)
from tracejit.opt.contract import contract
from tracejit.opt.merging import merge
from tracejit.opt.rewrite import PHASES, rewrite_nodes, table
from tracejit.symbolic.text import parse

_PREPARED = PHASES[:2]
_done = {}


def prepare(graph):
    """Return the graph canonicalised and stabilised: what is differentiated."""
    return _memoised(graph, "prepare", _prepare)


def optimize(graph):
    """Return the graph after all phases: what is lowered."""
    return _memoised(graph, "optimize", _optimize)


def run_phase(graph, phase):
    """Return the graph, and those inside it, after the rules of `phase` and of the phases before it."""
    rules = table(PHASES[:PHASES.index(phase) + 1], config.fast)
    while True:
        outs = rewrite_nodes(graph.outs, rules)
        found = graph if outs == graph.outs else graph.replace(outs)
        graph = merge(loops.drop_unused(loops.map_inner(found, functools.partial(_inner_phase, phase))))
        if graph is found:  # no body has changed, so no rule has anything new to see
            return checked(graph)


def _inner_phase(phase, graph):
    return _memoised(graph, phase, functools.partial(run_phase, phase=phase))


def checked(graph):
    """Return the graph; under the flag ``check`` its types are derived again and its text is read back."""
    if config.check:
        graph.check()
        if parse(str(graph)) is not graph:
            raise RewriteError("a pass returned a graph whose text does not read back to itself",
                               do="report this with the graph:\n" + str(graph))
    return graph


def _prepare(graph):
    for phase in _PREPARED:
        graph = run_phase(graph, phase)
    return graph


def _optimize(graph):
    graph = prepare(graph)
    graph = loops.map_inner(run_phase(graph, "specialize"), optimize)
    return checked(contract(graph, table(PHASES, config.fast)))


def _memoised(graph, name, compute):
    memo = _done.setdefault((name, config.fast), weakref.WeakKeyDictionary())
    found = memo.get(graph, memo)
    if found is memo:
        found = compute(graph)
        # a graph at rest maps to None: an entry that held its own key would live for ever
        memo[found] = None
        if found is not graph:
            memo[graph] = found
    return graph if found is None else found
