"""Whether the arguments of a call fit a signature, for the dispatcher in Python: see `dispatch` for what specs are."""

import functools

import numpy as np

from tracejit import tree
from tracejit.symbolic.types import span, spanned

MAX_DEPTH = 100
#: Bytes from which on an array is taken as it lies: in Fortran order, or with other strides, which may be many.
FORTRAN_MIN = 1 << 14
STRIDED_MIN = 1 << 17


class Mismatch(Exception):
    """A call does not fit an entry."""


def is_fortran(x):
    """Say whether an array is taken as it lies in Fortran order."""
    flags = x.flags
    return x.nbytes >= FORTRAN_MIN and flags.fnc and flags.aligned and x.dtype.isnative


def strides_of(x):
    """Return the strides, in elements, of an array that is taken as it lies with memory between its elements, or None.

    Those of axes of length 1 are 0. Arrays with negative strides are copied, as small ones are.
    """
    flags, size = x.flags, x.itemsize
    if x.nbytes < STRIDED_MIN or flags.forc or not flags.aligned or not x.dtype.isnative:
        return None
    strides = tuple(s if n > 1 else 0 for n, s in zip(x.shape, x.strides))
    return None if any(s < 0 or s % size for s in strides) else tuple(s // size for s in strides)


# ---------------------------------------------------------------- matching
def alike(a, b):
    """Say whether two values are equal for a trace: of one type all the way down, and 0.0 is not -0.0."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if type(a) in (float, complex):
        return np.array(a).tobytes() == np.array(b).tobytes()
    if isinstance(a, tuple) or type(a) is list:
        return len(a) == len(b) and all(map(alike, a, b))
    if type(a) is dict:
        return alike(list(a.items()), list(b.items()))
    try:
        return bool(a == b)
    except Exception:  # arrays, and whatever cannot be compared
        return False


class Leaves:
    """The inputs of one call: the objects given, the arrays that compiled code reads, and which are copies."""

    def __init__(self):
        self.objects, self.arrays, self.copied, self.seen = [], [], [], set()

    def push(self, given, array, copied=False):
        self.objects.append(given)
        self.arrays.append(array)
        self.copied.append(copied)


def matcher(spec, types, depth=0):
    """Return a function of (leaves, argument) that raises Mismatch where the argument does not fit the spec."""
    if depth > MAX_DEPTH:
        raise ValueError("arguments nested more than 100 deep")
    match spec if isinstance(spec, tuple) else ():
        case ("array", dtype, shape):
            return functools.partial(fit_array, *checked(types, dtype, shape), True, False)
        case ("array", dtype, shape, "C"):
            return functools.partial(fit_array, *checked(types, dtype, shape), True, True)
        case ("array", dtype, shape, "F"):
            dtype, reverse = checked(types, dtype, tuple(shape)[::-1])
            return functools.partial(fit_fortran, dtype, reverse[::-1])
        case ("array", dtype, shape, tuple() as strides):
            shape, strides = shape_of(shape), shape_of(strides)
            if len(strides) != len(shape) or 0 in shape:
                raise ValueError("strides of an array without elements, or of another rank")
            dtype, _ = checked(types, dtype, (span(shape, strides),))
            strides = tuple(s if n > 1 else 0 for n, s in zip(shape, strides))
            return functools.partial(fit_strided, dtype, shape, strides)
        case ("scalar", type() as kind, dtype):
            _check_conversion(kind, np.dtype(dtype))
            return functools.partial(fit_scalar, kind, checked(types, dtype, ())[0])
        case ("static", value):
            return functools.partial(fit_static, value)
        case ("same", k):
            if not 0 <= index_of(k) < types.used:
                raise ValueError("`same` must name a leaf before it")
            return functools.partial(fit_same, k)
        case (("tuple" | "list") as kind, specs):
            children = [matcher(s, types, depth + 1) for s in specs]
            return functools.partial(fit_sequence, {"tuple": tuple, "list": list}[kind], children)
        case ("dict", keys, specs):
            children = [matcher(s, types, depth + 1) for s in specs]
            if len(children) != len(keys):
                raise ValueError("a dict's spec has as many keys as values")
            return functools.partial(fit_dict, list(keys), children)
        case ("tree", type() as kind, structure, specs):
            children = [matcher(s, types, depth + 1) for s in specs]
            return functools.partial(fit_tree, kind, structure, children)
    raise ValueError(f"not a spec: {spec!r}")


def fit_array(dtype, shape, once, plainly, leaves, given):
    if type(given) is not np.ndarray or given.dtype.newbyteorder("=") != dtype or given.shape != shape:
        raise Mismatch
    if once and id(given) in leaves.seen:
        raise Mismatch
    plain = given.flags.c_contiguous and given.flags.aligned and given.dtype.isnative
    if plainly and not plain or once and (is_fortran(given) or strides_of(given) is not None):
        raise Mismatch
    leaves.seen.add(id(given))
    leaves.push(given, given if plain else np.array(given, dtype, order="C", copy=True), not plain)


def fit_fortran(dtype, shape, leaves, given):
    fits = type(given) is np.ndarray and given.dtype == dtype and given.shape == shape and is_fortran(given)
    if not fits or id(given) in leaves.seen:
        raise Mismatch
    leaves.seen.add(id(given))
    leaves.push(given, given.T)


def fit_strided(dtype, shape, strides, leaves, given):
    fits = type(given) is np.ndarray and given.dtype == dtype and given.shape == shape and strides_of(given) == strides
    if not fits or id(given) in leaves.seen:
        raise Mismatch
    leaves.seen.add(id(given))
    leaves.push(given, spanned(given, strides))


def fit_scalar(kind, dtype, leaves, given):
    if type(given) is not kind or (kind is int and not -(2**63) <= given < 2**63):
        raise Mismatch
    try:
        with np.errstate(all="ignore"):
            # by way of NumPy's own scalar, so that a value out of range is an error and never wraps
            array = np.array(given, dtype)
    except (OverflowError, TypeError, ValueError):
        raise Mismatch from None
    leaves.push(given, array)


def fit_static(value, leaves, given):
    if not alike(value, given):
        raise Mismatch


def fit_same(k, leaves, given):
    if leaves.objects[k] is not given:
        raise Mismatch


def fit_sequence(kind, children, leaves, given):
    if type(given) is not kind or len(given) != len(children):
        raise Mismatch
    for child, item in zip(children, tuple(given)):
        child(leaves, item)


def fit_dict(keys, children, leaves, given):
    if type(given) is not dict or not alike(list(given), keys):
        raise Mismatch
    for child, item in zip(children, tuple(given.values())):
        child(leaves, item)


def fit_tree(kind, structure, children, leaves, given):
    if type(given) is not kind:
        raise Mismatch
    items, found = tree.flatten(given)
    if len(items) != len(children) or not alike(found, structure):
        raise Mismatch
    for child, item in zip(children, items):
        child(leaves, item)


# ---------------------------------------------------------------- checking descriptions
class Types:
    """The executable's input types, used up one by one."""

    def __init__(self, types):
        self.types = [(dtype_of(t.dtype), shape_of(t.shape)) for t in types]
        self.used = 0

    def take(self, dtype, shape):
        if self.used == len(self.types):
            raise ValueError("more arrays and scalars than the executable has inputs")
        if self.types[self.used] != (dtype, shape):
            raise ValueError(f"input {self.used} of the executable has another type")
        self.used += 1


def checked(types, dtype, shape):
    dtype, shape = dtype_of(dtype), shape_of(shape)
    types.take(dtype, shape)
    return dtype, shape


def dtype_of(dtype):
    dtype = np.dtype(dtype)
    if dtype.kind not in "biufc":
        raise TypeError("only arrays of numbers and Booleans are compiled")
    return dtype.newbyteorder("=")


def shape_of(shape):
    shape = tuple(map(index_of, shape))
    if any(n < 0 for n in shape):
        raise ValueError("a negative size")
    return shape


def index_of(value):
    return value.__index__()


def _check_conversion(kind, dtype):
    if kind is not bool and kind in (int, float, complex):
        if dtype.kind not in {int: "iufc", float: "fc", complex: "c"}[kind]:
            raise TypeError(f"a Python {kind.__name__} does not become {dtype}")
    elif kind is not bool and not issubclass(kind, np.generic):
        raise TypeError(f"{kind.__name__} is not a scalar type")


def leaves_of(signature):
    """Return the specs of the inputs, in order."""
    found = []
    for spec in signature:
        if spec[0] in ("array", "scalar"):
            found.append(spec)
        elif spec[0] in ("tuple", "list", "dict", "tree"):
            found += leaves_of(spec[-1])
    return found
