"""Tests of your own functions: is the compiled one NumPy's, and are its derivatives right?"""

import importlib.util
import pickle

import numpy as np

from tracejit import tree
from tracejit.api import jit
from tracejit.derivatives import jvp, vjp
from tracejit.kernels.toolchain import available
from tracejit.opt.pipeline import optimize
from tracejit.symbolic.batching import batch
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.text import parse
from tracejit.trace.convert import twin
from tracejit.trace.tracer import current_trace

__all__ = ["assert_same_as_numpy", "check_grads", "check_op"]


# ---------------------------------------------------------------- the same answer as NumPy
def assert_same_as_numpy(f, *args, rtol=None, atol=None, **kwargs):
    """Assert that the compiled function does what the plain one does.

    Compared are values, dtypes, shapes, array or scalar, the structure of nested results, what the function wrote into
    its arguments, and the class of the exception where it raises one. The function is called three times, each time
    with its own copy of the arguments: plain, compiled, and compiled again, which takes the path of a call that hits.

    Parameters
    ----------
    f : callable
        A function of arrays, scalars and nests of them; its effects outside its arguments must not add up.
    *args, **kwargs
        What to call it with.
    rtol, atol : float, optional
        Tolerances for floating results; default: a few hundred units of the last place of the result's dtype, relative
        to its largest finite value.

    Returns
    -------
    object
        NumPy's result.

    Raises
    ------
    AssertionError
        Where they differ; the message says in what.
    """
    compiled = jit(f)
    want, want_error, want_args = _outcome(f, args, kwargs)
    for attempt in ("first call", "second call"):
        got, got_error, got_args = _outcome(compiled, args, kwargs)
        if want_error is not None or got_error is not None:
            _same_error(got_error, want_error, attempt)
            continue
        _same_tree(got, want, rtol, atol, f"{attempt}: result")
        _same_tree(got_args, want_args, rtol, atol, f"{attempt}: arguments after the call")
    return want


def _outcome(f, args, kwargs):
    """Return (result, exception, arguments after the call) of a call on copies."""
    copies = {}
    args, kwargs = tree.map(lambda x: _copied(x, copies), (args, kwargs))
    try:
        with np.errstate(all="ignore"):
            return f(*args, **kwargs), None, (args, kwargs)
    except Exception as error:
        return None, error, (args, kwargs)


def _copied(x, copies):
    """Return a copy of an array with its strides; the same array is copied once."""
    if not isinstance(x, np.ndarray):
        return x
    if id(x) not in copies:
        copies[id(x)] = x.copy(order="K")
    return copies[id(x)]


def _same_error(got, want, attempt):
    if want is None:
        raise AssertionError(f"{attempt}: NumPy returns, the compiled function raises {got!r}") from got
    if got is None:
        raise AssertionError(f"{attempt}: NumPy raises {want!r}, the compiled function returns") from want
    if not isinstance(got, type(want)):
        raise AssertionError(f"{attempt}: NumPy raises {want!r}, the compiled function {got!r}") from got


def _same_tree(got, want, rtol, atol, what):
    leaves, structure = tree.flatten(got)
    expected, expected_structure = tree.flatten(want)
    if structure != expected_structure:
        raise AssertionError(f"{what}: the structure is {structure}, NumPy's is {expected_structure}")
    for k, (a, b) in enumerate(zip(leaves, expected)):
        _same_leaf(a, b, rtol, atol, what if len(leaves) == 1 else f"{what}, leaf {k}")


def _same_leaf(got, want, rtol, atol, what):
    if type(got) is not type(want):
        raise AssertionError(f"{what}: is a {type(got).__name__}, NumPy's a {type(want).__name__}")
    if not isinstance(want, (np.ndarray, np.generic)):
        if got is not want and got != want and not (got != got and want != want):
            raise AssertionError(f"{what}: is {got!r}, NumPy's {want!r}")
        return
    if got.dtype != want.dtype or got.shape != want.shape:
        raise AssertionError(f"{what}: is {got.dtype}{got.shape}, NumPy's {want.dtype}{want.shape}")
    if want.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, want, what)
        return
    eps = np.finfo(want.dtype).eps
    with np.errstate(all="ignore"):
        magnitude = np.abs(want)
        scale = float(np.max(magnitude, initial=0, where=np.isfinite(magnitude)))
    np.testing.assert_allclose(got, want, rtol=200 * eps if rtol is None else rtol,
                               atol=20 * eps * scale if atol is None else atol, err_msg=what)


