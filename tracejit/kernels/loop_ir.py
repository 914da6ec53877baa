"""The loop language: what a kernel is before a backend writes it.

    kernel    := Kernel(name, buffers, body)
    body      := statement*
    statement := For(index, begin, end, step, kind, body)     kind: serial | simd | parallel | parallel simd
               | Let(index, value)                            index = value, until the end of the body
               | Store(buffer, offset, value)                 buffer[offset] = value
               | Accumulate(buffer, offset, value, fold)      buffer[offset] = fold(buffer[offset], value)
               | Combine(buffer, count, fold)                 buffer[0] = fold of buffer[0..count), as a balanced tree
               | Alloc(buffer, value)                         a local array, filled with one literal (or not at all)
               | Copy(target, source)                         all bytes of a buffer
    buffer    := Buffer(name, dtype, size, role)              role: input | output | temp | const | local | scalar

Expressions (offsets, bounds, values) are rank-0 Nodes over three leaves: ``index`` (a loop's variable), ``load`` (an
element of a buffer; with a second argument only where that holds) and literals. Shared nodes are shared work: a backend
computes each node once, in the outermost loop where its indices are known. Buffers are flat and C-contiguous. A fold is
the name of a scalar op, or ``add_compensated``: the buffer then holds a sum and, behind it, what rounding has lost
(Neumaier 1974).
"""

from dataclasses import dataclass, field

import numpy as np

from tracejit.symbolic.graph import topological
from tracejit.symbolic.ir import Node, Op, const, const_op, const_value
from tracejit.symbolic.types import I64, Type, dtype_name

COMPENSATED = "add_compensated"


def _leaf_ref(*args, **attrs):
    raise AssertionError("loop expressions are not interpreted")


#: A loop's variable; `extent` bounds it from above.
index_op = Op("index", attrs=("name", "extent"), type=lambda name, extent: Type(I64), ref=_leaf_ref)
#: ``load(offset)`` or ``load(offset, where)``.
load_op = Op("load", attrs=("buffer", "dtype"), type=lambda *args, buffer, dtype: Type(dtype), ref=_leaf_ref)
#: ``guard(value, ok)``: value where ok, else 0 and error `code` with details ``(value, *detail)``.
guard_op = Op("guard", attrs=("code", "detail"), type=lambda x, ok, *where, code, detail: x, ref=_leaf_ref)


def index(name, extent):
    """Return the variable of a loop over ``0 .. extent - 1``."""
    return index_op(name=name, extent=extent)


def integer(n):
    """Return an int as an expression."""
    return n if isinstance(n, Node) else const(n, I64)


@dataclass(frozen=True)
class Buffer:
    """A flat array of `size` elements, an int or an expression over scalar buffers; `data` has the bytes of a const."""

    name: str
    dtype: np.dtype
    size: object
    role: str
    number: int = 0
    data: bytes = field(default=b"", repr=False)

    @property
    def nbytes(self):
        """Bytes of the array."""
        return self.size * self.dtype.itemsize

    def load(self, offset, where=None):
        """Return the expression that reads an element."""
        args = (offset,) if where is None else (offset, where)
        return load_op(*args, buffer=self.name, dtype=self.dtype)

    def __str__(self):
        size = to_text(self.size) if isinstance(self.size, Node) else self.size
        return f"{self.name}: {dtype_name(self.dtype)}[{size}]"


@dataclass
class For:
    """A loop; `kind` says how it may be run."""

    index: Node
    begin: Node
    end: Node
    body: list
    kind: str = "serial"
    step: int = 1
    grain: int = 1


@dataclass
class Let:
    """``index = value`` until the end of the body."""

    index: Node
    value: Node


@dataclass
class Store:
    """``buffer[offset] = value``."""

    buffer: Buffer
    offset: Node
    value: Node


@dataclass
class Accumulate:
    """``buffer[offset] = fold(buffer[offset], value)``."""

    buffer: Buffer
    offset: Node
    value: Node
    fold: str


@dataclass
class Combine:
    """``buffer[0] = fold of buffer[0 .. count)``, count a power of two."""

    buffer: Buffer
    count: int
    fold: str


@dataclass
class Alloc:
    """A local array; `value` is a scalar to fill it with, or None."""

    buffer: Buffer
    value: object = None


