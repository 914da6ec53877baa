"""Every example runs, with fewer steps, and reaches what it promises."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import tracejit
from tracejit.testing import check_grads

EXAMPLES = Path(__file__).parent.parent / "examples"
PROGRAMS = sorted(p.stem for p in EXAMPLES.glob("*.py") if "__main__" in p.read_text(encoding="utf-8"))


@pytest.fixture
def example(monkeypatch):
    """Import an example by its name, as its folder's scripts see each other."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


def assert_pictures(folder, *names):
    for name in names:
        content = (folder / name).read_bytes()
        if name.endswith(".svg"):
            ElementTree.fromstring(content)
        else:
            assert content.startswith(b"\x89PNG")


def test_all_examples_are_tested():
    tests = Path(__file__).read_text(encoding="utf-8")
    assert len(PROGRAMS) >= 9
    assert [name for name in PROGRAMS if f"def test_{name}(" not in tests] == []


def test_quickstart(example, tmp_path, capsys):
    results = example("quickstart").main(tmp_path, source=True)
    np.testing.assert_array_equal(results["f"], [0, 2, 1026])
    np.testing.assert_array_equal(results["g"], [9, 25, 49])
    np.testing.assert_array_equal(results["gradient"], [1, 11, 5121])
    assert results["tiny"][0] == 1e-18
    for name in "fg":
        assert results[name, "before"] is not results[name, "after"]
    said = capsys.readouterr().out
    assert "graph f(" in said and "graph g(" in said and "tj_entry" in said
    assert_pictures(tmp_path, "quickstart_f.svg", "quickstart_f.png", "quickstart_g.svg", "quickstart_g.png")


def test_logistic_regression(example, tmp_path, capsys):
    results = example("logistic_regression").main(400, out=tmp_path, quiet=True, rounds=1)
    assert list(results) == ["float64", "float32"]
    for dtype, r in results.items():
        assert r.initial[0].shape == r.final[0].shape == (784,)
        assert r.final[0].dtype == r.final[1].dtype == dtype
        assert np.isfinite(r.final[0]).all() and np.isfinite(r.final[1])
        losses = [loss for _, loss in r.losses]
        assert losses[0] > 5 and losses[-1] < 0.1 * losses[0]
        assert (r.predictions == r.targets).mean() > 0.95
        assert min(r.seconds.values()) > 0
    said = capsys.readouterr().out
    for words in ("Initial model", "Final model", "target values", "predictions", "one step: tracejit"):
        assert said.count(words) == 2
    assert_pictures(tmp_path, "logistic_regression_loss.svg", "logistic_regression_cost_float64.svg",
                    "logistic_regression_step_float64.png", "logistic_regression_step_float32.svg")


def test_scipy_solvers(example, tmp_path):
    module = example("scipy_solvers")
    result = module.main(tmp_path, points=60, places=12)
    for found in result["minima"].values():
        np.testing.assert_allclose(found.x, 1, atol=1e-3)
    assert result["fit"].success and result["error"] < 0.1
    assert result["solution"].success
    assert_pictures(tmp_path, "scipy_solvers.png")


def test_sparse_jacobian_of_the_solvers(example):
    module = example("scipy_solvers")
    y = np.random.default_rng(0).uniform(1, 3, size=12)
    jacobian = tracejit.sparse_jacobian(module.brusselator)(y)
    assert jacobian.nnz < 12 * 5
    columns = [(module.brusselator(y + h) - module.brusselator(y - h)) / 2e-6 for h in 1e-6 * np.eye(12)]
    np.testing.assert_allclose(jacobian.toarray(), np.array(columns).T, atol=1e-6)
    check_grads(module.brusselator, (y,), order=1)


def test_workers(tmp_path):
    """As a script: its functions are not in any module that the workers could import."""
    run = subprocess.run([sys.executable, EXAMPLES / "workers.py", "--quick", "--out", tmp_path], capture_output=True,
                         text=True, env={**os.environ, "PYTHONIOENCODING": "utf-8"})
    assert run.returncode == 0, run.stderr
    assert "12 blocks; traces of each worker: [1" in run.stdout and "2]" not in run.stdout
    assert_pictures(tmp_path, "workers.png")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_mlp(example, tmp_path, dtype):
    module = example("mlp")
    result = module.main(60, dtype, tmp_path, quiet=True, rounds=1)
    assert result["losses"][-1] < 0.5 * result["losses"][0]
    assert result["accuracy"] > 0.8
    assert {p.dtype for p in result["params"].values()} == {np.dtype(dtype)}
    assert_pictures(tmp_path, "mlp_loss.svg", "mlp_graph.svg")


def test_mlp_gradient_is_the_one_by_hand(example):
    module = example("mlp")
    x, labels = module.data("float64", samples=60)
    params = module.parameters("float64")
    cost, new = module.step(params, x, labels, 0.01)
    expected_cost, expected = module.numpy_step(params, x, labels, 0.01)
    np.testing.assert_allclose(cost, expected_cost, rtol=1e-12)
    for name in params:
        np.testing.assert_allclose(new[name], expected[name], rtol=1e-11, atol=1e-13)


