"""Python for Numba from programs: the same kernels as the C backend's, for machines without a compiler.

Kernels become functions compiled by `numba.njit`; library routines are NumPy's, called between them.
"""

import math

import numpy as np

from tracejit.kernels.control import Region, walk
from tracejit.kernels.loop_ir import (
    COMPENSATED,
    Alloc,
    Combine,
    Copy,
    For,
    Let,
    Store,
    expressions,
    guard_op,
    index_op,
    load_op,
)
from tracejit.kernels.numba.loops import RegionWriter, arrays, fits
from tracejit.kernels.program import Executable, Launch
from tracejit.symbolic.graph import substitute, topological
from tracejit.symbolic.interp import conform
from tracejit.symbolic.ir import OPS, const_op, const_value, make, scalar_literal
from tracejit.symbolic.types import BOOL, C64, C128, F16, F64, I64, REAL_OF, Type

#: Dtypes whose arithmetic Numba does in themselves; the results of others are converted back after each op.
_OWN = (BOOL, I64, F64, C128)

_SUPPORT = """
def tj_fmod_int(x, y):
    r = x % y
    return r - y if r != 0 and (x < 0) != (y < 0) else r

def tj_power_int(x, y):
    r = type(x)(1)
    while y > 0:
        if y & type(y)(1):
            r = type(x)(r * x)
        x = type(x)(x * x)
        y = type(y)(y >> type(y)(1))
    return r

def tj_gcd_magnitude(x, y):
    a, b = np.uint64(abs(x)), np.uint64(abs(y))
    while b != 0:
        a, b = b, a % b
    return a

def tj_divide_complex(x, y):
    if abs(y.real) >= abs(y.imag):
        if y.real == 0 and y.imag == 0:
            return complex(x.real / abs(y.real), x.imag / abs(y.real))
        ratio = y.imag / y.real
        scale = 1.0 / (y.real + y.imag * ratio)
        return complex((x.real + x.imag * ratio) * scale, (x.imag - x.real * ratio) * scale)
    ratio = y.real / y.imag
    scale = 1.0 / (y.imag + y.real * ratio)
    return complex((x.real * ratio + x.imag) * scale, (x.imag * ratio - x.real) * scale)

def tj_sign_complex(x):
    size = math.hypot(x.real, x.imag)
    if size == 0:
        return complex(0.0, 0.0)
    if not math.isinf(size):
        return complex(x.real / size, x.imag / size)
    if math.isinf(x.real) and math.isinf(x.imag):
        return complex(np.nan, np.nan)
    if math.isinf(x.real):
        return complex(math.copysign(1.0, x.real), 0.0)
    return complex(0.0, math.copysign(1.0, x.imag))
"""


def compile_program(program):
    """Return the Executable of a program, its kernels compiled by Numba at the first call.

    Returns None where Numba cannot do what the program does (library routines in loops, sizes known at run time,
    float16, the bytes of complex numbers).
    """
    import numba  # half a second at import, which only the users of this backend pay

    regions = [s for s in program.steps if isinstance(s, Region)]
    if not all(map(fits, regions)) or any(b.dtype == F16 for b in program.buffers):
        return None
    if any(type(b.size) is not int for b in program.buffers) or program.handles:
        return None
    nodes = topological([n for s in walk(program.steps) if isinstance(s, Launch) for n in expressions(s.kernel.body)])
    if any(n.dtype == F16 or n.op.name == "bitcast" and "c" in n.dtype.kind + n.args[0].dtype.kind for n in nodes):
        return None
    source = emit(program)
    namespace = {"np": np, "math": math}
    exec(compile(source, f"<tracejit numba {hash(source):x}>", "exec"), namespace)  # our own text
    options = {"nogil": True, "error_model": "numpy"}
    for name in [n for n in namespace if n.startswith("tj_")]:
        namespace[name] = numba.njit(namespace[name], **options)
    kernels = {s.kernel.name: numba.njit(namespace[s.kernel.name], **options)
               for s in program.steps if isinstance(s, Launch)}
    kernels.update((s.name, numba.njit(namespace[s.name], **options)) for s in regions)
    return Executable(0, program.in_types, program.out_types, 0, program.long, program.errors, source,
                      call=_Runner(program, kernels))


def emit(program):
    """Return the Python text of a program's kernels."""
    support, functions = {}, []
    for step in program.steps:
        if isinstance(step, Launch):
            functions.append(_Writer(step.kernel, support).text())
        elif isinstance(step, Region):
            functions.append(RegionWriter(step, support, _Writer, _literal).text())
    return "\n\n".join([_SUPPORT, *support, *functions]) + "\n"


