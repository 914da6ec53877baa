"""Sparse Jacobians and Hessians: the pattern is what depends on what, and the numbers are those of the dense ones."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import least_squares

import tracejit
from tracejit.errors import NotDifferentiableError, UnsupportedError
from tracejit.symbolic.coloring import color, plan, symmetric

RNG = np.random.default_rng(0)
X = RNG.normal(size=8)
MATRIX = sp.random_array((6, 8), density=0.3, format="csr", rng=RNG)
COLUMNS = sp.csc_array(MATRIX)
INDEX = np.array([3, 0, 5, 5])
DENSE = RNG.normal(size=(3, 8))


def finite_differences(f, x, h=1e-6):
    """Return the dense Jacobian by central differences."""
    flat, columns = x.reshape(-1), []
    for j in range(flat.size):
        step = np.zeros(flat.size)
        step[j] = h
        ahead, behind = (np.ravel(f(p.reshape(x.shape))) for p in (flat + step, flat - step))
        columns.append((ahead - behind) / (2 * h))
    return np.stack(columns, axis=1)


def by_loop(x):
    out = np.zeros_like(x)
    for i in range(1, len(x) - 1):
        out[i] = x[i - 1] * x[i + 1] + x[i]
    return out


def recurrence(x):
    for i in range(1, len(x)):
        x[i] = x[i] * x[i - 1]
    return x


def steps(u):
    for _ in range(2):
        u = u + 0.1 * (np.roll(u, 1) - 2 * u + np.roll(u, -1)) * u
    return u


def burgers(u):
    flux = u ** 2 / 2
    return -(flux[2:] - flux[:-2]) / 2 + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])


def bratu(u):
    p = np.pad(u, 1)
    return p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2] - 4 * u + np.exp(u)


def branches(x):
    return x[::-1] ** 2 if x[0] > 100 else np.sin(x)


def while_loop(x):
    while (x ** 2).sum() > 1:
        x = x * 0.5
    return x


#: Functions, and the number of elements that may differ from 0 (None: that of finite differences).
FUNCTIONS = {
    "elementwise": (np.sin, 8), "two elementwise": (lambda x: x * np.exp(-x ** 2), 8),
    "neighbours": (lambda x: x[1:] * x[:-1] - x[1:] ** 2, 14), "every other": (lambda x: x[::2] ** 2, 4),
    "concatenated": (lambda x: np.concatenate([x[:3] ** 2, x[5:], np.ones(2)]), 6),
    "reversed": (lambda x: x[::-1] * x, 16), "transposed": (lambda x: x.reshape(2, 4).T[1:] ** 2, 6),
    "gathered": (lambda x: x[INDEX] ** 2, 4), "scattered": (lambda x: _scattered(x), 4),
    "set": (lambda x: _assigned(x), 10), "masked": (lambda x: np.where(x > 0, x, 2 * x), 8),
    "masked by a literal": (lambda x: np.where(np.arange(8) < 3, x, 1.0), 3), "sum": (lambda x: x.sum() * x, 64),
    "mean of rows": (lambda x: x.reshape(2, 4).mean(axis=1), 8), "cumulative": (lambda x: np.cumsum(x ** 2), 36),
    "running product": (lambda x: np.cumprod(x), 36), "maximum": (lambda x: np.maximum(x[1:], x[:-1]), 14),
    "by rows": (lambda x: MATRIX @ np.sin(x), None), "by columns": (lambda x: COLUMNS @ x ** 2, None),
    "transpose": (lambda x: MATRIX.T @ (MATRIX @ x), None), "dense matrix": (lambda x: DENSE @ x, 24),
    "literal matrix": (lambda x: np.diag(np.arange(8.0)) @ x, 7), "outer": (lambda x: np.outer(x[:2], x[2:4]), 8),
    "arrow": (lambda x: np.concatenate(([x.sum() ** 2], x[1:] * x[0])), 22), "held": (lambda x: _held(x), 8),
    "nothing": (lambda x: np.ones(3), 0), "solved": (lambda x: np.linalg.solve(np.eye(8) * 3, x), 64),
    "convolved": (lambda x: np.convolve(x, [1.0, 2.0, 1.0], "same"), 22), "sorted": (np.sort, None),
    "loop": (by_loop, 18), "recurrence": (recurrence, 36), "steps": (steps, 40), "burgers": (burgers, 18),
    "branches": (branches, 16), "while": (while_loop, None), "scalar": (lambda x: (x[:3] ** 2).sum(), 3),
    "clip": (lambda x: np.clip(x, -1, 1), 8), "norm of pairs": (lambda x: np.hypot(x[::2], x[1::2]), 8),
}


def _scattered(x):
    y = np.zeros(9)
    np.add.at(y, INDEX, x[:4])
    return y


def _assigned(x):
    y = x.copy()
    y[2:4] = x[:2] * x[4:6]
    return y


def _held(x):
    return x * tracejit.stop_gradient(x[::-1])




@pytest.mark.parametrize("name", FUNCTIONS)
def test_jacobian_is_the_dense_one_in_its_pattern(name):
    f, places = FUNCTIONS[name]
    want = finite_differences(f, X.copy()) if name != "held" else np.diag(X[::-1])
    jacobian = tracejit.sparse_jacobian(f)
    got = jacobian(X.copy())
    assert type(got) is sp.csr_array and got.dtype == X.dtype and got.has_canonical_format
    np.testing.assert_allclose(got.toarray(), want, atol=1e-6)
    if places is not None:
        assert got.nnz == places
    pattern = jacobian.sparsity(X.copy())
    assert pattern.dtype == bool
    np.testing.assert_array_equal(pattern.indices, got.indices)


@pytest.mark.parametrize("mode", ["fwd", "rev"])
@pytest.mark.parametrize("name", ["neighbours", "arrow", "by rows", "loop", "mean of rows"])
def test_modes_agree(name, mode):
    f = FUNCTIONS[name][0]
    np.testing.assert_allclose(tracejit.sparse_jacobian(f, mode=mode)(X).toarray(),
                               tracejit.sparse_jacobian(f)(X).toarray(), rtol=1e-13)


def test_arrays_of_several_axes_and_other_arguments():
    u = RNG.normal(size=(4, 5))
    got = tracejit.sparse_jacobian(bratu)(u)
    np.testing.assert_allclose(got.toarray(), finite_differences(bratu, u), atol=1e-6)
    assert got.nnz == 5 * 20 - 2 * (4 + 5)

    def scaled(k, u, shift=0.0):
        return k * u + shift
    np.testing.assert_allclose(tracejit.sparse_jacobian(scaled, argnums=1)(3.0, u, shift=1.0).toarray(), 3 * np.eye(20))
    assert tracejit.sparse_jacobian(np.sin)(u.astype(np.float32)).dtype == np.float32


def test_inside_a_jitted_function():
    """Newton's method with a sparse Jacobian, in one compiled function."""
    def residual(u):
        p = np.concatenate(([1.0], u, [-1.0]))
        return p[2:] - 2 * u + p[:-2] - u ** 3

    jacobian = tracejit.sparse_jacobian(residual)

    @tracejit.jit
    def newton(u):
        from scipy.sparse.linalg import spsolve

        for _ in range(20):
            u = u - spsolve(jacobian(u), residual(u))
        return u, jacobian(u) @ u
    u, product = newton(np.linspace(0.5, -0.5, 6))
    np.testing.assert_allclose(residual(u), 0, atol=1e-12)
    np.testing.assert_allclose(product, tracejit.jvp(residual, (u,), (u,))[1])


