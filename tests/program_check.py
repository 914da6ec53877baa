"""Whether a jitted program does what the plain one does, and the shortest program in which it does not."""

import warnings

import numpy as np
from program_maker import function

import tracejit
from tracejit.errors import TracejitError


class Refused(str):
    """Why a program was refused, in the words of the error."""


def difference(maker, lines=None):
    """Return how the jitted program differs from the plain one, None where it does not, `Refused` for a clear error."""
    source = maker.source(lines)
    plain, other = function(source, "<program>"), function(source, "<program>")
    jitted = tracejit.jit(other)
    for content in (0, 1, 0, 2):
        if maker.outcome(lines, content) is None:
            continue
        _reset(plain, other)
        found = _difference(plain, jitted, maker.fresh(content), maker.fresh(content), strict=content == 0)
        if found is not None:
            return found if isinstance(found, Refused) else f"call on content {content}: {found}"
    return None


def _difference(plain, jitted, theirs, ours, strict):
    """Compare one call.

    But where the program was made to raise an error (`strict`), either of two may be named, and one in a value that
    nothing needs is not raised: see docs/differences.md.
    """
    want, error = _called(plain, theirs)
    got, mistake = _called(jitted, ours)
    if error is not None or mistake is not None:
        kinds = _public(type(error)) if strict else (Exception, type(None))
        if error is not None and isinstance(mistake, kinds):
            return None
        if isinstance(mistake, TracejitError):
            return Refused(mistake)
        return f"{_named(mistake)}, not {_named(error)}"
    for what, a, b in (("argument", ours, theirs), ("variable", got, want)):
        if list(a) != list(b):
            return f"other variables: {list(a)}, not {list(b)}"
        for name in b:
            if not same(a[name], b[name]):
                return f"{what} {name}: {a[name]!r}, not {b[name]!r}"
    if not aliases(got, ours) <= aliases(want, theirs):
        return f"memory of arguments shared: {aliases(got, ours)}, not {aliases(want, theirs)}"
    return None


def _called(f, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return f(**arguments), None
        except Exception as error:
            return None, error


def _public(kind):
    """Return an exception's class, or what it derives from, where the class itself is one of NumPy's inner ones."""
    return next(k for k in kind.__mro__ if "._" not in k.__module__)


def _named(error):
    return "nothing raised" if error is None else f"{type(error).__name__}: {error}"


def _reset(*functions):
    """Give the module's array its first content."""
    for f in functions:
        if "G" in f.__globals__:
            f.__globals__["G"][...] = np.arange(12.0).reshape(3, 4) - 5


def aliases(result, arguments):
    """Return which variables of the result lie in the memory of which arguments."""
    return {(k, name) for k, v in result.items() for name, x in arguments.items()
            if isinstance(v, np.ndarray) and isinstance(x, np.ndarray) and np.shares_memory(v, x)}


def same(a, b):
    """Return whether two values are equal in type, dtype but for the order of bytes, shape and content."""
    if type(a) is not type(b):
        return False
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=") and a.shape == b.shape and np.array_equal(a, b)


def smaller(maker, found):
    """Return the fewest lines found that differ as `found` says: without stretches of statements, then of lines."""
    statements = _fewest(maker, maker.statements(), _kind(found))
    return [line for part in _fewest(maker, [[x] for s in statements for x in s], _kind(found)) for line in part]


def _kind(found):
    """Return the sort of a difference: an exception's class, or whether an argument, a variable or memory differs."""
    return None if found is None or isinstance(found, Refused) else found.split(": ")[1].split()[0]


def _fewest(maker, parts, kind):
    size = len(parts) // 2
    while size:
        k = 0
        while k < len(parts):
            without = [line for part in parts[:k] + parts[k + size:] for line in part]
            if maker.outcome(without) is not None and _kind(difference(maker, without)) == kind:
                del parts[k:k + size]
            else:
                k += size
        size //= 2
    return parts
