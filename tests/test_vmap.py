"""`vmap` against a Python loop over the elements: axes, nests, loops, branches, writes, programs by hand, refusals."""

import collections
import itertools
import pickle

import numpy as np
import pytest
from tracing import run, trace

import tracejit
from tracejit import grad, jit, shared, vmap
from tracejit.errors import ConcretizationError, DimError, UnsupportedError
from tracejit.opt.pipeline import optimize

rng = np.random.default_rng(5)
X = rng.normal(size=(4, 3))
W = rng.normal(size=(3, 2))
M = rng.normal(size=(4, 3, 3)) + 3 * np.eye(3)
Pair = collections.namedtuple("Pair", "first second")


def looped(f, *args, axes=None):
    """Return what a loop over the elements gives, stacked."""
    axes = axes or (0,) * len(args)
    size = next(a.shape[axis] for a, axis in zip(args, axes) if axis is not None)
    rows = [f(*[a if axis is None else np.moveaxis(a, axis, 0)[k].copy() for a, axis in zip(args, axes)])
            for k in range(size)]
    if isinstance(rows[0], tuple):
        return tuple(np.stack(column) for column in zip(*rows))
    return np.stack(rows)


def same(f, *args, axes=None, rtol=1e-12):
    """Assert that the batch is the loop, by the interpreter; returns the graph."""
    want = looped(f, *args, axes=axes)
    mapped = vmap(f, 0 if axes is None else axes)
    got = run(mapped, *[np.array(a) for a in args])
    for g, w in zip(got if isinstance(want, tuple) else [got], want if isinstance(want, tuple) else [want]):
        assert g.dtype == w.dtype and g.shape == w.shape, (g.dtype, g.shape, w.dtype, w.shape)
        np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol)
    return trace(mapped, *args).graph


def kinds(graph):
    """Return how often each op stands in a graph."""
    return collections.Counter(node.op.name for node in graph.topological())


# ---------------------------------------------------------------- axes and nests
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("out", [0, 1, -1])
def test_axes(axis, out):
    x = rng.normal(size=(2, 3, 4))
    got = run(vmap(lambda a: np.cumsum(a, 0) * 2, in_axes=axis, out_axes=out), x)
    want = np.stack([np.cumsum(a, 0) * 2 for a in np.moveaxis(x, axis, 0)], out)
    np.testing.assert_allclose(got, want)


def test_arguments_that_all_share():
    graph = same(lambda x, w: x @ w, X, W, axes=(0, None))
    assert kinds(graph)["dot_general"] == 1 and graph.outs[0].attrs == (((1,), (0,)), ((), ()))  # one plain product
    same(lambda x, y, z: x + y * z, X, X[0], X[::-1].copy(), axes=(0, None, 0))
    np.testing.assert_allclose(vmap(lambda x, p: x**p, in_axes=(0, None))(X, 3), X**3)
    np.testing.assert_allclose(vmap(lambda x, name: getattr(np, name)(x), in_axes=(0, None))(X, "sum"), X.sum(1))


def test_nests_of_arguments_and_results():
    def f(p, q):
        return {"sum": p["a"].sum() + q.first, "pair": (q.second * p["b"][0], q.first)}
    p, q = {"a": X, "b": [X[:, 0]]}, Pair(X[:, 1], W)
    out = vmap(f, in_axes=(0, Pair(0, None)), out_axes={"sum": 0, "pair": (1, 0)})(p, q)
    np.testing.assert_allclose(out["sum"], X.sum(1) + X[:, 1])
    assert out["pair"][0].shape == (3, 4, 2)
    np.testing.assert_allclose(out["pair"][0][:, 2], W * X[2, 0])
    # one entry stands for all below it, whatever the order of a dict
    again = vmap(f, in_axes=({"b": 0, "a": 0}, Pair(0, None)), out_axes={"pair": (1, 0), "sum": 0})(p, q)
    np.testing.assert_array_equal(again["pair"][0], out["pair"][0])


