"""Jitted functions as others call them: SciPy's solvers, samplers and estimators, and workers of three libraries."""

import copy
import multiprocessing
import os
import pickle

import dask.array
import joblib
import numpy as np
import pytest
from distributed import Client, LocalCluster
from scipy import integrate, optimize

import tracejit

X = np.linspace(0.1, 0.9, 5)


# ---------------------------------------------------------------- SciPy's solvers
def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "TNC", "SLSQP", "trust-ncg"])
def test_minimize_with_value_and_slope(method):
    more = {"hessp": tracejit.hvp(rosenbrock)} if method == "trust-ncg" else {}
    found = optimize.minimize(tracejit.value_and_grad(rosenbrock), np.zeros(3), jac=True, method=method, **more)
    np.testing.assert_allclose(found.x, 1, atol=1e-2)


def test_root_and_brentq_and_quad():
    f = tracejit.jit(lambda x: np.cos(x) - x)
    assert optimize.brentq(f, 0, 1) == pytest.approx(0.7390851332151607)
    assert optimize.newton(f, 0.5, fprime=tracejit.grad(f)) == pytest.approx(0.7390851332151607)
    value, _ = integrate.quad(tracejit.jit(lambda x: np.exp(-x * x)), 0, np.inf)
    assert value == pytest.approx(np.sqrt(np.pi) / 2)
    found = optimize.root(tracejit.jit(lambda x: np.array([x[0] + x[1] - 3, x[0] * x[1] - 2])), [0.0, 5.0])
    np.testing.assert_allclose(np.sort(found.x), [1, 2])


def test_functions_of_ctypes_and_callbacks_get_plain_numbers():
    """SciPy checks types: a scalar result is a NumPy scalar, an array owns its data and can be written."""
    value, slope = tracejit.value_and_grad(rosenbrock)(X)
    assert type(value) is np.float64 and type(slope) is np.ndarray and slope.flags.owndata and slope.flags.writeable
    assert float(value).is_integer() is False and slope.flags.c_contiguous


# ---------------------------------------------------------------- the workers
def work(f, x):
    """Return a task's result, its process, and how often the function was traced and compiled there."""
    value = f(x)
    info = f.cache_info()
    return value, os.getpid(), info.traces, info.compiles


@tracejit.jit
def by_name(x):
    total = np.zeros_like(x)
    for k in range(20):
        total += np.sin(k * x)
    return total


def energy(x):
    return (by_name(x) ** 2).sum()


SLOPE = tracejit.grad(energy)


def by_value(factor):
    return tracejit.jit(lambda x: factor * np.cos(x))


def with_rules(factor):
    """Return what uses a rule that calls its own function, an operation, and what computes again."""
    @tracejit.custom_jvp
    def wave(x):
        return np.sin(factor * x)
    wave.defjvp(lambda primals, tangents: (wave(*primals), factor * np.cos(factor * primals[0]) * tangents[0]))

    @tracejit.extend.elementwise(c="{0} * {0} * {0}", derivative=lambda x: 3 * cube(x) / x)
    def cube(x):
        return x * x * x
    again = tracejit.checkpoint(lambda x: np.exp(wave(x) + cube(x)))
    return tracejit.jit(tracejit.grad(lambda x: again(x).sum()))


def assert_traced_once(answers, function, xs):
    """Assert that all results are NumPy's, and that no process traced or compiled the function twice.

    A forked one has inherited what its parent compiled: the one trace.
    """
    for (value, _, _, _), x in zip(answers, xs, strict=True):
        np.testing.assert_allclose(value, function(x), rtol=1e-12)
    pids = {pid for _, pid, _, _ in answers}
    assert os.getpid() not in pids
    assert {(traces, compiles) for _, _, traces, compiles in answers} == {(1, 1)}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache on disk for this test and its workers; tells what is in it, and whether it was written again."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("TRACEJIT_FLAGS", f"cache_dir={folder}")
    with tracejit.config.context(cache_dir=str(folder)):
        yield lambda: {(p.name, p.stat().st_ino) for p in folder.rglob("*.*")}


@pytest.mark.parametrize("method", sorted({"spawn", "fork"} & set(multiprocessing.get_all_start_methods())))
def test_multiprocessing(method, cache):
    by_name.clear_cache()
    expected = by_name(X)
    before = cache()
    with multiprocessing.get_context(method).Pool(2) as pool:
        answers = pool.starmap(work, [(by_name, X)] * 6, chunksize=1)
        slopes = pool.map(SLOPE, [X, X])
    assert_traced_once(answers, lambda x: expected, [X] * 6)
    np.testing.assert_allclose(slopes[1], SLOPE(X))
    assert before <= cache()  # the code of the first process is used, not made again