@dataclass
class Copy:
    """All elements of `source` to `target`, from element `at` on."""

    target: Buffer
    source: Buffer
    at: int = 0


@dataclass
class Kernel:
    """A named loop nest over buffers."""

    name: str
    buffers: list
    body: list
    cost: float = 0.0
    notes: tuple = ()

    def __str__(self):
        return "\n".join(
            [f"kernel {self.name}({', '.join(map(str, self.buffers))}) {{", *_body_text(self.body, 1), "}"]
        )


def children(statement):
    """Return the expressions that a statement uses itself (not those of its body)."""
    if isinstance(statement, For):
        return [statement.begin, statement.end]
    if isinstance(statement, (Store, Accumulate)):
        return [statement.offset, statement.value]
    if isinstance(statement, Let):
        return [statement.value]
    if isinstance(statement, Copy) and isinstance(statement.source.nbytes, Node):
        return [statement.source.nbytes]
    return []


def expressions(body):
    """Return all expressions of a body, nested ones too."""
    out, stack = [], list(reversed(body))
    while stack:
        statement = stack.pop()
        out += children(statement)
        if isinstance(statement, For):
            stack.extend(reversed(statement.body))
    return out


def loaded(body):
    """Return the names of the buffers that a body reads by `load`."""
    return {n.attrs[0] for n in topological(expressions(body)) if n.op is load_op}


# ---------------------------------------------------------------- text
def _body_text(body, depth):
    pad, rows = "  " * depth, []
    for s in body:
        if isinstance(s, For):
            step = f" by {s.step}" if s.step != 1 else ""
            rows.append(f"{pad}{s.kind} for {s.index.attrs[0]} in {to_text(s.begin)} .. {to_text(s.end)}{step} {{")
            rows += _body_text(s.body, depth + 1)
            rows.append(pad + "}")
        elif isinstance(s, Let):
            rows.append(f"{pad}let {s.index.attrs[0]} = {to_text(s.value)}")
        elif isinstance(s, Store):
            place = s.buffer.name if s.buffer.role == "scalar" else f"{s.buffer.name}[{to_text(s.offset)}]"
            rows.append(f"{pad}{place} = {to_text(s.value)}")
        elif isinstance(s, Accumulate):
            rows.append(f"{pad}{s.buffer.name}[{to_text(s.offset)}] {s.fold}= {to_text(s.value)}")
        elif isinstance(s, Combine):
            rows.append(f"{pad}{s.buffer.name}[0] = {s.fold} of {s.buffer.name}[0 .. {s.count}]")
        elif isinstance(s, Alloc):
            fill = "" if s.value is None else f" = {to_text(s.value)}"
            rows.append(f"{pad}local {s.buffer}{fill}")
        else:
            at = f"[{s.at} ..]" if s.at else ""
            rows.append(f"{pad}{s.target.name}{at} = copy of {s.source.name}")
    return rows


_INFIX = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "quotient": "/",
    "fmod": "%",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
}


def to_text(node, limit=400):
    """Return an expression as a formula (cut off where it grows too long: shared parts are written out)."""
    texts = {}
    for n in topological([node]):
        parts = [texts[a] for a in n.args]
        if n.op is const_op:
            text = str(const_value(n)[()])
        elif n.op is index_op:
            text = n.attrs[0]
        elif n.op is load_op and n.attrs[0][0] == "z":
            text = n.attrs[0]  # a scalar
        elif n.op is load_op:
            text = f"{n.attrs[0]}[{parts[0]}" + (f" where {parts[1]}]" if len(parts) > 1 else "]")
        elif n.op.name in _INFIX and len(parts) == 2:
            text = f"({parts[0]} {_INFIX[n.op.name]} {parts[1]})"
        else:
            attrs = [f"{k}={dtype_name(v) if isinstance(v, np.dtype) else v}" for k, v in zip(n.op.attrs, n.attrs)]
            text = f"{n.op.name}({', '.join(parts + attrs)})"
        texts[n] = text if len(text) <= limit else text[:limit] + "…"
    text = texts[node]
    return text[1:-1] if text.startswith("(") and text.endswith(")") and _closes_last(text) else text


def _closes_last(text):
    """Say whether the first parenthesis closes at the end."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return i == len(text) - 1
    return False