def test_arguments_by_keyword_are_mapped_along_their_first_axis():
    np.testing.assert_allclose(vmap(lambda x, *, y: x * y)(X, y=X[:, 0]), X * X[:, :1])
    with pytest.raises(ValueError, match="y has shape .*no axis 0"):
        vmap(lambda x, y: x * y)(X, y=2.0)


def test_results_that_are_the_same_for_all():
    f = vmap(lambda x, w: (x * 2, w.sum(), 7, "text", None), in_axes=(0, None), out_axes=(0, None, 0, 0, 0))
    out = f(X, W)
    np.testing.assert_allclose(out[1], W.sum())
    assert out[2].tolist() == [7] * 4 and out[3:] == ("text", None) and isinstance(out[1], np.float64)
    np.testing.assert_allclose(vmap(lambda x, w: w + 1, in_axes=(0, None))(X, W), np.stack([W + 1] * 4))
    with pytest.raises(ValueError, match="out_axes is None for a result that differs"):
        vmap(lambda x: x, out_axes=None)(X)


def test_axis_size():
    np.testing.assert_allclose(vmap(lambda w: w.sum(), in_axes=None, axis_size=3)(W), [W.sum()] * 3)
    np.testing.assert_allclose(vmap(lambda x: x.sum(), axis_size=4)(X), X.sum(1))
    with pytest.raises(ValueError, match="axis_size"):
        vmap(lambda w: w, in_axes=None)(W)
    with pytest.raises(DimError, match="axis_size is 5"):
        vmap(lambda x: x, axis_size=5)(X)


def test_no_elements():
    assert vmap(lambda x: x.sum())(X[:0]).shape == (0,)
    assert vmap(np.linalg.inv)(M[:0]).shape == (0, 3, 3)
    assert vmap(collatz)(np.arange(0)).shape == (0,)


def test_elements_of_a_vector_are_numbers():
    seen = []

    def f(x):
        seen.append(type(x + 1))
        return np.sin(x) if np.ndim(x) == 0 else x
    np.testing.assert_allclose(vmap(f)(X[:, 0]), np.sin(X[:, 0]))
    with pytest.raises(TypeError, match="item assignment"):
        vmap(lambda x: x.__setitem__(0, 1))(X[:, 0])


# ---------------------------------------------------------------- mistakes
def error_of(exception, call):
    with pytest.raises(exception) as caught:
        call()
    return str(caught.value)


def test_unequal_sizes_are_named():
    text = error_of(DimError, lambda: vmap(lambda x, parts: x, in_axes=(0, 1))(X, {"a": W, "b": [np.ones((5, 7))]}))
    for part in ("x has 4 along axis 0", "parts['a'] has 2 along axis 1", "parts['b'][0] has 7", __file__, "do: "):
        assert part in text
    assert "y has 3" in error_of(ValueError, lambda: jit(vmap(lambda x, y: x * y))(X, X[:3]))


def test_wrong_axes_are_refused():
    assert "no axis 2" in error_of(ValueError, lambda: vmap(lambda x: x, in_axes=2)(X))
    assert "1 entries" in error_of(ValueError, lambda: vmap(lambda x, y: x, in_axes=(0,))(X, X))
    assert "not nested" in error_of(ValueError, lambda: vmap(lambda x: x, in_axes=((0, 0),))((X, X, X)))
    assert "out_axes=3" in error_of(ValueError, lambda: vmap(lambda x: x, out_axes=3)(X))
    assert "not nested" in error_of(ValueError, lambda: vmap(lambda x: x, out_axes=(0, 0))(X))
    with pytest.raises(TypeError, match="vmap takes a function"):
        vmap(X)


def test_sizes_that_differ_between_elements():
    text = error_of(UnsupportedError, lambda: vmap(lambda x: x[x > 0])(X))
    assert "another size for each element" in text and __file__ in text and "np.where" in text
    np.testing.assert_allclose(vmap(lambda x: x[x > 0].sum())(X), np.where(X > 0, X, 0).sum(1))


