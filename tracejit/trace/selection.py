"""``x[mask]`` for a mask that is known only at run time: its elements, before anybody asks how many they are.

Elementwise work, masked writes and reductions need no size: they are done on the whole array, and the mask decides at
the end. Everything else asks for the number, and goes on with an ordinary array.
"""

import operator

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.index import gather
from tracejit.symbolic.ops.reduce import reduce_or
from tracejit.symbolic.ops.shape import broadcast, transpose
from tracejit.trace.masks import coordinates, positions
from tracejit.trace.numpy import registry
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.tracer import Tracer, as_tracer, wrap


class Selection:
    """The elements that a traced mask selects, as the whole array and the mask.

    Parameters
    ----------
    whole : Tracer
        A copy of the array, with the mask's axes from `axis` on.
    mask : Node
        The bools.
    """

    __slots__ = ("whole", "mask", "axis", "_array", "_asked")
    __array_priority__ = Tracer.__array_priority__ + 1
    __hash__ = None
    weak = scalar = False

    def __init__(self, whole, mask, axis):
        self.whole, self.mask, self.axis = whole, mask, axis
        self._array, self._asked = None, False

    def array(self):
        """Return the elements as a Tracer; from here on they are an ordinary array."""
        self._asked = True
        return self._memory()

    def _memory(self):
        """Return the elements' own array, which lives where the whole does: a branch or loop may be first to ask.

        It begins with what the whole did, so that whatever they put back of their writes, it is put back in both.
        """
        if self._array is None:
            storage = self.whole._storage
            self._array = wrap(self._elements(storage.variable), trace=storage.trace)
        return self._array

    def _elements(self, node):
        """Return what the mask selects from a node of the whole's shape."""
        along = range(self.axis, self.axis + self.mask.ndim)
        front = [*along, *(a for a in range(node.ndim) if a not in along)]
        found = gather(transpose(node, front), *coordinates(positions(self.mask), self.mask.shape))
        return transpose(found, [*range(1, self.axis + 1), 0, *range(self.axis + 1, found.ndim)])

    def is_whole(self):
        """Return whether the whole array and the mask still tell all: branches and loops join the elements only."""
        return not self._asked and (
            self._array is None or self._array.node is self._elements(self.whole.node))

    @property
    def dtype(self):
        """Dtype of the elements."""
        return self.whole.dtype

    @property
    def ndim(self):
        """Rank of the result."""
        return self._array.ndim if self._asked else self.whole.ndim - self.mask.ndim + 1

    def matches(self, mask, axis, shape):
        """Return whether these elements have their places at another mask's."""
        return self.is_whole() and self.mask is mask and self.axis == axis and self.whole.type.shape == shape

    def __tracejit_array__(self, trace):
        return self.array()

    def __array__(self, dtype=None, copy=None):
        return self.array().__array__(dtype, copy)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.array(), name)

    def __setattr__(self, name, value):
        if name in Selection.__slots__:
            object.__setattr__(self, name, value)
        else:  # `real`, `flat`, ...
            setattr(self.array(), name, value)

    # ------------------------------------------------------------ element by element
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method == "__call__" and len(inputs) > ufunc.nin:  # traced code hands them on as they are written
            inputs, kwargs["out"] = inputs[:ufunc.nin], inputs[ufunc.nin:]
        operands = None
        if method == "__call__" and ufunc.signature is None and kwargs.get("out") is None and "where" not in kwargs:
            operands = self._operands(inputs)
        if operands is not None:
            return self._made(apply_ufunc(ufunc, *operands, **kwargs))
        inputs = [x.array() if isinstance(x, Selection) else x for x in inputs]
        if kwargs.get("out") is not None:
            outs = kwargs["out"] if isinstance(kwargs["out"], tuple) else (kwargs["out"],)
            kwargs["out"] = tuple(o.array() if isinstance(o, Selection) else o for o in outs)
        return self.array().__array_ufunc__(ufunc, method, *inputs, **kwargs)

    def _made(self, result):
        if isinstance(result, tuple):
            return tuple(map(self._made, result))
        return Selection(result, self.mask, self.axis)

    def _operands(self, inputs):
        """Return the operands that go with the whole array, or None where the elements have to be counted."""
        if not self.is_whole():
            return None
        found = [self._operand(x) for x in inputs]
        return None if any(x is None for x in found) else found

    def _operand(self, x):
        """Return an operand that goes with the whole array, or None: elements of another mask, an array along them."""
        if isinstance(x, Selection):
            return x.whole if x.matches(self.mask, self.axis, self.whole.type.shape) else None
        if isinstance(x, (bool, int, float, complex)):
            return x
        if x is None:
            return None
        x = as_tracer(x)
        return x if x.ndim <= self.whole.ndim - self.axis - self.mask.ndim else None

    def copy(self, order="C"):
        """Return a copy."""
        return self._made(self.whole.copy()) if self.is_whole() else self.array().copy(order)

    def astype(self, dtype, *args, **kwargs):
        """Return the elements converted."""
        if not self.is_whole():
            return self.array().astype(dtype, *args, **kwargs)
        made = self.whole.astype(dtype, *args, **kwargs)
        return self if made is self.whole else self._made(made)

    def update(self, ufunc, other):
        """Do ``self = ufunc(self, other)`` in place."""
        operand = self._operand(other) if self.is_whole() else None
        if operand is None:
            array = self.array()
            apply_ufunc(ufunc, array, other, out=array)
        else:
            array = self._memory()
            apply_ufunc(ufunc, self.whole, operand, out=self.whole)  # the casting error is NumPy's
            array._write(self._elements(self.whole.node))
        return self

    # ------------------------------------------------------------ reductions
    def __array_function__(self, function, types, args, kwargs):
        if function in _REDUCTIONS and args and args[0] is self:
            return self.reduce(function, *args[1:], **kwargs)
        if function in _ELEMENTWISE and not any(isinstance(v, (Selection, Tracer, np.ndarray))
                                                for v in kwargs.values()):
            operands = self._operands(args) if len(args) != 1 or function is not np.where else None
            if operands is not None:
                made = registry.call(function, operands, kwargs)
                if made._storage is not self.whole._storage:  # np.real gives a view
                    return self._made(made)
        return registry.call(function, args, kwargs)

    def reduce(self, function, axis=None, **kwargs):
        """Return NumPy's reduction over the selected elements (axis None or theirs), with ``where=mask``."""
        simple = self.is_whole() and "where" not in kwargs and kwargs.get("out") is None
        extreme = function in (np.max, np.min) and "initial" not in kwargs
        along = axis is None or isinstance(axis, int) and self.ndim > 0 and axis % self.ndim == self.axis
        if not simple or not along or extreme and self.dtype.kind not in "iuf":
            return registry.call(function, (self.array(), axis), kwargs)
        shape = self.whole.type.shape
        places = range(self.axis, self.axis + self.mask.ndim)
        axes = tuple(range(len(shape))) if axis is None else tuple(places)
        keepdims = kwargs.pop("keepdims", False) is True
        mask = wrap(broadcast(self.mask, shape, places))
        if extreme:
            largest = function is np.max
            kind = self.dtype.kind
            info = np.finfo(self.dtype) if kind == "f" else np.iinfo(self.dtype)
            bound = (info.min if largest else info.max) if kind != "f" else (-np.inf if largest else np.inf)
            found = registry.call(function, (self.whole, axes), {"where": mask, "initial": bound, **kwargs})
            some = reduce_or(self.mask, axes=tuple(range(self.mask.ndim)))
            error = "zero_size_maximum" if largest else "zero_size_minimum"
            node = ops.check(found.node, broadcast(some, found.type.shape, ()), error=error, detail=())
            found = wrap(node, scalar=found.scalar)
        else:
            found = registry.call(function, (self.whole, axes), {"where": mask, **kwargs})
        return found if not keepdims else np.expand_dims(found, tuple(range(self.ndim)) if axis is None else self.axis)


#: Functions of NumPy's that work element by element on all of their arguments.
_ELEMENTWISE = {np.where, np.clip, np.round, np.around, np.fix, np.nan_to_num, np.real, np.imag, np.angle, np.sinc,
                np.isclose, np.isreal, np.iscomplex, np.isposinf, np.isneginf, np.i0}


def _counted(operate):
    def method(self, *args):
        return operate(self.array(), *args)
    return method


for _name, _operate in {"getitem": operator.getitem, "setitem": operator.setitem, "len": len, "iter": iter,
                        "bool": bool, "contains": operator.contains, "int": int, "float": float, "complex": complex,
                        "index": operator.index}.items():
    setattr(Selection, f"__{_name}__", _counted(_operate))

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
        return self.update(ufunc, other)
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
