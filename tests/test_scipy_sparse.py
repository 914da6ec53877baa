"""scipy.sparse in traced code: SciPy's value, dtype, shape and class; derivatives; equations of any pattern."""

import operator

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy_samples import call, cases, check, floats, ints, same

import tracejit
from tracejit.errors import NotDifferentiableError, UnsupportedError
from tracejit.testing import check_grads


def pattern(m, n, density=0.4, seed=0):
    """Return a random dense matrix with many zeros, and an empty row where it has several."""
    out = floats(m, n, seed=seed) * (np.random.default_rng(seed + 1).random((m, n)) < density)
    out[m // 2:m // 2 + (m > 1)] = 0
    return out


A, B, X, V, W = pattern(5, 4), pattern(5, 4, seed=7), floats(4, 3), floats(4), floats(5)
SQUARE = pattern(6, 6) + 3 * np.eye(6)
Z = A * (1 + 0.5j)
CLASSES = [getattr(sp, f"{form}_{kind}") for form in ("csr", "csc", "coo", "dia") for kind in ("array", "matrix")]
CSR, CSC, COO, DIA = CLASSES[::2]
ROWS, COLUMNS = np.array([0, 2, 2, 1, 2]), np.array([1, 0, 3, 1, 0])

SAMPLES = {
    sp.diags: [call([floats(4), floats(3)], [0, 1]), call([floats(4), np.arange(1, 4)], [0, -1], format="csr"),
               call(floats(4)), call(floats(1), 1, (3, 3)), call([1.0, floats(1)], [0, 2], (4, 5)),
               call([floats(3)], [2], (3, 5), "csc"), call([floats(4, dtype=np.float32)], [0], dtype=np.float64),
               call([floats(2), floats(3)], [0]), call([floats(4)], [0], (6, 6)), call(ints(3), dtype=None)],
    sp.diags_array: [call([floats(4), floats(3)], offsets=[0, 1]), call(floats(4)), call(ints(3), dtype=None),
                     call([floats(5)], offsets=[-2], format="coo"), call([-2.0, floats(1)], offsets=[0, 1],
                                                                        shape=(4, 4), format="csr")],
    sp.eye: [call(3), call(3, 4, 1), call(3, format="csr"), call(4, dtype=np.float32)],
    sp.eye_array: [call(3), call(3, 4, k=-1), call(3, format="csc"), call(4, dtype=np.int8)],
    sp.identity: [call(3), call(3, format="csr"), call(2, "f")],
    sp.issparse: [call(CSR(A)), call(DIA(A)), call(A), call(3)],
    sp.isspmatrix: [call(CSR(A)), call(sp.csr_matrix(A)), call(A)],
    sla.spsolve: [call(CSC(SQUARE), floats(6)), call(CSR(SQUARE), floats(6, 2)), call(CSR(SQUARE), floats(6, 1)),
                  call(sp.csr_matrix(SQUARE), ints(6)), call(CSC(SQUARE.astype(np.float32)), floats(6)),
                  call(CSC(SQUARE.astype(np.float32)), floats(6, dtype=np.float32)).close(1e-4),
                  call(CSC(SQUARE), floats(6) + 1j), call(CSC(SQUARE * 1j), floats(6)), call(DIA(SQUARE), floats(6)),
                  call(CSR(A), floats(5)), call(CSR(SQUARE), floats(5)), call(CSC(np.eye(4)[[1, 0, 3, 2]]), floats(4)),
                  call(CSR(ints(3, 3, dtype=np.int64) + 20 * np.eye(3, dtype=int)), floats(3)),
                  call(CSR(np.zeros((3, 3))), floats(3)), call(CSC(np.ones((3, 3))), floats(3))],
    sla.norm: [call(CSR(A)), call(CSC(Z), "fro"), call(CSR(A), 1), call(CSR(A), np.inf)],
}
SOLVERS = [lambda a, b: sla.splu(a).solve(b), lambda a, b: sla.splu(a).solve(b, "T"), lambda a, b: sla.factorized(a)(b),
           lambda a, b: sla.splu(a).solve(b, trans="H")]
SAMPLES[sla.splu] = SAMPLES[sla.factorized] = [call(CSC(A))]  # what they give for others is called by SOLVERS


@pytest.mark.parametrize(("function", "sample"), cases(SAMPLES))
def test_same_as_scipy(function, sample):
    check(function, sample)


@pytest.mark.parametrize("solver", SOLVERS)
def test_factors_solve_again_and_again(solver):
    for a in (CSC(SQUARE), CSC(SQUARE * (1 + 1j))):
        for b in (floats(6), floats(6, 2)):
            if not (np.iscomplexobj(a.data) and solver is not SOLVERS[0]):
                check(solver, call(a, b))
    check(solver, call(CSC(SQUARE * (1 + 1j)), floats(6) * (1 - 1j)))


# ---------------------------------------------------------------- methods and operators
def agrees(function, *args):
    """Assert that a function traced, and interpreted, gives what SciPy gives: result, class, errors, writes."""
    answers, given = [], []
    for traced in (tracejit.jit(function, backend="ref"), function):
        given.append([a.copy() for a in args])
        try:
            answers.append(traced(*given[-1]))
        except Exception as error:
            answers.append(error)
    got, want = answers
    if isinstance(want, Exception) or isinstance(got, Exception):
        if not isinstance(got, type(want)):
            raise AssertionError(f"{got!r} is not {want!r}") from (got if isinstance(got, Exception) else None)
    else:
        same(got, want)
    same(given[0], given[1])


METHODS = {
    "matmul vector": lambda a: a @ V, "matmul matrix": lambda a: a @ X, "matmul column": lambda a: a @ X[:, :1],
    "vector matmul": lambda a: W @ a, "matrix matmul": lambda a: X.T @ a.T, "dot": lambda a: a.dot(V),
    "dot number": lambda a: a.dot(2.0), "float32": lambda a: a @ V.astype(np.float32),
    "complex": lambda a: a @ (V * 1j), "integers": lambda a: a @ np.arange(4), "list": lambda a: a @ [1, 2, 3, 4],
    "wrong length": lambda a: a @ W, "wrong matrix": lambda a: X @ a, "matmul number": lambda a: a @ 2,
    "times number": lambda a: a * 2, "number times": lambda a: np.float64(2) * a, "halved": lambda a: a / 2,
    "negative": operator.neg, "absolute": abs, "transpose": lambda a: a.T, "transposed twice": lambda a: a.T.T,
    "multiply number": lambda a: a.multiply(3), "multiply matrix": lambda a: a.multiply(B),
    "multiply row": lambda a: a.multiply(V), "multiply column": lambda a: a.multiply(W[:, None]),
    "multiply ones": lambda a: a.multiply(np.ones((1, 1))), "over column": lambda a: a / (W[:, None] + 3),
    "plus itself": lambda a: a + a, "minus double": lambda a: a - 2 * a, "plus 0": lambda a: a + 0,
    "plus number": lambda a: a + 1, "plus dense": lambda a: a + B, "dense plus": lambda a: B + a,
    "dense minus": lambda a: B - a, "minus dense": lambda a: a - B, "sum": lambda a: a.sum(),
    "sum 0": lambda a: np.asarray(a.sum(axis=0)), "sum 1": lambda a: np.asarray(a.sum(1)),
    "sum float32": lambda a: np.asarray(a.sum(0, dtype=np.float32)), "mean": lambda a: a.mean(),
    "mean 1": lambda a: np.asarray(a.mean(axis=-1)), "wrong axis": lambda a: a.sum(axis=2),
    "diagonal": lambda a: a.diagonal(), "diagonal 1": lambda a: a.diagonal(1), "diagonal -2": lambda a: a.diagonal(-2),
    "diagonal 9": lambda a: a.diagonal(9), "trace": lambda a: a.trace(), "toarray": lambda a: a.toarray(),
    "astype": lambda a: a.astype(np.float32), "power": lambda a: a.power(2), "copy": lambda a: a.copy(),
    "conjugate": lambda a: a.conjugate(), "real": lambda a: a.real, "sqrt": lambda a: abs(a).sqrt(),
    "sin": lambda a: a.sin(), "expm1": lambda a: a.expm1(), "tocsr": lambda a: a.tocsr(),
    "tocsc": lambda a: a.tocsc(), "tocoo": lambda a: a.tocoo(), "asformat": lambda a: a.asformat("csc"),
    "shape": lambda a: a.shape, "dtype": lambda a: a.dtype, "nnz": lambda a: a.nnz, "ndim": lambda a: a.ndim,
    "data": lambda a: a.data * 2, "format": lambda a: a.format, "count_nonzero": lambda a: a.count_nonzero(),
    "is array": lambda a: isinstance(a, sp.sparray), "is csr": lambda a: isinstance(a, (sp.csr_array, sp.csr_matrix)),
    "no attribute": lambda a: a.nothing, "written": lambda a: operator.setitem(a.data, slice(0, 2), 5.0),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_method_same_as_scipy(cls, method):
    agrees(METHODS[method], cls(A))


@pytest.mark.parametrize("dtype", ["f4", "c16", "c8", "i8", "i2", "u1", "?"])
@pytest.mark.parametrize("cls", [CSR, CSC, COO, DIA], ids=lambda c: c.__name__)
def test_dtypes_same_as_scipy(cls, dtype):
    a = cls((A * 3).astype(dtype))
    for other in (V, np.arange(4), (V > 0), np.ones((4, 2), np.float32)):
        agrees(operator.matmul, a, other.astype(dtype) if dtype == "?" else other)
    for method in ("sum", "sum 0", "sum 1", "mean", "toarray", "times number", "halved", "diagonal", "tocsc"):
        agrees(METHODS[method], a)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (1, 4), (4, 1)])