def test_joblib(cache):
    xs = [X + k for k in range(6)]
    for f in (by_name, by_value(2.0), with_rules(2.0)):
        f(X)
        before = cache()
        answers = joblib.Parallel(n_jobs=2)(joblib.delayed(work)(f, x) for x in xs)
        assert_traced_once(answers, f.__wrapped__, xs)
        assert before <= cache()
    threads = joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(by_name)(x) for x in xs)
    np.testing.assert_array_equal(threads, [by_name(x) for x in xs])


def test_dask(cache):
    """Blocks of arrays in threads and processes, single tasks, and functions that are made at run time."""
    x = np.linspace(0, 1, 4000).reshape(40, 100)
    blocks = dask.array.from_array(x, chunks=(10, 100))
    np.testing.assert_allclose(blocks.map_blocks(by_name).compute(scheduler="threads"), by_name(x), rtol=1e-12)
    xs = [X + k for k in range(4)]
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        np.testing.assert_allclose(blocks.map_blocks(by_name).compute(), by_name(x), rtol=1e-12)
        np.testing.assert_allclose(blocks.map_blocks(SLOPE).sum().compute(),
                                   sum(SLOPE(x[k:k + 10]).sum() for k in range(0, 40, 10)), rtol=1e-10)
        made = by_value(3.0)
        made(X)
        before = cache()
        answers = client.gather(client.map(work, [made] * 4, xs, pure=False))
        assert_traced_once(answers, made.__wrapped__, xs)
        assert before <= cache()


# ---------------------------------------------------------------- samplers and estimators
@pytest.mark.parametrize("vectorized", [False, True])
def test_ensemble_sampler(vectorized):
    """A sampler with emcee's calling convention: ``log_prob_fn(coords, *args)``, one walker or all at once."""
    def log_prob(theta, scale):
        return -0.5 * ((theta / scale) ** 2).sum(axis=-1)

    compiled = tracejit.jit(log_prob)
    scale = np.array([1.0, 3.0])

    def all_walkers(coords):
        return compiled(coords, scale) if vectorized else np.array([compiled(c, scale) for c in coords])

    rng = np.random.default_rng(0)
    walkers, chain = rng.normal(size=(20, 2)), []
    for _ in range(400):
        for half, other in ((slice(0, 10), slice(10, 20)), (slice(10, 20), slice(0, 10))):
            stretch = (1 + rng.random(10)) ** 2 / 2
            mates = walkers[other][rng.integers(10, size=10)]
            proposed = mates + stretch[:, None] * (walkers[half] - mates)
            gain = np.log(stretch) + all_walkers(proposed) - all_walkers(walkers[half])
            walkers[half] = np.where((np.log(rng.random(10)) < gain)[:, None], proposed, walkers[half])
        chain.append(walkers.copy())
    np.testing.assert_allclose(np.concatenate(chain[50:]).std(axis=0), scale, rtol=0.15)
    assert compiled.cache_info().traces == 1


class Ridge:
    """An estimator as scikit-learn has them: parameters in the constructor, what is learned with an underscore."""

    def __init__(self, penalty=1.0):
        self.penalty = penalty

    def get_params(self, deep=True):
        return {"penalty": self.penalty}

    def set_params(self, **params):
        for name, value in params.items():
            setattr(self, name, value)
        return self

    @tracejit.jit
    def cost(self, w, x, y):
        return ((x @ w - y) ** 2).sum() + self.penalty * (w**2).sum()

    def fit(self, x, y):
        slope = tracejit.value_and_grad(self.cost)
        self.coef_ = optimize.minimize(slope, np.zeros(x.shape[1]), args=(x, y), jac=True, tol=1e-10).x
        return self

    def predict(self, x):
        return tracejit.jit(np.matmul)(x, self.coef_)


def test_estimator_is_cloned_pickled_and_copied():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    exact = lambda penalty: np.linalg.solve(x.T @ x + penalty * np.eye(3), x.T @ y)
    first = Ridge(2.0).fit(x, y)
    clone = type(first)(**copy.deepcopy(first.get_params())).set_params(penalty=5.0).fit(x, y)
    for model in (first, pickle.loads(pickle.dumps(first)), copy.deepcopy(first), copy.copy(first)):
        np.testing.assert_allclose(model.coef_, exact(2.0), atol=1e-6)
        np.testing.assert_allclose(model.predict(x), x @ model.coef_)
        assert model.cost(model.coef_, x, y) == first.cost(first.coef_, x, y)
    np.testing.assert_allclose(clone.coef_, exact(5.0), atol=1e-6)
    models = joblib.Parallel(n_jobs=2, backend="threading")(joblib.delayed(Ridge(p).fit)(x, y) for p in (1.0, 3.0))
    np.testing.assert_allclose([m.coef_ for m in models], [exact(1.0), exact(3.0)], atol=1e-6)