def test_one_compilation_serves_all_values_and_follows_positions():
    places = np.array([0, 1])
    jacobian = tracejit.sparse_jacobian(lambda x: x[places] ** 2)
    for x in (X, 2 * X):
        np.testing.assert_allclose(jacobian(x).toarray()[:, :2], np.diag(2 * x[:2]))
    assert jacobian.cache_info().traces == 1
    places[:] = 5, 6  # another pattern
    np.testing.assert_allclose(jacobian(X).toarray()[:, 5:7], np.diag(2 * X[5:7]))
    again = pickle.loads(pickle.dumps(tracejit.sparse_jacobian(np.sin)))
    np.testing.assert_allclose(again(X).toarray(), np.diag(np.cos(X)))


def test_least_squares_takes_it():
    t = np.linspace(0, 3, 40)

    def residuals(p):
        return p[:-2] + np.diff(p[1:]) * p[1:-1] - np.sin(t[:p.size - 2])
    start = np.ones(12)
    dense = least_squares(residuals, start)
    found = least_squares(residuals, start, jac=tracejit.sparse_jacobian(residuals))
    np.testing.assert_allclose(found.fun, dense.fun, atol=1e-6)


COSTS = {
    "rosenbrock": (lambda x: ((1 - x[:-1]) ** 2).sum() + 100 * ((x[1:] - x[:-1] ** 2) ** 2).sum(), 22),
    "separate": (lambda x: np.exp(x).sum(), 8), "arrow": (lambda x: x[0] * (x[1:] ** 2).sum(), 21),
    "full": (lambda x: np.log(np.exp(x).sum()), 64), "linear": (lambda x: x.sum(), 0),
    "quadratic": (lambda x: x @ (MATRIX.T @ (MATRIX @ x)), None),
    "logistic": (lambda x: np.log1p(np.exp(-(MATRIX @ x))).sum(), None),
    "loop": (lambda x: _path_length(x), 22),
}