@pytest.mark.parametrize("f", [lambda x: [1, 2, 3][int(x[0])], lambda x: "ab" * int(x.sum()),
                               lambda x: np.zeros(int(x[1]))], ids=["index", "text", "size"])
def test_values_that_python_needs(f):
    text = error_of((ConcretizationError, UnsupportedError), lambda: vmap(f)(X))
    assert "elements of a batch" in text or "each element of a batch" in text
    assert "do: " in text and __file__ in text


def test_shared_values_may_steer():
    def f(x, n):
        return np.concatenate([x] * int(n))
    np.testing.assert_allclose(vmap(f, in_axes=(0, None))(X, np.array(2)), np.concatenate([X, X], 1))


def drawing(call, seed=3):
    """Return what ``call(generator)`` gives, and the generator's next number."""
    generator = np.random.default_rng(seed)
    return call(generator), generator.random()


DRAWS = {
    "normal": (lambda g: lambda x: x + g.normal(size=3) * g.random(), lambda f: vmap(f)(X)),
    "jitted": (lambda g: lambda x: x * g.integers(9), lambda f: jit(vmap(f))(X)),
    "axes": (lambda g: lambda x: {"a": x * g.random(), "b": (x.sum(), 1)},
             lambda f: vmap(f, 0, {"a": 1, "b": 0})(X)),
    "nested": (lambda g: lambda x: vmap(lambda v: v + g.random())(x), lambda f: vmap(f)(X)),
    "loop": (lambda g: lambda x: tracejit.scan(lambda c, v: (c + v * g.random(), c), 0.0, x)[0], lambda f: vmap(f)(X)),
    "gradient": (lambda g: grad(lambda x: (x ** 2).sum() * g.random()), lambda f: vmap(f)(X)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_of_each_element_are_those_of_the_loop(name):
    make, call = DRAWS[name]
    got, after = drawing(lambda g: call(make(g)))
    rows, wanted = drawing(lambda g: [make(g)(x) for x in X])
    if name == "axes":
        np.testing.assert_array_equal(got["a"], np.stack([r["a"] for r in rows], 1))
        np.testing.assert_array_equal(got["b"][0], [r["b"][0] for r in rows])
        np.testing.assert_array_equal(got["b"][1], 1)
    else:
        np.testing.assert_allclose(got, np.stack(rows), rtol=1e-15)
    assert after == wanted


def test_random_numbers_and_what_else_an_element_may_do():
    # from a state of its own each element draws the same
    out = vmap(lambda x: x + np.random.default_rng(3).normal(size=3))(X)
    np.testing.assert_allclose(out, X + np.random.default_rng(3).normal(size=3))
    # writes to an element reach the caller's array
    generator, mine = np.random.default_rng(1), X.copy()

    def write(x):
        x[0] = generator.random()
        return x.sum()
    sums = vmap(write)(mine)
    np.testing.assert_array_equal(mine[:, 0], np.random.default_rng(1).random(len(X)))
    np.testing.assert_allclose(sums, mine.sum(1))
    with pytest.raises(ValueError, match="out_axes is None"):
        vmap(lambda x: x * generator.random(), out_axes=None)(X)
    # derivatives of the batch
    total = lambda g: lambda x: vmap(lambda row: (row ** 2).sum() * g.random())(x).sum()
    got, _ = drawing(lambda g: grad(total(g))(X))
    factors, _ = drawing(lambda g: g.random(len(X)))
    np.testing.assert_allclose(got, 2 * X * factors[:, None])


def test_elements_print_in_turn(capsys):
    def f(x):
        print("sum", x.sum())
        return x * 2
    np.testing.assert_array_equal(vmap(f)(X), 2 * X)
    assert capsys.readouterr().out == "".join(f"sum {x.sum()}\n" for x in X)


# ---------------------------------------------------------------- writes
def test_writes_to_a_mapped_argument_reach_the_callers_array():
    def f(x, y):
        x[1:] += y[0]
        y *= 2
        return x.sum()
    for axes in ((0, 0), (1, 0), (0, 1)):
        x, y = (rng.normal(size=(3, 3)) for _ in range(2))
        mine, theirs = (x.copy(), y.copy()), (x.copy(), y.copy())
        want = [f(np.moveaxis(theirs[0], axes[0], 0)[k], np.moveaxis(theirs[1], axes[1], 0)[k]) for k in range(3)]
        np.testing.assert_allclose(vmap(f, axes)(*mine), want)
        for a, b in zip(mine, theirs):
            np.testing.assert_allclose(a, b)


def test_writes_inside_a_jitted_function():
    def f(x):
        x[x < 0] = 0
        x[0] = x[1] + 1

    @jit
    def g(x):
        y = x * 2
        vmap(f)(y[1:])
        return y
    want = X * 2
    for row in want[1:]:
        f(row)
    np.testing.assert_allclose(g(X), want)


def test_the_same_array_twice():
    def f(x, y):
        x += 1
        return y.sum()
    mine, theirs = X.copy(), X.copy()
    np.testing.assert_allclose(vmap(f)(mine, mine), [f(row, row) for row in theirs])
    np.testing.assert_allclose(mine, theirs)


def test_writes_to_what_all_share_are_refused():
    total, state = np.zeros(3), shared(0.0)

    def f(x):
        total[:] += x

    def g(x):
        state[...] = state + x.sum()
    for call in (lambda: vmap(f)(X), lambda: vmap(g)(X), lambda: vmap(lambda x, y: f(x), (0, None))(X, total),
                 lambda: vmap(lambda x, y: y.__setitem__(0, 1), (0, None))(X, total)):
        text = error_of(UnsupportedError, call)
        assert "that all of them share" in text and "in_axes" in text and __file__ in text
    assert not total.any() and state.get_value() == 0


def test_a_read_only_argument():
    x = X.copy()
    x.flags.writeable = False
    np.testing.assert_allclose(vmap(lambda x: x.sum())(x), X.sum(1))
    with pytest.raises(ValueError, match="read-only"):
        vmap(lambda x: x.__setitem__(0, 1))(x)


def test_reshaped_elements_of_a_strided_batch():
    def f(x):
        x.reshape(-1)[0] = 7.0  # of a matrix that lies in another order this is a copy
        return x.sum()
    for axis in (0, 2):
        mine = rng.normal(size=(2, 3, 2))
        theirs = mine.copy()
        want = [f(np.moveaxis(theirs, axis, 0)[k]) for k in range(2)]
        np.testing.assert_allclose(vmap(f, axis)(mine), want)
        np.testing.assert_allclose(mine, theirs)


# ---------------------------------------------------------------- branches and loops
def collatz(n):
    steps = 0
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


def early(x):
    for k in range(len(x)):
        if x[k] > 0:
            return x[k] * 10
    return x.sum()


def updated(x, n):
    x = x.copy()
    for k in range(n):
        x[k % 3] = x[k % 3] * 0.5 + x[(k + 1) % 3]
        if x[0] > 1:
            break
    return x


def scanned(x, w):
    return tracejit.scan(lambda c, row: (np.tanh(c + row * w), c.sum()), w * 0, x)


def test_loops_and_branches():
    same(collatz, np.arange(1, 12))
    same(early, X)
    same(lambda x: x * 2 if x.sum() > 0 else -x, X)
    same(lambda x, n: updated(x, n), X, np.array([0, 3, 20, 11]))
    same(lambda x: updated(x, 12), X)
    same(lambda x: tracejit.fori_loop(0, 12, lambda i, v: np.sin(v) + i, x), X)
    same(lambda x: tracejit.cond(x[0] > 0, np.exp, np.negative, x), X)
    same(lambda i, x: tracejit.switch(i, [np.sin, np.cos, np.tanh], x), np.array([0, 1, 2, 0]), X)
    same(lambda i, x: tracejit.switch(i, [np.sin, np.cos], x), np.array(1), X, axes=(None, 0))
    same(lambda x: tracejit.associative_scan(np.add, x), X)
    same(lambda x: tracejit.map(lambda v: v**2 + x[0], x), X)


def test_scans_in_a_batch_read_and_write_whole_rows():
    x, w = rng.normal(size=(4, 9, 3)), X
    graph = same(scanned, x, w)
    body = next(n for n in graph.topological() if n.op.name == "for_loop").attr("body")
    assert not {"gather", "scatter_set"} & set(kinds(body))
    same(scanned, x, X[0], axes=(0, None))
    same(scanned, rng.normal(size=(9, 3)), X, axes=(None, 0))


def test_a_loop_under_a_condition_ends_with_its_longest_element():
    def f(x):
        return tracejit.while_loop(lambda v: v[0] > 0.1, lambda v: (v[0] * 0.5, v[1] + 1), (x, 0))
    out = run(vmap(f), np.array([0.05, 1.0, 100.0]))
    assert out[1].tolist() == [0, 4, 10]
    same(f, np.array([0.05, 1.0, 100.0]))


def test_what_is_checked_of_one_element():
    def f(x):
        assert x[0] > -5, "too small"
        if x[0] > 3:
            raise ArithmeticError("too large")
        return x.sum()
    np.testing.assert_allclose(vmap(f)(np.abs(X) % 1), (np.abs(X) % 1).sum(1))
    for value, error in ((-9, AssertionError), (9, ArithmeticError)):
        x = np.zeros((3, 2))
        x[2, 0] = value
        with pytest.raises(error, match="too"):
            vmap(f)(x)
    # an element that does not take the way of another raises nothing
    same(lambda x, i: x[i] if i < 3 else x[0], X, np.array([0, 1, 2, 7]))
    with pytest.raises(IndexError):
        vmap(lambda x, i: x[i])(X, np.array([0, 1, 2, 7]))


# ---------------------------------------------------------------- as good as by hand
def test_products_of_matrices_become_one_batched_product():
    a, b = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 3, 5))
    for f, args, axes in ((np.matmul, (a, b), (0, 0)), (np.matmul, (a, b[0]), (0, None)),
                          (np.matmul, (a[0], b), (None, 0)), (np.dot, (X, X), (0, 0)), (np.outer, (X, X), (0, 0)),
                          (lambda a, b: np.einsum("ij,jk->k", a, b), (a, b), (0, 0)),
                          (lambda a, b: np.tensordot(a, b, 1), (a, b), (0, 0))):
        counts = kinds(same(f, *args, axes=axes))
        assert counts["dot_general"] + counts["multiply"] == 1 and not counts["for_loop"]
        assert not counts["broadcast"] or f is np.outer


