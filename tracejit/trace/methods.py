"""Methods and attributes of ndarray on tracers. Those that NumPy also has as functions delegate to the chapters."""

import math
import operator

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.ops.shape import zeros
from tracejit.symbolic.types import BOOL, I64, Type, supported_dtype
from tracejit.trace import protocol  # noqa: F401  attaches the operators
from tracejit.trace.bits import resized_view, swapped
from tracejit.trace.floating import DISCARDED
from tracejit.trace.indexing import getitem, setitem
from tracejit.trace.numpy import registry
from tracejit.trace.numpy.common import fresh
from tracejit.trace.numpy.refusals import REFUSALS
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.settle import settled
from tracejit.trace.sizes import integer_of, public
from tracejit.trace.texts import shown
from tracejit.trace.tracer import PYTHON_DTYPES, Tracer, as_tracer, current_trace, wrap
from tracejit.trace.values import concrete, number
from tracejit.trace.views import (
    Reshape,
    bitcast_view,
    imag_view,
    is_packed,
    is_value,
    moved,
    real_view,
    reshape_view,
    transpose_view,
    view,
)

#: Iterating over more rows than this writes out too much of a graph.
_UNROLLED = 10_000


def attach():
    """Give Tracer the methods and attributes of this module (on import; calling it again changes nothing)."""
    for name, value in _METHODS.items():
        setattr(Tracer, name, value)
    for name, function in _DELEGATED.items():
        setattr(Tracer, name, _delegate(name, function))


def _delegate(name, function):
    def method(self, *args, **kwargs):
        return registry.call(function, (self, *args), kwargs)
    method.__name__ = name
    method.__doc__ = f"Return ``np.{function.__name__}`` of this array."
    return method


#: ndarray's methods that take the arguments of NumPy's function after the array.
_DELEGATED = {name: getattr(np, name) for name in (
    "sum all any max min mean prod std var argmax argmin argsort argpartition cumsum cumprod round clip trace take "
    "choose put repeat searchsorted nonzero diagonal swapaxes squeeze dot").split()}


# ---------------------------------------------------------------- attributes
def _layout(name):
    def get(self):
        self.look_at_layout()
        if is_value(self):
            return getattr(self.dtype.type(0), name)
        found = settled(self, f"ndarray.{name}")
        value = getattr(found.shadow, name)
        return _Flags(value) if name == "flags" and found is not self else value
    return property(get, doc=f"NumPy's ``{name}``.")


class _Flags:
    """The flags of an array whose size only the compiled function knows: they cannot be set."""

    def __init__(self, flags):
        object.__setattr__(self, "_flags", flags)

    def __getattr__(self, name):
        return getattr(self._flags, name)

    def __getitem__(self, name):
        return self._flags[name]

    def __setattr__(self, name, value):
        raise UnsupportedError(f"setting the flag {name} of an array whose size only the compiled function knows",
                               where=user_frame(), do="set it on the result, outside the jitted function")

    __setitem__ = __setattr__

    def __repr__(self):
        return repr(self._flags)


def _set_shape(self, shape):
    turned = reshape_view(self, shape)
    if turned._storage is not self._storage:
        raise AttributeError("Incompatible shape for in-place modification. Use `.reshape()` to make a copy with the "
                             "desired shape.")
    self._steps, self._view_shadow, self._kind = turned._steps, turned._view_shadow, turned._kind
    self._cache = None, None


def _matrix_transpose(self):
    if is_value(self):
        raise AttributeError(f"'{_type_name(self)}' object has no attribute 'mT'")
    if self.ndim < 2:
        raise ValueError("matrix transpose with ndim < 2 is undefined")
    return transpose_view(self, (*range(self.ndim - 2), self.ndim - 1, self.ndim - 2))


def _set_imag(self, value):
    if self.dtype.kind != "c":
        raise TypeError("array does not have imaginary part to set")
    setitem(imag_view(self), ..., value)