def test_small_shapes_same_as_scipy(shape):
    for cls in (CSR, CSC, COO, DIA):
        a = cls(np.ones(shape))
        if cls is not COO or shape[0] != 1:  # of which SciPy makes a number
            agrees(operator.matmul, a, np.ones(shape[1]))
        agrees(operator.matmul, a, np.ones((shape[1], 2)))
        for method in ("sum", "toarray", "transpose", "tocsc", "diagonal", "plus itself"):
            agrees(METHODS[method], a)


PAIRS = {"add": operator.add, "sub": operator.sub, "matmul": lambda a, b: a @ b.T,
         "multiply": lambda a, b: a.multiply(b)}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("first", "second"), [(CSR, CSR), (CSC, CSC), (CSR, CSC), (CSC, CSR), (COO, CSR), (DIA, DIA),
                                               (CSR, DIA), (sp.csr_matrix, sp.csc_matrix)],
                         ids=lambda c: c.__name__)
def test_two_sparse_arrays_of_other_patterns(pair, first, second):
    if (pair, first, second) not in (("matmul", DIA, DIA), ("multiply", DIA, DIA)):  # SciPy's stay diagonals
        agrees(PAIRS[pair], first(A), second(B))


def test_products_of_two_sparse_arrays_compiled_and_differentiated():
    a, b = CSR(A), CSR(B)
    f = tracejit.jit(lambda a, b: (a @ b.T, a + b, a.multiply(b)))
    for got, want in zip(f(a, b), (a @ b.T, a + b, a.multiply(b))):
        np.testing.assert_allclose(got.toarray(), want.toarray(), atol=1e-14)
        assert type(got) is CSR
    gradient = tracejit.grad(lambda a, b: ((a @ b.T).toarray() ** 2).sum())(a, b)
    want = 2 * (A @ B.T) @ B
    np.testing.assert_allclose(gradient.toarray(), want * (A != 0), atol=1e-12)


