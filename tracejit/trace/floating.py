"""``np.errstate(divide="raise")`` inside a traced function: what NumPy would raise becomes a check of the results."""

import contextvars

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.shape import zeros

_raising = contextvars.ContextVar("tracejit_raising", default=frozenset())

_WORDS = {"divide": "divide by zero", "over": "overflow", "invalid": "invalid value"}
_MODES = ("ignore", "warn", "raise", "call", "print", "log")
#: Ufuncs whose infinite results for finite arguments are divisions by zero, where the argument of this number is zero.
_DIVISORS = {np.divide: 1, np.reciprocal: 0, np.power: 0, np.float_power: 0}
_POLES = {np.log, np.log2, np.log10, np.log1p, np.arctanh}


class ErrorState:
    """What ``np.errstate`` is in traced code: errors are raised where it says so, and never warned of."""

    def __init__(self, *, all=None, divide=None, over=None, under=None, invalid=None, call=None):
        given = {"divide": divide, "over": over, "under": under, "invalid": invalid}
        self._modes = {k: all if v is None else v for k, v in given.items()}
        for mode in self._modes.values():
            if mode is not None and mode not in _MODES:
                raise ValueError(f"invalid error mode {mode!r}")
        self._token = None

    def __enter__(self):
        now = set(_raising.get())
        for kind, mode in self._modes.items():
            if mode is not None:
                (now.add if mode == "raise" else now.discard)(kind)
        self._token = _raising.set(frozenset(now))

    def __exit__(self, *error):
        _raising.reset(self._token)

    def __call__(self, function):
        def call(*args, **kwargs):
            with ErrorState(**self._modes):
                return function(*args, **kwargs)
        return call


def watched(ufunc, inputs, results):
    """Return the results of a ufunc, checked as the error state asks for."""
    kinds = _raising.get()
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
    ops.CHECKS.setdefault(error, (FloatingPointError, f"{_WORDS[kind]} encountered in {ufunc.__name__}"))
    return ops.check(result, fine, error=error, detail=())
