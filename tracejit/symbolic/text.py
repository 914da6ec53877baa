"""Graphs as text, and back: ``parse(str(g)) is g`` holds for every graph."""

import ast
import base64
import re

import numpy as np

from tracejit.errors import TracejitError
from tracejit.symbolic.graph import Graph, topological
from tracejit.symbolic.ir import OPS, const, const_op, const_value, make, param
from tracejit.symbolic.types import DTYPES, Type, dtype_name

#: A constant up to this many bytes is printed as numbers, a larger one as base64.
_READABLE = 64


def to_text(graph, name="f", notes=None):
    """Return the text of a graph; ``notes`` maps nodes to comments (source lines)."""
    names = {node: f"x{i}" for i, node in enumerate(graph.inputs())}
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
    if isinstance(value, Graph):
        raise TracejitError("graphs inside attrs have no text yet")
    if hasattr(value, "op"):
        return names[value]
    return repr(value)


_ROW = re.compile(r"(\w+): (.+?) = (\w+)\((.*)\)\s*(?:#.*)?$")


def parse(text):
    """Return the graph that `text` describes, as `to_text` writes it.

    Raises
    ------
    TracejitError
        Where a line does not follow the grammar.
    """
    lines = [line.strip() for line in text.strip().splitlines()]
    head = re.match(r"graph \w+\((.*)\) \{$", lines[0])
    if not head or lines[-1] != "}":
        raise TracejitError(f"not a graph: {lines[0]!r}", do="pass the text that str(graph) returns")
    nodes, params, captures, writes, outs = {}, [], 0, [], ()
    for i, piece in enumerate(re.findall(r"x\d+: \w+(?:\[[^\]]*\])?", head[1])):
        kind = _parse_type(piece.split(": ")[1], nodes)
        params.append(kind)
        nodes[f"x{i}"] = param(index=i, type=kind)
    for line in lines[1:-1]:
        if line.startswith("captures "):
            captures = int(line.split()[1])
        elif line.startswith("write "):
            target, _, out = line[6:].partition(" = ")
            writes.append((int(target[1:]), int(out)))
        elif line.startswith("return"):
            outs = tuple(nodes[n.strip()] for n in line[6:].split(",") if n.strip())
        else:
            row = _ROW.match(line)
            if not row or row[3] not in OPS:
                raise TracejitError(f"cannot read the line {line!r}", do="pass the text that str(graph) returns")
            nodes[row[1]] = _parse_node(row[3], row[4], row[2], nodes)
    return Graph(params, outs, captures, tuple(writes))


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
        source = inner.replace("inf", "1e999")
        return const(np.array(ast.literal_eval(source), kind.dtype).reshape(kind.shape))
    op = OPS[op_name]
    attrs = {k.arg: _parse_attr(k.value, nodes) for k in call.keywords}
    return make(op, tuple(nodes[a.id] for a in call.args), tuple(attrs[k] for k in op.attrs))


def _parse_attr(tree, nodes):
    if isinstance(tree, ast.Name):
        return DTYPES[tree.id] if tree.id in DTYPES else nodes[tree.id]
    if isinstance(tree, ast.Tuple):
        return tuple(_parse_attr(e, nodes) for e in tree.elts)
    return ast.literal_eval(tree)
