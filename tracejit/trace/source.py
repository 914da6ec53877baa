"""The code object of a converted function: found in its source file, rewritten, compiled in its own place.

File, line numbers, name, arguments and closure variables are those of the original, so that tracebacks and debuggers
see the user's own lines. A function whose source is not there, or is not what was compiled, has none.
"""

import __future__

import ast
import copy
import functools
import linecache
import operator
import types

from tracejit.trace.rewriting import needs_rewriting, rewritten

_FUTURE = functools.reduce(operator.or_, (getattr(__future__, n).compiler_flag for n in __future__.all_feature_names))
_FACTORY = "__tracejit_factory__"
#: Functions that look at their own variables keep them as they are.
_LOOKING = frozenset({"locals", "eval", "exec", "vars"})
_DEEPEST = 300
#: The attribute of a function from another process that tells which of the texts in `arrived` it is from.
ORIGIN = "__tracejit_source__"
#: Texts that came with functions whose files are not here, or not what they were: (file, digest) to text.
arrived = {}


def code_of(function):
    """Return the code object of the twin of a function: a rewritten one, or the function's own."""
    code = function.__code__
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    if not text and (origin := getattr(function, ORIGIN, None)) in arrived:
        code, text = code.replace(co_filename=origin[0]), arrived[origin]
    return _rewritten_code(code, code.co_filename, text) or code if text else code


@functools.lru_cache(4096)
def _rewritten_code(code, filename, text):
    found = _find(code, filename, text)
    if found is None:
        return None
    node, class_name = found
    if not needs_rewriting(node):
        return None
    try:
        if not _is_source_of(node, class_name, code):
            return None
        new = _compiled(rewritten(_bare(node), class_name), class_name, code)
    except (SyntaxError, RecursionError, ValueError):
        return None  # nested deeper than Python takes
    if new is None or not set(new.co_freevars) <= set(code.co_freevars):
        return None
    return new.replace(co_firstlineno=code.co_firstlineno, co_qualname=code.co_qualname)


# ---------------------------------------------------------------- finding the source
@functools.lru_cache(256)
def _functions(filename, text):
    """Return {(first line, name): [(node, the class around it)]} of a file."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}
    found, stack = {}, [(tree, None)]
    while stack:
        node, class_name = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            line = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found.setdefault((line, node.name), []).append((node, class_name))
        elif isinstance(node, ast.Lambda):
            found.setdefault((node.lineno, "<lambda>"), []).append((node, class_name))
        inner = node.name if isinstance(node, ast.ClassDef) else class_name
        stack.extend((child, inner) for child in ast.iter_child_nodes(node))
    return found


def _find(code, filename, text):
    candidates = [(n, c) for n, c in _functions(filename, text).get((code.co_firstlineno, code.co_name), ())
                  if _parameters(n) == code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]]
    if code.co_name == "<lambda>":
        candidates = [(n, c) for n, c in candidates if _covers(n, code)]
        candidates.sort(key=lambda pair: (pair[0].body.end_lineno - pair[0].body.lineno,
                                          pair[0].body.end_col_offset - pair[0].body.col_offset))
        return candidates[0] if candidates else None
    return candidates[0] if len(candidates) == 1 else None


def _parameters(node):
    a = node.args
    return tuple(p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs))


def _covers(node, code):
    """Return whether a lambda's body is where the code object's instructions are."""
    body = node.body
    start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    whole = (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)
    places = [p for p in code.co_positions() if None not in p and p[2] != p[3] and p != whole]
    return bool(places) and all(start <= (p[0], p[2]) and (p[1], p[3]) <= end for p in places)


# ---------------------------------------------------------------- compiling
def _bare(node):
    """Return a copy of a function without what is evaluated where it is defined."""
    node = copy.deepcopy(node)
    a = node.args
    a.defaults = [ast.copy_location(ast.Constant(None), node) for _ in a.defaults]
    a.kw_defaults = [None if d is None else ast.copy_location(ast.Constant(None), node) for d in a.kw_defaults]
    if not isinstance(node, ast.Lambda):
        node.decorator_list, node.returns = [], None
        for p in (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg, a.kwarg):
            if p is not None:
                p.annotation = None
    return node


def _compiled(node, class_name, code):
    """Return the code object of a function's tree, compiled among the closure variables of another code object."""
    free = [n for n in code.co_freevars if n != "__class__"]
    name = getattr(node, "name", None)
    inside = node if name else ast.Expr(node)
    hidden = {n for n in (class_name, name) if n and n not in free}
    body = [inside]
    if class_name:
        body = [ast.ClassDef(class_name, [], [], [inside], [])]
    declared = [ast.Global(sorted(hidden))] if hidden else []
    arguments = ast.arguments([], [ast.arg(n) for n in free], None, [], [], None, [])
    module = ast.Module([ast.FunctionDef(_FACTORY, arguments, [*declared, *body], [], None)], [])
    for n in (module.body[0], *declared, *(body if class_name else ()), *arguments.args, inside):
        if not hasattr(n, "lineno"):
            ast.copy_location(n, node)
    ast.fix_missing_locations(module)
    flags = code.co_flags & _FUTURE
    return _first(compile(module, code.co_filename, "exec", flags, dont_inherit=True), code.co_name)


def _first(code, name):
    """Return the outermost code object of a name inside another."""
    level = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    while level:
        for c in level:
            if c.co_name == name:
                return c
        level = [inner for c in level for inner in c.co_consts if isinstance(inner, types.CodeType)]
    return None


def _is_source_of(node, class_name, code):
    """Return whether a function's tree, compiled as it is, gives the code at hand; test runners change asserts."""
    plain = _compiled(_bare(node), class_name, code)
    if plain is None or set(plain.co_freevars) != set(code.co_freevars) or _LOOKING & set(plain.co_names):
        return False
    if any(isinstance(n, ast.Assert) for n in ast.walk(node)):
        return set(plain.co_names) <= set(code.co_names)
    # not the instructions, which depend on what the rest of the module imports
    return plain.co_names == code.co_names and plain.co_varnames == code.co_varnames and (
        _literals(plain) == _literals(code))


def _literals(code):
    return [c for c in code.co_consts if not isinstance(c, types.CodeType)]
