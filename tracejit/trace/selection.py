"""``x[mask]`` for a mask that is known only at run time: its elements, before anybody asks how many they are.

Elementwise work, masked writes and reductions need no size: they are done on the whole array, and the mask decides at
the end. Everything else is refused with the line where the mask was used.
"""

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.reduce import reduce_or
from tracejit.symbolic.ops.shape import broadcast
from tracejit.trace.numpy import registry
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.tracer import Tracer, as_tracer, wrap

_REMEDY = "keep the full shape with np.where(mask, x, 0), reduce it with where=mask, or write through the mask"


class Selection:
    """The elements that a traced mask selects, as the whole array and the mask.

    Parameters
    ----------
    whole : Tracer
        A copy of the array, with the mask's axes from `axis` on.
    mask : Node
        The bools.
    """

    __slots__ = ("whole", "mask", "axis", "where")
    __array_priority__ = Tracer.__array_priority__ + 1
    __hash__ = None

    def __init__(self, whole, mask, axis, where=None):
        self.whole, self.mask, self.axis = whole, mask, axis
        self.where = where or user_frame()

    @property
    def dtype(self):
        """Dtype of the elements."""
        return self.whole.dtype

    @property
    def ndim(self):
        """Rank of the result."""
        return self.whole.ndim - self.mask.ndim + 1

    def matches(self, mask, axis, shape):
        """Return whether these elements have their places at another mask's."""
        return self.mask is mask and self.axis == axis and self.whole.shape == shape

    def refuse(self, what="x[mask] with a traced mask"):
        """Raise the error for what needs the size."""
        raise UnsupportedError(f"{what} of type {self.mask.type}: the size of the result depends on the data",
                               where=self.where, do=_REMEDY)

    def __tracejit_array__(self, trace):
        self.refuse()

    def __array__(self, dtype=None, copy=None):
        self.refuse()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        self.refuse(f"x[mask].{name} with a traced mask")

    # ------------------------------------------------------------ element by element
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or ufunc.signature is not None or kwargs.get("out") or "where" in kwargs:
            self.refuse(f"{ufunc.__name__} of x[mask] with a traced mask")
        return self._made(apply_ufunc(ufunc, *map(self._operand, inputs), **kwargs))

    def _made(self, result):
        if isinstance(result, tuple):
            return tuple(map(self._made, result))
        return Selection(result, self.mask, self.axis, self.where)

    def _operand(self, x):
        """Return an operand that goes with the whole array: elements of the same mask, or what has no selected axis."""
        if isinstance(x, Selection):
            if not x.matches(self.mask, self.axis, self.whole.shape):
                self.refuse("an operation on elements of different masks, the first")
            return x.whole
        if isinstance(x, (bool, int, float, complex)):
            return x
        x = as_tracer(x)
        if x.ndim > self.whole.ndim - self.axis - self.mask.ndim:
            self.refuse("an operation on x[mask] and an array along it, with a traced mask")
        return x

    def copy(self):
        """Return a copy."""
        return self._made(self.whole.copy())

    def astype(self, dtype, *args, **kwargs):
        """Return the elements converted."""
        return self._made(self.whole.astype(dtype, *args, **kwargs))

    # ------------------------------------------------------------ reductions
    def __array_function__(self, function, types, args, kwargs):
        if function in _REDUCTIONS and args and args[0] is self:
            return self.reduce(function, *args[1:], **kwargs)
        return registry.call(function, args, kwargs)

    def reduce(self, function, axis=None, **kwargs):
        """Return NumPy's reduction over the selected elements (axis None or 0), with ``where=mask``."""
        if "where" in kwargs or kwargs.get("out") is not None or axis not in (None, self.axis):
            self.refuse(f"{function.__name__} of x[mask] with these options and a traced mask")
        shape = self.whole.shape
        places = range(self.axis, self.axis + self.mask.ndim)
        axes = tuple(range(len(shape))) if axis is None else tuple(places)
        mask = wrap(broadcast(self.mask, shape, places))
        if function in (np.max, np.min) and "initial" not in kwargs:
            largest = function is np.max
            kind = self.dtype.kind
            if kind not in "iuf":
                self.refuse(f"{function.__name__} of x[mask] of dtype {self.dtype} with a traced mask")
            info = np.finfo(self.dtype) if kind == "f" else np.iinfo(self.dtype)
            bound = (info.min if largest else info.max) if kind != "f" else (-np.inf if largest else np.inf)
            found = registry.call(function, (self.whole, axes), {"where": mask, "initial": bound, **kwargs})
            some = reduce_or(self.mask, axes=tuple(range(self.mask.ndim)))
            error = "zero_size_maximum" if largest else "zero_size_minimum"
            node = ops.check(found.node, broadcast(some, found.shape, ()), error=error, detail=())
            return wrap(node, scalar=found.scalar)
        return registry.call(function, (self.whole, axes), {"where": mask, **kwargs})


def _refusal(what):
    def method(self, *args):
        self.refuse(f"{what} x[mask] with a traced mask")
    return method


for _name, _what in {"getitem": "an index into", "setitem": "a write into", "len": "the length of",
                     "iter": "iteration over", "bool": "the truth value of", "contains": "a search in"}.items():
    setattr(Selection, f"__{_name}__", _refusal(_what))

_REDUCTIONS = {np.sum: "sum", np.prod: "prod", np.mean: "mean", np.std: "std", np.var: "var", np.any: "any",
               np.all: "all", np.max: "max", np.min: "min"}


def _reduction(function):
    def method(self, axis=None, **kwargs):
        return self.reduce(function, axis, **kwargs)
    method.__doc__ = f"Return ``np.{function.__name__}`` of the selected elements."
    return method


for _function, _name in _REDUCTIONS.items():
    setattr(Selection, _name, _reduction(_function))


def _operators(ufunc):
    def forward(self, other):
        return self.__array_ufunc__(ufunc, "__call__", self, other)

    def reflected(self, other):
        return self.__array_ufunc__(ufunc, "__call__", other, self)

    def in_place(self, other):
        target = self.whole.copy()  # the casting error is NumPy's
        apply_ufunc(ufunc, target, self._operand(other), out=target)
        return self._made(target)
    return forward, reflected, in_place


_BINARY = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "floordiv": np.floor_divide,
           "mod": np.remainder, "pow": np.power, "matmul": np.matmul, "and": np.bitwise_and, "or": np.bitwise_or,
           "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift}
for _name, _ufunc in _BINARY.items():
    for _prefix, _method in zip(("", "r", "i"), _operators(_ufunc)):
        setattr(Selection, f"__{_prefix}{_name}__", _method)
for _name, _ufunc in {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
                      "ge": np.greater_equal}.items():
    setattr(Selection, f"__{_name}__", _operators(_ufunc)[0])
for _name, _ufunc in {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}.items():
    setattr(Selection, f"__{_name}__", lambda self, _ufunc=_ufunc: self.__array_ufunc__(_ufunc, "__call__", self))
