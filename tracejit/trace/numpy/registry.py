"""Which NumPy functions are traced, and by what: the table that `__array_function__` and the twin look into."""

from tracejit.errors import UnsupportedError, user_frame
from tracejit.trace import settle
from tracejit.trace.numpy.refusals import REFUSALS
from tracejit.trace.settle import SIZED

#: NumPy (or SciPy) function -> ours, of the same signature, over array-likes, returning Tracers.
IMPLEMENTED = {}
#: NumPy function -> what the documentation says of it: chapter, and where it falls short.
NOTES = {}
#: ``f(function) -> ours or None``: asked for functions that no chapter has.
FALLBACKS = []


def implements(*functions, **notes):
    """Register the decorated function as the traced meaning of NumPy's (of the same signature)."""
    def register(ours):
        for function in functions:
            IMPLEMENTED[function] = ours
            NOTES[function] = {"chapter": ours.__module__.rpartition(".")[2], **notes}
        return ours
    return register


def name_of(function):
    """Return ``numpy.linalg.norm`` for error messages."""
    if isinstance(function, str):
        return function
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module}.{getattr(function, '__name__', function)}"


def refuse(function, do=None):
    """Raise the error for a function that is not traced."""
    reason, remedy = REFUSALS.get(name_of(function), (None, _REMEDY))
    raise UnsupportedError(f"{name_of(function)} of a traced array" + (f": {reason}" if reason else ""),
                           where=user_frame(), do=do or remedy)


_REMEDY = "call it outside the jitted function and pass the result in, or write it with supported functions"


def call(function, args, kwargs):
    """Call the traced meaning of a NumPy function."""
    ours = IMPLEMENTED.get(function) or fallback(function)
    if ours is None:
        refuse(function)
    if function not in SIZED:
        args, kwargs = settle.arguments(name_of(function), args, kwargs)
    return ours(*args, **kwargs)


def fallback(function):
    """Return the traced meaning of a function (or class) that is in no chapter, or None."""
    return next((ours for ours in (f(function) for f in FALLBACKS) if ours is not None), None)