# ---------------------------------------------------------------- making them
MAKERS = {
    "by rows": lambda d: sp.csr_array((d[:3], np.array([0, 2, 1]), np.array([0, 2, 3])), shape=(2, 3)),
    "shape inferred": lambda d: sp.csc_array((d[:3], np.array([0, 2, 1]), np.array([0, 2, 3]))),
    "coordinates": lambda d: sp.coo_array((d, (ROWS, COLUMNS)), shape=(3, 4)),
    "coordinates, added up": lambda d: sp.csr_matrix((d, (ROWS, COLUMNS)), shape=(3, 4)),
    "coordinates by columns": lambda d: sp.csc_array((d, (ROWS, COLUMNS))),
    "of dense": lambda d: sp.csr_array(np.outer(d > 0, d)),
    "of another": lambda d: sp.csc_array(sp.csr_array((d, (ROWS, COLUMNS)), shape=(3, 4))),
    "other dtype": lambda d: sp.csr_array((d, (ROWS, COLUMNS)), shape=(3, 4), dtype=np.float32),
    "diagonals": lambda d: sp.dia_array((np.stack([d, d]), np.array([0, 2])), shape=(5, 5)),
    "empty": lambda d: sp.csr_array((2, 3)) * d[0],
    "known": lambda d: sp.csr_array(np.eye(3)) @ d[:3],
    "kron of known": lambda d: sp.kron(sp.eye_array(2), np.ones((1, 2)), format="csr") @ d[:4],
    "numbers set": lambda d: _changed(sp.csr_array((d[:2], np.array([0, 1]), np.array([0, 1, 2])), shape=(2, 2))),
}


