"""A user's function rewritten from its source, so that its branches and loops are decided while it is traced.

Nothing moves: statements stay in their frame and on their lines, so variables, closures and tracebacks are the user's.
``if test: a else: b`` becomes two `if` statements that both run where the test is known only at run time; a loop's body
runs on stand-ins until what it carries is stable; `and`, `or`, `not`, conditional expressions and chains of comparisons
ask `flow` what to do. Where everything is known the same code does what Python does.

        if x > 0:                    _tj_c1 = _tj.if_(x > 0, ...)
            y = x                    if _tj_c1.then:
        else:                            y = x
            y = -x                   if _tj_c1.orelse():
                                         y = -x
                                     if _tj_c1.staged:
                                         (y,) = _tj_c1.join()
"""

import ast
import contextlib
import copy

from tracejit.trace.jumps import Lowering, assign, call, dotted, load, raw_if
from tracejit.trace.jumps import _at as placed
from tracejit.trace.names import SCOPES, Liveness, assigned, declared, inner_names, maybe_unbound, own_nodes

#: The name under which converted code finds the module `flow`.
FLOW = "__tracejit_flow__"
#: Builtins that go through an iterable to its end.
_GATHERING = {"sum", "min", "max", "list", "tuple", "sorted"}
_TRIES = (ast.Try, getattr(ast, "TryStar", ast.Try))
_STATEMENTS = (ast.If, ast.While, ast.For, ast.Assert, ast.With, *_TRIES)
_EXPRESSIONS = (ast.BoolOp, ast.IfExp)


def needs_rewriting(function):
    """Return whether a function's source has something that is decided while tracing."""
    for n in ast.walk(function):
        if isinstance(n, (*_STATEMENTS, *_EXPRESSIONS)) or _is_name(n, "print", "warnings", "logging"):
            return True
        if _is_simple(n) or _gathers(n) or isinstance(n, ast.Assign) and _makes_list(n.value):
            return True
        if isinstance(n, ast.UnaryOp) and isinstance(n.op, ast.Not):
            return True
        if isinstance(n, ast.Compare) and (len(n.ops) > 1 or isinstance(n.ops[0], (ast.In, ast.NotIn))):
            return True
    return False


def rewritten(function, class_name=None):
    """Return a copy of a function's or lambda's tree, rewritten; `class_name` is the class it stands in."""
    function = copy.deepcopy(function)
    if isinstance(function, ast.Lambda):
        function.body = _Expressions(set(), class_name).visit(function.body)
        return function
    return _function(function, class_name)


def _function(function, class_name):
    """Rewrite the body of a function in place and return it; generators and coroutines keep their statements."""
    own = list(own_nodes(function.body))
    if isinstance(function, ast.AsyncFunctionDef) or any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in own):
        visitor = _Expressions(set(), class_name)
        function.body = [visitor.visit(s) for s in function.body]
        return function
    if not any(isinstance(n, _STATEMENTS) for n in own):
        visitor = _Expressions(set(), class_name)
        function.body = [visitor.visit(s) for s in function.body]
        return function
    docstring = function.body[:1] if ast.get_docstring(function, clean=False) is not None else []
    body = function.body[len(docstring):]
    if not body:
        return function
    lowering = Lowering()
    body = lowering.function(body)
    a = function.args
    parameters = {p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg) if p is not None}
    globals_, nonlocals = declared(function)
    shared, rebound = inner_names(function)
    names = set(assigned(body)) - globals_ - nonlocals
    unbound = maybe_unbound(body, parameters, names)
    live = Liveness(body, (shared & (names | parameters)) | globals_ | nonlocals)
    rewriter = _Statements(live, unbound, class_name, rebound)
    start = placed(assign("_tj", call(f"{FLOW}.frame", _names(globals_, class_name))), body[0])
    function.body = [*docstring, start, *rewriter.block(body)]
    return function


def _mangled(name, class_name):
    """Return a name as Python holds it in the body of a class."""
    if class_name and name.startswith("__") and not name.endswith("__"):
        return f"_{class_name.lstrip('_')}{name}"
    return name


