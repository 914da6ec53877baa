"""Implicit differentiation: through the solution of an optimisation, without going through the steps that find it.

    python examples/implicit.py [--out FOLDER]

A logistic regression has a penalty for each of its 20 features, most of which are noise. The penalties are chosen by
the error on other data, which depends on them through the weights: through the root of the slope that Newton's method
finds. Its derivative is that of the equation (the implicit function theorem), given to the solver with `custom_vjp`.
"""

from pathlib import Path

import numpy as np
from helpers import COLOURS, OUT, command_line, panels
from scipy import optimize

import tracejit

FEATURES = 20
WEIGHTS = np.zeros(FEATURES)
WEIGHTS[:4] = [2.0, -1.5, 1.0, -1.0]


def data(count, rng):
    """Return features (count, 20) and targets (count,) of 0 and 1, of which four features tell something."""
    x = rng.normal(size=(count, FEATURES))
    return x, (rng.random(count) < 1 / (1 + np.exp(-x @ WEIGHTS))).astype(float)


def error(w, x, y):
    """Return the mean cross-entropy."""
    z = x @ w
    return (np.log(1 + np.exp(z)) - y * z).mean()


def slope(w, logs, x, y):
    """Return the slope by w of the error with its penalties, whose root is the solution."""
    p = 1 / (1 + np.exp(-(x @ w)))
    return x.T @ (p - y) / len(y) + np.exp(logs) * w


def matrix(w, logs, x):
    """Return the derivative of the slope by w."""
    p = 1 / (1 + np.exp(-(x @ w)))
    return (x.T * (p * (1 - p))) @ x / len(x) + np.diag(np.exp(logs))


def newton(logs, x, y):
    """Return the weights where the slope is zero."""
    w = np.zeros(FEATURES)
    remaining = slope(w, logs, x, y)
    while np.abs(remaining).max() > 1e-12:
        w = w - np.linalg.solve(matrix(w, logs, x), remaining)
        remaining = slope(w, logs, x, y)
    return w


@tracejit.custom_vjp
def solution(logs, x, y):
    """Return the weights for given logarithms of the penalties; the data are taken for constants."""
    return newton(logs, x, y)


def forward(logs, x, y):
    w = newton(logs, x, y)
    return w, (w, logs, x, y)


def backward(kept, cotangent):
    """0 = slope(w(logs), logs), so dw = -matrix^-1 (d slope / d logs) dlogs; this is the transpose."""
    w, logs, x, y = kept
    _, pull = tracejit.vjp(lambda logs: slope(w, logs, x, y), logs)
    return *pull(-np.linalg.solve(matrix(w, logs, x), cotangent)), None, None


solution.defvjp(forward, backward)


def cost(logs, training, others):
    """Return the error on other data of the weights that the training data give."""
    return error(solution(logs, *training), *others)


def unrolled(logs, training, others, steps=12):
    """Return the same, to be differentiated step by step of Newton's method."""
    w = np.zeros(FEATURES)
    for _ in range(steps):
        w = w - np.linalg.solve(matrix(w, logs, training[0]), slope(w, logs, *training))
    return error(w, *others)


def main(out=OUT, count=80):
    """Choose the penalties, print and draw what comes out; returns them, and the errors on a third set of data."""
    rng = np.random.default_rng(0)
    training, others, unseen = data(count, rng), data(3 * count, rng), data(20 * count, rng)
    both = tracejit.value_and_grad(cost)
    start = np.full(FEATURES, np.log(0.05))
    found = optimize.minimize(both, start, args=(training, others), jac=True, method="L-BFGS-B",
                              bounds=[(-9, 4)] * FEATURES, options={"maxiter": 30})
    errors = {"at first": error(solution(start, *training), *unseen), "chosen": error(solution(found.x, *training),
                                                                                         *unseen)}
    print(f"{found.nfev} evaluations; error on the data that choose {both(start, training, others)[0]:.4f} at first, "
          f"{found.fun:.4f} at last; on unseen data {errors['at first']:.4f} and {errors['chosen']:.4f}")
    _, ours = both(start, training, others)
    steps = tracejit.grad(unrolled)(start, training, others)
    print(f"the implicit slope and the one through twelve steps differ by {np.abs(ours - steps).max():.1e}")
    draw(Path(out) / "implicit.png", training, others, both, solution(found.x, *training), solution(start, *training))
    print("pictures: implicit.png in", out)
    return {"logs": found.x, "errors": errors, "slopes": (ours, steps)}


def draw(path, training, others, both, weights, first):
    """Draw the error with one penalty for all and its derivative, and the weights under the penalties chosen."""
    def common(axes):
        line = np.linspace(-7, 1, 60)
        axes.plot(np.exp(line), [both(np.full(FEATURES, v), training, others)[0] for v in line], color=COLOURS[0])
        for v in line[6::9]:
            value, gradient = both(np.full(FEATURES, v), training, others)
            ends = np.array([-0.5, 0.5])
            axes.plot(np.exp(v + ends), value + gradient.sum() * ends, color=COLOURS[1], linewidth=2)
        axes.set(title="error on other data, and its implicit derivative", xscale="log", xlabel="one penalty for all")

    def chosen(axes):
        colours = [COLOURS[2] if w else "#9aa3af" for w in WEIGHTS]
        axes.bar(np.arange(FEATURES), weights, color=colours)
        axes.plot(np.arange(FEATURES), WEIGHTS, "o", color="black", markersize=3, label="truth")
        axes.plot(np.arange(FEATURES), first, "_", color=COLOURS[1], markersize=9, label="with one penalty for all")
        axes.axhline(0, color="#9aa3af", linewidth=0.6)
        axes.set(title="weights under the penalties that were chosen", xlabel="feature", xticks=[])
        axes.legend(frameon=False)

    panels(path, common, chosen, size=(10.5, 3.8))


if __name__ == "__main__":
    main(command_line(__doc__.splitlines()[0]).parse_args().out)
