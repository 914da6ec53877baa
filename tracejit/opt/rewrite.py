"""Rules and the one driver that applies them.

    @rules("stabilize")
    def log_and_exp(x, y):
        yield log(1 + x),            log1p(x)
        yield exp(x) - 1,            expm1(x)

The parameters are holes; each ``yield`` is left side, right side and, if need be, a guard. The right side may also be a
function of the bound values, the guard a function of them or a word: see `GUARDS`. What an identity cannot say is
written as ``@rewrite(op)``: a function of the node that returns its replacement or None.

Each set of rules states how much it changes, and is tested for just that:

- ``exact``: the same value for every input, bit by bit (any NaN is a NaN).
- ``rounding``: the last bits may differ, and spurious overflow may vanish.
- ``stable``: right where the left side overflows, cancels or loses its argument.
- ``careless``: may differ in NaN, infinity or the sign of zero; applied under the flag ``fast`` only.
"""

import itertools
import sys

from tracejit.config import config
from tracejit.errors import RewriteError
from tracejit.opt.pattern import by_name, instantiate, match, parameters, required
from tracejit.symbolic.graph import topological
from tracejit.symbolic.ir import OPS, Node, const_op, describe, hole, literal, make, map_attrs, scalar_literal

PHASES = ("canonicalize", "stabilize", "specialize", "contract")
SAFETY = ("exact", "rounding", "stable", "careless")

#: Every rule by name: the registry that is also a test plan.
RULES = {}

#: Guards by name: properties of the node on which the rule would fire.
GUARDS = {
    "float": lambda node: _kind(node) == "f",
    "real": lambda node: _kind(node) in "biuf",
    "inexact": lambda node: _kind(node) in "fc",
    "integer": lambda node: _kind(node) in "biu",
}

#: Ops that give the same bits with their arguments exchanged; of ``x + y`` and ``y + x`` a graph keeps one.
_EXCHANGEABLE = frozenset(OPS[name] for name in (
    "add", "multiply", "equal", "not_equal", "bitwise_and", "bitwise_or", "bitwise_xor"))

_tables = {}


def _kind(node):
    return node.args[0].type.kind if node.args else node.type.kind


class Rule:
    """One registered rewrite: `apply(node)` returns the replacement or None."""

    __slots__ = ("name", "op", "phase", "safety", "apply", "needs", "alone", "lhs", "rhs", "guard", "examples")

    def __init__(self, name, op, phase, safety, apply, needs=(), lhs=None, rhs=None, guard=None, examples=None,
                 alone=None):
        if phase not in PHASES or safety not in SAFETY:
            raise RewriteError(f"rule {name}: phase {phase!r}, safety {safety!r}",
            do=f"use one of {PHASES} and {SAFETY}")
        self.name, self.op, self.phase, self.safety, self.apply, self.needs = name, op, phase, safety, apply, needs
        self.alone = alone
        self.lhs, self.rhs, self.guard, self.examples = lhs, rhs, guard, examples

    def __repr__(self):
        return f"<rule {self.phase}: {self.name}>"


def _register(rule):
    if (rule.name, rule.op) in RULES:
        raise RewriteError(f"rule {rule.name} is defined twice", do="give the second one another name")
    RULES[rule.name, rule.op] = rule
    _tables.clear()


def rules(phase, *, safety=None, guard=None, examples=None, alone=None):
    """Register the identities that a generator function yields.

    Parameters
    ----------
    phase : str
        One of `PHASES`.
    safety : str, optional
        One of `SAFETY`; "stable" in the phase stabilize, otherwise "rounding".
    guard : str or callable, optional
        Holds for all of them.
    examples : callable, optional
        A function of named sample arrays (see the tests) that returns nodes on which the rules fire; needed where a
        hole stands for an attr.
    alone : Op, optional
        Fires only where no argument with this op is read by other nodes, too: what is shared is worth computing once.
    """
    safety = safety or ("stable" if phase == "stabilize" else "rounding")

    def register(function):
        names = parameters(function)
        for count, (lhs, rhs, *more) in enumerate(function(*[hole(name=n) for n in names]), 1):
            guards = [g for g in (guard, *more) if g is not None]
            _register(Rule(f"{function.__name__}.{count}", lhs.op, phase, safety, _pattern_rule(lhs, rhs, guards),
                           required(lhs), lhs, rhs, tuple(guards), examples, alone))
        return function
    return register


def _pattern_rule(lhs, rhs, guards):
    on_node = [GUARDS[g] for g in guards if isinstance(g, str)]
    on_found = [by_name(g) for g in guards if not isinstance(g, str)]
    build = None if isinstance(rhs, Node) else by_name(rhs)

    def apply(node):
        found = match(lhs, node)
        if found is None:
            return None
        for holds in on_node:
            if not holds(node):
                return None
        for holds in on_found:
            if not holds(found):
                return None
        return instantiate(rhs, found, node.type) if build is None else build(found)
    return apply


def rewrite(*ops, phase, safety="exact", needs=(), examples=None):
    """Register ``function(node) -> Node or None`` for nodes of the given ops."""
    def register(function):
        for op in ops:
            _register(Rule(function.__name__, op, phase, safety, function, tuple(needs), examples=examples))
        return function
    return register