class _Runner:
    """Runs a program's steps on arrays."""

    def __init__(self, program, kernels):
        self.program = program
        self.kernels = kernels
        self.consts = {b.name: np.frombuffer(b.data, b.dtype) for b in program.buffers if b.role == "const"}

    @staticmethod
    def _function(step):
        if isinstance(step, Region):
            return step.name, arrays(step)
        return step.kernel.name, [b.name for b in step.kernel.buffers]

    def __call__(self, inputs, outputs):
        """Run on contiguous arrays; returns (error code, its details)."""
        flat = dict(self.consts)
        for b in self.program.buffers:
            if b.role == "input":
                flat[b.name] = np.asarray(inputs[b.number]).reshape(-1)
            elif b.role == "output":
                flat[b.name] = outputs[b.number].reshape(-1)
            elif b.role != "const":
                flat[b.name] = np.empty(b.size, b.dtype)
        fail = np.zeros(5, np.int64)
        for step in self.program.steps:
            if isinstance(step, (Launch, Region)):
                name, buffers = self._function(step)
                self.kernels[name](*[flat[b] for b in buffers], fail)
                if fail[0]:
                    return int(fail[0]), [int(x) for x in fail[1:]]
            else:
                code = _routine(self.program, step, flat)
                if code:
                    return code, [0, 0, 0, 0]
        return 0, None


def _routine(program, step, flat):
    """Run a library routine by its meaning in NumPy; returns an error code."""
    node = step.node
    operands = [np.full(a.shape, scalar_literal(a)) if b is None else flat[b.name].reshape(a.shape)
                for b, a in zip(step.operands, node.args)]
    with np.errstate(all="ignore"):
        try:
            result = node.op.ref(*operands, **dict(zip(node.op.attrs, node.attrs)))
        except np.linalg.LinAlgError as error:
            wanted = [i + 1 for i, (kind, text) in enumerate(program.errors) if issubclass(kind, np.linalg.LinAlgError)]
            if not wanted:
                raise
            return next((i for i in wanted if program.errors[i - 1][1] == str(error)), wanted[0])
    results = conform(result, node.type)
    for b, value in zip(step.results, [results] if isinstance(node.type, Type) else results):
        flat[b.name][...] = value.reshape(-1)
    return 0


