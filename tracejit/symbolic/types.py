"""Types of graph values: a dtype and a shape whose entries are ints or dims."""

import operator
import sys
import threading
import weakref

import numpy as np

#: Guards every table of interned objects; re-entrant, because a collection may run finalizers inside it.
interning_lock = threading.RLock()

#: Short names of the dtypes that a graph may hold, as they stand in printed graphs.
DTYPE_NAMES = {
    "bool": "bool", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64",
    "float16": "f16", "float32": "f32", "float64": "f64", "complex64": "c64", "complex128": "c128",
}
DTYPES = {short: np.dtype(name) for name, short in DTYPE_NAMES.items()}
_CANONICAL = {dtype: dtype for dtype in DTYPES.values()}
_SHORT = {dtype: short for short, dtype in DTYPES.items()}

BOOL, I8, I32, I64, U8 = DTYPES["bool"], DTYPES["i8"], DTYPES["i32"], DTYPES["i64"], DTYPES["u8"]
F16, F32, F64, C64, C128 = (DTYPES[s] for s in ("f16", "f32", "f64", "c64", "c128"))

#: The real dtype of the parts of a complex dtype, and the way back.
REAL_OF = {C64: F32, C128: F64}
COMPLEX_OF = {F32: C64, F64: C128}


def dtype_name(dtype):
    """Return the short name of a dtype (``f64``), as printed graphs and generated code use it."""
    return _SHORT.get(dtype) or DTYPE_NAMES[dtype.name]


def supported_dtype(dtype):
    """Return the native dtype object equal to `dtype`, or None where graphs cannot hold it."""
    dtype = np.dtype(dtype)
    return _CANONICAL.get(dtype if dtype.isnative else dtype.newbyteorder("="))


class Type:
    """A dtype and a shape; interned, so equal types are the same object.

    A shape entry is an int, or a *dim*: a rank-0 int64 node known at run time; `is_static` says that all are ints.
    A negative size is a ValueError.
    """

    __slots__ = ("dtype", "shape", "is_static", "__weakref__")
    _interned = weakref.WeakValueDictionary()

    def __new__(cls, dtype, shape=()):
        dtype = _CANONICAL.get(dtype) or _checked_dtype(dtype)
        key = (dtype, shape if type(shape) is tuple else tuple(shape))
        found = cls._interned.get(key)
        if found is None:
            self = object.__new__(cls)
            object.__setattr__(self, "dtype", dtype)
            object.__setattr__(self, "shape", tuple(_entry(n) for n in key[1]))
            object.__setattr__(self, "is_static", all(type(n) is int for n in self.shape))
            with interning_lock:
                found = cls._interned.setdefault((dtype, self.shape), self)
        return found

    def __setattr__(self, name, value):
        raise AttributeError("a Type is immutable")

    def __reduce__(self):
        return Type, (self.dtype, self.shape)

    @property
    def ndim(self):
        """Rank, always static."""
        return len(self.shape)

    @property
    def kind(self):
        """NumPy's kind character of the dtype: one of ``biufc``."""
        return self.dtype.kind

    @property
    def size(self):
        """Number of elements: an int, or a node where a size is a dim."""
        if not self.is_static:
            from tracejit.symbolic import dims  # dims are nodes, and nodes have types

            return dims.product(self.shape)
        total = 1
        for n in self.shape:
            total *= n
        return total

    @property
    def nbytes(self):
        """Number of bytes, as `size`."""
        return self.size * self.dtype.itemsize

    def with_shape(self, shape):
        """Return the type of this dtype and another shape."""
        return Type(self.dtype, tuple(shape))

    def with_dtype(self, dtype):
        """Return the type of this shape and another dtype."""
        return Type(dtype, self.shape)

    def __repr__(self):
        if not self.shape:
            return dtype_name(self.dtype)
        return f"{dtype_name(self.dtype)}[{','.join(str(n) if type(n) is int else '?' for n in self.shape)}]"


def _entry(n):
    """Return a shape entry: a dim that is a literal is an int."""
    if not hasattr(n, "op"):
        n = operator.index(n)
        if n < 0:
            raise ValueError("negative dimensions are not allowed")
        return n
    if n.op.name == "const":
        return int.from_bytes(n.attr("data"), sys.byteorder, signed=True)
    if n.type is not Type(I64):
        raise TypeError(f"a dim is a rank-0 int64 node, not {n.type}")
    return n


class _Unknown:
    """The type of a pattern's nodes; whatever an op makes of it is unknown too."""

    __slots__ = ()
    dtype = shape = kind = None
    ndim = 0

    def __repr__(self):
        return "?"


UNKNOWN = _Unknown()


def _checked_dtype(dtype):
    found = supported_dtype(dtype)
    if found is None:
        raise TypeError(f"dtype {np.dtype(dtype)} has no place in a graph")
    return found


def type_of(value):
    """Return the Type of an array or NumPy scalar."""
    value = np.asarray(value)
    return Type(value.dtype, value.shape)


def span(shape, strides):
    """Return the number of elements from the first to the last one of an array, those between them, too."""
    return 1 + sum((n - 1) * s for n, s in zip(shape, strides))


def spanned(x, strides):
    """Return the memory of an array of these strides, in elements, from its first to its last element, as a vector."""
    return np.lib.stride_tricks.as_strided(x, (span(x.shape, strides),), (x.itemsize,))