@pytest.mark.slow
def test_convnet(example, tmp_path):
    module = example("convnet")
    result = module.main(16, "float32", batch=4, out=tmp_path, quiet=True, samples=8, unseen=8)
    assert np.isfinite(result["losses"]).all()
    assert np.mean(result["losses"][-2:]) < 0.75 * np.mean(result["losses"][:2])
    assert_pictures(tmp_path, "convnet_loss.svg", "convnet_filters.png")


def test_convnet_learns_one_batch(example):
    """The same images again and again: the cost must fall at each step."""
    module = example("convnet")
    rng = np.random.default_rng(3)
    params = module.parameters("float64", rng)
    images, labels = module.gratings(2, "float64", rng)
    losses = []
    for _ in range(5):
        cost, params = module.step(params, images, labels, 0.01)
        losses.append(float(cost))
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.9 * losses[0]


def test_convnet_gradient_is_a_difference_quotient(example):
    module = example("convnet")
    rng = np.random.default_rng(4)
    params = module.parameters("float64", rng)
    images, labels = module.gratings(1, "float64", rng)
    rate = 1e-3
    _, new = module.step(params, images, labels, rate)
    direction = {name: rng.normal(size=p.shape) for name, p in params.items()}
    slope = sum(((params[n] - new[n]) / rate * direction[n]).sum() for n in params)
    h = 1e-6
    moved = lambda sign: module.loss({n: p + sign * h * direction[n] for n, p in params.items()}, images, labels)
    np.testing.assert_allclose(slope, (moved(1) - moved(-1)) / (2 * h), rtol=1e-5)


def test_resnet(example, tmp_path):
    module = example("resnet")
    result = module.main(40, "float32", tmp_path, quiet=True, depth=9)
    assert result["losses"][-1] < 0.1 * result["losses"][0]
    assert result["accuracy"] > 0.9
    assert {p.dtype for p in result["params"].values()} == {np.dtype("float32")}
    assert module.step.cache_info().traces == 1
    assert_pictures(tmp_path, "resnet.png")


def test_resnet_gradient(example):
    module = example("resnet")
    rng = np.random.default_rng(6)
    x, labels = module.spirals(7, "float64", rng)
    params = module.parameters("float64", rng, depth=10, width=3)
    check_grads(lambda p: module.loss(p, x, labels), (params,), order=1)
    slope = tracejit.grad(module.loss)
    assert "for_loop" in str(slope.trace(params, x, labels).graph)  # the blocks are a loop, back and forth


def test_ode(example, tmp_path):
    """The fit finds the truth within its errors, and the sensitivities are those of the variational equations."""
    module = example("ode")
    result = module.main(tmp_path)
    assert (np.abs(result["params"] - module.TRUTH) < 3 * result["sigma"] * result["params"]).all()
    np.testing.assert_allclose(result["moved"], result["variational"], rtol=1e-5, atol=1e-5)
    assert_pictures(tmp_path, "ode.png")


def test_ode_gradient(example):
    module = example("ode")
    times = np.linspace(0, 6, 12)
    data = module.path(module.TRUTH, module.START, times) + 0.3
    cost = lambda logs, start: module.misfit(logs, start, times, data)
    # the number of steps jumps, and the result by the tolerance of 1e-8 with it
    check_grads(cost, (np.log(module.TRUTH) + 0.1, module.START), order=1, rtol=1e-4, atol=1e-4)


def test_kalman(example, tmp_path):
    module = example("kalman")
    result = module.main(tmp_path)
    assert (np.abs(result["logs"] - module.TRUTH) < 3 * result["sigma"]).all()
    assert result["errors"]["filtered"] < 0.8 * result["errors"]["measured"]
    assert_pictures(tmp_path, "kalman.png")


def test_kalman_gradient(example):
    module = example("kalman")
    _, measured = module.simulate(10, np.random.default_rng(0))
    with tracejit.config.context(backend="ref"):  # the graphs, without the compiler: the example itself runs in C
        check_grads(module.cost, (module.TRUTH, measured), order=1)
        check_grads(lambda logs: module.cost(logs, measured), (module.TRUTH,))


def test_kalman_likelihood_is_that_of_one_normal_vector(example):
    """The filter's sum over measurements is the density of all of them together."""
    module = example("kalman")
    _, measured = module.simulate(9, np.random.default_rng(1))
    F, Q, H, R = module.matrices(module.TRUTH)
    variance, blocks = 10 * np.eye(4), {}
    for k in range(9):
        variance = F @ variance @ F.T + Q
        across = variance
        for later in range(k, 9):
            blocks[later, k] = H @ across @ H.T
            across = F @ across
    joint = np.block([[blocks[max(i, j), min(i, j)].T if i < j else blocks[i, j] for j in range(9)] for i in range(9)])
    joint += np.kron(np.eye(9), R)
    y = measured.ravel()
    expected = 0.5 * (y @ np.linalg.solve(joint, y) + np.linalg.slogdet(2 * np.pi * joint)[1])
    np.testing.assert_allclose(tracejit.jit(module.cost)(module.TRUTH, measured), expected, rtol=1e-10)


