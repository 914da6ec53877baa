"""Walks over elements and broadcasts as objects; views by strides."""

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.trace.numpy.common import refuse_option, static_ints
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer
from tracejit.trace.views import is_value, pick_view

#: Walks over more elements than this write out too much of a graph.
_MOST = 10_000


def _places(shape, what):
    if int(np.prod(shape, dtype=int)) > _MOST:
        raise UnsupportedError(f"{what} over {int(np.prod(shape, dtype=int))} elements of a traced array",
                               where=user_frame(), do="loop over range(n), whose body is compiled once, or use array "
                               "operations")
    return np.ndindex(*shape)


@implements(np.ndenumerate)
class Enumerated:
    """The elements of an array with their positions."""

    def __init__(self, arr):
        self._array = as_tracer(arr)
        self._places = iter(_places(self._array.shape, "np.ndenumerate"))

    def __next__(self):
        place = next(self._places)
        return place, self._array[place] if self._array.ndim else self._array[()]

    def __iter__(self):
        return self


@implements(np.broadcast)
class Broadcast:
    """Arrays broadcast against each other, as an object with their common shape."""

    def __init__(self, *arrays):
        self._arrays = [as_tracer(a) for a in arrays]
        self.shape = np.broadcast_shapes(*(a.shape for a in self._arrays))
        self.nd = self.ndim = len(self.shape)
        self.size = int(np.prod(self.shape, dtype=int))
        self.numiter = len(arrays)

    def __iter__(self):
        arrays = [np.broadcast_to(a, self.shape) for a in self._arrays]
        return iter([tuple(a[place] for a in arrays) for place in _places(self.shape, "np.broadcast")])

    @property
    def iters(self):
        """One iterator per array."""
        return tuple(iter([np.broadcast_to(a, self.shape)[p] for p in _places(self.shape, "np.broadcast")])
                     for a in self._arrays)


@implements(np.nditer, without=("flags", "op_dtypes", "op_axes", "itershape", "buffersize"))
class Walk:
    """The elements of arrays broadcast against each other, as 0-d views, by default as they lie in memory."""

    def __init__(self, op, flags=None, op_flags=None, op_dtypes=None, order="K", casting="safe", op_axes=None,
                 itershape=None, buffersize=0):
        given = {"flags": set(flags or ()) - {"refs_ok", "zerosize_ok", "reduce_ok"}, "op_dtypes": op_dtypes,
                 "op_axes": op_axes, "itershape": itershape, "buffersize": buffersize}
        for name, value in given.items():
            if value:
                refuse_option(np.nditer, f"{name}=", "loop over np.ndindex(x.shape), or use array operations")
        many = isinstance(op, (list, tuple))
        self._arrays = [as_tracer(a) for a in (op if many else (op,))]
        self.shape = np.broadcast_shapes(*(a.shape for a in self._arrays))
        self.operands = tuple(self._arrays)
        _places(self.shape, "np.nditer")
        for a in self._arrays:
            a.look_at_layout()
        # NumPy tells in which order it walks over arrays that lie so; their content is not read
        walk = np.nditer([a.shadow for a in self._arrays], ["multi_index", "zerosize_ok"], order=order)
        self._places = iter([walk.multi_index for _ in walk])
        self._many = many and len(self._arrays) > 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def __iter__(self):
        return self

    def __next__(self):
        place = next(self._places)
        found = []
        for a in self._arrays:
            own = [i if n != 1 else 0 for i, n in zip(place[len(place) - a.ndim:], a.shape)]
            found.append(a[(*own, ...)])
        return tuple(found) if self._many else found[0]


@implements(np.lib.stride_tricks.as_strided, without=("strides of memory that is not in C order",))
def as_strided(x, shape=None, strides=None, subok=False, writeable=True):
    """Return a view with a shape and strides of its own, inside the array."""
    function = np.lib.stride_tricks.as_strided
    x = as_tracer(x)
    shape = x.shape if shape is None else static_ints(shape, "shape", function)
    strides = x.strides if strides is None else static_ints(strides, "strides", function)
    x.look_at_layout()
    if not x.is_c_contiguous():
        refuse_option(function, "an array that is not in C order", "copy it before")
    if any(s % x.dtype.itemsize for s in strides):
        refuse_option(function, "strides that are no multiples of the item size", "view the array as bytes before")
    ends = [(n - 1) * s for n, s in zip(shape, strides)]
    if 0 not in shape and (sum(e for e in ends if e < 0) < 0 or sum(e for e in ends if e > 0) >= max(x.nbytes, 1)):
        refuse_option(function, "elements outside of the array", "take a shape and strides that stay inside")
    steps = [s // x.dtype.itemsize for s in strides]

    def take(array):
        return np.lib.stride_tricks.as_strided(array, shape, [s * array.itemsize for s in steps],
                                               writeable=writeable and array.flags.writeable)
    return pick_view(x if not is_value(x) else x.reshape(1), take)
