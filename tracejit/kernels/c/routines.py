"""C for library routines: one function per routine, from a Call to lines of C."""

from tracejit.errors import UnsupportedError
from tracejit.kernels.c.spell import memory_type, number
from tracejit.kernels.loop_ir import load_op
from tracejit.symbolic.ir import OPS, const, make, scalar_literal
from tracejit.symbolic.types import BOOL, C64, C128, F16, F32, F64, I64

#: The letter with which names of BLAS and LAPACK routines begin.
PREFIX = {F32: "s", F64: "d", C64: "c", C128: "z"}

ROUTINES = {}
#: Routines that do with sizes known at run time.
SIZED = set()


class Size:
    """A size known at run time, as C text; arithmetic makes longer texts, and nothing can be decided by it."""

    __slots__ = ("text",)

    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text

    def __neg__(self):
        return Size(f"(-{self})")


def _arithmetic(symbol):
    return (lambda x, y: Size(f"({x} {symbol} {y})")), (lambda x, y: Size(f"({y} {symbol} {x})"))


for _name, _symbol in {"add": "+", "sub": "-", "mul": "*", "floordiv": "/", "mod": "%"}.items():
    _forward, _reflected = _arithmetic(_symbol)
    setattr(Size, f"__{_name}__", _forward)
    setattr(Size, f"__r{_name}__", _reflected)


def shape_of(unit, shape):
    """Return a shape with its dims as C texts."""
    return tuple(n if type(n) is int else Size(unit.size(n)) for n in shape)


def at_least(n, least):
    """Return whether a size is, or may be, that large."""
    return type(n) is not int or n >= least


def routine(name, sized=False):
    """Register the function that writes a routine: ``(unit, call) -> lines``; `sized` says that it does with dims."""

    def register(function):
        ROUTINES[name] = function
        if sized:
            SIZED.add(name)
        return function

    return register


def emit(unit, call):
    """Return the lines of C that run a Call."""
    if call.name not in ROUTINES:
        raise UnsupportedError(f"the C backend has no routine {call.name!r}", do="write this part without it")
    unit.sizes = call.sizes
    if call.sizes and call.name not in SIZED:
        raise UnsupportedError(f"{call.node.op.name} of an array whose size is known at run time only",
                               do="give the array a fixed size, and mask what lies beyond with np.where")
    return ROUTINES[call.name](unit, call)


def load(unit, dtype, place):
    """Return the text that reads an element of an array as a value."""
    if dtype == F16:
        unit.speller.need_half()
        return f"tj_h2f({place})"
    return f"({place} != 0)" if dtype == BOOL else place


def store(unit, dtype, place, value):
    """Return the statement that stores a value."""
    if dtype == F16:
        unit.speller.need_half()
        value = f"tj_f2h({value})"
    return f"{place} = {value};"


def fold(unit, name, dtype, x, y):
    """Return the text of a scalar op on two values."""
    left, right = (make(load_op, (const(0, I64),), (side, dtype)) for side in "xy")
    return unit.speller.text(make(OPS[name], (left, right), ()), [x, y])


def around(shape, axis):
    """Return (elements before an axis, along it, behind it)."""
    before = behind = 1
    for a, n in enumerate(shape):
        if a < axis:
            before *= n
        elif a > axis:
            behind *= n
    return before, shape[axis], behind


def fill_or_copy(unit, node, operand, target):
    """Return lines that put an operand, a buffer or a literal, into the result that a routine then changes."""
    count = unit.size(target.size)
    if target.size == 0:
        return []
    if operand is not None:
        return [f"memcpy({unit.pointer(target)}, {unit.pointer(operand)}, {unit.size(target.nbytes)});"]
    value = scalar_literal(node)
    if not value.tobytes().strip(b"\0"):
        return [f"memset({unit.pointer(target)}, 0, {unit.size(target.nbytes)});"]
    kind = memory_type(target.dtype)
    text = number(value, F32 if target.dtype == F16 else target.dtype)
    return [
        f"for (int64_t i = 0; i < {count}; i++) {{ "
        + store(unit, target.dtype, f"(({kind} *){unit.pointer(target)})[i]", text)
        + " }"
    ]