class Flat:
    """``x.flat``: the elements in C order, to read, write and iterate."""

    __slots__ = ("_array",)

    def __init__(self, array):
        self._array = array

    def __getitem__(self, index):
        out = self._array.reshape(-1)[index]
        return out if is_value(out) else out.copy()

    def __setitem__(self, index, value):
        x = _written(self._array)
        flat = wrap(reshape_view(x, -1).node)
        target = flat[index]
        if isinstance(target, Tracer) and target.ndim == 1:
            value = as_tracer(value).reshape(-1)
            if 0 < value.size != target.size:
                value = value[np.arange(target.size) % value.size]
        setitem(flat, index, value)
        x._write(reshape_view(flat, x.type.shape).node)

    def __iter__(self):
        return iter(self.copy())

    def __len__(self):
        return self._array.size

    def copy(self):
        """Return the elements as a new array of rank 1."""
        return self._array.flatten()

    @property
    def base(self):
        """The array itself."""
        return self._array

    def __tracejit_array__(self, trace):
        return self.copy()


# ---------------------------------------------------------------- Python's protocols
def _len(self):
    if self.ndim == 0:
        raise TypeError("len() of unsized object" if not is_value(self) else
                        f"object of type '{_type_name(self)}' has no len()")
    return self.shape[0]


def _type_name(self):
    return self.python_type.__name__ if self.weak else f"numpy.{self.dtype.type.__name__}"


def _iter(self):
    if self.ndim == 0:
        what = f"'{_type_name(self)}' object is not iterable"
        raise TypeError(what if is_value(self) else "iteration over a 0-d array")
    return _rows(self)


def _rows(x):
    """Yield the rows of an array, each as it is asked for."""
    for k in range(x.shape[0]):
        if k >= _UNROLLED:
            raise UnsupportedError(f"a Python loop over the {x.shape[0]} rows of a traced array of type {x.type}",
                                   where=user_frame(), do="write it with array operations, or with tracejit.scan")
        yield x[k]


def _contains(self, value):
    return bool(registry.call(np.any, (apply_ufunc(np.equal, self, value),), {}))


def _bool(self):
    if self.size != 1:
        if self.size == 0:
            raise ValueError("The truth value of an empty array is ambiguous. Use `array.size > 0` to check that an "
                             "array is not empty.")
        raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
    return bool(concrete(self, "the truth value"))


def _to_number(convert, what):
    def method(self):
        if self.size != 1 or self.ndim:
            if self.size == 1:
                return convert(concrete(self, what).reshape(()))
            raise TypeError("only length-1 arrays can be converted to Python scalars")
        return convert(concrete(self, what))
    return method


def _int(self):
    if self.dtype.kind == "f" and self.ndim == 0:
        # other values of the same whole number are the same choice
        whole = int(concrete(wrap(cast(self.node, I64)), "int()"))
        if whole != np.iinfo(np.int64).min:  # which nan and what no int64 holds becomes
            return whole
    return _to_number(int, "int()")(self)


def _index(self):
    if self.dtype.kind not in "iu" or self.ndim:
        raise TypeError("only integer scalar arrays can be converted to a scalar index")
    return operator.index(concrete(self, "the integer value")[()])


def _array(self, dtype=None, copy=None):
    return concrete(self, "the content").astype(dtype or self.dtype)


def _repr(self):
    kind = " (Python number)" if self.weak else " (scalar)" if self.scalar else ""
    if not self._storage.trace.alive:
        kind += " of a trace that has ended"
    return f"Tracer<{self.type}>{kind}"


def _delitem(self, index):
    raise ValueError("cannot delete array elements")


