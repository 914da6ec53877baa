"""Each op is tested because it is registered: type, meaning, text, lowering, batching, derivatives to second order."""

import itertools
import pickle

import numpy as np
import pytest
from samples import NAMES, observed, op_samples, results

from tracejit.errors import UnsupportedError
from tracejit.symbolic.autodiff import jvp_nodes, pull_back
from tracejit.symbolic.batching import batch, batch_nodes
from tracejit.symbolic.graph import close
from tracejit.symbolic.interp import evaluate, evaluate_nodes
from tracejit.symbolic.ir import OPS, new_variable
from tracejit.symbolic.ops.shape import full_like, zeros
from tracejit.symbolic.text import parse
from tracejit.symbolic.types import I64, Type, type_of

EACH_OP = pytest.mark.parametrize("name", NAMES)
DIFFERENTIABLE = [n for n in NAMES if OPS[n].differentiable]
#: The largest error of a rounded formula, in units of the last place, where the default does not serve.
NEAR_ZERO = {
    "logaddexp",
    "logaddexp2",
    "logsumexp",
    "log_softmax",
    "pinv",
}  # sums that may cancel: the error is one of their terms
ULPS = {
    "pinv": 64,
    "digamma": 400,
    "polygamma": 64,
    "logaddexp2": 16,
    "log1mexp": 16,
    "softmax": 16,
    "log_softmax": 40,
    "logsumexp": 16,
}


def call(name, args, attrs):
    """Return (variables, node) of one application."""
    variables = [new_variable(type_of(a)) for a in args]
    return variables, OPS[name](*variables, **attrs)


