"""NumPy's two protocols and Python's operators on tracers."""

import operator

import numpy as np

from tracejit.symbolic.ops.scalar import cast, check, not_equal
from tracejit.symbolic.ops.shape import full, zeros
from tracejit.symbolic.types import BOOL, I64, Type
from tracejit.trace.numpy import registry
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.selection import Selection
from tracejit.trace.tracer import PYTHON_DTYPES, Tracer, current_trace, wrap
from tracejit.trace.ufunc_methods import METHODS
from tracejit.trace.values import concrete, deciding_number, known


def _array_ufunc(self, ufunc, method, *inputs, **kwargs):
    return METHODS[method](ufunc, *inputs, **kwargs)


def _array_function(self, function, types, args, kwargs):
    return registry.call(function, args, kwargs)


Tracer.__array_ufunc__ = _array_ufunc
Tracer.__array_function__ = _array_function


# ---------------------------------------------------------------- operators
def _operate(ufunc, x, y):
    if ufunc is np.matmul and _is_number(x) and _is_number(y):
        raise TypeError(f"unsupported operand type(s) for @: {_kind_of_number(x)} and {_kind_of_number(y)}")
    if not (_is_weak(x) and _is_weak(y)):
        out = apply_ufunc(ufunc, x, y)
        _christen(ufunc, x, y, out)
        return out
    # arithmetic of two Python numbers is a Python number, and its bools count as integers
    if ufunc not in _LOGIC or not (_is_bool(x) and _is_bool(y)):
        x, y = _as_integer(x), _as_integer(y)
    if ufunc is np.power and _is_integer(x) and _is_integer(y):
        # an integer or, for a negative exponent, a float: its value decides, where it is an argument's
        value = known(y) if isinstance(y, Tracer) else y
        if value is None and deciding_number(y.node) is not None:
            value = concrete(y, "the exponent of an integer")
        if value is not None and value < 0:
            y = float(value)
    if ufunc in _DIVISIONS:
        y = _divisor(y)
    out = apply_ufunc(ufunc, x, y)
    for o in out if isinstance(out, tuple) else (out,):
        current_trace().remark(o.node, ufunc.__name__, silent=True)
    return tuple(wrap(o.node, weak=True) for o in out) if isinstance(out, tuple) else wrap(out.node, weak=True)


#: What NumPy's operator makes of an array to one of these powers.
_POWERS = {2: "square", 0.5: "sqrt", -1: "reciprocal"}


def _christen(ufunc, x, y, out):
    """Note what NumPy calls an operator in its warnings: scalars have arithmetic of their own."""
    scalar = all(v.scalar or v.weak if isinstance(v, Tracer) else not isinstance(v, np.ndarray) for v in (x, y))
    name = f"scalar {ufunc.__name__}" if scalar else ufunc.__name__
    if ufunc is np.power and not scalar and type(y) in (int, float):
        name = _POWERS.get(y, name)
    for o in out if isinstance(out, tuple) else (out,):
        current_trace().remark(o.node, ufunc.__name__, name=name)


_DIVISIONS = {np.divide, np.floor_divide, np.remainder, np.divmod}


def _divisor(y):
    """Return a Python number to divide by, checked not to be 0."""
    value = y if not isinstance(y, Tracer) else known(y)
    if value is None:
        node = y.node
        return wrap(check(node, not_equal(node, zeros(node.type)), error="zero_division", detail=()), weak=True)
    if value == 0:
        raise ZeroDivisionError("division by zero")
    return y


_LOGIC = {np.bitwise_and, np.bitwise_or, np.bitwise_xor}


def _is_weak(x):
    return x.weak if isinstance(x, Tracer) else type(x) in PYTHON_DTYPES


def _is_number(x):
    return x.weak or x.scalar if isinstance(x, Tracer) else type(x) in PYTHON_DTYPES or isinstance(x, np.generic)


def _kind_of_number(x):
    kind = (x.python_type if x.weak else x.dtype.type) if isinstance(x, Tracer) else type(x)
    return f"'{'numpy.' if issubclass(kind, np.generic) else ''}{kind.__name__}'"