def _no_attribute(self, name):
    """A number has what NumPy's or Python's numbers have, for the value of this call: ``x[0].as_integer_ratio()``."""
    kind = self.python_type if self.weak else self.dtype.type if self.scalar else np.ndarray
    if name.startswith("__") or kind is np.ndarray or not hasattr(kind, name):
        kind = _type_name(self) if is_value(self) else "numpy.ndarray"
        raise AttributeError(f"'{kind}' object has no attribute '{name}'")
    return getattr(number(self, f"{kind.__name__}.{name}"), name)


def _text(self, spec=""):
    """Return the text of what this call has in the place of a tracer; that of other values is another variant."""
    return format(shown(self), spec) if self._storage.trace.alive else _repr(self)


def _refuse_pickle(self, version=None):
    raise UnsupportedError(f"pickling of a traced array of type {self.type}", where=user_frame(),
                           do="pickle results outside the jitted function")


def _whole_number(ufunc):
    def method(self):
        return wrap(cast(apply_ufunc(ufunc, self).node, I64), weak=True)
    return method


def _round(self, digits=None):
    if digits is None and is_value(self):
        return wrap(cast(apply_ufunc(np.rint, self).node, I64), weak=True)
    out = registry.call(np.round, (self, digits or 0), {})
    return wrap(out.node, weak=True) if self.weak else out


# ---------------------------------------------------------------- methods that are ndarray's own
def _astype(self, dtype, order="K", casting="unsafe", subok=True, copy=True):
    target = dtype_of(dtype)
    if not np.can_cast(self.dtype, target, casting):
        raise TypeError(f"Cannot cast array data from {self.dtype!r} to {target!r} according to the rule {casting!r}")
    if not copy and target == self.dtype:
        return self
    return fresh(converted(self.node, target), order, self, is_value(self))


def dtype_of(dtype):
    """Return a dtype that graphs hold, or raise the error that names it."""
    found = supported_dtype(dtype)
    if found is None:
        raise UnsupportedError(f"conversion of a traced array to dtype {np.dtype(dtype)}", where=user_frame(),
                               do="use a bool, integer, float or complex dtype of at most 64 bits (128 if complex)")
    return found


def converted(node, dtype):
    """Return a node cast as ``astype`` casts: complex numbers lose their imaginary part."""
    if node.dtype.kind == "c" and dtype.kind != "c" and dtype != BOOL:
        current_trace().notice(DISCARDED, np.exceptions.ComplexWarning)
        node = ops.real(node)
    return cast(node, dtype)


def _copy(self, order="C"):
    return fresh(self.node, order, self, is_value(self))


def _reshape(self, *shape, order="C", copy=None):
    shape = shape[0] if len(shape) == 1 else shape
    shape = tuple(map(_size, shape)) if isinstance(shape, (tuple, list)) else _size(shape)
    out = reshape_view(self, shape, order)
    copied = out._storage is not self._storage
    if copy is False and copied and not is_value(self):
        raise ValueError("Unable to avoid creating a copy while reshaping.")
    return _copy(out) if copy and not copied else out


def _size(n):
    return integer_of(n, "a size") if isinstance(n, Tracer) else n


def _ravel(self, order="C"):
    if order in ("A", "K"):
        self = settled(self, f"ravel(order={order!r})")
    if not self.type.is_static:
        out = reshape_view(self, -1, "F" if order == "F" else "C")
        return out if is_packed(self) and (order != "F" or self.ndim <= 1) else wrap(out.node)
    flags = self.shadow.flags if order in "CF" else self.flags
    if order == "K" and not flags.c_contiguous:
        # as the elements lie in memory
        axes = sorted(range(self.ndim), key=lambda a: -abs(self.strides[a]))
        return _ravel(transpose_view(self, tuple(axes)))
    if order == "A":
        order = "F" if flags.f_contiguous and not flags.c_contiguous else "C"
    out = reshape_view(self, -1, "C" if order == "K" else order)
    # a view where the elements lie side by side, and only there
    packed = flags.f_contiguous and order == "F" or flags.c_contiguous and order in "CK"
    return out if packed or out._storage is not self._storage else moved(self, wrap(out.node))


