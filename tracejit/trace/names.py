"""What a piece of a function's source does to its local variables: assigns, reads, needs later, may leave unbound."""

import ast

#: Statements and expressions with a scope of their own.
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def own_nodes(node, scopes=True):
    """Yield the nodes below one that belong to its scope; functions and classes inside are yielded, not entered."""
    stack = [node] if not isinstance(node, list) else list(reversed(node))
    first = stack[0] if len(stack) == 1 and not isinstance(node, list) else None
    while stack:
        n = stack.pop()
        if n is not first:
            yield n
        if isinstance(n, SCOPES) and n is not first:
            if scopes:  # what is evaluated where the function is defined
                outer = [*getattr(n, "decorator_list", ()), *getattr(n, "bases", ())]
                outer += [k.value for k in getattr(n, "keywords", ())]
                if hasattr(n, "args"):
                    outer += [*n.args.defaults, *(d for d in n.args.kw_defaults if d is not None)]
                stack.extend(outer)
            continue
        stack.extend(ast.iter_child_nodes(n))


def assigned(statements):
    """Return the names that statements bind or delete in their own scope, in order."""
    found = {}
    for n in own_nodes(list(statements)):
        if isinstance(n, _COMPREHENSIONS):
            continue
        if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del)):
            found[n.id] = None
        elif isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found[n.name] = None
        elif isinstance(n, ast.ExceptHandler) and n.name:
            found[n.name] = None
        elif isinstance(n, (ast.MatchAs, ast.MatchStar)) and n.name:
            found[n.name] = None
        elif isinstance(n, ast.MatchMapping) and n.rest:
            found[n.rest] = None
        elif isinstance(n, ast.alias):
            found[(n.asname or n.name).partition(".")[0]] = None
    for name in _in_comprehensions(statements):
        found.pop(name, None)
    for n in own_nodes(list(statements)):
        if isinstance(n, ast.NamedExpr):
            found[n.target.id] = None
    return tuple(found)


def _in_comprehensions(statements):
    """Return the names that are variables of comprehensions only."""
    inside, outside = set(), set()
    hidden = set()
    for n in own_nodes(list(statements)):
        if isinstance(n, ast.comprehension):
            hidden.update(id(t) for t in ast.walk(n.target))
    for n in own_nodes(list(statements)):
        if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del)):
            (inside if id(n) in hidden else outside).add(n.id)
    return inside - outside


def loads(node):
    """Return the names that a node, or the functions inside it, may read."""
    nodes = node if isinstance(node, list) else [node]
    found = set()
    for top in nodes:
        if top is None:
            continue
        for n in ast.walk(top):
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load):
                found.add(n.id)
            elif isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name):
                found.add(n.target.id)
    return found


def inner_names(function):
    """Return (names that functions inside read or share, names they rebind with nonlocal)."""
    read, rebound = set(), set()
    for n in own_nodes(function):
        if isinstance(n, SCOPES):
            read |= loads(n)
            for inner in ast.walk(n):
                if isinstance(inner, ast.Nonlocal):
                    rebound.update(inner.names)
        elif isinstance(n, ast.GeneratorExp):
            read |= loads(n)  # it may run later
    return read | rebound, rebound


def declared(function):
    """Return the names that a function declares global, and those it declares nonlocal."""
    found = {ast.Global: set(), ast.Nonlocal: set()}
    for n in own_nodes(function):
        if type(n) in found:
            found[type(n)].update(n.names)
    return found[ast.Global], found[ast.Nonlocal]


