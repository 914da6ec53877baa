"""The first pass over a function's source: `return`, `break`, `continue` and `raise` inside of branches become flags.

Each jump stays where it is for the runs in which everything around it is decided (``if _tj.plain: return _tj_r``).
Where it stands in a branch that is staged, it sets a flag, and what comes after it is guarded by that flag. Where one
side of an `if` always jumps, the rest of the block moves to the other side, which says the same without a flag.
"""

import ast

from tracejit.trace.names import own_nodes

#: The flag and the value of an early return.
DONE, VALUE = "_tj_done", "_tj_r"
_JUMPS = (ast.Return, ast.Break, ast.Continue, ast.Raise)
#: Early returns nested deeper than this are guarded instead of moved into branches.
_DEEPEST = 40


def load(name):
    """Return an expression that reads a variable."""
    return ast.Name(name, ast.Load())


def assign(name, value):
    """Return the statement ``name = value``."""
    return ast.Assign([ast.Name(name, ast.Store())], value)


def call(target, *args):
    """Return the expression ``target(*args)`` for a dotted name."""
    return ast.Call(dotted(target), list(args), [])


def dotted(target):
    """Return the expression for a dotted name."""
    first, *rest = target.split(".")
    node = load(first)
    for part in rest:
        node = ast.Attribute(node, part, ast.Load())
    return node


def raw_if(test, body):
    """Return an `if` that is ours, and stays as it is."""
    node = ast.If(test, body, [])
    node._raw = True
    return node


