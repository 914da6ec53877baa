"""Logistic regression, written naively: it trains, where the same code gives NaN elsewhere.

    python examples/logistic_regression.py [--steps N] [--dtype float64|float32] [--quick] [--out FOLDER]

With random normal weights the probability `p` of many samples rounds to 1, so `log(1 - p)` is minus infinity and its
derivative NaN. tracejit reads the formula before it computes anything, and computes softplus and sigmoid instead.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from helpers import OUT, chosen_steps, command_line, curves, progress, seconds_per_step

import tracejit
from tracejit import printing

SAMPLES, FEATURES = 400, 784


def data(dtype, seed=0):
    """Return samples (400, 784), random targets (400,) of 0 and 1, and initial weights (784,)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(SAMPLES, FEATURES)).astype(dtype)
    y = rng.integers(0, 2, size=SAMPLES).astype(dtype)
    return x, y, rng.normal(size=FEATURES).astype(dtype)


def loss(w, b, x, y):
    """Return the cost, and beside it the predictions and the cross-entropy of each sample."""
    p = 1 / (1 + np.exp(-(x @ w) - b))  # probability that the target is 1
    prediction = p > 0.5
    xent = -y * np.log(p) - (1 - y) * np.log(1 - p)
    cost = xent.mean() + 0.01 * (w**2).sum()
    return cost, (prediction, xent)


def model(w0, dtype):
    """Return the shared variables w and b, and the jitted functions train and predict over them."""
    w = tracejit.shared(w0, name="w")
    b = tracejit.shared(np.zeros((), dtype), name="b")
    gradient = tracejit.grad(loss, argnums=(0, 1), has_aux=True)

    @tracejit.jit
    def train(x, y):
        (gw, gb), (prediction, xent) = gradient(w, b, x, y)
        w[...] = w - 0.1 * gw
        b[...] = b - 0.1 * gb
        return prediction, xent

    @tracejit.jit
    def predict(x):
        return 1 / (1 + np.exp(-(x @ w) - b)) > 0.5

    return w, b, train, predict


def numpy_model(w0, dtype):
    """Return the same training step as plain NumPy, with the gradient by hand."""
    w, b = w0.copy(), np.zeros((), dtype)

    def train(x, y):
        p = 1 / (1 + np.exp(-(x @ w) - b))
        xent = -y * np.log(p) - (1 - y) * np.log(1 - p)
        d = (p - y) / len(y)
        w[...] = w - 0.1 * (d @ x + 0.02 * w)
        b[...] = b - 0.1 * d.sum()
        return p > 0.5, xent

    return train


@dataclass
class Result:
    """What one training run gives."""

    initial: tuple
    final: tuple
    losses: list
    targets: np.ndarray
    predictions: np.ndarray
    seconds: dict


def main(steps=10_000, dtypes=("float64", "float32"), out=OUT, quiet=False, rounds=11):
    """Train in each dtype, print and draw what comes out; returns a Result per dtype."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    results = {dtype: run(dtype, steps, out, quiet, rounds) for dtype in dtypes}
    curves(out / "logistic_regression_loss.svg", {d: zip(*r.losses) for d, r in results.items()},
           f"Logistic regression, {SAMPLES} samples, {FEATURES} features", "mean cross-entropy", log=True)
    print("pictures:", ", ".join(sorted(p.name for p in out.glob("logistic_regression*"))), "in", out)
    return results


def run(dtype, steps, out, quiet, rounds):
    """Train once."""
    x, y, w0 = data(dtype)
    w, b, train, predict = model(w0, dtype)
    initial = w.get_value(), b.get_value()
    print(f"\n=== {dtype} ===")
    show("Initial model", *initial)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy warns of what is shown here
        print("cost of the initial model, as NumPy computes the formula:", loss(*initial, x, y)[0])
    print("cost of the initial model, as tracejit does:             ", tracejit.jit(loss)(*initial, x, y)[0])

    losses = []
    every = max(1, steps // 500)
    for step in progress(steps, f"training, {dtype}", quiet):
        prediction, xent = train(x, y)
        if step % every == 0:
            losses.append((step, float(xent.mean())))

    final, predictions = (w.get_value(), b.get_value()), predict(x)
    show("Final model", *final)
    print("target values:", bits(y), "predictions:", bits(predictions), sep="\n")
    right = int((predictions == y).sum())
    print(f"{right} of {len(y)} predicted right; "
          f"mean cross-entropy {losses[0][1]:.4g} at first, {xent.mean():.4g} at last")

    graphs(out, dtype, train, x, y, w0)

    plain = numpy_model(w0, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        seconds = seconds_per_step({"tracejit": lambda: train(x, y), "NumPy": lambda: plain(x, y)}, rounds=rounds)
    print(f"one step: tracejit {seconds['tracejit'] * 1e6:.1f} µs, NumPy with the gradient by hand "
          f"{seconds['NumPy'] * 1e6:.1f} µs: {seconds['NumPy'] / seconds['tracejit']:.2f} times as fast")
    return Result(initial, final, losses, y, predictions, seconds)


def graphs(out, dtype, train, x, y, w0):
    """Draw the cost and the training step, each before and after the rewrites."""
    cost = tracejit.jit(lambda w, b, x, y: loss(w, b, x, y)[0]).trace(w0, w0.dtype.type(0), x, y)
    step = train.trace(x, y)
    for suffix in (".svg", ".png"):
        printing.draw({"the cost, as written": cost, "rewritten": cost.lower()},
                      out / f"logistic_regression_cost_{dtype}{suffix}", names=("w", "b", "x", "y"))
        printing.draw({"the training step, traced": step, "rewritten": step.lower()},
                      out / f"logistic_regression_step_{dtype}{suffix}", names=("x", "y"))


def show(title, w, b):
    """Print a model."""
    with np.printoptions(threshold=20, precision=4, suppress=True):
        print(f"{title}: w = {w}, b = {b:.6g}")


def bits(values):
    """Return zeros and ones as text, 100 in a line."""
    text = "".join("1" if v else "0" for v in values)
    return "\n".join("  " + text[k:k + 100] for k in range(0, len(text), 100))


if __name__ == "__main__":
    arguments = command_line(__doc__.splitlines()[0], 10_000).parse_args()
    main(chosen_steps(arguments), (arguments.dtype,) if arguments.dtype else ("float64", "float32"), arguments.out)
