"""How C writes scalar ops: spellings filled in per dtype, and the support code that they need."""

import numpy as np

from tracejit.kernels.c import vmath
from tracejit.symbolic.ir import const_value
from tracejit.symbolic.types import BOOL, C64, C128, F16, F32, F64, REAL_OF, dtype_name

#: C types of values in registers, and of elements in memory where these differ.
VALUE = {
    "bool": "_Bool",
    "i8": "int8_t",
    "i16": "int16_t",
    "i32": "int32_t",
    "i64": "int64_t",
    "u8": "uint8_t",
    "u16": "uint16_t",
    "u32": "uint32_t",
    "u64": "uint64_t",
    "f16": "float",
    "f32": "float",
    "f64": "double",
    "c64": "float _Complex",
    "c128": "double _Complex",
}
MEMORY = {**VALUE, "bool": "uint8_t", "f16": "uint16_t"}


def value_type(dtype):
    """Return the C type of a value."""
    return VALUE[dtype_name(dtype)]


def memory_type(dtype):
    """Return the C type of an element in memory."""
    return MEMORY[dtype_name(dtype)]


#: Complex functions that C lacks.
_COMPLEX = {
    "exp2": "tj_cexp2_{t}({0})",
    "expm1": "tj_cexpm1_{t}({0})",
    "log2": "tj_clog2_{t}({0})",
    "log10": "tj_clog10_{t}({0})",
    "log1p": "tj_clog1p_{t}({0})",
    "real": "__real__({0})",
    "imag": "__imag__({0})",
    "conjugate": "tj_conj_{t}({0})",
    "power": "tj_cpow_{t}({0}, {1})",
    "divide": "tj_cdiv_{t}({0}, {1})",
}
_COMPLEX_SUPPORT = {
    "exp2": "static inline {T} tj_cexp2_{t}({T} z) {{ return cexp{f}(z * ({R})0.6931471805599453); }}",
    "expm1": "static inline {T} tj_cexpm1_{t}({T} z) {{ {R} a = sin{f}(__imag__ z / 2), e = exp{f}(__real__ z);"
    " return __builtin_complex(expm1{f}(__real__ z) * cos{f}(__imag__ z) - 2 * a * a, e * sin{f}(__imag__ z)); }}",
    "log2": "static inline {T} tj_clog2_{t}({T} z) {{ z = clog{f}(z); return __builtin_complex(({R})(__real__ z * "
    "1.4426950408889634), ({R})(__imag__ z * 1.4426950408889634)); }}",
    "log10": "static inline {T} tj_clog10_{t}({T} z) {{ z = clog{f}(z); return __builtin_complex(({R})(__real__ z * "
    "0.4342944819032518), ({R})(__imag__ z * 0.4342944819032518)); }}",
    "log1p": "static inline {T} tj_clog1p_{t}({T} z) {{ "
    "return __builtin_complex(log{f}(hypot{f}(__real__ z + 1, __imag__ z)),"
    " atan2{f}(__imag__ z, __real__ z + 1)); }}",
    # Smith 1962, as NumPy writes it: a zero divisor divides the parts.
    "divide": "static inline {T} tj_cdiv_{t}({T} x, {T} y) {{ {R} a = __real__ x, b = __imag__ x, "
    "c = __real__ y, d = __imag__ y; "
    "if (fabs{f}(c) >= fabs{f}(d)) {{ if (c == 0 && d == 0) return __builtin_complex(a / fabs{f}(c), b / fabs{f}(c)); "
    "{R} q = d / c, s = 1 / (c + d * q); return __builtin_complex((a + b * q) * s, (b - a * q) * s); }} "
    "{R} q = c / d, s = 1 / (d + c * q); return __builtin_complex((a * q + b) * s, (b * q - a) * s); }}",
    "conjugate": "static inline {T} tj_conj_{t}({T} z) {{ return __builtin_complex(__real__ z, -__imag__ z); }}",
    "power": "static inline {T} tj_cpow_{t}({T} x, {T} y) {{ "
    "if (x == 0 && __imag__ y == 0) {{ if (__real__ y == 0) return 1; "
    "if (__real__ y > 0) return 0; }} if (__imag__ y == 0 && __real__ y == 1) return x; "
    "if (__imag__ y == 0 && __real__ y == 2) return x * x; return cpow{f}(x, y); }}",
}
_IPOW = (
    "static inline {T} tj_ipow_{t}({T} x, {T} n) {{ {U} r = 1, b = ({U})x; {negative}"
    "for ({U} e = ({U})n; e; e >>= 1) {{ if (e & 1) r = ({U})(r * b); b = ({U})(b * b); }} return ({T})r; }}"
)

