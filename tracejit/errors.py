"""One class per mistake a user can make; each docstring says how to mend it.

A message has three lines: what happened (the operation and the types), where (the user's `file:line`),
and what to do about it (one imperative). Each class is also what a NumPy user would have caught.
"""

import os
import sys

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Frames inside these libraries are never the user's; hypothesis, pytest and the like may be.
_LIBRARIES = frozenset({"tracejit", "numpy", "scipy", "optree", "numba", "cffi", "cupy"})
_STDLIB = os.path.dirname(os.__file__) + os.sep


def user_frame():
    """Return `"file:line"` of the innermost frame outside tracejit and the libraries below it, or None."""
    frame = sys._getframe(1)
    while frame is not None:
        if is_users(frame):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def raised_by_user(error):
    """Return whether an exception was raised by a line of the user's own, not in a library called from there."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return at is not None and is_users(at.tb_frame)


def is_users(frame):
    """Return whether a frame runs code of the user's, not ours, a library's or the standard library's."""
    file = frame.f_code.co_filename
    if file.startswith(_PACKAGE) or frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        return False
    if file.startswith("<frozen"):
        return False
    # contextlib and functools stand between a user's `with` or decorator and us; a program run from
    # site-packages is the user's all the same
    return not (file.startswith(_STDLIB) and "site-packages" not in file and "dist-packages" not in file)


class TracejitError(Exception):
    """The base of every error of tracejit: catch it to catch them all.

    Parameters
    ----------
    what : str
        The operation and the types, in one line.
    where : str, optional
        `"file:line"` in the user's code; see `user_frame`.
    do : str, optional
        What to do, in one imperative sentence.
    """

    def __init__(self, what, *, where=None, do=None):
        super().__init__(what)
        self.what = what
        self.where = where
        self.do = do

    def __str__(self):
        lines = [str(self.what)]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.do:
            lines.append(f"  do: {self.do}")
        return "\n".join(lines)

    def __reduce__(self):
        # keyword arguments are state here, so that an error crosses a process pool whole
        return type(self), (self.what,), {"where": self.where, "do": self.do}


class ConcretizationError(TracejitError, TypeError):
    """Python asked a traced array for a value: `if x > 0:`, `int(x)`, `range(n)`, `x.tolist()`.

    While a function is traced its arrays have a type and no content. Write the choice as arithmetic
    (`np.where(x > 0, a, b)`), use `tracejit.cond`, `tracejit.while_loop` or `tracejit.scan`, or declare the
    argument that decides as static: `jit(f, static_argnames=("n",))`.
    """


class CarryError(TracejitError, TypeError):
    """A value that a loop carries, or branches give, has no one type: it changes from one iteration to the next.

    Compiled loops hold each variable in one place, so give it before the loop the shape and dtype that it has in it
    (`total = np.zeros(3)` instead of `total = None`), or convert it inside with `.astype(...)`.
    """


class LeakError(TracejitError, RuntimeError):
    """A traced array outlived its trace: a function that `vmap` maps, or a body of `scan`, has kept it elsewhere.

    It stands for a value inside one traced function and means nothing after it. Return the value from the
    function (`has_aux=True`), or keep state in a `tracejit.shared` variable and update it with `state[...] = new`.
    """


class TypeRuleError(TracejitError, TypeError):
    """An operation was given dtypes or ranks that it does not take.

    Convert with `.astype(...)` or reshape before the line named in the message; `f.trace(...)` prints the
    types of all intermediate results.
    """


class DimError(TracejitError, ValueError):
    """Sizes do not fit together: broadcasting, matmul, concatenate, reshape.

    Compare the two shapes in the message, as NumPy's `ValueError` asks for; add an axis with `x[:, None]`
    where broadcasting was meant.
    """


class RewriteError(TracejitError, RuntimeError):
    """A rewrite rule broke its promise: the type changed, or the rules never came to rest.

    This is a mistake in a rule and not in the program. Run with `TRACEJIT_FLAGS=log=rules` to see which rule
    fired last, and report it with that output.
    """


class CompileError(TracejitError, RuntimeError):
    """The system's compiler was found and failed, or its result could not be loaded.

    Read the compiler's own words in the message. `python -m tracejit info` shows which compiler is used;
    `TRACEJIT_FLAGS=cc=/path/to/cc` chooses another, `TRACEJIT_FLAGS=backend=numba` does without one.
    """


class NotDifferentiableError(TracejitError, TypeError):
    """A derivative was asked of something that has none: an integer, a Boolean, a sort order, a string.

    Convert the argument to a floating dtype, choose others with `argnums=`, or hold the value constant with
    `tracejit.stop_gradient`; a function with a derivative of your own is written with `tracejit.custom_vjp`.
    """


class UnsupportedError(TracejitError, NotImplementedError):
    """A function or an option that cannot be traced (yet): object arrays, files, unknown libraries.

    Call it outside the jitted function and pass the result in, or write it with the NumPy functions that the
    documentation lists.
    """


class ConfigError(TracejitError, ValueError):
    """A flag that does not exist, or a value it does not take.

    The message lists the flags, or the values. Flags come from `tracejit.config`, then `TRACEJIT_FLAGS`, then
    the file `~/.tracejitrc`, then the defaults.
    """


class DeviceError(TracejitError, RuntimeError):
    """A device that this machine or this installation does not have.

    `tracejit.devices()` lists those that can be used; CUDA needs the extra `tracejit[cuda12]` or
    `tracejit[cuda13]` and a card.
    """


class TracejitWarning(UserWarning):
    """The base of every warning of tracejit: filter it to silence them all."""


class CacheWarning(TracejitWarning):
    """The disk cache cannot be used: not writable, not yours, or full.

    Results stay right, but each process compiles anew. Name another folder with
    `TRACEJIT_FLAGS=cache_dir=/path`, or empty this one with `python -m tracejit cache --clear`.
    """


class CompilerWarning(TracejitWarning):
    """No C compiler was found, or it does not work, and the Numba backend serves instead.

    Install `gcc` or `clang`, or name one with `TRACEJIT_FLAGS=cc=/path/to/cc`; `backend=numba` states that
    Numba is meant and silences this.
    """


class RetraceWarning(TracejitWarning):
    """One function is traced again and again, for ever new shapes or static values.

    Mark the size that changes with `jit(f, dynamic={"x": (0,)})`, or pass the changing value as an array.
    """