# ---------------------------------------------------------------- derivatives
def check_grads(f, args, order=2, modes=("fwd", "rev"), *, rtol=None, atol=None, step=None, seed=0):
    """Assert that the derivatives of a function are right, at one point and along random directions.

    Forward mode is compared with central differences of the function (two steps, extrapolated), reverse mode with
    forward mode, or with the differences where that is not among the modes: ``<cotangent, J tangent> == <J^T cotangent,
    tangent>``. For higher orders the derivative is differentiated again, in each mode.

    Parameters
    ----------
    f : callable
        Smooth at `args` and around them.
    args : tuple
        Arguments: arrays, Python floats, and nests of them. Those of floating or complex dtype are moved.
    order : int
        The highest order to check.
    modes : tuple of {"fwd", "rev"}
    rtol, atol : float, optional
        Tolerances, the second one relative to the largest derivative of a result; by default 1e-6 and 1e-7 in double
        precision, 5e-3 and 1e-3 in single.
    step : float, optional
        Step of the differences.
    seed : int
        Seed of the random directions.

    Raises
    ------
    AssertionError
        Where two ways to a derivative disagree; the message says the order and the mode.
    ValueError
        Where no argument can be moved, or a mode is unknown.
    """
    unknown = set(modes) - {"fwd", "rev"}
    if unknown or not modes:
        raise ValueError(f"check_grads: modes are 'fwd' and 'rev', not {sorted(unknown)}")
    leaves, structure = tree.flatten(tuple(args))
    moving = [k for k, x in enumerate(leaves) if _is_inexact(x)]
    if not moving:
        raise ValueError("check_grads: no argument is of floating dtype")
    point = [np.asarray(leaves[k]) for k in moving]
    single = min(x.dtype.itemsize // (2 if x.dtype.kind == "c" else 1) for x in point) < 8
    tolerance = _Tolerance(rtol if rtol is not None else 5e-3 if single else 1e-6,
                           atol if atol is not None else 1e-3 if single else 1e-7, step or (3e-2 if single else 1e-3))

    def flat(*xs):
        full = list(leaves)
        for k, x in zip(moving, xs):
            full[k] = x
        # within a trace a function of the user's is called by its twin
        call = f if current_trace() is None else twin(f)
        return tuple(x for x in tree.leaves(call(*tree.unflatten(structure, full))) if _is_inexact(x))

    _check(flat, point, order, modes, tolerance, np.random.default_rng(seed), "f")


class _Tolerance:
    """How far two derivatives may lie apart, and the step of the differences."""

    def __init__(self, rtol, atol, step):
        self.rtol, self.atol, self.step = rtol, atol, step

    def compare(self, got, want, what):
        for a, b in zip(got, want, strict=True):
            a, b = np.asarray(a), np.asarray(b)
            with np.errstate(all="ignore"):
                scale = float(np.max(np.abs(b), initial=1))
            np.testing.assert_allclose(a, b, rtol=self.rtol, atol=self.atol * scale, err_msg=what)


def _check(f, point, order, modes, tolerance, rng, name):
    """Check the first derivative of `f`, then those of its derivative."""
    direction = [_random_like(rng, x) for x in point]

    def push(*xs):
        return jvp(f, tuple(xs), tuple(direction))[1]

    differences = _differences(f, point, direction, tolerance.step)
    derivatives, pushed, by = [], differences, "differences"
    if "fwd" in modes:
        pushed, by = jit(push)(*point), "forward mode"
        tolerance.compare(pushed, differences, f"forward mode of {name} against differences")
        derivatives.append((push, f"the jvp of {name}"))
    if "rev" in modes:
        cotangent = tuple(_random_like(rng, np.asarray(x)) for x in pushed)

        def pull(*xs):
            return vjp(f, *xs)[1](cotangent)

        pulled = jit(pull)(*point)
        tolerance.compare([_paired(pulled, direction)], [_paired(cotangent, pushed)],
                          f"reverse mode of {name} against {by}")
        derivatives.append((pull, f"the vjp of {name}"))
    if order > 1:
        for derivative, of in derivatives:
            _check(derivative, point, order - 1, modes, tolerance, rng, of)


def _differences(f, point, direction, step):
    def at(t):
        with np.errstate(all="ignore"):
            return f(*[(x + t * d).astype(x.dtype)[()] for x, d in zip(point, direction)])

    def central(h):
        return [(np.asarray(a) - np.asarray(b)) / (2 * h) for a, b in zip(at(h), at(-h), strict=True)]

    # the error of the extrapolated difference falls with the fourth power of the step
    return [(4 * near - far) / 3 for near, far in zip(central(step), central(2 * step), strict=True)]


def _paired(cotangents, tangents):
    return sum(float(np.real(np.sum(np.asarray(c) * np.asarray(t)))) for c, t in zip(cotangents, tangents, strict=True))


def _random_like(rng, x):
    value = rng.uniform(-1, 1, x.shape)
    if x.dtype.kind == "c":
        value = value + 1j * rng.uniform(-1, 1, x.shape)
    return np.asarray(value).astype(x.dtype)


def _is_inexact(x):
    dtype = getattr(x, "dtype", None)
    return type(x) in (float, complex) if dtype is None else dtype.kind in "fc"


# ---------------------------------------------------------------- operations of one's own
def check_op(op, *args, order=2, modes=("fwd", "rev"), rtol=None, atol=None):
    """Assert that an operation made with `tracejit.extend` is what it says, as the tests of tracejit's own ops do.

    Compared are, with its meaning in NumPy: the interpreter, and each backend that this machine has; its graph with the
    graph that is read back from its text, and from a pickle; a batch of three with three calls; its derivatives with
    differences, and forward mode with reverse, see `check_grads`.

    Parameters
    ----------
    op : callable
        What `tracejit.extend.elementwise` or `tracejit.extend.callback` returned, or any function of arrays.
    *args
        Arrays and numbers at which it is smooth.
    order : int
        The highest order of derivatives to check; 0 for an operation without any.
    modes : tuple of {"fwd", "rev"}
        ("rev",) for a rule that gives cotangents only.
    rtol, atol : float, optional
        Tolerances, for values and derivatives.

    Raises
    ------
    AssertionError
        Where something differs; the message says what.
    """
    meaning = getattr(op, "meaning", op)
    with np.errstate(all="ignore"):
        want = meaning(*map(_own, args))
    backends = ["ref", *["c"] * available(), *["numba"] * (importlib.util.find_spec("numba") is not None)]
    for backend in backends:
        got = jit(lambda *xs: op(*xs), backend=backend)(*args)
        for k, (a, b) in enumerate(zip(tree.leaves(got), tree.leaves(want), strict=True)):
            _same_leaf(np.asarray(a), np.asarray(b), rtol, atol, f"result {k} on the backend {backend}")
    graph = jit(lambda *xs: op(*xs)).trace(*args).graph
    for what, again in (("text", parse(str(graph))), ("pickle", pickle.loads(pickle.dumps(graph)))):
        if again is not graph:
            raise AssertionError(f"the graph that is read back from its {what} is another:\n{again}\n{graph}")
    _check_batch(graph, [np.asarray(x) for x in tree.leaves(args)], rtol, atol)
    if order:
        check_grads(lambda *xs: op(*xs), args, order, modes, rtol=rtol, atol=atol)


def _own(x):
    return x.copy() if isinstance(x, np.ndarray) else x


def _check_batch(graph, args, rtol, atol):
    """Compare a batch of three, for each choice of arguments that have the batch, with three calls."""
    rows = [[x, np.roll(x, 1), x * x.dtype.type(0.75) if x.dtype.kind in "fc" else x] for x in args]
    for shared in range(-1, len(args)):
        batched = [k != shared for k in range(len(args))]
        if not any(batched):
            continue
        whole = optimize(batch(graph, batched, 3))
        found = evaluate(whole, *[np.stack(r) if b else r[0] for r, b in zip(rows, batched)])
        apart = [evaluate(graph, *[r[i if b else 0] for r, b in zip(rows, batched)]) for i in range(3)]
        for k, (a, b) in enumerate(zip(found, map(np.stack, zip(*apart)), strict=True)):
            _same_leaf(a, b, rtol, atol, f"result {k} of a batch")