HALF = """static inline float tj_h2f(uint16_t h) {
  union { uint32_t u; float f; } v, m;
  uint32_t s = (uint32_t)(h & 0x8000u) << 16, e = h & 0x7fffu;
  v.u = (e << 13) + 0x38000000u;
  if (e >= 0x7c00u) v.u = (e << 13) + 0x70000000u;
  if (e < 0x400u) { m.u = 0x38800000u; v.u = (e << 13) + 0x38800000u; v.f -= m.f; }
  v.u |= s;
  return v.f;
}
static inline uint16_t tj_f2h(float x) {
  union { uint32_t u; float f; } v, d;
  v.f = x;
  uint32_t s = (v.u >> 16) & 0x8000u, a = v.u & 0x7fffffffu, r;
  if (a > 0x7f800000u) r = 0x7e00u;
  else if (a >= 0x47800000u) r = 0x7c00u;
  else if (a < 0x38800000u) { d.u = a; d.f += 0.5f; r = d.u - 0x3f000000u; }
  else { r = a + 0xc8000fffu + ((a >> 13) & 1); r >>= 13; }
  return (uint16_t)(s | r);
}
static inline float tj_round_f16(float x) { return tj_h2f(tj_f2h(x)); }
static inline float tj_round_f16_f64(double x) {
  union { uint32_t u; float f; } v;
  v.f = (float)x;
  if ((double)v.f != x && v.f - v.f == 0) {
    if (((double)v.f > x) == (x > 0)) v.u--;
    v.u |= 1;
  }
  return tj_round_f16(v.f);
}
static inline float tj_next_f16(float x, float y) {
  if (x != x || y != y) return x + y;
  if (x == y) return y;
  uint16_t h = tj_f2h(x);
  if (x == 0) return tj_h2f(y > 0 ? 1 : 0x8001u);
  return tj_h2f((uint16_t)((x < y) == (x > 0) ? h + 1 : h - 1));
}"""


def literal(node):
    """Return a literal in C."""
    value = const_value(node).reshape(())[()]
    return number(value, node.dtype)


def number(value, dtype):
    """Return a NumPy scalar in C."""
    if dtype.kind == "b":
        return "1" if value else "0"
    if dtype.kind in "iu":
        value = int(value)
        if dtype.itemsize < 8:
            return f"({value_type(dtype)})({value})" if value < 0 else f"({value_type(dtype)}){value}"
        if dtype.kind == "u":
            return f"{value}ULL"
        return "(-9223372036854775807LL - 1)" if value == -(1 << 63) else f"{value}LL" if value >= 0 else f"({value}LL)"
    if dtype.kind == "c":
        part = REAL_OF[dtype]
        return f"__builtin_complex({number(value.real, part)}, {number(value.imag, part)})"
    single = "f" if dtype != F64 else ""
    if np.isnan(value):
        return "(float)TJ_NAN" if single else "TJ_NAN"
    if np.isinf(value):
        text = "(float)TJ_INF" if single else "TJ_INF"
        return text if value > 0 else f"(-{text})"
    text = repr(float(value))
    if "." not in text and "e" not in text:
        text += ".0"
    return f"({text}{single})" if text.startswith("-") else text + single