def _names(names, class_name):
    """Return a literal tuple of the names as the frame knows them."""
    return ast.Constant(tuple(_mangled(n, class_name) for n in names))


def _makes_list(value):
    """Return whether an assigned expression makes lists (``[x] + [y] * n``, too), or is a tuple of such."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Mult, ast.Add)):
        return _makes_list(value.left) or _makes_list(value.right)
    return isinstance(value, ast.List) or isinstance(value, ast.Tuple) and any(map(_makes_list, value.elts))


def _is_simple(node):
    """Return whether a node is a list comprehension over one iterable that can be a loop of its own."""
    if not isinstance(node, ast.ListComp) or len(node.generators) != 1:
        return False
    (g,) = node.generators
    names = g.target.elts if isinstance(g.target, ast.Tuple) else [g.target]
    inside = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
    return not g.is_async and len(g.ifs) < 2 and all(isinstance(n, ast.Name) for n in names) and not any(
        isinstance(n, inside) or isinstance(n, ast.Name) and n.id in ("super", "__class__") for n in ast.walk(node))


def _gathers(node):
    """Return whether a node is a call of a builtin that goes through a simple generator to its end."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in _GATHERING:
        return False
    g = node.args[0] if len(node.args) == 1 and not node.keywords else None
    return isinstance(g, ast.GeneratorExp) and _is_simple(ast.ListComp(g.elt, g.generators))