def jumps_in(statements):
    """Return whether there is a jump that may leave these statements (a loop's own ones do not count)."""
    for s in statements:
        if isinstance(s, (ast.Return, ast.Break, ast.Continue)):
            return True
        if isinstance(s, (ast.For, ast.While)):
            if jumps_in(s.orelse) or any(isinstance(n, ast.Return) for n in own_nodes(s.body)):
                return True
        elif isinstance(s, ast.If) or hasattr(s, "body") and isinstance(s.body, list) and not isinstance(
                s, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if jumps_in(s.body) or jumps_in(getattr(s, "orelse", [])) or jumps_in(getattr(s, "finalbody", [])):
                return True
            if any(jumps_in(h.body) for h in getattr(s, "handlers", [])):
                return True
        elif isinstance(s, ast.Match) and any(jumps_in(c.body) for c in s.cases):
            return True
    return False


def always_jumps(statements):
    """Return whether control never comes to the end of these statements."""
    for s in statements:
        if isinstance(s, _JUMPS):
            return True
        if isinstance(s, ast.If) and s.orelse and always_jumps(s.body) and always_jumps(s.orelse):
            return True
    return False  # a context manager may suppress an exception, so a `with` does not count


class Lowering:
    """Rewrites the jumps of one function; `flags` are the variables it has made."""

    def __init__(self):
        self.flags = set()
        self._loops = []   # (number, set of the flags that leave it)
        self._count = 0
        self._handled = 0  # how many `try` with handlers are around
        self._depth = 0

    def function(self, body):
        """Return the rewritten body of a function."""
        returns = [n for n in own_nodes(list(body)) if isinstance(n, ast.Return)]
        nested = any(r is not s for r in returns for s in body[-1:]) if returns else False
        if not nested:
            return self._block(body, True)[0]
        if not always_jumps(body):
            body = [*body, _at(ast.Return(ast.Constant(None)), body[-1], end=True)]
        new, flags, _ = self._block(body, True)
        if DONE in self.flags:
            start = [_at(assign(DONE, ast.Constant(False)), body[0]),
                     _at(assign(VALUE, dotted("_tj.nothing")), body[0])]
            end = [] if new and isinstance(new[-1], ast.Return) else [
                _at(ast.Return(call("_tj.result", load(DONE), load(VALUE))), body[-1], end=True)]
            return start + new + end
        return new

    def _block(self, statements, top=False):
        """Return (new statements, flags that they may set, whether they always jump)."""
        out, found = [], set()
        statements = list(statements)
        for k, s in enumerate(statements):
            rest = statements[k + 1:]
            if isinstance(s, ast.If) and rest and self._depth < _DEEPEST and (jumps_in([s]) or _raises([s])):
                then, orelse = always_jumps(s.body), always_jumps(s.orelse)
                if then != orelse:
                    s = _copied(s, body=s.body if then else s.body + rest, orelse=s.orelse + rest if then else s.orelse)
                    rest = []
            new, flags, ends = self._statement(s, top and not rest)
            out += new
            found |= flags
            if ends or not rest and s is not statements[k]:
                return out, found, ends
            if flags and rest:
                inner, more, ends = self._block(rest)
                guard = ast.If(call("_tj.none", *map(load, sorted(flags))), inner, [])
                out.append(_at(guard, rest[0]))
                return out, found | more, False
        return out, found, False

    def _inside(self, statements):
        self._depth += 1
        try:
            return self._block(statements)
        finally:
            self._depth -= 1

    def _statement(self, s, top):
        if isinstance(s, ast.Return):
            return self._return(s, top)
        if isinstance(s, (ast.Break, ast.Continue)):
            number, left = self._loops[-1]
            kind = "brk" if isinstance(s, ast.Break) else "cont"
            flag = f"_tj_{kind}{number}"
            self.flags.add(flag)
            left.add(flag)
            plain = raw_if(dotted(f"_tj_l{number}.plain"), [_at(type(s)(), s)])
            return [_at(plain, s), _at(assign(flag, ast.Constant(True)), s)], {flag}, True
        if isinstance(s, ast.Raise):
            return self._raise(s)
        if isinstance(s, ast.If):
            body, a, ends = self._inside(s.body)
            orelse, b, also = self._inside(s.orelse)
            return [_copied(s, body=body or [_at(ast.Pass(), s)], orelse=orelse)], a | b, ends and also
        if isinstance(s, (ast.For, ast.While)):
            return self._loop(s)
        if isinstance(s, (ast.Try, getattr(ast, "TryStar", ast.Try))):
            return self._try(s)
        if isinstance(s, ast.With):
            body, flags, _ = self._inside(s.body)
            return [_copied(s, body=body)], flags, False
        if isinstance(s, ast.Match):
            cases, flags = [], set()
            for case in s.cases:
                body, more, _ = self._inside(case.body)
                flags |= more
                cases.append(ast.match_case(case.pattern, case.guard, body))
            return [_copied(s, cases=cases)], flags, False
        return [s], set(), False

    def _return(self, s, top):
        value = s.value or ast.Constant(None)
        if top and not self.flags:
            return [s], set(), True
        self.flags.add(DONE)
        plain = raw_if(dotted("_tj.plain"), [_at(ast.Return(load(VALUE)), s)])
        return [_at(n, s) for n in (assign(VALUE, value), plain, assign(DONE, ast.Constant(True)))], {DONE}, True

    def _raise(self, s):
        if s.exc is None or self._handled:
            return [s], set(), True
        return [_at(raw_if(dotted("_tj.plain"), [s]), s), _at(ast.Expr(call("_tj.fail", s.exc)), s)], set(), True

    def _loop(self, s):
        if isinstance(s, ast.While) and not s.orelse and any(isinstance(n, ast.NamedExpr) for n in own_nodes([s.test])):
            # what the test assigns has to be seen after the loop, too
            leave = _at(ast.Break(), s)
            s = _copied(s, test=_at(ast.Constant(True), s), body=[_at(ast.If(s.test, s.body, [leave]), s)])
        self._count += 1
        number = self._count
        parent = self._loops[-1][0] if self._loops else 0
        self._loops.append((number, set()))
        body, flags, _ = self._inside(s.body)
        self._loops.pop()
        brk, cont = f"_tj_brk{number}", f"_tj_cont{number}"
        exits = sorted(flags - {cont})
        if cont in flags:
            body = [_at(assign(cont, ast.Constant(False)), s), *body]
        orelse, more, _ = self._inside(s.orelse)
        if orelse and exits:
            orelse = [_at(ast.If(call("_tj.none", *map(load, exits)), orelse, []), s.orelse[0])]
        new = _copied(s, body=body, orelse=orelse)
        new._number, new._exits, new._parent = number, tuple(exits), parent
        before = [_at(assign(brk, ast.Constant(False)), s)] if brk in flags else []
        return [*before, new], (flags - {brk, cont}) | more, False

    def _try(self, s):
        self._handled += bool(s.handlers)
        body, flags, _ = self._inside(s.body)
        self._handled -= bool(s.handlers)
        orelse, more, _ = self._inside(s.orelse)
        if orelse and flags:
            orelse = [_at(ast.If(call("_tj.none", *map(load, sorted(flags))), orelse, []), s.orelse[0])]
        handlers = []
        for h in s.handlers:
            inner, found, _ = self._inside(h.body)
            more |= found
            handlers.append(_copied(h, body=inner))
        last, found, _ = self._inside(s.finalbody)
        new = _copied(s, body=body, handlers=handlers, orelse=orelse, finalbody=last)
        return [new], flags | more | found, False


def _raises(statements):
    return any(isinstance(n, ast.Raise) for n in own_nodes(list(statements)))


def _at(node, where, end=False):
    """Place a made node at the line of another."""
    line = getattr(where, "end_lineno", where.lineno) if end else where.lineno
    for n in ast.walk(node):
        if "lineno" in n._attributes and not hasattr(n, "lineno"):
            n.lineno = n.end_lineno = line
            n.col_offset = n.end_col_offset = where.col_offset
    return node


def _copied(node, **fields):
    new = type(node)(**{**{f: getattr(node, f, None) for f in node._fields}, **fields})
    return ast.copy_location(new, node)