class Speller:
    """Spells scalar ops and collects the support code they need, in order of first use."""

    def __init__(self):
        self.support = {}  # text → None
        self.sections = {}  # names of vector math sections → None
        self.half = False
        self.routines = {}  # names of functions that are bound by their addresses → None
        self.straight = False  # whether the text runs for one element, not for a vector of them
        self.exact = False  # whether functions that are right only up to a bound must not be used
        self.doubts = []  # (flag, C text that is nonzero beyond such a bound), for the emitter to collect

    def text(self, node, args):
        """Return the C expression of an op on argument expressions."""
        op, first = node.op, (node.args[0].dtype if node.args else node.dtype)
        special = _SPECIAL.get(op.name)
        if special is not None:
            return special(self, node, args)
        if self.straight and op.name in _EXTREMES and node.dtype.kind == "f":
            x, y = args  # one instruction, and a branch that is never taken
            return f"((({x} != {x}) | ({y} != {y})) ? {x} + {y} : {y} {_EXTREMES[op.name]} {x} ? {y} : {x})"
        rounds = node.dtype == F16
        if F16 in (node.dtype, first):
            self.half = True
            if op.name == "nextafter":
                return f"tj_next_f16({args[0]}, {args[1]})"
        text = self._plain(op, F32 if first == F16 else first, args)
        return f"tj_round_f16({text})" if rounds and op.name not in _EXACT else text

    def _plain(self, op, dtype, args):
        spelling, t = op.scalar, dtype_name(dtype)
        if op.name == "absolute" and dtype.kind == "c":
            name = f"tj_hypot_{dtype_name(REAL_OF[dtype])}"
            self.sections[name] = None
            return f"{name}(__real__ {args[0]}, __imag__ {args[0]})"
        if self.known(op, dtype):
            name = f"tj_{op.name}_{t}"
            guard = vmath.GUARDS.get(name)
            if guard is None or not self.exact:
                self.sections[name] = None
                if guard is not None:
                    self.doubts.append((f"wide_{t}", f"{guard[0]}({', '.join(args)})"))
                return f"{name}({', '.join(args)})"
        if dtype.kind == "c" and (op.name in _COMPLEX or (spelling.function and op.name not in ("absolute", "sign"))):
            if op.name in _COMPLEX:
                if op.name in _COMPLEX_SUPPORT:
                    self._need(_COMPLEX_SUPPORT[op.name], dtype)
                return self._fill(_COMPLEX[op.name], dtype, args)
            return f"c{spelling.function}{'f' if dtype == C64 else ''}({', '.join(args)})"
        if dtype.kind in "iu":
            if op.name == "power":
                self._need(_IPOW, dtype, negative="if (n < 0) return 0; " if dtype.kind == "i" else "")
                return self._fill("tj_ipow_{t}({0}, {1})", dtype, args)
            if op.name == "fmod":
                return f"({args[0]} % {args[1]})"
        if spelling.support and "{ipow}" not in spelling.support:
            self._need(spelling.support, dtype)
        if spelling.routine is not None:
            self.routines[spelling.routine] = None
        return self._fill(spelling.c, dtype, args)

    def known(self, op, dtype):
        """Say whether the vector math has a function for an op."""
        return dtype in (F32, F64) and f"tj_{op.name}_{dtype_name(dtype)}" in vmath.functions()

    def _need(self, template, dtype, **extra):
        self.support[self._fill(template, dtype, (), **extra)] = None

    def _fill(self, template, dtype, args, **extra):
        t = dtype_name(dtype)
        part = REAL_OF.get(dtype, dtype)
        f = "" if part == F64 or dtype.kind not in "fc" else "f"
        twin = f"uint{8 * dtype.itemsize}_t"
        return template.format(
            *args,
            t=t,
            T=value_type(dtype),
            U=twin,
            R=value_type(part),
            f=f,
            abs=_absolute(dtype, f),
            sign=_sign(dtype, f),
            **extra,
        )

    def need_half(self):
        """Have the conversions of float16 in the source."""
        self.half = True