@pytest.mark.parametrize("f, op", [
    (np.linalg.cholesky, "cholesky"), (np.linalg.inv, "inv"), (np.linalg.det, "det"), (np.linalg.eigh, "eigh"),
    (np.linalg.svd, "svd"), (np.linalg.qr, "qr"), (np.linalg.pinv, "pinv"), (np.linalg.slogdet, "log_abs_det"),
    (np.linalg.eigvals, "eigvals")], ids=lambda f: getattr(f, "__name__", f))
def test_decompositions_run_on_stacks(f, op):
    a = M @ M.swapaxes(1, 2)
    counts = kinds(trace(vmap(f), a).graph)
    assert counts[op] == 1 and not counts["for_loop"]
    if f is not np.linalg.eigvals:
        several = f in (np.linalg.eigh, np.linalg.svd, np.linalg.qr, np.linalg.slogdet)
        same((lambda a: tuple(f(a))) if several else f, a, rtol=1e-9)


def test_one_matrix_is_factorised_once():
    b = rng.normal(size=(5, 3, 2))
    for f, op in ((np.linalg.solve, "solve"), (lambda a, b: np.linalg.lstsq(a, b)[0], "lstsq"),
                  (lambda a, b: np.linalg.lstsq(a, b), "lstsq")):
        graph = same(f, M[0], b, axes=(None, 0), rtol=1e-9) if f is not np.linalg.lstsq else None
        node = next(n for n in graph.topological() if n.op.name == op)
        assert node.args[0].shape == (3, 3) and node.args[1].shape == (3, 10)
    same(np.linalg.solve, M, b[:4], rtol=1e-9)
    same(np.linalg.solve, M, b[0], axes=(0, None), rtol=1e-9)
    same(np.linalg.solve, M[0], X, axes=(None, 0), rtol=1e-9)


