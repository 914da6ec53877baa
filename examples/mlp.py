"""A multi-layer perceptron: 784 inputs, 500 tanh units, softmax over 10, in batches of 60.

    python examples/mlp.py [--steps N] [--dtype float64|float32] [--quick] [--out FOLDER]

The parameters are a plain dict, which goes in and comes out: another way than the shared variables of
logistic_regression.py to hold state.
"""

from pathlib import Path

import numpy as np
from helpers import OUT, chosen_steps, command_line, curves, progress, seconds_per_step

import tracejit
from tracejit import printing

BATCH, INPUTS, HIDDEN, CLASSES = 60, 784, 500, 10


def data(dtype, samples=6000, seed=0):
    """Return inputs (samples, 784) scattered around ten centres, and the number of the centre of each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, size=samples)
    centres = rng.normal(size=(CLASSES, INPUTS))
    return (0.3 * centres[labels] + rng.normal(size=(samples, INPUTS))).astype(dtype), labels


def parameters(dtype, seed=1):
    """Return initial weights, uniform as Glorot and Bengio have it."""
    rng = np.random.default_rng(seed)

    def matrix(m, n):
        edge = np.sqrt(6 / (m + n))
        return rng.uniform(-edge, edge, size=(m, n)).astype(dtype)

    return {"W": matrix(INPUTS, HIDDEN), "b": np.zeros(HIDDEN, dtype),
            "V": matrix(HIDDEN, CLASSES), "c": np.zeros(CLASSES, dtype)}


def loss(params, x, labels):
    """Return the mean cross-entropy, written as in the textbook: softmax, then its logarithm."""
    hidden = np.tanh(x @ params["W"] + params["b"])
    e = np.exp(hidden @ params["V"] + params["c"])
    p = e / e.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(labels)), labels]).mean()


@tracejit.jit
def step(params, x, labels, rate):
    """Return the cost and the parameters after one step of gradient descent."""
    cost, gradient = tracejit.value_and_grad(loss)(params, x, labels)
    return cost, {name: value - rate * gradient[name] for name, value in params.items()}


@tracejit.jit
def predict(params, x):
    return (np.tanh(x @ params["W"] + params["b"]) @ params["V"] + params["c"]).argmax(axis=1)


def numpy_step(params, x, labels, rate):
    """Return the same step as plain NumPy, with the gradient by hand."""
    W, b, V, c = params["W"], params["b"], params["V"], params["c"]
    hidden = np.tanh(x @ W + b)
    z = hidden @ V + c
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    cost = -np.log(p[rows, labels]).mean()
    p[rows, labels] -= 1
    dz = p / len(labels)
    dh = (dz @ V.T) * (1 - hidden * hidden)
    gradient = {"W": x.T @ dh, "b": dh.sum(axis=0), "V": hidden.T @ dz, "c": dz.sum(axis=0)}
    return cost, {name: value - rate * gradient[name] for name, value in params.items()}


def main(steps=500, dtype="float32", out=OUT, quiet=False, rounds=11, rate=0.01):
    """Train, print and draw what comes out; returns losses, the accuracy on unseen samples, and seconds per step."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    x, labels = data(dtype, samples=6600)
    unseen, x, unseen_labels, labels = x[:600], x[600:], labels[:600], labels[600:]
    params = parameters(dtype)

    losses = []
    for k in progress(steps, f"perceptron, {dtype}", quiet):
        batch = slice(k * BATCH % len(x), k * BATCH % len(x) + BATCH)
        cost, params = step(params, x[batch], labels[batch], rate)
        losses.append(float(cost))

    accuracy = float((predict(params, unseen) == unseen_labels).mean())
    print(f"cost {losses[0]:.4f} at first, {losses[-1]:.4f} at last; {accuracy:.1%} of 600 unseen samples right")

    first = parameters(dtype), x[:BATCH], labels[:BATCH], rate
    seconds = seconds_per_step({"tracejit": lambda: step(*first), "NumPy": lambda: numpy_step(*first)},
                               steps=20, rounds=rounds)
    print(f"one step: tracejit {seconds['tracejit'] * 1e6:.0f} µs, NumPy with the gradient by hand "
          f"{seconds['NumPy'] * 1e6:.0f} µs: {seconds['NumPy'] / seconds['tracejit']:.2f} times as fast")

    traced = step.trace(*first)
    printing.draw({"traced": traced, "rewritten": traced.lower()}, out / "mlp_graph.svg",
                  names=("W", "b", "V", "c", "x", "labels", "rate"))
    curves(out / "mlp_loss.svg", {dtype: (range(steps), losses)}, "Perceptron 784-500-10, batches of 60",
           "cross-entropy")
    print("pictures:", ", ".join(sorted(p.name for p in out.glob("mlp*"))), "in", out)
    return {"losses": losses, "accuracy": accuracy, "seconds": seconds, "params": params}


if __name__ == "__main__":
    arguments = command_line(__doc__.splitlines()[0], 500).parse_args()
    main(chosen_steps(arguments), arguments.dtype or "float32", arguments.out)