def _is_bool(x):
    return x.dtype == BOOL if isinstance(x, Tracer) else type(x) is bool


def _is_integer(x):
    return x.dtype.kind in "iu" if isinstance(x, Tracer) else type(x) is int


def _as_integer(x):
    if not _is_bool(x):
        return x
    return wrap(cast(x.node, I64), weak=True) if isinstance(x, Tracer) else int(x)


def _defers(x):
    """Return whether Python should ask the other operand: it has operators of its own and is no array-like."""
    return getattr(x, "__array_ufunc__", False) is None or isinstance(x, (str, bytes, dict, set)) or x is None


def _with_sequence(ufunc, number, sequence):
    """Return what Python makes of a number and a list: a repetition, or its TypeError."""
    if ufunc is not np.multiply or not _is_integer(_as_integer(number)):
        return NotImplemented
    return sequence * operator.index(concrete(_as_integer(number), "the number of repetitions")[()])


def _repeats(ufunc, x):
    """Return whether a list beside a tracer is Python's to deal with: beside its own numbers, and NumPy's integers."""
    return x.weak or ufunc is np.multiply and x.scalar and x.dtype.kind in "iu"


def _binary(ufunc):
    def forward(self, other):
        if _repeats(ufunc, self) and isinstance(other, (list, tuple)):
            return _with_sequence(ufunc, self, other)
        return NotImplemented if _defers(other) else _operate(ufunc, self, other)

    def reflected(self, other):
        if _repeats(ufunc, self) and isinstance(other, (list, tuple)):
            return _with_sequence(ufunc, self, other)
        return NotImplemented if _defers(other) else _operate(ufunc, other, self)

    def in_place(self, other):
        if _defers(other):
            return NotImplemented
        if self.scalar or self.weak:
            return _operate(ufunc, self, other)
        return apply_ufunc(ufunc, self, other, out=(self,))
    return forward, reflected, in_place


BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "divmod": np.divmod, "pow": np.power, "matmul": np.matmul, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
}
for _name, _ufunc in BINARY.items():
    _forward, _reflected, _in_place = _binary(_ufunc)
    setattr(Tracer, f"__{_name}__", _forward)
    setattr(Tracer, f"__r{_name}__", _reflected)
    if _name != "divmod":
        setattr(Tracer, f"__i{_name}__", _in_place)


def _comparison(ufunc):
    def compare(self, other):
        if ufunc in (np.equal, np.not_equal) and (other is None or isinstance(other, str)):
            return wrap(full(ufunc is np.not_equal, Type(BOOL, self.shape)), scalar=self.ndim == 0)
        return NotImplemented if _defers(other) else _operate(ufunc, self, other)
    return compare


def _unary(ufunc):
    def apply(self):
        if self.weak:
            return wrap(apply_ufunc(ufunc, _as_integer(self)).node, weak=True)
        return apply_ufunc(ufunc, self)
    return apply


def _power(forward):
    def power(self, other, modulus=None):
        if type(other) is int and other == 2 and self.dtype == BOOL and not self.weak and not self.scalar:
            return self.__array_ufunc__(np.square, "__call__", self)  # NumPy's short cut, which is of another dtype
        return forward(self, other)
    return power


for _name, _ufunc in {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
                      "ge": np.greater_equal}.items():
    setattr(Tracer, f"__{_name}__", _comparison(_ufunc))
def _hash(x):
    """Return the hash of a number as a key: a Python value is needed, so the call decides which it is."""
    if not (x.weak or x.scalar):
        raise TypeError("unhashable type: 'numpy.ndarray'")
    return hash(concrete(x, "the key")[()].item())


Tracer.__hash__ = _hash

for _kind in (Tracer, Selection):
    _kind.__pow__ = _power(_kind.__pow__)
for _name, _ufunc in {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}.items():
    setattr(Tracer, f"__{_name}__", _unary(_ufunc))