def test_indices():
    i = np.array([2, 0, 1, 1])
    graph = same(lambda x, i: x[i], X, i)
    assert kinds(graph)["gather"] == 1
    shared_rows = same(lambda x, i: x[i], X[0], i, axes=(None, 0))
    gathered = next(n for n in shared_rows.topological() if n.op.name == "gather")
    assert gathered.args[0].shape == (3,)  # and no copy of it for each element
    same(lambda x: x[i], X[:, [0, 1, 2]])
    same(lambda x, i: np.take_along_axis(x, np.argsort(x), 0)[i], X, i)

    def scattered(x, i, v):
        x = x.copy()
        x[i] = v
        np.add.at(x, i, v)
        return x
    j = rng.integers(0, 3, (4, 2))
    same(scattered, X, j, X[:, :2])
    same(scattered, X, j[0], X[:, :2], axes=(0, None, 0))
    same(scattered, X[0], j, X[:, :2], axes=(None, 0, 0))


def test_sorting_and_running_along_shifted_axes():
    x = rng.normal(size=(4, 3, 5))
    for f in (lambda x: np.sort(x, 0), lambda x: np.argsort(x), np.cumsum, lambda x: np.cumprod(x, 0), np.median,
              lambda x: np.percentile(x, [20, 70], axis=1), np.argmax, lambda x: np.maximum.accumulate(x, 1)):
        assert not kinds(same(f, x))["for_loop"]