# ---------------------------------------------------------------- what is needed later
class Liveness:
    """Which names are read after a statement, and at the start of each loop's body; conservative where it is unclear.

    ``after[node]`` is the set after an `if` or a loop, ``head[node]`` that at the start of an iteration,
    ``start[node]`` the one at the start of an `else` branch.
    """

    def __init__(self, body, always):
        self.after, self.head, self.start = {}, {}, {}
        self._always = frozenset(always)
        self._in_try = frozenset()
        self._block(body, self._always, None, None)

    def _note(self, table, node, names):
        table[node] = table.get(node, frozenset()) | names

    def _iterate(self, s, always, before):
        """Return what is live at the start of a loop's iteration; nests are not gone through for each level."""
        head = self.head.get(s, frozenset()) | always
        while True:
            self.head[s] = head
            new = head | before(head)
            if new == head:
                return head
            head = new

    def _block(self, statements, out, brk, cont):
        for s in reversed(statements):
            out = self._statement(s, frozenset(out), brk, cont) | self._always | self._in_try
        return frozenset(out)

    def _statement(self, s, out, brk, cont):
        if isinstance(s, ast.Return):
            return frozenset(loads(s.value) if s.value else ())
        if isinstance(s, ast.Raise):
            return frozenset(loads(s))
        if isinstance(s, ast.Break):
            return brk
        if isinstance(s, ast.Continue):
            return cont
        if isinstance(s, ast.If):
            self._note(self.after, s, out)
            orelse = self._block(s.orelse, out, brk, cont)
            self._note(self.start, s, orelse)
            return self._block(s.body, out, brk, cont) | orelse | loads(s.test)
        if isinstance(s, ast.While):
            end = self._block(s.orelse, out, brk, cont)
            always = end | loads(s.test) | frozenset(getattr(s, "_exits", ()))
            self._note(self.after, s, end | out)
            return self._iterate(s, always, lambda head: self._block(s.body, head, out, head))
        if isinstance(s, (ast.For, ast.AsyncFor)):
            end = self._block(s.orelse, out, brk, cont)
            targets = {n.id for n in ast.walk(s.target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            always = end | loads(s.target) | frozenset(getattr(s, "_exits", ()))
            self._note(self.after, s, end | out)
            head = self._iterate(s, always, lambda head: self._block(s.body, head, out, head) - targets)
            return head | loads(s.iter)
        if isinstance(s, (ast.Try, getattr(ast, "TryStar", ast.Try))):
            kept = self._in_try
            everything = frozenset(loads([*s.handlers, *s.orelse, *s.finalbody]))
            self._in_try = kept | everything | out
            inside = self._block(s.body, out | everything, brk, cont)
            self._in_try = kept | out | frozenset(loads(list(s.finalbody)))
            for block in (*[h.body for h in s.handlers], s.orelse):
                inside |= self._block(block, out, brk, cont)
            self._in_try = kept
            return inside | self._block(s.finalbody, out, brk, cont) | everything | out
        if isinstance(s, (ast.With, ast.AsyncWith)):
            kept, self._in_try = self._in_try, self._in_try | out
            inside = self._block(s.body, out, brk, cont)
            self._in_try = kept
            return inside | loads([i.context_expr for i in s.items]) | out
        if isinstance(s, ast.Match):
            inside = frozenset()
            for case in s.cases:
                inside |= self._block(case.body, out, brk, cont) | loads([case.pattern, case.guard])
            return inside | loads(s.subject) | out
        if isinstance(s, (ast.Assign, ast.AnnAssign, ast.For)) or isinstance(s, ast.Delete):
            targets = s.targets if isinstance(s, (ast.Assign, ast.Delete)) else [s.target]
            killed = {n.id for t in targets for n in ast.walk(t)
                      if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del))}
            if isinstance(s, ast.AnnAssign) and s.value is None:
                killed = set()
            return (out - killed) | loads(s)
        return out | loads(s)


# ---------------------------------------------------------------- what may be unbound
def maybe_unbound(body, parameters, names):
    """Return the ids of the Name nodes that read one of `names` where it may have no value, and such AugAssigns."""
    found = set()
    _Bound(found, frozenset(names)).block(body, frozenset(parameters))
    return found


_ENDS = None  # the state after a statement that does not go on: everything is bound


def _meet(a, b):
    return b if a is _ENDS else a if b is _ENDS else a & b