_EXTREMES = {"minimum": "<", "maximum": ">"}
#: Ops whose result is exact in float16 when its arguments are.
_EXACT = {
    "negative",
    "absolute",
    "sign",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "copysign",
    "select",
    "keep",
    "frexp_mantissa",
}


def _absolute(dtype, f):
    if dtype.kind == "c":
        return f"cabs{f}(x)"
    if dtype.kind == "f":
        return f"fabs{f}(x)"
    return "x" if dtype.kind in "ub" else f"({value_type(dtype)})(x < 0 ? -x : x)"


def _sign(dtype, f):
    if dtype.kind == "c":
        real, imag, one = "__real__ x", "__imag__ x", f"({value_type(REAL_OF[dtype])})1"
        zero = f"({value_type(REAL_OF[dtype])})0"
        return (f"x == 0 ? 0 : isinf({real}) && isinf({imag}) ? __builtin_complex({zero} / {zero}, {zero} / {zero}) : "
                f"isinf({real}) ? __builtin_complex(copysign{f}({one}, {real}), {zero}) : "
                f"isinf({imag}) ? __builtin_complex({zero}, copysign{f}({one}, {imag})) : "
                f"__builtin_complex({real} / cabs{f}(x), {imag} / cabs{f}(x))")
    if dtype.kind == "f":
        return "x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x"
    return "(x > 0) - (x < 0)" if dtype.kind == "i" else "x > 0"


def _cast(speller, node, args):
    source, target, x = node.args[0].dtype, node.dtype, args[0]
    if F16 in (source, target):
        speller.need_half()
    if target == BOOL:
        return f"({x} != 0)"
    if source.kind == "c" and target.kind != "c":
        return cast_text(REAL_OF[source], target, f"__real__({x})")
    return cast_text(source, target, x)


def cast_text(source, target, x):
    """Return C text that converts a value."""
    if target == F16:
        if source == F16:
            return x
        return f"tj_round_f16_f64({x})" if source == F64 else f"tj_round_f16((float){x})"
    if target.kind == "c" and source.kind != "c":
        part = value_type(REAL_OF[target])
        return f"__builtin_complex(({part}){x}, ({part})0)"
    if target.kind == "u" and source.kind == "f":
        # A negative float has no unsigned value in C; going through the signed type gives NumPy's wrapped one.
        if target.itemsize < 8:
            return f"({value_type(target)})(int64_t){x}"
        return f"({x} < 0 ? (uint64_t)(int64_t){x} : (uint64_t){x})"
    return f"({value_type(target)}){x}"


def _bitcast(speller, node, args):
    source, target = node.args[0].dtype, node.dtype
    if source == target:
        return args[0]
    a, b = dtype_name(source), dtype_name(target)
    name, before, after = f"tj_bitcast_{a}_{b}", "x", "v.b"
    if source == F16:
        speller.need_half()
        before = "tj_f2h(x)"
    if target == F16:
        speller.need_half()
        after = "tj_h2f(v.b)"
    if target == BOOL:
        after = "v.b != 0"
    speller.support[
        f"static inline {value_type(target)} {name}({value_type(source)} x) {{ union {{ {memory_type(source)} a; "
        f"{memory_type(target)} b; }} v; v.a = {before}; return {after}; }}"
    ] = None
    return f"{name}({args[0]})"


_SPECIAL = {
    "cast": _cast,
    "bitcast": _bitcast,
    "invert": lambda s, node, args: (
        f"(!{args[0]})" if node.dtype == BOOL else f"({value_type(node.dtype)})(~{args[0]})"
    ),
    "complex": lambda s, node, args: f"__builtin_complex({args[0]}, {args[1]})",
    "keep": lambda s, node, args: args[0],
}

__all__ = ["C128", "HALF", "MEMORY", "Speller", "VALUE", "cast_text", "literal", "memory_type", "number", "value_type"]