@pytest.mark.parametrize("length", [5, 200])
def test_tables_of_their_own(length):
    tables = np.sort(rng.normal(size=(3, length)))
    x = rng.normal(size=(3, 4))
    same(lambda t, x: np.searchsorted(t, x), tables, x)
    same(lambda t, x: np.searchsorted(t, x, "right"), tables, x[0], axes=(0, None))
    same(lambda t, x: np.interp(x, t, t**2), tables, x)


def test_what_does_not_depend_on_the_batch_is_computed_once():
    graph = trace(vmap(lambda x, w: x * np.exp(w).sum(), (0, None)), X, W).graph
    assert next(n for n in graph.topological() if n.op.name == "exp").shape == W.shape


# ---------------------------------------------------------------- with the rest of the package
def test_nested():
    outer = vmap(vmap(lambda x, y: x * y + x, (0, None)), (None, 0))
    np.testing.assert_allclose(outer(X[0], X[1]), X[0] * X[1][:, None] + X[0])
    three = vmap(vmap(vmap(np.dot, (None, 0)), (0, None)))
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4))
    np.testing.assert_allclose(three(a, b), a @ b.swapaxes(1, 2))
    same(lambda n: vmap(collatz)(n), np.arange(1, 13).reshape(3, 4))


def test_inside_and_outside_jit():
    f = lambda x: np.sin(x).sum() * x
    want = looped(f, X)
    for g in (vmap(f), jit(vmap(f)), vmap(jit(f)), jit(lambda x: vmap(f)(x)), jit(vmap(jit(f)))):
        np.testing.assert_allclose(g(X), want)
    g = vmap(f)
    for k in range(3):
        g(X + k)
    assert (g.cache_info().hits, g.cache_info().traces) == (2, 1)
    assert str(g.trace(X)).startswith("graph vmap_<lambda>(")


@vmap
def decorated(x):
    """Return a norm."""
    return np.linalg.norm(x)


def test_decorated_functions_and_methods():
    assert decorated.__name__ == "decorated" and decorated.__doc__ == "Return a norm."
    assert pickle.loads(pickle.dumps(decorated)) is decorated and repr(decorated) == "<vmap of decorated>"

    class Model:
        w = np.array([1.0, 2.0, 3.0])

        def score(self, x):
            return self.w @ x
    np.testing.assert_allclose(vmap(Model().score)(X), X @ Model.w)


