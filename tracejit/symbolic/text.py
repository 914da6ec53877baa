"""Graphs as text, and back: ``parse(str(g)) is g`` holds for every graph.

Graphs inside attrs (the bodies of loops and branches) stand before the one that uses them, as ``g0``, ``g1``, ….
"""

import ast
import base64
import re

import numpy as np

from tracejit.errors import TracejitError
from tracejit.symbolic.graph import Graph, graphs_in, topological
from tracejit.symbolic.ir import OPS, const, const_op, const_value, make, param
from tracejit.symbolic.types import DTYPES, Type, dtype_name

#: A constant up to this many bytes is printed as numbers, a larger one as base64.
_READABLE = 64


def to_text(graph, name="f", notes=None):
    """Return the text of a graph; ``notes`` maps nodes to comments (source lines)."""
    names, blocks = {}, []
    for k, inner in enumerate(inner_graphs(graph)):
        blocks.append(_block_text(inner, f"g{k}", notes, names))
        names[inner] = f"g{k}"
    return "\n\n".join([*blocks, _block_text(graph, name, notes, names)])


def inner_graphs(graph):
    """Return the graphs inside the attrs of a graph's nodes, and those inside them, users last."""
    order, stack = {}, [(graph, False)]
    while stack:
        inner, ready = stack.pop()
        if ready:
            order[inner] = None
        elif inner not in order:
            stack.append((inner, True))
            stack += [(g, False) for node in reversed(inner.topological()) for g in reversed(graphs_in(node.attrs))]
    del order[graph]
    return list(order)


def _block_text(graph, name, notes, graphs):
    names = {**graphs, **{node: f"x{i}" for i, node in enumerate(graph.inputs())}}
    head = ", ".join(f"x{i}: {_type_text(t, names)}" for i, t in enumerate(graph.params))
    rows = []
    for node in topological(graph.outs):
        if node in names:
            continue
        names[node] = f"v{len(rows)}"
        row = f"  {names[node]}: {_type_text(node.type, names)} = {_right_side(node, names)}"
        note = (notes or {}).get(node)
        rows.append(f"{row}{' ' * max(2, 60 - len(row))}# {note}" if note else row)
    tail = f"  return {', '.join(names[n] for n in graph.outs)}"
    extras = []
    if graph.captures:
        extras.append(f"  captures {graph.captures}")
    extras += [f"  write x{p} = {o}" for p, o in graph.writes]
    return "\n".join([f"graph {name}({head}) {{", *rows, *extras, tail, "}"])


def _type_text(kind, names):
    if type(kind) is not Type:
        return "(" + "; ".join(_type_text(t, names) for t in kind) + ")"
    if not kind.shape:
        return dtype_name(kind.dtype)
    return f"{dtype_name(kind.dtype)}[{','.join(str(n) if type(n) is int else names[n] for n in kind.shape)}]"


def _right_side(node, names):
    if node.op is const_op:
        return f"const({_literal_text(node)})"
    parts = [names[a] for a in node.args]
    parts += [f"{k}={_attr_text(v, names)}" for k, v in zip(node.op.attrs, node.attrs)]
    return f"{node.op.name}({', '.join(parts)})"


def _literal_text(node):
    value = const_value(node)
    # NaN payloads and complex parts do not survive repr, so they are written as bytes.
    if value.nbytes <= _READABLE and value.dtype.kind in "biuf" and not np.isnan(value).any():
        return repr(value.tolist())
    return f"b64={base64.b64encode(value.tobytes()).decode()!r}"


def _attr_text(value, names):
    if isinstance(value, np.dtype):
        return dtype_name(value)
    if isinstance(value, tuple):
        return "(" + "".join(_attr_text(v, names) + ", " for v in value).rstrip() + ")"
    if isinstance(value, Graph) or hasattr(value, "op"):
        return names[value]
    return repr(value)


_ROW = re.compile(r"(\w+): (.+?) = (\w+)\((.*)\)$")
_PARAM = re.compile(r"x\d+: (\w+(?:\[[^\]]*\])?)")
_NOTE = re.compile(r"\s\s+# .*$")


