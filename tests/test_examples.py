"""Every example runs, with fewer steps, and reaches what it promises."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

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
    assert PROGRAMS == ["convnet", "logistic_regression", "mlp", "quickstart"]


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
