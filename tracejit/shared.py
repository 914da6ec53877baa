"""Shared variables: arrays that keep their state between calls of jitted functions."""

import itertools
import operator

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.types import supported_dtype
from tracejit.trace.tracer import Tracer, as_tracer, current_trace

__all__ = ["Shared", "shared"]

_numbers = itertools.count()


class Shared(NDArrayOperatorsMixin):
    """State that lives between calls; inside a jitted function it reads and is written as an array.

    ``w[...] = w - lr * g`` inside a jitted function is a new value in a pure graph, written back when the call ends;
    a call that raises writes nothing. Dtype and shape stay as they are made. Outside, `get_value` and
    `set_value` copy, so no caller sees a half-written state.
    """

    __array_priority__ = 1000

    def __init__(self, value, name=None):
        array = np.array(value, order="C")
        if supported_dtype(array.dtype) is None:
            raise UnsupportedError(f"a shared variable of dtype {array.dtype}", where=user_frame(),
                                   do="Use a Boolean, integer, floating or complex dtype.")
        # The dispatcher reads this attribute at each call; an update replaces the array as a whole.
        self._data = np.ascontiguousarray(array, supported_dtype(array.dtype)).reshape(array.shape)
        self.name = name or f"shared_{next(_numbers)}"

    def get_value(self):
        """Return a copy of the value: an array, or a NumPy scalar where the variable is 0-d."""
        return self._data.copy()[()]

    def set_value(self, value):
        """Replace the value by a copy of `value`, converted to the variable's dtype.

        Raises
        ------
        ValueError
            Where the shape differs.
        TypeError
            Where the dtype would not convert under NumPy's "same_kind" rule.
        """
        array = np.asarray(value)
        if array.shape != self._data.shape:
            raise ValueError(f"shared variable {self.name!r} has shape {self._data.shape}, the value {array.shape}")
        self._data = array.astype(self._data.dtype, order="C", casting="same_kind", copy=True)

    @property
    def dtype(self):
        """Dtype, fixed."""
        return self._data.dtype

    @property
    def shape(self):
        """Shape, fixed."""
        return self._data.shape

    @property
    def ndim(self):
        """Number of axes."""
        return self._data.ndim

    @property
    def size(self):
        """Number of elements."""
        return self._data.size

    def __tracejit_array__(self, trace):
        """Return the tracer that stands for the variable in a trace, which captures it by reference."""
        return Tracer(trace.capture(self._data, key=self))

    def _here(self):
        """Return what stands for the variable at this moment: its tracer inside a trace, else its array."""
        return as_tracer(self) if current_trace() is not None else self._data

    def __array__(self, dtype=None, copy=None):
        return np.array(self._here(), dtype=dtype, copy=True if copy is None else copy)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        strip = lambda x: x._here() if isinstance(x, Shared) else x
        out = kwargs.get("out")
        if out is not None:
            kwargs["out"] = tuple(strip(x) for x in out)
        result = getattr(ufunc, method)(*map(strip, inputs), **kwargs)
        # `w -= g` gives back the variable, not what stands for it
        return out[0] if out is not None and len(out) == 1 and isinstance(out[0], Shared) else result

    def __array_function__(self, function, types, args, kwargs):
        strip = lambda x: (x._here() if isinstance(x, Shared) else type(x)(map(strip, x))
                           if type(x) in (list, tuple) else x)
        return function(*map(strip, args), **{k: strip(v) for k, v in kwargs.items()})

    def __getitem__(self, index):
        value = self._here()[index]
        return value.copy() if isinstance(value, np.ndarray) else value

    def __setitem__(self, index, value):
        if current_trace() is None:
            # written into a copy, so that a failing conversion leaves the old value
            changed = self._data.copy()
            changed[index] = value._data if isinstance(value, Shared) else value
            self._data = changed
        else:
            self._here()[index] = value

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        here = self._here()
        return getattr(here if current_trace() is not None else here.copy(), name)

    def __len__(self):
        return len(self._data)

    def __iter__(self):
        return iter(self._here() if current_trace() is not None else self._data.copy())

    def __float__(self):
        return float(self._here())

    def __int__(self):
        return int(self._here())

    def __index__(self):
        return operator.index(self._here())

    def __bool__(self):
        return bool(self._here())

    def __reduce__(self):
        return Shared, (self._data, self.name)

    def __repr__(self):
        return f"<Shared {self.name}: {self._data!r}>"


def shared(value, name=None):
    """Return a shared variable holding a copy of `value`.

    Parameters
    ----------
    value : array_like
        Initial value; its dtype and shape are the variable's for good.
    name : str, optional
        For messages and printed graphs.
    """
    return Shared(value, name)