def table(phases, fast):
    """Return {op: rules} of the given phases, in the order of phases and registration."""
    key = (phases, fast)
    found = _tables.get(key)
    if found is None:
        found = {}
        for phase in phases:
            for rule in RULES.values():
                if rule.phase == phase and (fast or rule.safety != "careless"):
                    found.setdefault(rule.op, []).append(rule)
        _tables[key] = found
    return found


class Budget:
    """How many rewrites a pass may do before something must be wrong with a rule."""

    def __init__(self, nodes, per_node=100):
        self.rewrites = 10_000 + per_node * nodes
        self.steps = 20 * self.rewrites


def rewrite_nodes(outs, by_op, budget=None):
    """Return `outs` rewritten bottom-up until no rule of the table `by_op` fires, each node once.

    A rule sees a node whose arguments are at rest, and what it returns is brought to rest in turn, so one sweep is the
    fixed point. When the budget is spent the rest of the graph stays as it is, which is right, only less simple;
    with the flag ``check`` that is an error.
    """
    order = topological(outs)
    budget = budget or Budget(len(order))
    sized = any(node.dims for node in order)  # there are sizes that only the compiled function knows
    log = "rules" in config.log
    done, becomes, twins = {}, {}, {}
    shared = _shared(order, outs, by_op)
    last = None
    stack = list(reversed(outs))
    while stack:
        node = stack[-1]
        if node in done:
            stack.pop()
            continue
        budget.steps -= 1
        if budget.steps < 0 or budget.rewrites < 0:
            _exhausted(last)
            # without rules and detours what remains is to rebuild on the arguments that changed
            by_op, becomes, budget = {}, {}, Budget(len(stack), 1 << 40)
        target = becomes.get(node)
        if target is not None:
            rest = done.get(target)
            if rest is None:
                stack.append(target)
            else:
                done[node] = rest
                if node in shared:
                    shared.add(rest)
                stack.pop()
            continue
        waiting = [a for a in (node.args if not node.dims else (*node.args, *node.dims)) if a not in done]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        result = node
        if node.dims and any(done[d] is not d for d in node.dims) and node.op.name not in ("param", "variable"):
            # sizes in the attrs and those of the arguments change together
            result = make(node.op, tuple([done[a] for a in node.args]), map_attrs(node.attrs, done))
        else:
            for a in node.args:
                if done[a] is not a:
                    result = make(node.op, tuple([done[a] for a in node.args]), node.attrs)
                    break
        if result is node:
            for rule in by_op.get(node.op, ()):
                if rule.needs and not _has(rule.needs, node.args):
                    continue
                if shared and rule.alone and any(a.op is rule.alone and a in shared for a in node.args):
                    continue
                result = rule.apply(node) if not sized else _applied_to_sized(rule, node)
                if result is not None and result is not node:
                    if result.type is not node.type:
                        raise RewriteError(f"rule {rule.name} turned {describe(node)} into {describe(result)}",
                                           do="report this; rules keep the type")
                    if log:
                        print(f"rule {rule.phase}: {rule.name:24} {brief(node)}  ->  {brief(result)}", file=sys.stderr)
                    budget.rewrites -= 1
                    last = rule
                    break
            else:
                result = node
        if result is node and node.op in _EXCHANGEABLE:
            a, b = node.args
            result = twins.get((node.op, b, a), node)
            twins[node.op, a, b] = result
        if result is node:
            done[node] = node
            stack.pop()
        else:
            becomes[node] = result
    found = tuple([done[n] for n in outs])
    # what was shared may have one reader left
    return found if not shared or found == tuple(outs) else rewrite_nodes(found, by_op, budget)


def _shared(order, outs, by_op):
    """Return the nodes with several readers of which some rule wants to know that."""
    asked = {rule.alone for rules in by_op.values() for rule in rules if rule.alone}
    seen, found = set(), set()
    for a in itertools.chain(outs, *(node.args for node in order if asked)):
        if a.op in asked:
            (found if a in seen else seen).add(a)
    return found


def _applied_to_sized(rule, node):
    """Return what a rule makes of a node in a graph with dims; one that needs sizes as numbers does not apply."""
    try:
        result = rule.apply(node)
    except TypeError:
        return None
    return result if result is None or result.type is node.type else None


def _has(needs, args):
    for op in needs:
        for a in args:
            if a.op is op:
                break
        else:
            return False
    return True


def _exhausted(last):
    message = f"the rules do not come to rest; the last to fire was {last.name if last else 'none'}"
    if config.check:
        raise RewriteError(message, do="run with TRACEJIT_FLAGS=log=rules and report the output")
    if "rules" in config.log:
        print(f"rule budget: {message}; the rest of the graph stays as it is", file=sys.stderr)


def brief(node, depth=3):
    """Return a node as a short formula, for the log."""
    if node.op is const_op:
        value = scalar_literal(node)
        return str(node.type) if value is None else str(value)
    if node.op.name == "broadcast" and scalar_literal(node) is not None:
        return str(scalar_literal(node))
    if node.op is hole or node.op is literal:
        return str(node.attrs[0])
    if node.op.name in ("param", "variable"):
        return f"x{node.attrs[0]}"
    if depth == 0:
        return ".."
    inner = [brief(a, depth - 1) for a in node.args]
    inner += [f"{k}={v.attrs[0] if isinstance(v, Node) else v}" for k, v in zip(node.op.attrs, node.attrs)]
    return f"{node.op.name}({', '.join(inner)})"