def test_captured_arrays_and_shared_variables_are_read():
    w, state = np.ones(3), shared(np.ones(3))
    f = vmap(lambda x: (x * w).sum() + state.sum())
    np.testing.assert_allclose(f(X), X.sum(1) + 3)
    w[:] = 2
    state.set_value(np.zeros(3))
    np.testing.assert_allclose(f(X), 2 * X.sum(1))
    rows = shared(X)
    np.testing.assert_allclose(vmap(lambda r, x: r @ x)(rows, X), (X * X).sum(1))
    vmap(lambda r: r.__iadd__(1))(rows)
    np.testing.assert_allclose(rows.get_value(), X + 1)


def test_backends_agree():
    f = vmap(lambda x: updated(x, 12))
    want = looped(lambda x: updated(x, 12), X)
    for backend in ("ref", "c", "numba"):
        np.testing.assert_allclose(jit(f, backend=backend)(X), want)


def test_compiled_batches():
    """What the interpreter shows above, once more as machine code, all in one function."""
    @jit
    def f(x, m, n, i):
        return (vmap(scanned, (0, None))(np.stack([x, x + 1]), x[0]), vmap(collatz)(n), vmap(np.linalg.solve)(m, x),
                vmap(np.linalg.solve, (None, 0))(m[0], x), vmap(lambda x, i: x[i])(x, i), vmap(np.sort)(x),
                vmap(np.searchsorted, (0, None))(np.sort(np.concatenate([x] * 20, 1)), x[0]))
    i = np.array([2, 0, 1, 1])
    got = f(X, M, np.arange(1, 5), i)
    np.testing.assert_allclose(got[1], [collatz(n) for n in range(1, 5)])
    np.testing.assert_allclose(got[2], looped(np.linalg.solve, M, X))
    np.testing.assert_allclose(got[3], looped(np.linalg.solve, M[0], X, axes=(None, 0)))
    np.testing.assert_allclose(got[4], X[np.arange(4), i])
    np.testing.assert_allclose(got[5], np.sort(X))
    np.testing.assert_allclose(got[6], [np.searchsorted(np.sort(np.tile(r, 20)), X[0]) for r in X])
    for k, x in enumerate((X, X + 1)):
        carry, ys = scanned_by_hand(x, X[0])
        np.testing.assert_allclose(got[0][0][k], carry)
        np.testing.assert_allclose(got[0][1][k], ys)


def scanned_by_hand(x, w):
    c, ys = w * 0, []
    for row in x:
        ys.append(c.sum())
        c = np.tanh(c + row * w)
    return c, np.array(ys)


def test_gradients_for_each_element_and_of_all():
    cost = lambda w, x: np.tanh(x @ w).sum() ** 2
    each = vmap(grad(cost), (None, 0))(W, X)
    np.testing.assert_allclose(each, np.stack([grad(cost)(W, x) for x in X]))
    np.testing.assert_allclose(grad(lambda w: vmap(cost, (None, 0))(w, X).sum())(W), each.sum(0))


def test_every_way_to_map_two_arguments():
    for axes in itertools.product((0, 1, None), repeat=2):
        if axes != (None, None):
            same(lambda x, y: np.hypot(x, y[0]) + y @ x, *(rng.normal(size=(3, 3)) for _ in axes), axes=axes)


def test_numpys_functions_are_mapped_where_they_stand():
    x = rng.normal(size=(3, 4, 5))
    for f in (np.median, np.sum, np.linalg.norm, np.trace):
        np.testing.assert_allclose(run(lambda x, f=vmap(f): f(x), x), looped(f, x))
        np.testing.assert_allclose(run(vmap(f), x), looped(f, x))


def test_masked_loops_write_single_elements():
    graph = optimize(same(lambda x, n: updated(x, n), X, np.array([0, 3, 20, 11])))
    body = next(n for n in graph.topological() if n.op.name in ("for_loop", "while_loop")).attr("body")
    assert not any(n.op.name == "select" and n.shape == X.shape for n in body.topological())
