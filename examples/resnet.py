"""A residual network: a loop over 24 blocks, each of which adds a little to what it is given.

    python examples/resnet.py [--steps N] [--dtype float64|float32] [--quick] [--out FOLDER]

Points of three spiral arms, which no straight line separates; 16 units wide, two matrices a block, softmax over the
arms. The loop over the blocks is Python's own: it becomes a loop of the compiled function, and its derivative runs it
backwards.
"""

from pathlib import Path

import numpy as np
from helpers import COLOURS, OUT, chosen_steps, command_line, panels, progress

import tracejit

DEPTH, WIDTH, CLASSES = 24, 16, 3


def spirals(count, dtype, rng):
    """Return points (count, 2) on noisy spiral arms, and the number of the arm of each."""
    labels = rng.integers(0, CLASSES, size=count)
    radius = np.sqrt(rng.uniform(0.02, 1, size=count))
    angle = 2 * np.pi * labels / CLASSES + 5 * radius + 0.15 * rng.normal(size=count)
    return (radius * np.array([np.cos(angle), np.sin(angle)])).T.astype(dtype), labels


def parameters(dtype, rng, depth=DEPTH, width=WIDTH):
    """Return weights; those of the blocks are stacked, and small enough for each block to begin near the identity."""
    def normal(*shape, scale):
        return (scale * rng.normal(size=shape)).astype(dtype)

    return {"in": normal(2, width, scale=1.0), "shift": np.zeros(width, dtype),
            "W": normal(depth, width, width, scale=width ** -0.5), "b": np.zeros((depth, width), dtype),
            "V": normal(depth, width, width, scale=(width * depth) ** -0.5),
            "out": normal(width, CLASSES, scale=width ** -0.5), "d": np.zeros(CLASSES, dtype)}


def features(params, x):
    """Return what the last block gives for each point."""
    h = x @ params["in"] + params["shift"]
    for W, b, V in zip(params["W"], params["b"], params["V"]):
        h = h + np.tanh(h @ W + b) @ V
    return h


def loss(params, x, labels):
    """Return the mean cross-entropy, written as in the textbook: softmax, then its logarithm."""
    e = np.exp(features(params, x) @ params["out"] + params["d"])
    p = e / e.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(labels)), labels]).mean()


@tracejit.jit
def step(params, moments, x, labels, rate):
    """Return the cost, and parameters and moments after one step of Adam (Kingma and Ba 2015)."""
    cost, gradient = tracejit.value_and_grad(loss)(params, x, labels)
    count = moments["count"] + 1
    mean = {k: 0.9 * moments["mean"][k] + 0.1 * g for k, g in gradient.items()}
    square = {k: 0.99 * moments["square"][k] + 0.01 * g * g for k, g in gradient.items()}
    size = rate * np.sqrt(1 - 0.99 ** count) / (1 - 0.9 ** count)
    params = {k: p - (size * mean[k] / (np.sqrt(square[k]) + 1e-8)).astype(p.dtype) for k, p in params.items()}
    return cost, params, {"mean": mean, "square": square, "count": count}


@tracejit.jit
def predict(params, x):
    return (features(params, x) @ params["out"] + params["d"]).argmax(axis=1)


def main(steps=400, dtype="float32", out=OUT, quiet=False, rate=0.01, depth=DEPTH):
    """Train, print and draw what comes out; returns the losses, the accuracy on unseen points and the parameters."""
    rng = np.random.default_rng(0)
    x, labels = spirals(512, dtype, rng)
    params = parameters(dtype, rng, depth)
    zeros = lambda: {k: np.zeros_like(p) for k, p in params.items()}
    moments = {"mean": zeros(), "square": zeros(), "count": 0}

    losses = []
    for _ in progress(steps, f"residual network, {dtype}", quiet):
        cost, params, moments = step(params, moments, x, labels, rate)
        losses.append(float(cost))

    unseen, unseen_labels = spirals(1000, dtype, rng)
    accuracy = float((predict(params, unseen) == unseen_labels).mean())
    print(f"{depth} blocks: cost {losses[0]:.4f} at first, {losses[-1]:.4f} at last; "
          f"{accuracy:.1%} of {len(unseen)} unseen points right")
    draw(Path(out) / "resnet.png", params, losses, unseen[:400], unseen_labels[:400])
    print("pictures: resnet.png in", out)
    return {"losses": losses, "accuracy": accuracy, "params": params}


def draw(path, params, losses, x, labels):
    """Draw the cost, the regions that are taken for each arm, and the points before and after all blocks."""
    colours = np.array(COLOURS)[labels]

    def cost(axes):
        axes.semilogy(losses, color=COLOURS[0])
        axes.set(title="cross-entropy", xlabel="step")
        axes.grid(color="#e6e9ee")

    def regions(axes):
        line = np.linspace(-1.3, 1.3, 161, dtype=x.dtype)
        places = np.stack(np.meshgrid(line, line), axis=-1)
        guesses = predict(params, places.reshape(-1, 2)).reshape(161, 161)
        axes.contourf(line, line, guesses, levels=np.arange(CLASSES + 1) - 0.5, colors=COLOURS[:CLASSES], alpha=0.25)
        axes.scatter(*x.T, c=colours, s=5)
        axes.set(title="what is taken for which arm", aspect="equal", xticks=[], yticks=[])

    def projected(h, title):
        def points(axes):
            centred = h - h.mean(axis=0)
            axes.scatter(*(centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T).T, c=colours, s=5)
            axes.set(title=title, xticks=[], yticks=[])
        return points

    panels(path, regions, cost, projected(x @ params["in"], "the points before the first block"),
           projected(features(params, x), "after the last block (principal components)"), size=(7.2, 6.4), rows=2)


if __name__ == "__main__":
    arguments = command_line(__doc__.splitlines()[0], 400).parse_args()
    main(chosen_steps(arguments), arguments.dtype or "float32", arguments.out)