def parse(text):
    """Return the graph that `text` describes, as `to_text` writes it.

    Raises
    ------
    TracejitError
        Where a line does not follow the grammar.
    """
    lines = [_NOTE.sub("", line).strip() for line in text.strip().splitlines()]
    graphs, begin = {}, 0
    for end, line in enumerate(lines[:-1]):
        if line == "}":
            graphs[f"g{len(graphs)}"] = _parse_block(lines[begin:end + 1], graphs)
            begin = end + 2  # an empty line between them
    return _parse_block(lines[begin:], graphs)


def _parse_block(lines, graphs):
    head = re.match(r"graph \w+\((.*)\) \{$", lines[0]) if lines else None
    if not head or lines[-1] != "}":
        raise _unreadable(lines[0] if lines else "")
    nodes, writes, rest = dict(graphs), [], {"captures": 0, "outs": ()}
    line = lines[0]
    try:
        params = _parse_params(head[1], nodes)
        for line in lines[1:-1]:
            _parse_line(line, nodes, writes, rest)
        line = lines[-2]
        return Graph(params, rest["outs"], rest["captures"], tuple(writes))
    except TracejitError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, SyntaxError, TypeError, ValueError) as error:
        raise _unreadable(line) from error


def _unreadable(line):
    return TracejitError(f"cannot read the line {line!r}", do="pass the text that str(graph) returns")


def _parse_params(text, nodes):
    """Return the Types of the params and put their nodes in `nodes`; sizes first, for the types that hold them."""
    pieces = _PARAM.findall(text)
    if ", ".join(f"x{i}: {piece}" for i, piece in enumerate(pieces)) != text:
        raise _unreadable(text)
    params = [None] * len(pieces)
    for i, piece in sorted(enumerate(pieces), key=lambda pair: "x" in pair[1]):
        params[i] = _parse_type(piece, nodes)
        nodes[f"x{i}"] = param(index=i, type=params[i])
    return params


def _parse_line(line, nodes, writes, rest):
    if line.startswith("captures "):
        rest["captures"] = int(line.split()[1])
    elif line.startswith("write "):
        target, _, out = line[6:].partition(" = ")
        writes.append((int(target[1:]), int(out)))
    elif line.startswith("return"):
        rest["outs"] = tuple(nodes[n.strip()] for n in line[6:].split(",") if n.strip())
    else:
        row = _ROW.match(line)
        if not row:
            raise _unreadable(line)
        node = nodes[row[1]] = _parse_node(row[3], row[4], row[2], nodes)
        # only dims need the names, and turning the table round for every line would take quadratic time
        names = {n: name for name, n in nodes.items()} if node.dims else {}
        written = _type_text(node.type, names)
        if row[2] != written:
            raise TracejitError(f"the line {line!r} has a result of type {written}", do="correct the type")


def _parse_type(text, nodes):
    name, _, shape = text.partition("[")
    entries = [e for e in shape.rstrip("]").split(",") if e]
    return Type(DTYPES[name], [int(e) if e.isdigit() else nodes[e] for e in entries])


def _parse_node(op_name, inner, kind, nodes):
    call = ast.parse(f"f({inner})", mode="eval").body
    if op_name == "const":
        kind = _parse_type(kind, nodes)
        if call.keywords:
            data = base64.b64decode(ast.literal_eval(call.keywords[0].value))
            return const(np.frombuffer(data, kind.dtype).reshape(kind.shape))
        return const(np.array(_literal(call.args[0]), kind.dtype).reshape(kind.shape))
    op = OPS[op_name]
    attrs = {k.arg: _parse_attr(k.value, nodes) for k in call.keywords}
    if set(attrs) != set(op.attrs):
        raise ValueError(f"{op_name} takes {op.attrs}")
    return make(op, tuple(nodes[a.id] for a in call.args), tuple(attrs[k] for k in op.attrs))


def _parse_attr(tree, nodes):
    if isinstance(tree, ast.Name) and tree.id not in _NUMBERS:
        return DTYPES[tree.id] if tree.id in DTYPES else nodes[tree.id]
    if isinstance(tree, ast.Tuple):
        return tuple(_parse_attr(e, nodes) for e in tree.elts)
    return _literal(tree)


_NUMBERS = {"inf": float("inf"), "nan": float("nan")}


def _literal(tree):
    """Return the Python value of a literal, in which inf and nan are names."""
    if isinstance(tree, ast.Name):
        return _NUMBERS[tree.id]
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return -_literal(tree.operand)
    if isinstance(tree, ast.List):
        return [_literal(e) for e in tree.elts]
    return ast.literal_eval(tree)