class _Writer:
    """Writes one kernel as a Python function. Each statement computes what it needs; LLVM moves it out of loops."""

    def __init__(self, kernel, support, inline=False):
        self.kernel, self.support, self.inline = kernel, support, inline
        self.scalars = {b.name for b in kernel.buffers if b.role == "scalar"}
        self.lines, self.counter = [], 0
        self.failing = any(n.op is guard_op for n in topological(expressions(kernel.body)))

    def text(self):
        """Return the function."""
        names = ", ".join([*(b.name for b in self.kernel.buffers), "fail"])
        self.lines = [f"def {self.kernel.name}({names}):"]
        self._body(self.kernel.body, 1)
        return "\n".join([*self.lines, "    return"])

    def statements(self, depth):
        """Return the lines of the body."""
        self._body(self.kernel.body, depth)
        return self.lines

    def line(self, depth, text):
        """Write a line."""
        self.lines.append("    " * depth + text)

    def _body(self, body, depth):
        for s in body:
            self._statement(s, depth)

    def _statement(self, s, depth):
        if isinstance(s, For):
            begin, end = self._values([s.begin, s.end], depth)
            self.line(depth, f"for {s.index.attrs[0]} in range({begin}, {end}, {s.step}):")
            self._body(s.body, depth + 1)
            if not s.body:
                self.line(depth + 1, "pass")
        elif isinstance(s, Let):
            value, = self._values([s.value], depth)
            self.line(depth, f"{s.index.attrs[0]} = {value}")
        elif isinstance(s, Alloc):
            fill = "np.empty({size}, np.{t})" if s.value is None else "np.full({size}, {value}, np.{t})"
            value = None if s.value is None else _literal(s.value)
            if s.buffer.size == 2 and s.value is not None:  # a sum, and behind it what rounding has lost
                fill = "np.zeros({size}, np.{t})"
            made = fill.format(size=s.buffer.size, value=value, t=_name(s.buffer.dtype))
            self.line(depth, f"{s.buffer.name} = {made}")
            if s.buffer.size == 2 and s.value is not None:
                self.line(depth, f"{s.buffer.name}[0] = {value}")
        elif isinstance(s, Copy):
            self.line(depth, f"{s.target.name}[{s.at}:{s.at + s.source.size}] = {s.source.name}")
        elif isinstance(s, Combine):
            self._combine(s, depth)
        elif isinstance(s, Store):
            value, offset = self._values([s.value, s.offset], depth)
            place = s.buffer.name if s.buffer.role == "scalar" else f"{s.buffer.name}[{offset}]"
            self.line(depth, f"{place} = {value}")
        else:
            self._accumulate(s, depth)

    def _fold(self, fold, x, y, dtype):
        left, right = (load_op(make(const_op, (), (I64, (), b"\0" * 8)), buffer=n, dtype=dtype) for n in "xy")
        return self._op(make(OPS[fold], (left, right), ()), [x, y])

    def _combine(self, s, depth):
        half, name = s.count // 2, s.buffer.name
        while half:
            self.line(depth, f"for tj_l in range({half}):")
            self.line(depth + 1, f"{name}[tj_l] = " + self._fold(
                s.fold, f"{name}[tj_l]", f"{name}[tj_l + {half}]", s.buffer.dtype))
            half //= 2

    def _accumulate(self, s, depth):
        value, offset = self._values([s.value, s.offset], depth)
        place = f"{s.buffer.name}[{offset}]"
        if s.fold != COMPENSATED:
            self.line(depth, f"{place} = {self._fold(s.fold, place, value, s.buffer.dtype)}")
            return
        dtype = s.buffer.dtype
        function = "tj_compensated_complex" if dtype in (C64, C128) else "tj_compensated"
        part = _name(REAL_OF.get(dtype, dtype))
        self.support[_COMPENSATED.format(t=part)] = None
        if dtype in (C64, C128):
            self.support[_COMPENSATED_COMPLEX.format(t=part, c=_name(dtype))] = None
        self.line(depth, f"{function}_{part}({s.buffer.name}, {value})")

    # ---------------------------------------------------------------- expressions
    def _values(self, nodes, depth):
        """Write what the expressions need, and return their texts."""
        nodes = _expanded(nodes)
        names = {}
        for node in topological(nodes):
            if node.op is const_op:
                names[node] = _literal(node)
            elif node.op is index_op:
                names[node] = node.attrs[0]
            elif node.op is load_op and node.attrs[0] in self.scalars:
                names[node] = node.attrs[0]
            else:
                self.counter += 1
                names[node] = f"v{self.counter}"
                self._define(node, names[node], [names[a] for a in node.args], depth)
        return [names[n] for n in nodes]

    def _define(self, node, name, args, depth):
        if node.op is guard_op:
            self._guard(node, name, args, depth)
        elif node.op is load_op and len(args) > 1:
            zero = _number(np.zeros((), node.dtype)[()], node.dtype)
            self.line(depth, f"{name} = {zero}")
            self.line(depth, f"if {args[1]}:")
            self.line(depth + 1, f"{name} = {node.attrs[0]}[{args[0]}]")
        elif node.op is load_op:
            self.line(depth, f"{name} = {node.attrs[0]}[{args[0]}]")
        else:
            self.line(depth, f"{name} = {self._op(node, args)}")

    def _guard(self, node, name, args, depth):
        x, ok, *where = args
        code, detail = node.attrs
        self.line(depth, f"{name} = {x}")
        self.line(depth, f"if not {ok}" + (f" and {where[0]}:" if where else ":"))
        self.line(depth + 1, "if fail[0] == 0:")
        self.line(depth + 2, f"fail[0] = {code}")
        if node.dtype.kind != "c":
            self.line(depth + 2, f"fail[1] = {x}")
        for k, d in enumerate(detail[:3]):
            self.line(depth + 2, f"fail[{k + 2}] = {d}")
        if self.inline:
            self.line(depth + 1, "return")
        self.line(depth + 1, f"{name} = {_number(np.zeros((), node.dtype)[()], node.dtype)}")

    def _op(self, node, args):
        """Return the text of an op on texts."""
        op = node.op
        if op.scalar is not None and op.scalar.py_support:
            self.support[op.scalar.py_support] = None
        if op.name in _SPECIAL:
            text = _SPECIAL[op.name](node, args)
        else:
            text = op.scalar.py.format(*args)
        return text if node.dtype in _OWN else f"np.{_name(node.dtype)}({text})"


_COMPENSATED = """def tj_compensated_{t}(total, x):
    a = total[0]
    t = np.{t}(a + x)
    e = np.{t}((a - t) + x) if abs(a) >= abs(x) else np.{t}((x - t) + a)
    if e - e == 0:
        total[1] += e
    total[0] = t"""

