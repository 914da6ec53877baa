"""NumPy's two protocols and Python's operators on tracers."""

import numpy as np

from tracejit.trace.numpy import registry
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.tracer import PYTHON_DTYPES, Tracer, wrap
from tracejit.trace.ufunc_methods import METHODS

def _array_ufunc(self, ufunc, method, *inputs, **kwargs):
    return METHODS[method](ufunc, *inputs, **kwargs)


def _array_function(self, function, types, args, kwargs):
    return registry.call(function, args, kwargs)


Tracer.__array_ufunc__ = _array_ufunc
Tracer.__array_function__ = _array_function


# ---------------------------------------------------------------- operators
def _operate(ufunc, x, y):
    out = apply_ufunc(ufunc, x, y)
    if _is_weak(x) and _is_weak(y):
        # arithmetic of two Python numbers is a Python number, which stays weak
        return wrap(out.node, weak=out.dtype.kind != "b", scalar=out.dtype.kind == "b")
    return out


def _is_weak(x):
    return x.weak if isinstance(x, Tracer) else type(x) in PYTHON_DTYPES


def _defers(x):
    """Return whether Python should ask the other operand: it has operators of its own and is no array-like."""
    return getattr(x, "__array_ufunc__", False) is None or isinstance(x, (str, bytes, dict, set)) or x is None


def _binary(ufunc):
    def forward(self, other):
        return NotImplemented if _defers(other) else _operate(ufunc, self, other)

    def reflected(self, other):
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
        return NotImplemented if _defers(other) else apply_ufunc(ufunc, self, other)
    return compare


for _name, _ufunc in {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
                      "ge": np.greater_equal}.items():
    setattr(Tracer, f"__{_name}__", _comparison(_ufunc))
Tracer.__hash__ = None

Tracer.__neg__ = lambda self: apply_ufunc(np.negative, self)
Tracer.__pos__ = lambda self: apply_ufunc(np.positive, self)
Tracer.__abs__ = lambda self: apply_ufunc(np.absolute, self)
Tracer.__invert__ = lambda self: apply_ufunc(np.invert, self)