def test_gaussian_process(example, tmp_path):
    result = example("gaussian_process").main(tmp_path)
    assert result["costs"][1] < result["costs"][0] - 50
    np.testing.assert_allclose(np.exp(result["logs"][[3, 4]]), [1.5, 0.2], rtol=0.15)
    assert result["error"] < 0.15
    assert_pictures(tmp_path, "gaussian_process.png")


def test_gaussian_process_gradient(example):
    module = example("gaussian_process")
    x, y = module.data(8, np.random.default_rng(2))
    with tracejit.config.context(backend="ref"):
        check_grads(module.cost, (module.GUESS, x, y), order=1)
        check_grads(lambda logs: module.cost(logs, x, y), (module.GUESS,), rtol=1e-5)


def test_hmc(example, tmp_path):
    """The draws have the moments of the density, within their errors."""
    module = example("hmc")
    result = module.main(tmp_path, count=4000)
    chain = result["chain"]
    exact = np.array([module.WIDE, np.sqrt(1 + 2 * (module.BEND * module.WIDE**2) ** 2)])
    assert (np.abs(chain.mean(axis=0)) < 4 * exact / np.sqrt(result["effective"])).all()
    np.testing.assert_allclose(chain.std(axis=0), exact, rtol=0.15)
    assert 0.8 < result["taken"] < 1
    assert_pictures(tmp_path, "hmc.png")


def test_hmc_draws_are_those_of_numpy(example):
    """The compiled chain and the plain function's take the same ways, from the same generator."""
    module = example("hmc")
    start = np.array([0.5, -0.5])
    chain, taken = module.sample(np.random.default_rng(3), start, 0.3, 4, 20)
    plain, plain_taken = module.sample.__wrapped__(np.random.default_rng(3), start, 0.3, 4, 20)
    np.testing.assert_allclose(chain, plain, rtol=1e-9)
    assert taken == plain_taken


def test_hmc_gradient(example):
    module = example("hmc")
    q, p = np.array([1.0, -0.5]), np.array([0.3, 0.8])
    check_grads(module.log_density, (q,))
    ways = lambda q, p, size: module.leapfrog(q, p, size, 12)
    check_grads(ways, (q, p, 0.2), order=1)
    # the steps of leapfrog keep the volume
    together = tracejit.jit(lambda row: tracejit.jvp(lambda z: np.concatenate(ways(z[:2], z[2:], 0.2)),
                                                     (np.concatenate([q, p]),), (row,))[1])
    np.testing.assert_allclose(np.linalg.det([together(row) for row in np.eye(4)]), 1, rtol=1e-10)


def test_implicit(example, tmp_path):
    """Better penalties are found, and the implicit slope is the one through Newton's steps."""
    result = example("implicit").main(tmp_path)
    assert result["errors"]["chosen"] < 0.9 * result["errors"]["at first"]
    np.testing.assert_allclose(*result["slopes"], rtol=1e-8, atol=1e-12)
    assert_pictures(tmp_path, "implicit.png")


def test_implicit_gradient(example):
    module = example("implicit")
    rng = np.random.default_rng(1)
    training, others = module.data(30, rng), module.data(20, rng)
    logs = rng.uniform(-3, -1, size=module.FEATURES)
    # a rule for reverse mode has no forward mode to compare with
    slope = tracejit.grad(module.cost)(logs, training, others)
    moved = lambda h: module.error(module.newton(logs + h, *training), *others)
    for direction in rng.normal(size=(3, module.FEATURES)):
        np.testing.assert_allclose(slope @ direction, (moved(1e-5 * direction) - moved(-1e-5 * direction)) / 2e-5,
                                   rtol=1e-6)
    check_grads(lambda logs: module.unrolled(logs, training, others, steps=6), (logs,), order=1)


def test_the_plain_functions_are_plain_numpy(example):
    """What is compiled runs without the compiler, too, to the same values."""
    module = example("convnet")
    rng = np.random.default_rng(5)
    params = module.parameters("float64", rng)
    images, _ = module.gratings(2, "float64", rng)
    np.testing.assert_array_equal(module.predict(params, images), module.scores(params, images).argmax(axis=1))


def test_the_command_line(tmp_path):
    run = subprocess.run([sys.executable, EXAMPLES / "mlp.py", "--steps", "40", "--quick", "--out", tmp_path],
                         capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": "utf-8"})
    assert run.returncode == 0, run.stderr
    assert "unseen samples right" in run.stdout
    assert_pictures(tmp_path, "mlp_loss.svg")