_COMPENSATED_COMPLEX = """def tj_compensated_complex_{t}(total, x):
    a = total[0]
    t = np.{c}(a + x)
    re = (a.real - t.real) + x.real if abs(a.real) >= abs(x.real) else (x.real - t.real) + a.real
    im = (a.imag - t.imag) + x.imag if abs(a.imag) >= abs(x.imag) else (x.imag - t.imag) + a.imag
    if re - re == 0 and im - im == 0:
        total[1] += complex(re, im)
    total[0] = t"""


def _name(dtype):
    """Return the dtype's name in the np namespace."""
    return "bool_" if dtype == BOOL else dtype.name


def _literal(node):
    return _number(const_value(node).reshape(())[()], node.dtype)


def _number(value, dtype):
    if dtype == BOOL:
        return str(bool(value))
    if dtype.kind in "iu":
        return str(int(value)) if dtype == I64 else f"np.{dtype.name}({int(value)})"
    if dtype.kind == "c":
        return f"np.{dtype.name}(complex({_float(value.real)}, {_float(value.imag)}))"
    text = _float(value)
    return text if dtype == F64 else f"np.{dtype.name}({text})"


def _float(value):
    value = float(value)
    return repr(value) if math.isfinite(value) else "np.nan" if math.isnan(value) else f"({'-' * (value < 0)}np.inf)"


def _cast(node, args):
    source, target, x = node.args[0].dtype, node.dtype, args[0]
    if target == BOOL:
        return f"({x} != 0)"
    if source.kind == "c" and target.kind != "c":
        x = f"{x}.real"
    if source.kind in "fc" and target.kind == "u" and target.itemsize < 8:
        x = f"np.int64({x})"  # negative numbers wrap
    return f"np.{_name(target)}({x})"


def _bitcast(node, args):
    source, target, x = node.args[0].dtype, node.dtype, args[0]
    if target == BOOL:
        return f"({x} != 0)"
    if source == target or source == BOOL:
        return f"np.{_name(target)}({x})"
    return f"np.{_name(source)}({x}).view(np.{_name(target)})"


def _in_double(function):
    """Return the spelling of a function that Numba knows in double precision only."""
    return lambda node, args: f"np.{function}({args[0] if node.dtype.kind == 'c' else f'np.float64({args[0]})'})"


def _by_kind(kinds, text, name):
    """Return the spelling `text` for dtypes of these kinds, the op's own for the others."""
    def spelling(node, args):
        return (text if node.dtype.kind in kinds else OPS[name].scalar.py).format(*args, t=_name(node.dtype))
    return spelling


_SPECIAL = {
    "cast": _cast,
    "bitcast": _bitcast,
    "exp2": _in_double("exp2"),
    "log2": _in_double("log2"),
    "divide": _by_kind("c", "tj_divide_complex({0}, {1})", "divide"),
    "sign": _by_kind("c", "tj_sign_complex({0})", "sign"),
    "power": _by_kind("iu", "np.{t}(tj_power_int(np.{t}({0}), np.{t}({1})))", "power"),
    "gcd": lambda node, args: f"np.{_name(node.dtype)}(tj_gcd_magnitude({args[0]}, {args[1]}))",
    "quotient": _by_kind("u", "({0} // {1})", "quotient"),
    "fmod": lambda node, args: f"{'tj_fmod_int' if node.dtype.kind in 'iu' else 'np.fmod'}({args[0]}, {args[1]})",
    # SciPy's in single precision is -inf at -inf
    "gammaln": lambda node, args: f"math.lgamma({args[0]})" if node.dtype == F64 else (
        f"({args[0]} if {args[0]} == -np.inf else math.lgamma({args[0]}))"),
    "complex": lambda node, args: f"np.{_name(node.dtype)}(complex({args[0]}, {args[1]}))",
    "invert": lambda node, args: f"(not {args[0]})" if node.dtype == BOOL else f"(~{args[0]})",
    "keep": lambda node, args: args[0],
}


def _expanded(nodes):
    """Return expressions with elementwise composites replaced by what they are made of."""
    while True:
        table = {n: n.op.expand(*n.args, **dict(zip(n.op.attrs, n.attrs))) for n in topological(nodes)
                 if n.op.expand is not None and n.op.elementwise}
        if not table:
            return list(nodes)
        # innermost first: an expansion may hold nodes that are replaced in the next round
        nodes = substitute(nodes, table)


__all__ = ["compile_program", "emit"]