def _flatten(self, order="C"):
    return wrap(_ravel(self, order).node)


def _transpose(self, *axes):
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
        axes, = axes
    return transpose_view(self, axes or None)


def _view(self, dtype=None, type=None):
    if dtype is np.ndarray or type is np.ndarray:
        dtype = None
    if dtype is None:
        return view(self, Reshape(self.type.shape), self.shadow if self.type.is_static else None)
    target = dtype_of(dtype)
    return bitcast_view(self, target) if target.itemsize == self.dtype.itemsize else resized_view(self, target)


def _written(x):
    """Return the array that a method writes to: of a NumPy scalar a copy, as in NumPy."""
    return wrap(x.node) if x.scalar else x


def _fill(self, value):
    setitem(_written(self), ..., value)


def _sort(self, axis=-1, kind=None, order=None, *, stable=None):
    setitem(self, ..., registry.call(np.sort, (self, axis), {"kind": kind, "stable": stable}))


def _partition(self, kth, axis=-1, kind="introselect", order=None):
    setitem(self, ..., registry.call(np.partition, (self, kth, axis), {}))


def _compress(self, condition, axis=None, out=None):
    return registry.call(np.compress, (condition, self, axis, out), {})


def _item(self, *args):
    if args:
        index = args[0] if len(args) == 1 else args
        return _item(self.reshape(-1)[index] if not isinstance(index, tuple) else self[index])
    if self.size != 1:
        raise ValueError("can only convert an array of size 1 to a Python scalar")
    node = reshape_view(self, ()).node
    number = PYTHON_DTYPES[self.python_type]
    return wrap(cast(node, number), weak=True)


def _tolist(self):
    if self.ndim == 0:
        return self.item()
    return [row.tolist() for row in self]


def _conj(self, *args, **kwargs):
    return apply_ufunc(np.conjugate, self, *args, **kwargs)


def _byteswap(self, inplace=False):
    node = swapped(self.node)
    if not inplace:
        return fresh(node, "K", self, is_value(self))
    self._write(node)
    return self


def _resize(self, *new_shape, refcheck=True):
    if not new_shape or new_shape == (None,):
        return
    if self.scalar:
        return  # NumPy changes the size of a copy
    if self._steps:
        raise ValueError("cannot resize this array: it does not own its data")
    if self._storage.origin is not None:
        raise ValueError("cannot resize an array that references or is referenced\nby another array in this way.\n"
                         "Use the np.resize function or refcheck=False")
    shape = new_shape[0] if len(new_shape) == 1 and isinstance(new_shape[0], (tuple, list)) else new_shape
    shape = tuple(map(_size, shape))
    flat, size = self.reshape(-1), math.prod(shape)
    if size > self.size:
        flat = registry.call(np.concatenate, ((flat, wrap(zeros(Type(self.dtype, (size - self.size,))))),), {})
    made = flat[:size].reshape(shape)
    self._storage, self._steps, self._view_shadow, self._kind = wrap(made.node)._storage, (), None, None
    self._cache = None, None


def _setflags(self, write=None, align=None, uic=None):
    if write is None:
        return
    shadow = self.shadow.view()
    if write and self._storage.readonly:
        raise ValueError("cannot set WRITEABLE flag to True of this array")
    shadow.flags.writeable = bool(write)
    self._view_shadow = shadow


def _refused(name):
    reason, do = REFUSALS[f"ndarray.{name}"]

    def refuse(self):
        raise UnsupportedError(f"ndarray.{name} of a traced array of type {self.type}: {reason}", where=user_frame(),
                               do=do)
    return property(refuse, doc="Refuse.")


def _bytes_method(name):
    def method(self, *args, **kwargs):
        return getattr(concrete(self, f"ndarray.{name}"), name)(*args, **kwargs)
    return method


