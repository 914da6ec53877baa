"""Sparse arrays: products and equations beside SciPy's, sparse Jacobians beside dense ones."""

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve


def grid(n):
    """Return the five-point Laplacian of an n by n grid, by columns."""
    one = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    return sp.csc_array(sp.kron(one, sp.eye_array(n)) + sp.kron(sp.eye_array(n), one))


def random_rows(n):
    """Return a matrix of ten numbers a row, at random places."""
    return sp.random_array((n, n), density=10 / n, format="csr", rng=np.random.default_rng(0))


def bratu(u):
    """Return the residual of Bratu's problem on a grid."""
    p = np.pad(u, 1)
    return p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2] - 4 * u + np.exp(u) / u.size


def rosenbrock(x):
    """Return the chained Rosenbrock function."""
    return ((1 - x[:-1]) ** 2).sum() + 100 * ((x[1:] - x[:-1] ** 2) ** 2).sum()


PRODUCTS = {
    "A @ x": lambda a, x: a @ x, "A.T @ x": lambda a, x: a.T @ x,
    "A @ X": lambda a, x: a @ np.outer(x, np.ones(8)), "chain": lambda a, x: np.tanh(a @ np.exp(-x)) + a.sum(axis=0),
}


class Products:
    """Products with a matrix of ten numbers a row."""

    params = (["tracejit", "scipy"], list(PRODUCTS), [1_000, 100_000, 1_000_000])
    param_names = ("engine", "product", "n")

    def setup(self, engine, product, n):
        self.arguments = random_rows(n), np.random.default_rng(1).normal(size=n)
        self.call = PRODUCTS[product]
        if engine == "tracejit":
            import tracejit  # the SciPy column is measured without it

            self.call = tracejit.jit(self.call)
        self.call(*self.arguments)

    def time_call(self, engine, product, n):
        self.call(*self.arguments)


class Equations:
    """One solution on a grid, with other numbers each time, and ten with the same."""

    params = (["tracejit", "scipy"], [10, 50, 150])
    param_names = ("engine", "side")

    def setup(self, engine, side):
        self.matrix, self.b = grid(side), np.random.default_rng(1).normal(size=side * side)

        def repeated(a, b):
            for _ in range(10):
                b = spsolve(a, b)
            return b
        self.once, self.repeated = spsolve, repeated
        if engine == "tracejit":
            import tracejit

            self.once, self.repeated = tracejit.jit(spsolve), tracejit.jit(repeated)
        self.once(self.matrix, self.b), self.repeated(self.matrix, self.b)

    def time_once(self, engine, side):
        self.matrix.data *= 1.0001
        self.once(self.matrix, self.b)

    def time_repeated(self, engine, side):
        self.repeated(self.matrix, self.b)


class Jacobians:
    """The Jacobian of a stencil, and the Hessian of a chain: sparse, dense, and what the function itself costs."""

    params = (["sparse", "dense", "function"], [20, 100, 300])
    param_names = ("how", "side")

    def setup(self, how, side):
        import tracejit

        if how == "dense" and side > 20:
            raise NotImplementedError("too large to be dense")
        self.u = np.random.default_rng(1).normal(size=(side, side))
        self.x = self.u.reshape(-1)
        of_grid = {"sparse": tracejit.sparse_jacobian, "dense": tracejit.jacobian, "function": tracejit.jit}[how]
        of_chain = {"sparse": tracejit.sparse_hessian, "dense": tracejit.hessian, "function": tracejit.jit}[how]
        self.jacobian, self.hessian = of_grid(bratu), of_chain(rosenbrock)
        self.jacobian(self.u), self.hessian(self.x)

    def time_jacobian(self, how, side):
        self.jacobian(self.u)

    def time_hessian(self, how, side):
        self.hessian(self.x)