def _changed(a):
    a.data = a.data * 2
    a.data += 1
    return a


@pytest.mark.parametrize("maker", MAKERS)
def test_made_inside(maker):
    tracejit.testing.assert_same_as_numpy(_dense_of(MAKERS[maker]), floats(5))
    got, want = tracejit.jit(MAKERS[maker])(floats(5)), MAKERS[maker](floats(5))
    assert type(got) is type(want) and got.dtype == want.dtype and got.shape == want.shape


def _dense_of(maker):
    def dense(d):
        made = maker(d)
        return made.toarray() if sp.issparse(made) else made
    return dense


# ---------------------------------------------------------------- arguments, captures, results
class Model:
    def __init__(self):
        self.matrix = CSR(A)

    def __call__(self, x):
        return self.matrix @ x


GLOBAL = CSR(A)


def test_captured_by_reference():
    """Numbers written into it are seen, so are new numbers, and another matrix."""
    global GLOBAL
    GLOBAL, model = CSR(A), Model()
    f, g = tracejit.jit(lambda x: GLOBAL @ x), tracejit.jit(model)
    for change in (lambda: None, lambda: operator.setitem(GLOBAL.data, slice(None), 2.0),
                   lambda: setattr(GLOBAL, "data", GLOBAL.data * 3)):
        change()
        np.testing.assert_array_equal(f(V), GLOBAL @ V)
    assert f.cache_info().traces == 1
    GLOBAL = CSR(B)
    np.testing.assert_array_equal(f(V), GLOBAL @ V)
    np.testing.assert_array_equal(g(V), A @ V)
    model.matrix = CSC(B)
    np.testing.assert_array_equal(g(V), model.matrix @ V)


def test_result_of_the_same_numbers_shares_them():
    a = CSR(A)
    same, double = tracejit.jit(lambda a: (a, a * 2))(a)
    assert type(same) is CSR
    assert np.shares_memory(same.data, a.data) and np.shares_memory(same.indices, a.indices)
    assert double.has_sorted_indices
    np.testing.assert_array_equal(double.toarray(), 2 * A)


def test_written_in_place():
    a = CSR(A)
    def f(a):
        a.data *= 2
        a.data[0] = 7
    tracejit.jit(f)(a)
    b = CSR(A)
    f(b)
    np.testing.assert_array_equal(a.toarray(), b.toarray())


def test_nested_in_arguments_and_results():
    given = {"stiffness": CSR(A), "load": [V]}
    got = tracejit.jit(lambda p: {"out": p["stiffness"] @ p["load"][0], "same": p["stiffness"].T})(given)
    np.testing.assert_array_equal(got["out"], CSR(A) @ V)
    assert type(got["same"]) is CSC


def test_another_number_of_places_is_another_trace():
    f = tracejit.jit(lambda a, x: a @ x)
    for a in (A, B, A):
        np.testing.assert_array_equal(f(CSR(a), V), CSR(a) @ V)


@pytest.mark.parametrize("form", ["lil", "dok", "bsr"])
def test_other_formats_are_converted_as_arguments(form):
    a = CSR(A).asformat(form)
    np.testing.assert_allclose(tracejit.jit(operator.matmul)(a, V), A @ V)