# ---------------------------------------------------------------- statements
class _Statements:
    def __init__(self, live, unbound, class_name, rebound):
        self.live, self.unbound, self.class_name = live, unbound, class_name
        self.rebound = sorted(rebound)
        self.expressions = _Expressions(unbound, class_name)
        self.count = 0

    def block(self, statements):
        """Return rewritten statements."""
        return [new for s in statements for new in self.statement(s)]

    def statement(self, s):
        """Return what one statement becomes, as a list."""
        if isinstance(s, ast.If):
            if getattr(s, "_raw", False):
                return [s]
            return self.plain_if(s) if _is_known(s.test) else self.if_(s)
        if isinstance(s, ast.While):
            return self.while_(s)
        if isinstance(s, ast.For):
            return self.for_(s)
        if isinstance(s, ast.Assert):
            return self.assertion(s)
        if isinstance(s, _TRIES):
            return self.try_(s)
        if isinstance(s, ast.With):
            return self.with_(s)
        if isinstance(s, ast.Match):
            s.subject = self.expressions.visit(s.subject)
            for case in s.cases:
                case.body = self.block(case.body)
            return [s]
        if isinstance(s, ast.AugAssign) and id(s) in self.unbound:
            name = s.target.id
            check = placed(assign(name, call(f"{FLOW}.load", load(name), ast.Constant(name))), s)
            return [check, self.expressions.visit(s)]
        return [self.expressions.visit(s)]

    def fresh(self, kind):
        """Return a new variable for one construct."""
        self.count += 1
        return f"_tj_{kind}{self.count}"

    def plain_if(self, s):
        """An `if` whose test is never a traced array."""
        s.test = self.expressions.visit(s.test)
        s.body, s.orelse = self.block(s.body), self.block(s.orelse)
        return [s]

    def if_(self, s):
        """Two `if` statements, of which both run where the test is traced."""
        after = self.live.after.get(s, frozenset())
        start = self.live.start.get(s, frozenset())
        names = [n for n in assigned([*s.body, *s.orelse]) if n in after]
        names += [n for n in self.rebound if n not in names]
        back = [n for n in dict.fromkeys([*assigned(s.body), *self.rebound]) if n in start or n in self.rebound]
        name = self.fresh("c")
        test = self.expressions.visit(s.test)
        make = call("_tj.if_", test, self.literal(names), self.literal(back))
        out = [placed(assign(name, make), s),
               placed(ast.If(dotted(f"{name}.then"), self.block(s.body), []), s)]
        orelse = self.block(s.orelse)
        if orelse:
            if back:
                orelse = [placed(raw_if(dotted(f"{name}.staged"), [_unpack(back, f"{name}.before")]), s), *orelse]
            out.append(placed(ast.If(call(f"{name}.orelse"), orelse, []), s))
        result = _unpack(names, f"{name}.join") if names else ast.Expr(call(f"{name}.join"))
        out.append(placed(ast.If(dotted(f"{name}.staged"), [result], []), s))
        return out

    def literal(self, names):
        """Return a tuple of names as a literal."""
        return _names(names, self.class_name)

    def loop_names(self, s, targets=()):
        """Return (names carried from one iteration to the next, names with a value after the loop)."""
        head, after = self.live.head.get(s, frozenset()), self.live.after.get(s, frozenset())
        bound = list(dict.fromkeys([*targets, *assigned(s.body), *_walrus(s), *self.rebound]))
        carried = [n for n in bound if n in head or n in self.rebound]
        names = [n for n in bound if n in head or n in after or n in self.rebound]
        return carried, names

    def reads(self, s):
        """Return the names that a loop, or what comes after it, may read, as a literal."""
        return self.literal(sorted(n for n in self.live.head.get(s, ()) if not n.startswith("_tj_")))

    def for_(self, s):
        """A loop over an object that gives its items, or the index of a traced iteration."""
        number, exits = s._number, s._exits
        name, item = f"_tj_l{number}", f"_tj_v{number}"
        targets = assigned([ast.Assign([s.target], ast.Constant(None))])
        if exits:  # the variable keeps its value when the loop has been left
            carried, names = self.loop_names(s, targets)
        else:
            carried, names = self.loop_names(s, targets)
            carried = [n for n in carried if n not in targets]
        iterable = self.expressions.visit(s.iter)
        make = call("_tj.for_", iterable, ast.Constant(s._parent), self.literal(carried), self.literal(names),
                    ast.Constant(exits), self.reads(s), ast.Constant(number))
        body = self.block(s.body)
        target = s.target
        if exits:
            step = placed(ast.Assign([target], load(item)), s)
            guard = ast.If(call("_tj.none", *map(load, exits)), [step, *s.body], [])
            guard = placed(guard, s)
            self.live.after[guard] = self.live.head.get(s, frozenset()) | self.live.after.get(s, frozenset())
            body = self.guarded(guard, step, body)
            target = placed(ast.Name(item, ast.Store()), s)
        if carried:
            body = [placed(raw_if(dotted(f"{name}.staged"), [_unpack(carried, f"{name}.state")]), s), *body]
        loop = placed(ast.For(target, load(name), body, self.loop_end(s, name, names)), s)
        return [placed(assign(name, make), s), ast.copy_location(loop, s)]

    def guarded(self, guard, step, body):
        """Return the guarded body of a loop that may have been left."""
        names = [n for n in assigned(guard.body) if n in self.live.after[guard]]
        name = self.fresh("c")
        make = call("_tj.if_", guard.test, self.literal(names), self.literal(()))
        result = _unpack(names, f"{name}.join") if names else ast.Expr(call(f"{name}.join"))
        return [placed(assign(name, make), guard),
                placed(ast.If(dotted(f"{name}.then"), [step, *body], []), guard),
                placed(ast.If(dotted(f"{name}.staged"), [result], []), guard)]

    def loop_end(self, s, name, names):
        """Return the `else` clause of a loop: first the variables get the values that a staged loop has left."""
        out = []
        if names:
            out = [placed(raw_if(dotted(f"{name}.staged"), [_unpack(names, f"{name}.result")]), s)]
        return out + self.block(s.orelse)

    def while_(self, s):
        """A loop that asks its test inside, where a traced one can be looked at on stand-ins."""
        number, exits = s._number, s._exits
        name = f"_tj_l{number}"
        carried, names = self.loop_names(s)
        test = self.expressions.visit(s.test)
        make = call("_tj.while_", self.literal(carried), self.literal(names), ast.Constant(exits),
                    self.reads(s))
        body = [placed(ast.If(call(f"{name}.holds", test), self.block(s.body), []), s)]
        if carried:
            body = [placed(raw_if(dotted(f"{name}.staged"), [_unpack(carried, f"{name}.state")]), s), *body]
        loop = placed(ast.While(call(f"{name}.next"), body, self.loop_end(s, name, names)), s)
        return [placed(assign(name, make), s), ast.copy_location(loop, s)]

    def assertion(self, s):
        """An assertion; one on traced values is looked at when the compiled function runs."""
        self.expressions.shown = True
        message = self.expressions.visit(s.msg) if s.msg is not None else None
        self.expressions.shown = False
        error = ast.Call(load("AssertionError"), [message] if message is not None else [], [])
        fails = ast.Raise(error, None)
        later = ast.Expr(call("_tj.refuse", *([message] if message is not None else [])))
        inner = ast.If(dotted("_tj.asks"), [later], [fails])
        test = call("_tj.fails", self.expressions.visit(s.test))
        return [placed(ast.If(ast.BoolOp(ast.And(), [load("__debug__"), test]), [inner], []), s)]

    def try_(self, s):
        """A `try`; its handlers look whether the exception came out of a branch that is staged."""
        level = self.fresh("t")
        body = self.block(s.body)
        s.body = [placed(ast.With([ast.withitem(load("_tj"))], body), s)] if s.handlers else body
        for h in s.handlers:
            h.body = [placed(ast.Expr(call("_tj.caught", load(level))), h), *self.block(h.body)]
            if h.type is not None:
                h.type = self.expressions.visit(h.type)
        s.orelse, s.finalbody = self.block(s.orelse), self.block(s.finalbody)
        start = call("_tj.trying") if s.handlers else dotted("_tj.level")
        return [placed(assign(level, start), s), s]

    def with_(self, s):
        """A `with`; a context manager may swallow an exception that came out of a branch that is staged."""
        level = self.fresh("t")
        for item in s.items:
            item.context_expr = self.expressions.visit(item.context_expr)
        s.body = [placed(ast.With([ast.withitem(dotted("_tj.swallowing"))], self.block(s.body)), s)]
        return [placed(assign(level, call("_tj.trying")), s), s, placed(ast.Expr(call("_tj.caught", load(level))), s)]