class _Bound:
    def __init__(self, found, names):
        self.found, self.names = found, names

    def block(self, statements, bound):
        for s in statements:
            bound = self.statement(s, bound)
        return bound

    def read(self, node, bound):
        """Look at an expression; returns the names bound after it (walrus)."""
        if node is None or bound is _ENDS:
            return bound
        new = set()
        for n in own_nodes([node]):
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in self.names and n.id not in bound:
                self.found.add(id(n))
            elif isinstance(n, ast.NamedExpr):
                new.add(n.target.id)
        always = isinstance(node, ast.NamedExpr) or not any(
            isinstance(n, (ast.BoolOp, ast.IfExp, *_COMPREHENSIONS)) for n in own_nodes([node]))
        return bound | new if always else bound

    def targets(self, nodes, bound):
        if bound is _ENDS:
            return bound
        for t in nodes:
            bound = self.read(t, bound)
            bound = bound | {n.id for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        return bound

    def statement(self, s, bound):
        if bound is _ENDS:
            return bound
        if isinstance(s, (ast.Return, ast.Raise)):
            for child in ast.iter_child_nodes(s):
                self.read(child, bound)
            return _ENDS
        if isinstance(s, (ast.Break, ast.Continue)):
            return _ENDS
        if isinstance(s, ast.If):
            bound = self.read(s.test, bound)
            return _meet(self.block(s.body, bound), self.block(s.orelse, bound))
        if isinstance(s, ast.While):
            bound = self.read(s.test, bound)
            self.block(s.body, bound)
            rest = self.block(s.orelse, bound)
            return bound if any(isinstance(n, ast.Break) for n in own_nodes(s.body)) else _meet(rest, rest)
        if isinstance(s, (ast.For, ast.AsyncFor)):
            bound = self.read(s.iter, bound)
            self.block(s.body, self.targets([s.target], bound))
            rest = self.block(s.orelse, bound)
            return bound if any(isinstance(n, ast.Break) for n in own_nodes(s.body)) else rest
        if isinstance(s, (ast.With, ast.AsyncWith)):
            for item in s.items:
                bound = self.read(item.context_expr, bound)
                if item.optional_vars is not None:
                    bound = self.targets([item.optional_vars], bound)
            self.block(s.body, bound)
            return bound
        if isinstance(s, (ast.Try, getattr(ast, "TryStar", ast.Try))):
            after = self.block(s.body, bound)
            after = self.block(s.orelse, after)
            for h in s.handlers:
                inside = bound | {h.name} if h.name else bound
                end = self.block(h.body, inside)
                after = _meet(after, end if end is _ENDS else end - {h.name})
            last = self.block(s.finalbody, bound)
            return after if after is _ENDS or last is _ENDS else after | last
        if isinstance(s, ast.Match):
            bound = self.read(s.subject, bound)
            for case in s.cases:
                names = {n.name for n in ast.walk(case.pattern) if isinstance(n, (ast.MatchAs, ast.MatchStar))}
                self.read(case.guard, bound | names)
                self.block(case.body, bound | names)
            return bound
        if isinstance(s, ast.Assign):
            return self.targets(s.targets, self.read(s.value, bound))
        if isinstance(s, ast.AnnAssign):
            return self.targets([s.target], self.read(s.value, bound)) if s.value is not None else bound
        if isinstance(s, ast.AugAssign):
            if isinstance(s.target, ast.Name):
                if s.target.id in self.names and s.target.id not in bound:
                    self.found.add(id(s))
            else:
                self.read(s.target, bound)
            return self.read(s.value, bound)
        if isinstance(s, ast.Delete):
            return bound - {n.id for t in s.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return bound | {s.name}
        if isinstance(s, (ast.Import, ast.ImportFrom)):
            return bound | {(a.asname or a.name).partition(".")[0] for a in s.names}
        for child in ast.iter_child_nodes(s):
            bound = self.read(child, bound)
        return bound