def close_to(got, want, ulps=8, atol=0):
    """Assert equality up to a few ulp, with zeros of equal sign where one is exact, and nan equal to nan."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype and got.shape == want.shape
    if want.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, want)
        return
    eps = np.finfo(want.dtype).eps
    np.testing.assert_allclose(
        got, want, rtol=ulps * eps, atol=ulps * max(eps * atol, np.finfo(want.dtype).smallest_subnormal)
    )


@EACH_OP
def test_has_samples_that_make_graphs_of_the_right_type(name):
    """The type rule agrees with what the meaning returns, the graph checks, and its text is the graph."""
    samples = op_samples(name)
    assert samples, f"op {name!r} needs samples: give it a `samples` field"
    for args, attrs in samples:
        variables, node = call(name, args, attrs)
        graph = close(variables, results(node))
        assert graph.check() is graph
        assert parse(str(graph)) is graph
        assert pickle.loads(pickle.dumps(graph)) is graph
        for result, out in zip(evaluate(graph, *args), results(node)):
            assert type_of(result) is out.type


@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].expand])
def test_expand_means_the_same(name):
    for args, attrs in op_samples(name):
        variables, node = call(name, args, attrs)
        expanded = node.op.expand(*variables, **attrs)
        values = dict(zip(variables, args))
        for part, other in zip(results(node), results(expanded), strict=True):
            assert other.type is part.type
            (want,) = evaluate_nodes([part], values)
            (got,) = evaluate_nodes([other], values)
            try:
                close_to(got, want, ULPS.get(name, 8), atol=0.5 if name in NEAR_ZERO else 0)
            except AssertionError as error:
                where = offenders(args, got, want)
                raise AssertionError(f"{name} of {variables}, {attrs}\n{error}\n{where}") from None


def offenders(args, got, want):
    """Return the arguments at which two results differ most clearly, for the message."""
    if any(np.shape(a) != want.shape for a in args):
        return ""
    with np.errstate(all="ignore"):
        off = ~((got == want) | (np.isnan(got) & np.isnan(want)) | (np.abs(got - want) <= 1e-2 * np.abs(want)))
    return [(*(np.asarray(a)[k] for a in args), got[k], want[k]) for k in zip(*np.nonzero(off))][:8]


def by_elements(variables, node, values):
    """Evaluate a node by its element rule, index by index; a load outside its condition is an error if it is used."""
    index = tuple(new_variable(Type(I64)) for _ in node.shape)
    loads = []

    def read(i, at, where=None):
        load = new_variable(Type(node.args[i].dtype))
        assert len(at) == node.args[i].ndim and all(n.type is Type(I64) for n in at)
        loads.append((load, i, at, where))
        return load

    scalar = node.op.element(node, index, read)
    assert scalar.type is Type(node.dtype)
    out = np.empty(node.shape, node.dtype)
    poison = {"f": np.nan, "c": np.nan}
    for at in np.ndindex(*node.shape):
        table = dict(zip(index, map(np.int64, at)))
        for load, i, inner, where in loads:
            source = values[variables.index(node.args[i])]
            if where is not None and not evaluate_nodes([where], table)[0]:
                table[load] = np.asarray(poison.get(source.dtype.kind, 1), source.dtype)
                continue
            place = tuple(int(n) for n in evaluate_nodes(inner, table))
            assert all(0 <= k < n for k, n in zip(place, source.shape)), f"{node} reads argument {i} at {place}"
            table[load] = source[place]
        (out[at],) = evaluate_nodes([scalar], table)
    return out


@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].element])
def test_element_rule_means_the_same(name):
    for args, attrs in op_samples(name):
        variables, node = call(name, args, attrs)
        (want,) = evaluate_nodes([node], dict(zip(variables, args)))
        np.testing.assert_array_equal(by_elements(variables, node, [np.asarray(a) for a in args]), want)


@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].reduce])
def test_reduce_folds_a_scalar_op(name):
    fold = OPS[OPS[name].reduce]
    for args, attrs in op_samples(name):
        x, axes = args[0], attrs["axes"]
        if not axes or x.size == 0:
            continue
        moved = np.moveaxis(x, axes, range(len(axes))).reshape(-1, *[n for a, n in enumerate(x.shape) if a not in axes])
        with np.errstate(all="ignore"):
            total = moved[0]
            for row in moved[1:]:
                total = fold.ref(total, row)
            want = OPS[name].ref(x, axes)
        finite = np.isfinite(want) if x.dtype.kind in "fc" else np.full(np.shape(want), True)
        atol = 40 * np.finfo(x.dtype).eps if x.dtype.kind in "fc" else 0
        np.testing.assert_allclose(np.asarray(total)[finite], np.asarray(want)[finite], rtol=atol, atol=atol)


# ---------------------------------------------------------------- batching
def rolled(name, a):
    """Return another valid argument: a table stays sorted, a matrix positive, and rows begin where others end."""
    if name == "cholesky":
        return a * 2
    if name == "searchsorted" and a.ndim == 1:
        return np.sort(np.roll(a, 1))
    starts = a.ndim == 1 and a.size and a.dtype.kind == "i" and a[0] == 0 and np.all(np.diff(a) >= 0)
    if name.startswith("csr_") and starts:
        return a[-1] - a[::-1]
    return np.roll(a, 1)


@pytest.mark.parametrize("name", [n for n in NAMES if OPS[n].batch])
def test_batch_rule_is_stacking(name):
    for args, attrs in op_samples(name):
        variables, node = call(name, args, attrs)
        for batched in itertools.product((False, True), repeat=len(args)):
            if not any(batched):
                continue
            stacks = [np.stack([a, rolled(name, a), a]) if b else np.asarray(a) for a, b in zip(args, batched)]
            inner = [new_variable(type_of(a)) for a in stacks]
            try:
                out = node.op.batch(node, inner, batched)
                if out is None:  # this one runs in a loop over the elements
                    out = batch_nodes(results(node), {v: x for v, x, b in zip(variables, inner, batched) if b}, 3)
            except UnsupportedError as error:
                assert name in str(error) and error.do
                continue
            rows = [[s[k] if b else s for s, b in zip(stacks, batched)] for k in range(3)]
            apart = [evaluate_nodes(results(node), dict(zip(variables, row))) for row in rows]
            values = dict(zip(inner, stacks)) | {v: s for v, s, b in zip(variables, stacks, batched) if not b}
            outs = out if type(out) is list else results(out)
            for got, want in zip(evaluate_nodes(outs, values), map(np.stack, zip(*apart))):
                assert got.dtype == want.dtype
                tolerance = 100 * np.finfo(want.dtype).eps if want.dtype.kind in "fc" else 0
                np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------- derivatives
def smooth_samples(name):
    """Yield samples in double precision whose arguments and result are finite, a few per op."""
    count = 0
    for args, attrs in op_samples(name):
        dtypes = {np.asarray(a).dtype for a in args if np.asarray(a).dtype.kind in "fc"}
        if not dtypes or not dtypes <= {np.dtype("f8"), np.dtype("c16")} or any(np.size(a) == 0 for a in args):
            continue
        if any(np.asarray(a).dtype.kind in "fc" and not np.all(np.abs(a) < 100) for a in args):
            continue
        variables, whole = call(name, args, attrs)
        args = [np.asarray(a) for a in args]
        if whole.op.elementwise and whole.ndim == 1 and whole.dtype in ("f8", "c16"):
            smooth = where_smooth(variables, whole, args)
            args = [a[smooth] for a in args]
            variables, whole = call(name, args, attrs)
        for node in observed(whole):
            if node.dtype not in ("f8", "c16"):
                continue
            (value,) = evaluate_nodes([node], dict(zip(variables, args)))
            if value.size and np.all(np.isfinite(value)):
                count += 1
                yield variables, node, args
    assert count, f"no sample of {name} has a derivative: add one in double precision"


def moving(variables):
    return [v for v in variables if v.type.kind in "fc"]


def random_like(rng, a):
    t = rng.uniform(-1, 1, a.shape)
    return t + 1j * rng.uniform(-1, 1, a.shape) if a.dtype.kind == "c" else t


def differences(outs, variables, args, directions, step=1e-5):
    """Return central differences of `outs` along `directions` (variable → array)."""

    def at(t):
        table = {v: a + t * directions[v] if v in directions else a for v, a in zip(variables, args)}
        return evaluate_nodes(outs, table)

    # two steps, extrapolated: the error falls with the fourth power
    near = [(a - b) / (2 * step) for a, b in zip(at(step), at(-step))]
    far = [(a - b) / (4 * step) for a, b in zip(at(2 * step), at(-2 * step))]
    return [(4 * a - b) / 3 for a, b in zip(near, far)]


def where_smooth(variables, node, args):
    """Return where an elementwise op has a derivative: differences of two steps agree, off the branch cuts."""
    good = ~np.any(
        [(a.real < 0) & (a.imag == 0) for a in args if a.dtype.kind == "c"] or [np.zeros(node.shape, bool)], axis=0
    )
    for direction in (1.0, 1.0j):
        moved = {
            v: np.full(a.shape, direction if a.dtype.kind == "c" else 1.0)
            for v, a in zip(variables, args)
            if v.type.kind in "fc"
        }
        for sign in (1, -1):  # two arguments also apart from each other
            moved |= {v: sign * t for v, t in list(moved.items())[1:]}
            far, near = (differences([node], variables, args, moved, step)[0] for step in (1e-4, 1e-5))
            with np.errstate(all="ignore"):
                good &= np.abs(far - near) <= 1e-5 * (1 + np.abs(near))
    return good


def dot(ct, t):
    """Return the pairing of cotangent and tangent, as in `autodiff`."""
    return float(np.real(np.sum(ct * t)))


def agree(got, want, scale=1.0):
    scale = max(scale, float(np.max(np.abs(want), initial=0)))
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7 * scale)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_jvp_is_the_limit_of_differences(name):
    rng = np.random.default_rng(0)
    for variables, node, args in smooth_samples(name):
        directions = {v: random_like(rng, a) for v, a in zip(variables, args) if v.type.kind in "fc"}
        tangents = {v: new_variable(v.type) for v in directions}
        (out,) = jvp_nodes([node], tangents)
        (want,) = differences([node], variables, args, directions)
        if out is None:
            agree(np.zeros(node.shape), want)
            continue
        assert out.type is node.type
        (got,) = evaluate_nodes(
            [out], {**dict(zip(variables, args)), **{tangents[v]: d for v, d in directions.items()}}
        )
        agree(got, want)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_vjp_is_the_transpose_of_jvp(name):
    rng = np.random.default_rng(1)
    for variables, node, args in smooth_samples(name):
        wrt = moving(variables)
        tangents = {v: new_variable(v.type) for v in wrt}
        (push,) = jvp_nodes([node], tangents)
        if push is None:
            continue
        ct = new_variable(node.type)
        pulled = pull_back([node], [ct], wrt)
        table = dict(zip(variables, args))
        table |= {tangents[v]: random_like(rng, table[v]) for v in wrt}
        table[ct] = random_like(rng, np.empty(node.shape, node.dtype))
        assert all(p is None or p.type is v.type for p, v in zip(pulled, wrt))
        forward, *back = evaluate_nodes([push, *[p for p in pulled if p is not None]], table)
        moved = [v for p, v in zip(pulled, wrt) if p is not None]
        left, right = dot(table[ct], forward), sum(dot(b, table[tangents[v]]) for b, v in zip(back, moved))
        assert left == pytest.approx(right, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_second_order_forward_over_reverse(name):
    """The derivative of the cotangents along a direction, against differences of the cotangents."""
    rng = np.random.default_rng(2)
    for variables, node, args in itertools.islice(smooth_samples(name), 4):
        wrt = moving(variables)
        seed = random_like(rng, np.empty(node.shape, node.dtype))
        ct = new_variable(node.type)
        pulled = [p for p in pull_back([node], [ct], wrt) if p is not None]
        directions = {v: random_like(rng, a) for v, a in zip(variables, args) if v.type.kind in "fc"}
        tangents = {v: new_variable(v.type) for v in wrt}
        seconds = jvp_nodes(pulled, tangents)
        table = dict(zip(variables, args)) | {ct: seed} | {tangents[v]: d for v, d in directions.items()}
        want = differences(pulled, [*variables, ct], [*args, seed], directions)
        for second, expected in zip(seconds, want):
            got = np.zeros(expected.shape) if second is None else evaluate_nodes([second], table)[0]
            agree(got, expected)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_second_order_reverse_over_reverse(name):
    """The cotangents are pulled back as the transpose of what forward mode makes of them."""
    rng = np.random.default_rng(3)
    for variables, node, args in itertools.islice(smooth_samples(name), 3):
        wrt, ct = moving(variables), new_variable(node.type)
        pulled = [p for p in pull_back([node], [ct], wrt) if p is not None]
        tangents, seeds = {v: new_variable(v.type) for v in wrt}, [new_variable(p.type) for p in pulled]
        table = dict(zip(variables, args))
        table |= {v: random_like(rng, np.empty(v.shape, v.dtype)) for v in (ct, *tangents.values(), *seeds)}
        back = [(b, tangents[v]) for b, v in zip(pull_back(pulled, seeds, wrt), wrt) if b is not None]
        pushed = [(t, s) for t, s in zip(jvp_nodes(pulled, tangents), seeds) if t is not None]
        right, left = (sum(dot(a, table[t]) for a, (_, t) in zip(evaluate_nodes([n for n, _ in pairs], table), pairs))
                       for pairs in (back, pushed))
        assert left == pytest.approx(right, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives_in_a_batch(name):
    rng = np.random.default_rng(4)
    for variables, node, args in itertools.islice(smooth_samples(name), 2):
        ct = new_variable(node.type)
        pulled = close([*variables, ct], [p for p in pull_back([node], [ct], moving(variables)) if p is not None])
        seeds = [random_like(rng, np.empty(node.shape, node.dtype)) for _ in range(3)]
        for batched in (True, False):  # the point and the cotangents, or these alone
            stacks = [*(np.stack([a] * 3) if batched else a for a in args), np.stack(seeds)]
            got = evaluate(batch(pulled, [batched] * len(args) + [True], 3).check(), *stacks)
            for found, want in zip(got, zip(*[evaluate(pulled, *args, seed) for seed in seeds])):
                np.testing.assert_allclose(found, np.stack(want), rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------- awkward points
AWKWARD = np.array([0.0, 1.0, -1.0, 2.0, np.inf, -np.inf, np.nan])


def real_sample(name):
    """Return a sample call of an elementwise op with double precision for all of its floating arguments, or None."""
    found = [(args, attrs) for args, attrs in op_samples(name)
             if {np.asarray(a).dtype for a in args if np.asarray(a).dtype.kind in "fc"} == {np.dtype("f8")}]
    return found[0] if found else None


@pytest.mark.parametrize("name", [n for n in DIFFERENTIABLE if OPS[n].elementwise and real_sample(n)])
def test_a_branch_that_is_not_taken_has_no_part(name):
    """However infinite its derivatives are, to second order."""
    sample = real_sample(name)
    grid = np.meshgrid(*[AWKWARD] * len(sample[0]))
    with np.errstate(all="ignore"):
        args = [g.ravel().astype(np.asarray(a).dtype) for g, a in zip(grid, sample[0])]
    variables, node = call(name, args, sample[1])
    taken = new_variable(Type(np.dtype(bool), node.shape))
    wrt, kept = moving(variables), OPS["select"](taken, node, zeros(node.type))
    table = dict(zip(variables, args)) | {taken: np.zeros(node.shape, bool)}
    first = [p for p in pull_back([kept], [full_like(1, node)], wrt) if p is not None]
    pulled = [pull_back([p], [full_like(1, p)], wrt) for p in first]
    for got in evaluate_nodes([*first, *[p for ps in pulled for p in ps if p is not None]], table):
        np.testing.assert_array_equal(got, 0)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives_of_no_elements(name):
    """Types and shapes, forward and reverse; a result of some elements does not depend on none."""
    for args, attrs in op_samples(name):
        if any(np.asarray(a).dtype.kind not in "fc" or np.size(a) for a in args):
            continue
        variables, whole = call(name, args, attrs)
        for node in observed(whole):
            if node.type.kind not in "fc":
                continue
            tangents = {v: new_variable(v.type) for v in variables}
            (pushed,) = jvp_nodes([node], tangents)
            pulled = pull_back([node], [full_like(1, node)], variables)
            assert all(p is None or p.type is v.type for p, v in zip(pulled, variables))
            table = {v: a for v, a in zip([*variables, *tangents.values()], [*args, *args])}
            found = evaluate_nodes([n for n in (pushed, *pulled) if n is not None], table)
            assert all(np.all(f == 0) for f in found)
