"""Sparse arrays and matrices of SciPy's in traced code: their parts are tracers, their class and shape are known.

As arguments and results they are containers like any other (`tree`), of the numbers and the positions. What can be
done with them is attached by `numpy.sparse_methods`.
"""

import functools
import operator
import sys

import numpy as np

from tracejit import tree
from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ir import const
from tracejit.trace.tracer import capture, wrap

#: The parts of a container, by its format, as SciPy names them.
PARTS = {"csr": ("data", "indices", "indptr"), "csc": ("data", "indices", "indptr"), "coo": ("data", "row", "col"),
         "dia": ("data", "offsets")}
#: Formats that have no counterpart here; as arguments they are converted.
_OTHERS = ("bsr", "lil", "dok")
#: Elements up to which an array is a literal of the graph.
_SMALL = 64


class SparseTracer:
    """A sparse array of two axes whose content is known only when the compiled function runs.

    Attributes
    ----------
    container : type
        SciPy's class that it stands for.
    shape : tuple of int
    parts : tuple
        Tracers of the numbers and positions, named by ``PARTS[format]``.
    outside : bool
        Whether it was there before the trace, so that its parts cannot be exchanged.
    """

    __slots__ = ("container", "shape", "parts", "outside")
    __array_ufunc__ = None  # NumPy leaves operators to this class
    __array_priority__ = 2_000_000.0
    __hash__ = object.__hash__
    ndim = 2

    def __init__(self, container, shape, parts, outside=False):
        self.container, self.shape, self.parts, self.outside = container, tuple(shape), tuple(parts), outside

    @property
    def format(self):
        """SciPy's three letters for how the numbers are kept."""
        return format_of(self.container)

    @property
    def is_array(self):
        """Whether it is a sparse array rather than a sparse matrix, whose `*` is a matrix product."""
        return self.container.__name__.endswith("array")

    @property
    def data(self):
        """The numbers."""
        return self.parts[0]

    @data.setter
    def data(self, value):
        # `A.data *= 2` writes into the array, and then sets it
        if value is not self.parts[0] and self.outside:
            raise UnsupportedError("another array as the data of a sparse array from outside a traced function",
                                   where=user_frame(), do="write into it with A.data[:] = ..., or return a new one")
        self.parts = (value, *self.parts[1:])

    def sibling(self, form):
        """Return SciPy's class for another format, array or matrix as this one is."""
        return container(form, self.is_array)

    def with_data(self, data):
        """Return one of the same pattern with other numbers."""
        return SparseTracer(self.container, self.shape, (data, *self.parts[1:]))

    def __bool__(self):
        raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all().")

    def __repr__(self):
        return f"<traced {self.container.__name__} of shape {self.shape}>"


def container(form, is_array):
    """Return SciPy's class of a format."""
    return getattr(sys.modules["scipy.sparse"], f"{form}_{'array' if is_array else 'matrix'}")


def format_of(cls):
    """Return the three letters of the format of one of SciPy's classes."""
    return cls.__name__.partition("_")[0]


def is_sparse_class(cls):
    """Return whether a class is one of SciPy's sparse arrays or matrices."""
    form, _, kind = cls.__name__.partition("_")
    return kind in ("array", "matrix") and form in (*PARTS, *_OTHERS) and cls.__module__.startswith("scipy.sparse.")


def from_outside(x, twin, note):
    """Return the stand-in for a sparse array from outside the trace; its parts are captures, each at a noted place."""
    form = format_of(type(x))
    _require(x, form in PARTS, "convert it with .tocsr() outside the jitted function")
    for name in ("shape", *PARTS[form]):
        note("attr", x, name, getattr(x, name))
    return SparseTracer(type(x), x.shape, [twin(getattr(x, name)) for name in PARTS[form]], outside=True)


def literal(x):
    """Return the stand-in for a sparse array that is the same at each call."""
    x = _plain(x)
    parts = [getattr(x, name) for name in PARTS[format_of(type(x))]]
    # large arrays are no part of the code
    return SparseTracer(type(x), x.shape, [capture(p) if p.size > _SMALL else wrap(const(p)) for p in parts])


def restored(cls, shape, parts):
    """Return SciPy's own object of parts that are arrays."""
    if format_of(cls) == "coo":
        return cls((parts[0], tuple(parts[1:])), shape=shape)
    return cls(tuple(parts), shape=shape)


# ---------------------------------------------------------------- as containers
def _plain(x):
    """Return a sparse array in a format that is traced, with as many numbers as places."""
    _require(x, x.ndim == 2, "use one of two axes, or a dense array")
    form = format_of(type(x))
    if form not in PARTS:
        x = x.tocsr()
    elif form in ("csr", "csc") and len(x.indices) != x.indptr[-1]:
        x = x.copy()
        x.prune()
    return x


def _require(x, ok, do):
    if not ok:
        raise UnsupportedError(f"a {type(x).__name__} of shape {x.shape} in a traced function", where=user_frame(),
                               do=do)


@functools.cache
def _names(cls):
    """Return (the names of the parts of a class of SciPy's, what gets them, whether the last one has their number)."""
    form = format_of(cls)
    names = PARTS.get(form)
    return names, names and operator.attrgetter(*names), form in ("csr", "csc")


def _take_apart(x):
    names, get, counted = _names(type(x))
    if names is None or len(x.shape) != 2:
        x = _plain(x)
        names, get, counted = _names(type(x))
    parts = get(x)
    if counted and len(parts[1]) != parts[2][-1]:
        parts = get(_plain(x))
    return parts, (type(x), x.shape), names


def _take_tracer_apart(x):
    return x.parts, (x.container, x.shape), PARTS[x.format]


def _build(about, parts):
    cls, shape = about
    parts = tuple(parts)
    if all(type(p) is np.ndarray for p in parts):
        return restored(cls, shape, parts)
    return SparseTracer(cls, shape, parts, outside=True)


tree.register(is_sparse_class, lambda cls: (_take_apart, _build))
tree.register(lambda cls: cls is SparseTracer, lambda cls: (_take_tracer_apart, _build))


# ---------------------------------------------------------------- nests in which the positions are no values
def _is_sparse(x):
    return isinstance(x, SparseTracer)


def values(nest):
    """Return the leaves of a nest that are values: of a sparse array its numbers, and not their positions."""
    return [x.data if _is_sparse(x) else x for x in tree.leaves(nest, _is_sparse)]


def with_values(nest, new):
    """Return a nest with other values, in order."""
    leaves, structure = tree.flatten(nest, _is_sparse)
    return tree.unflatten(structure, [x.with_data(v) if _is_sparse(x) else v for x, v in zip(leaves, new)])


def patterns(nest):
    """Return the positions of all sparse arrays in a nest."""
    return [p for x in tree.leaves(nest, _is_sparse) if _is_sparse(x) for p in x.parts[1:]]


def with_patterns(nest, positions):
    """Return a nest with other positions in its sparse arrays, in order."""
    positions = iter(positions)
    leaves, structure = tree.flatten(nest, _is_sparse)
    return tree.unflatten(structure, [
        SparseTracer(x.container, x.shape, (x.data, *(next(positions) for _ in x.parts[1:]))) if _is_sparse(x) else x
        for x in leaves])