def _is_integer(self):
    if self.dtype.kind in "iu":
        return True
    finite = apply_ufunc(np.isfinite, self)
    return apply_ufunc(np.logical_and, finite, apply_ufunc(np.equal, apply_ufunc(np.floor, self), self))


def _namespace(self, *, api_version=None):
    """Return the namespace in which functions that tracing does not convert find what takes traced arrays."""
    from tracejit.trace.numpy.namespace import namespace  # its chapters need the methods that this module attaches

    np.empty(0).__array_namespace__(api_version=api_version)  # NumPy's error for a version that it does not know
    return namespace(np)


def _dlpack(self, *args, **kwargs):
    raise UnsupportedError(f"__dlpack__ of a traced array of type {self.type}: its memory is not there yet",
                           where=user_frame(), do="hand the array to another library outside the jitted function")


def _part(name, get, put, doc):
    """Return the property of an array that can be assigned to, but not where it is a NumPy scalar's."""
    def assign(self, value):
        if is_value(self):
            raise AttributeError(f"attribute '{name}' of 'numpy.generic' objects is not writable")
        put(self, value)
    return property(get, assign, doc=doc)


_METHODS = {
    "shape": property(lambda self: tuple(map(public, self.type.shape)), _set_shape, doc="Shape, as NumPy gives it."),
    "strides": _layout("strides"),
    "nbytes": property(lambda self: self.size * self.dtype.itemsize, doc="Bytes of the elements."),
    "itemsize": property(lambda self: self.dtype.itemsize, doc="Bytes of an element."),
    "flags": _layout("flags"),
    "T": property(transpose_view, doc="The array with its axes reversed."),
    "mT": property(_matrix_transpose, doc="The array with its last two axes swapped."),
    "real": _part("real", real_view, lambda self, value: setitem(real_view(self), ..., value), "The real parts."),
    "imag": _part("imag", imag_view, _set_imag, "The imaginary parts."),
    "flat": _part("flat", Flat, lambda self, value: Flat(self).__setitem__(slice(None), value), "The elements."),
    "base": property(lambda self: Tracer(self._storage) if self._steps else None, doc="What this is a view of."),
    "device": property(lambda self: "cpu", doc="Where NumPy's arrays are."),
    "__getitem__": getitem, "__setitem__": setitem, "__delitem__": _delitem, "__getattr__": _no_attribute,
    "__len__": _len, "__iter__": _iter, "__contains__": _contains,
    "__bool__": _bool, "__int__": _int, "__float__": _to_number(float, "float()"),
    "__complex__": _to_number(complex, "complex()"), "__index__": _index, "__array__": _array,
    "__repr__": _repr, "__str__": _text, "__format__": _text,
    "__reduce_ex__": _refuse_pickle, "__copy__": lambda self: self if self.weak else _copy(self),
    "__deepcopy__": lambda self, memo: self if self.weak else _copy(self, "K"),
    "__floor__": _whole_number(np.floor), "__ceil__": _whole_number(np.ceil), "__trunc__": _whole_number(np.trunc),
    "__round__": _round, "__array_namespace__": _namespace, "__dlpack__": _dlpack, "__dlpack_device__": _dlpack,
    "astype": _astype, "copy": _copy, "reshape": _reshape, "ravel": _ravel, "flatten": _flatten,
    "transpose": _transpose, "view": _view, "fill": _fill, "sort": _sort, "partition": _partition,
    "compress": _compress, "item": _item, "tolist": _tolist, "conj": _conj, "conjugate": _conj,
    "is_integer": _is_integer,
    "to_device": lambda self, device, *, stream=None: self,
    "tobytes": _bytes_method("tobytes"), "dumps": _bytes_method("dumps"),
    "resize": _resize, "byteswap": _byteswap, "setflags": _setflags,
    **{name.partition(".")[2]: _refused(name.partition(".")[2]) for name in REFUSALS if name.startswith("ndarray.")},
}