REFUSED = {
    "indexing": lambda a: a[0], "iterating": lambda a: list(a), "minimum": lambda a: a.minimum(a),
    "other format": lambda a: a.tolil(), "quotient": lambda a: a / a, "comparison": lambda a: a == a,
    "new data": lambda a: setattr(a, "data", a.data * 2), "kron": lambda a: sp.kron(a, a),
    "sparse right-hand side": lambda a: sla.spsolve(a, a), "repeated": lambda a: a[:1].multiply(B),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_by_name(what):
    with pytest.raises(UnsupportedError) as caught:
        tracejit.jit(REFUSED[what])(CSR(A))
    assert caught.value.do and "test_scipy_sparse.py" in str(caught.value)


def test_refused_arguments():
    with pytest.raises(UnsupportedError, match="two axes"):
        tracejit.jit(lambda a: a)(sp.coo_array(np.arange(3)))
    outside = sp.lil_array(A)
    with pytest.raises(UnsupportedError, match=r"tocsr\(\) outside"):
        tracejit.jit(lambda x: outside @ x)(V)
    with pytest.raises(NotDifferentiableError):
        tracejit.grad(lambda a: (a @ V).sum())(CSR(A.astype(int)))


# ---------------------------------------------------------------- control flow
def test_in_loops_and_branches():
    def power(a, x, n):
        for _ in range(n):
            x = a @ x
            x = x / np.sqrt((x ** 2).sum())
        if x[0] > 0:
            a = a * 2
        else:
            a = a * 3
        while a.sum() < 1000:
            a = a + a
        return a, x

    a = abs(CSR(SQUARE))
    for sign in (1, -1):
        got, want = tracejit.jit(power)(a, sign * np.ones(6), 20), power(a, sign * np.ones(6), 20)
        np.testing.assert_allclose(got[0].toarray(), want[0].toarray())
        np.testing.assert_allclose(got[1], want[1])
        assert type(got[0]) is CSR


def test_implicit_steps_in_a_loop():
    """The matrix of each step is the same, and its factors are kept."""
    def heat(u, k):
        n = len(u)
        matrix = sp.diags_array([np.full(n - 1, -k), np.full(n, 1 + 2 * k), np.full(n - 1, -k)], offsets=[-1, 0, 1],
                                format="csc")
        for _ in range(10):
            u = sla.spsolve(matrix, u)
        return u

    u = floats(30)
    np.testing.assert_allclose(tracejit.jit(heat)(u, 0.3), heat(u, 0.3), rtol=1e-12)
    check_grads(heat, (u, 0.3), order=1)


# ---------------------------------------------------------------- derivatives
SMOOTH = {
    "product": lambda a, x: np.sin(a @ x), "product with a matrix": lambda a, x: a @ np.outer(x, x),
    "from the left": lambda a, x: np.cos(x) @ a.T, "sum": lambda a, x: a.sum(axis=0) * x[:1],
    "diagonal": lambda a, x: a.diagonal() * x.sum(), "dense": lambda a, x: a.toarray() @ x,
    "multiply": lambda a, x: a.multiply(x).sum(1), "norm": lambda a, x: sla.norm(a) * x,
    "square": lambda a, x: a.T @ (a @ x),
}


@pytest.mark.parametrize("function", SMOOTH)
@pytest.mark.parametrize("cls", [CSR, CSC, COO, DIA], ids=lambda c: c.__name__)
def test_derivatives_to_second_order(cls, function):
    a = cls(A)

    def of_numbers(data, x):
        parts = {"coo": (data, a.coords) if cls is COO else None, "dia": (data, a.offsets) if cls is DIA else None}
        return SMOOTH[function](cls(parts.get(a.format) or (data, a.indices, a.indptr), shape=a.shape), x)
    check_grads(of_numbers, (a.data, V), order=2)


@pytest.mark.parametrize("cls", [CSR, CSC, DIA], ids=lambda c: c.__name__)
def test_derivatives_of_equations(cls):
    a = cls(SQUARE)

    def solve(data, b):
        made = cls((data, a.offsets) if cls is DIA else (data, a.indices, a.indptr), shape=a.shape)
        return np.sin(sla.spsolve(made, b))
    check_grads(solve, (a.data, floats(6)), order=2)
    check_grads(solve, (a.data, floats(6, 2)), order=1)


def test_gradient_of_a_sparse_argument_has_its_pattern():
    for cls in CLASSES[:6]:
        a = cls(A)
        gradient, = tracejit.grad(lambda a, x: ((a @ x) ** 2).sum(), argnums=(0,))(a, V)
        assert type(gradient) is cls
        np.testing.assert_allclose(gradient.toarray(), 2 * np.outer(A @ V, V) * (A != 0))


def test_jvp_and_vjp_of_sparse_values():
    a, direction = CSR(A), CSR(A) * 0.5
    value, tangent = tracejit.jvp(lambda a: (a * a.data.sum(), a @ V), (a,), (direction,))
    np.testing.assert_allclose(value[0].toarray(), A * A.sum())
    np.testing.assert_allclose(tangent[0].toarray(), A * A.sum(), atol=1e-12)
    np.testing.assert_allclose(tangent[1], A @ V / 2)
    out, pull = tracejit.vjp(lambda a, x: a * x[0], a, V)
    back, to_x = pull(direction)
    assert type(out) is CSR and type(back) is CSR
    np.testing.assert_allclose(back.toarray(), A * 0.5 * V[0])
    np.testing.assert_allclose(to_x, [(A * A).sum() / 2, 0, 0, 0])


# ---------------------------------------------------------------- sparse LU
def grid(n):
    """Return the five-point Laplacian of an n by n grid."""
    one = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    return sp.csc_array(sp.kron(one, sp.eye_array(n)) + sp.kron(sp.eye_array(n), one))


def arrow(n):
    """Return a matrix with a full first row, column and diagonal."""
    out = sp.lil_array(sp.eye_array(n) * 3.0)
    out[0, :], out[:, 0] = 1.0, 2.0
    return out.tocsr()


def shuffled(a, seed=0):
    """Return a matrix with its rows in another order: every pivot is off the diagonal."""
    return sp.csr_array(a)[np.random.default_rng(seed).permutation(a.shape[0])]


RNG = np.random.default_rng(3)
SYSTEMS = {
    "grid": grid(12), "arrow": arrow(200), "rows shuffled": shuffled(grid(8)),
    "random": sp.csr_array(sp.random_array((150, 150), density=0.03, rng=RNG) + sp.eye_array(150) * 0.5),
    "unsymmetric": sp.csc_array(sp.random_array((80, 80), density=0.08, rng=RNG)
                                + sp.diags_array(RNG.random(80) - 0.5)),
    "blocks": sp.csr_array(sp.block_diag([RNG.normal(size=(k, k)) for k in (1, 5, 17, 30)])),
    "complex": sp.csr_array(grid(7) * (1 + 2j)), "single": sp.csr_array(grid(6).astype(np.float32)),
    "chain": sp.csr_array(sp.diags_array([1.0, -2.5, 1.0], offsets=[-1, 0, 1], shape=(500, 500))),
    "full": sp.csr_array(RNG.normal(size=(40, 40))),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_solutions_are_as_good_as_scipys(system):
    a = SYSTEMS[system]
    b = RNG.normal(size=(a.shape[0], 2)).astype(a.dtype.char.lower() if a.dtype.kind == "f" else float)
    got, want = tracejit.jit(sla.spsolve)(a, b), sla.spsolve(a.tocsc(), b)
    transposed = tracejit.jit(lambda a, b: sla.spsolve(a.T, b))(a, b)
    assert got.dtype == want.dtype
    for matrix, x, other in ((a, got, want), (a.T, transposed, sla.spsolve(a.T.tocsc(), b))):
        least = np.abs(matrix @ other - b).max() + np.finfo(got.dtype).eps * np.abs(b).max()
        assert np.abs(matrix @ x - b).max() < 100 * least


@pytest.mark.parametrize("a", [np.zeros((3, 3)), np.ones((4, 4)), np.diag([1.0, 0, 2])], ids=["zero", "ones", "gap"])
def test_singular_gives_nan(a):
    assert np.isnan(tracejit.jit(sla.spsolve)(CSR(a), np.ones(len(a)))).all()
    np.testing.assert_array_equal(tracejit.jit(sla.spsolve)(CSR(np.eye(3)), V[:3]), V[:3])  # and goes on


def test_the_same_names_inside_and_outside():
    from tracejit.scipy import sparse

    def f(x):
        return sparse.linalg.spsolve(sparse.diags_array(x, format="csc"), x)
    np.testing.assert_allclose(tracejit.jit(f)(V), f(V))