def _unpack(names, source):
    """Return the statement ``(a, b, ...) = source()``."""
    return ast.Assign([ast.Tuple([ast.Name(n, ast.Store()) for n in names], ast.Store())], call(source))


def _walrus(s):
    return [n.target.id for n in own_nodes([s.test]) if isinstance(n, ast.NamedExpr)] if hasattr(s, "test") else []


_CERTAIN = {"isinstance", "issubclass", "callable", "hasattr"}


def _is_known(test):
    """Return whether a test can only be a bool of Python's own: identity, a class, a literal, and their negations."""
    if isinstance(test, ast.Constant):
        return True
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _is_known(test.operand)
    if isinstance(test, ast.BoolOp):
        return all(map(_is_known, test.values))
    if isinstance(test, ast.Compare):
        return all(isinstance(op, (ast.Is, ast.IsNot)) for op in test.ops)
    return isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in _CERTAIN


# ---------------------------------------------------------------- expressions
_TEXT_SIGNS = {ast.Mod: "%", ast.Add: "+"}


def _is_text(node):
    """Return whether an expression is a text by the looks of it, of values that may be traced."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or isinstance(node.op, ast.Add) and _is_text(node.right)
    if isinstance(node, ast.Call):
        f = node.func
        return _is_name(f, "str", "repr", "ascii") and len(node.args) == 1 or (
            isinstance(f, ast.Attribute) and f.attr == "format" and _is_text(f.value))
    return isinstance(node, ast.JoinedStr) or isinstance(node, ast.Constant) and isinstance(node.value, str)


def _shows(function):
    """Return whether what is called shows what it is given when the compiled function has run."""
    return _is_name(function, "print") or isinstance(function, ast.Attribute) and (
        ast.unparse(function) == "warnings.warn" or _is_name(function.value, "logging"))


def _is_name(node, *names):
    return isinstance(node, ast.Name) and node.id in names


class _Expressions(ast.NodeTransformer):
    """Rewrites expressions in place; functions inside are rewritten whole."""

    def __init__(self, unbound, class_name):
        self.unbound, self.class_name = unbound, class_name
        self.shown = False  # whether a text here is only shown: printed, or in an exception ("of an error": around it)

    def visit_Call(self, node):
        """A call; what `print` and exceptions are given may be text of traced values."""
        f = node.func
        if _gathers(node):
            g = node.args[0]
            node.args[0] = ast.copy_location(ast.ListComp(g.elt, g.generators), g)
        textual = self.shown and _is_text(node)
        raised = isinstance(f, ast.Attribute) and ast.unparse(f) == "_tj.fail"
        with self._shows("of an error" if raised else textual or self.shown == "of an error" or _shows(f)):
            self.generic_visit(node)
        if not textual:
            return node
        if isinstance(f, ast.Name):
            return placed(call(f"{FLOW}.text", f, *node.args), node)
        names = ast.Dict([k.arg and ast.Constant(k.arg) for k in node.keywords], [k.value for k in node.keywords])
        given = f.value, ast.Tuple(node.args, ast.Load()), names
        return placed(call(f"{FLOW}.text", ast.Constant("format"), *given), node)

    @contextlib.contextmanager
    def _shows(self, shown):
        """Say of what is inside whether it is only shown; gives what holds outside."""
        before, self.shown = self.shown, shown
        yield before
        self.shown = before

    def visit_Assign(self, node):
        """A list that is given a name may grow in a loop."""
        self.generic_visit(node)
        node.value = self._lists(node.value)
        return node

    def _lists(self, value):
        if isinstance(value, ast.List):
            return ast.copy_location(call(f"{FLOW}.list_", *value.elts), value)
        if isinstance(value, ast.Tuple):
            value.elts = [self._lists(e) for e in value.elts]
        if isinstance(value, ast.BinOp) and _makes_list(value):
            value.left, value.right = self._lists(value.left), self._lists(value.right)
        return value

    def visit_ListComp(self, node):
        """``[f(x) for x in xs if c(x)]`` → ``comprehension(xs, lambda x: f(x), lambda x: c(x), 0)``."""
        if not _is_simple(node):
            return self.generic_visit(node)
        (g,) = node.generators
        several = isinstance(g.target, ast.Tuple)
        names = [n.id for n in (g.target.elts if several else [g.target])]
        inner = _Expressions(set(), self.class_name)
        functions = [placed(ast.Lambda(_parameters(names), inner.visit(e)), node) for e in (node.elt, *g.ifs)]
        return placed(call(f"{FLOW}.comprehension", self.visit(g.iter), functions[0],
                           functions[1] if g.ifs else ast.Constant(None), ast.Constant(len(names) if several else 0)),
                      node)

    def visit_FunctionDef(self, node):
        """A function inside: its defaults and decorators belong here, its body is its own."""
        for field in ("decorator_list", "args"):
            part = getattr(node, field)
            setattr(node, field, [self.visit(n) for n in part] if isinstance(part, list) else self.generic_visit(part))
        return _function(node, self.class_name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        """A lambda: variables of the function around it may be shared, so their reads stay as they are."""
        node.args = self.generic_visit(node.args)
        node.body = _Expressions(set(), self.class_name).visit(node.body)
        return node

    def visit_ClassDef(self, node):
        """A class inside: its methods are functions of their own."""
        inner = _Expressions(set(), node.name)
        node.body = [inner.visit(s) if isinstance(s, SCOPES) else s for s in node.body]
        return node

    def visit_Name(self, node):
        """A variable that may have no value is asked for it."""
        if isinstance(node.ctx, ast.Load) and id(node) in self.unbound:
            return placed(call(f"{FLOW}.load", node, ast.Constant(node.id)), node)
        return node

    def visit_JoinedStr(self, node):
        """An f-string that is only shown → ``text("f", *parts)``, which may hold traced values."""
        with self._shows(False) as shown:
            self.generic_visit(node)
        if not shown or not any(isinstance(v, ast.FormattedValue) for v in node.values):
            return node
        parts = []
        for v in node.values:
            if isinstance(v, ast.FormattedValue):
                kind = ast.Constant(chr(v.conversion) if v.conversion > 0 else "")
                v = ast.Tuple([v.value, kind, v.format_spec or ast.Constant("")], ast.Load())
            parts.append(v)
        return placed(call(f"{FLOW}.text", ast.Constant("f"), *parts), node)

    def visit_BinOp(self, node):
        """``"..." % values`` and ``"..." + text`` that are only shown → ``text("%", ...)``."""
        sign = _TEXT_SIGNS.get(type(node.op))
        textual = self.shown and sign is not None and _is_text(node)
        with self._shows(textual):
            self.generic_visit(node)
        return placed(call(f"{FLOW}.text", ast.Constant(sign), node.left, node.right), node) if textual else node

    def visit_Subscript(self, node):
        """``items[k]`` → ``item(items, k)``, where k may be traced and items a list; a dict is given a known key."""
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Store) and not isinstance(node.slice, (ast.Constant, ast.Slice, ast.Tuple)):
            holder = node.value
            names = [holder.value, holder] if isinstance(holder, ast.Attribute) else [holder]
            if isinstance(names[0], ast.Name):  # looked at twice
                node.slice = placed(call(f"{FLOW}.key", copy.deepcopy(holder), node.slice), node.slice)
            return node
        if not isinstance(node.ctx, ast.Load) or isinstance(node.slice, (ast.Constant, ast.Slice, ast.Tuple)) or (
                isinstance(node.slice, ast.UnaryOp) and isinstance(node.slice.operand, ast.Constant)):
            return node
        return ast.copy_location(call(f"{FLOW}.item", node.value, node.slice), node)

    def visit_BoolOp(self, node):
        """``a and b`` → ``join(b) if and_(a) else value()``."""
        *first, last = [self.visit(v) for v in node.values]
        kind = "and_" if isinstance(node.op, ast.And) else "or_"
        for value in reversed(first):
            last = ast.IfExp(call(f"{FLOW}.{kind}", value), call(f"{FLOW}.join", last), call(f"{FLOW}.value"))
        return placed(last, node)

    def visit_UnaryOp(self, node):
        """``not a`` → ``not_(a)``."""
        self.generic_visit(node)
        return placed(call(f"{FLOW}.not_", node.operand), node) if isinstance(node.op, ast.Not) else node

    def visit_IfExp(self, node):
        """``a if c else b`` → ``choose(first(a) if then(c) else None, b if orelse() else None)``."""
        self.generic_visit(node)
        nothing = ast.Constant(None)
        then = ast.IfExp(call(f"{FLOW}.then", node.test), call(f"{FLOW}.first", node.body), nothing)
        orelse = ast.IfExp(call(f"{FLOW}.orelse"), node.orelse, nothing)
        return placed(call(f"{FLOW}.choose", then, orelse), node)

    def visit_Compare(self, node):
        """``a < b < c`` → ``join(middle() < c) if link(a < keep(b)) else value()``; `in` asks `flow`."""
        self.generic_visit(node)
        if len(node.ops) == 1:
            if isinstance(node.ops[0], (ast.In, ast.NotIn)):
                found = call(f"{FLOW}.contains", node.left, node.comparators[0])
                return placed(found if isinstance(node.ops[0], ast.In) else call(f"{FLOW}.not_", found), node)
            return node
        last = len(node.ops) - 1
        left = [node.left, *[call(f"{FLOW}.middle") for _ in range(last)]]
        out = None
        for k in range(last, -1, -1):
            right = node.comparators[k]
            one = _compared(left[k], node.ops[k], right if k == last else call(f"{FLOW}.keep", right))
            out = one if out is None else ast.IfExp(call(f"{FLOW}.link", one), call(f"{FLOW}.join", out),
                                                    call(f"{FLOW}.value"))
        return placed(out, node)


def _parameters(names):
    """Return the parameters of a lambda."""
    return ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])


def _compared(left, op, right):
    if isinstance(op, (ast.In, ast.NotIn)):
        found = call(f"{FLOW}.contains", left, right)
        return found if isinstance(op, ast.In) else call(f"{FLOW}.not_", found)
    return ast.Compare(left, [op], [right])
