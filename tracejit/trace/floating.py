"""Floating-point errors in a traced function: who made a node, under which error state, and what is raised at once.

``np.errstate(divide="raise")`` inside a traced function becomes checks of the results of ufuncs. All else that NumPy
would say (its warnings, and the error state around the call) is found out after a call: see `tracejit.events`, to which
the `Line` of a node tells what it needs.
"""

import contextvars
import functools
import itertools
import os
import sys
import types

import numpy as np

from tracejit.errors import is_users
from tracejit.symbolic.checks import CHECKS
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.shape import zeros

_modes: contextvars.ContextVar = contextvars.ContextVar("tracejit_error_modes", default=types.MappingProxyType({}))

#: NumPy's warning where complex numbers become real.
DISCARDED = "Casting complex values to real discards the imaginary part"
_WORDS = {"divide": "divide by zero", "over": "overflow", "invalid": "invalid value"}
_MODES = ("ignore", "warn", "raise", "call", "print", "log")
#: Ufuncs whose infinite results for finite arguments are divisions by zero, where the argument of this number is zero.
_DIVISORS = {np.divide: 1, np.reciprocal: 0, np.power: 0, np.float_power: 0}
_POLES = {np.log, np.log2, np.log10, np.log1p, np.arctanh}

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_CHAPTERS = os.path.join(_PACKAGE, "trace", "numpy") + os.sep
#: Files among the chapters that stand between the user and a ufunc, or help others, and NumPy's own code.
_TRANSPARENT = tuple(_CHAPTERS + name for name in (
    "ufuncs.py", "namespace.py", "registry.py", "borrowed.py", "common.py"))
#: Functions of the chapters that compute as NumPy's do, so that what happens in them happens there.
_ALIKE = frozenset({
    "sum", "prod", "mean", "var", "std", "cumsum", "cumprod", "dot", "matmul", "inner", "outer", "vdot", "tensordot",
    "einsum", "average", "cov", "corrcoef", "norm", "gradient", "trapezoid", "ptp", "median", "polyval", "vander",
    "nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nancumsum", "nancumprod", "cumulative_sum", "linspace",
    "geomspace", "logspace", "kron",
    "astype", "diff", "cross", "trace", "convolve", "correlate", "asarray", "array", "full", "copyto",
})


_numbers = itertools.count()


class Line(str):
    """The user's ``"file:line"`` that made a node, and what there is to say of the node's floating-point errors.

    Attributes
    ----------
    name : str or None
        What NumPy calls the operation in its warnings; None where it is NumPy that tells.
    silent : bool
        NumPy says nothing of it: arithmetic of Python's own numbers, the inside of a function that NumPy writes
        otherwise, derivatives and batches.
    masked : bool
        The result of a ufunc with ``where=``, of which only some elements are NumPy's business.
    modes : dict
        Kind of error → mode, as ``np.errstate`` around the line says it; `call` → its function.
    module : str or None
        Name of the module that the line is in.
    number : int
        Lines in the order in which tracing came by.
    """

    __slots__ = ("name", "silent", "masked", "modes", "module", "number")

    def __new__(cls, text, silent=False, modes=None, module=None):
        line = super().__new__(cls, text)
        line.name, line.masked, line.silent, line.modes, line.module = None, False, silent, modes or {}, module
        line.number = next(_numbers)
        return line


def user_line():
    """Return the Line of the user's frame that is at work, or None where there is none."""
    frame, outermost, derived = sys._getframe(2), None, False
    while frame is not None:
        code = frame.f_code
        if is_users(frame):
            silent = derived or outermost is not None and outermost not in _ALIKE
            return Line(f"{code.co_filename}:{frame.f_lineno}", silent, _modes.get(), frame.f_globals.get("__name__"))
        if code.co_filename.startswith(_CHAPTERS) and not code.co_filename.startswith(_TRANSPARENT):
            outermost = code.co_name
        derived = derived or code.co_filename in _DERIVED
        frame = frame.f_back
    return None


#: What makes graphs of graphs: derivatives and batches.
_DERIVED = frozenset(_PACKAGE + name for name in ("transforms.py", "derivatives.py", "batches.py"))


class ErrorState:
    """What ``np.errstate`` is in traced code, as a context manager and as a decorator."""

    def __init__(self, *, all=None, divide=None, over=None, under=None, invalid=None, call=None):
        given = {"divide": divide, "over": over, "under": under, "invalid": invalid}
        self._modes = {k: all if v is None else v for k, v in given.items()}
        for mode in self._modes.values():
            if mode is not None and mode not in _MODES:
                raise ValueError(f"invalid error mode {mode!r}")
        self._modes["call"] = call
        self._token = None

    def __enter__(self):
        self._token = _modes.set({**_modes.get(), **{k: v for k, v in self._modes.items() if v is not None}})

    def __exit__(self, *error):
        _modes.reset(self._token)

    def __call__(self, function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            with ErrorState(**self._modes):
                return function(*args, **kwargs)
        return call


def watched(ufunc, inputs, results):
    """Return the results of a ufunc, checked as the error state inside the function asks for."""
    kinds = frozenset(k for k, mode in _modes.get().items() if mode == "raise")
    return [_watched(ufunc, inputs, r, kinds) for r in results] if kinds else results


def _watched(ufunc, inputs, result, kinds):
    if result.dtype.kind in "iu" and ufunc in (np.floor_divide, np.remainder) and "divide" in kinds:
        return _check(ufunc, result, ops.not_equal(inputs[1], zeros(inputs[1].type)), "divide")
    if result.dtype.kind not in "fc":
        return result
    inputs = [x for x in inputs if x.dtype.kind in "fc"]
    if "invalid" in kinds:
        fine = ops.invert(ops.isnan(result))
        for x in inputs:
            fine = ops.bitwise_or(fine, ops.isnan(x))
        result = _check(ufunc, result, fine, "invalid")
    if kinds & {"divide", "over"}:
        fine = ops.invert(ops.isinf(result))
        for x in inputs:
            fine = ops.bitwise_or(fine, ops.invert(ops.isfinite(x)))
        place = _DIVISORS.get(ufunc)
        if ufunc in _POLES:
            cases = {"divide": fine}
        elif place is None or place >= len(inputs):
            cases = {"over": fine}
        else:
            nothing = ops.equal(inputs[place], zeros(inputs[place].type))
            cases = {"divide": ops.bitwise_or(fine, ops.invert(nothing)), "over": ops.bitwise_or(fine, nothing)}
        for kind in kinds & set(cases):
            result = _check(ufunc, result, cases[kind], kind)
    return result


def _check(ufunc, result, fine, kind):
    error = f"{kind}_{ufunc.__name__}"
    CHECKS.setdefault(error, (FloatingPointError, f"{_WORDS[kind]} encountered in {ufunc.__name__}"))
    return ops.check(result, fine, error=error, detail=())