def _path_length(x):
    total = 0.0
    for i in range(len(x) - 1):
        total = total + np.sqrt(1 + (x[i + 1] - x[i]) ** 2)
    return total


@pytest.mark.parametrize("name", COSTS)
def test_hessian_is_the_dense_one_in_its_pattern(name):
    f, places = COSTS[name]
    got = tracejit.sparse_hessian(f)(X)
    np.testing.assert_allclose(got.toarray(), finite_differences(tracejit.grad(f), X), atol=1e-4)
    np.testing.assert_allclose(got.toarray(), got.toarray().T, atol=1e-12)
    assert places is None or got.nnz == places


# ---------------------------------------------------------------- colors
PATTERNS = {
    "diagonal": (sp.eye_array(50), 1, 1),
    "tridiagonal": (sp.diags_array(np.ones((3, 1)), offsets=[-1, 0, 1], shape=(50, 50)), 3, 3),
    "arrow": (sp.csr_array(np.maximum(np.eye(30), np.arange(30)[:, None] * np.arange(30) == 0)), 3, 2),
    "full row": (sp.csr_array(np.maximum(np.eye(30), np.arange(30)[:, None] == 0)), 3, None),
    "full column": (sp.csr_array(np.maximum(np.eye(30), np.arange(30) == 0)), 2, None),
    "random": (sp.random_array((40, 60), density=0.05, rng=RNG), None, None), "empty": (sp.csr_array((3, 4)), 0, None),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_plans_find_each_number(name):
    matrix, cost, symmetric_cost = PATTERNS[name]
    matrix = sp.csr_array(matrix, dtype=float)
    matrix.data = RNG.normal(size=matrix.nnz)
    matrix.sum_duplicates()
    for mode in (None, "fwd", "rev"):
        found = plan(matrix.astype(bool), mode)
        products = [matrix @ (found.columns == k) for k in range(found.forward)]
        products += [matrix.T @ (found.rows == k) for k in range(found.backward)]
        np.testing.assert_allclose(np.concatenate([*products, []])[found.places], matrix.data)
    best = plan(matrix.astype(bool))
    assert cost is None or best.forward + best.backward <= cost
    if symmetric_cost is not None:
        both = sp.csr_array(matrix + matrix.T)
        both.sort_indices()
        found = symmetric(both.astype(bool))
        assert found.forward <= symmetric_cost
        products = np.concatenate([both @ (found.columns == k) for k in range(found.forward)])
        np.testing.assert_allclose(products[found.places], both.data)


def test_columns_of_one_color_have_no_row_in_common():
    pattern = sp.csr_array(sp.random_array((200, 150), density=0.03, rng=RNG)).astype(bool)
    colors = color(pattern)
    for k in range(colors.max() + 1):
        assert pattern[:, np.flatnonzero(colors == k)].sum(axis=1).max() <= 1
    assert colors.max() + 1 <= 2 * pattern.sum(axis=1).max()


# ---------------------------------------------------------------- refusals
def test_refusals_say_what_to_do():
    with pytest.raises(NotDifferentiableError, match="one real array to one"):
        tracejit.sparse_jacobian(lambda x: (x, x))(X)
    with pytest.raises(NotDifferentiableError, match="one real array to one"):
        tracejit.sparse_jacobian(lambda p: p["a"] + p["b"])({"a": X, "b": X})
    with pytest.raises(NotDifferentiableError, match="only floats"):
        tracejit.sparse_jacobian(lambda x: x * 2)(np.arange(3))
    with pytest.raises(NotDifferentiableError, match="returns a scalar"):
        tracejit.sparse_hessian(np.sin)(X)
    with pytest.raises(ValueError, match="mode"):
        tracejit.sparse_jacobian(np.sin, mode="forward")
    with pytest.raises(TypeError, match="one int"):
        tracejit.sparse_jacobian(np.sin, argnums=(0,))(X)
    with pytest.raises(UnsupportedError, match="size is known at run time"):
        tracejit.sparse_jacobian(lambda x: x[x > 0] ** 2)(X)
    with pytest.raises(UnsupportedError, match="array operations"):
        tracejit.sparse_jacobian(by_loop)(np.ones(20_000))
