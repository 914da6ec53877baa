"""A convolutional network in plain NumPy: `sliding_window_view` and `einsum` convolve, a reshape and `max` pool.

    python examples/convnet.py [--steps N] [--dtype float64|float32] [--batch N] [--quick] [--out FOLDER]

256x256 images; six 7x7 filters, tanh, max-pool 5x5; sixteen 6x7x7 filters, tanh, max-pool 4x4; 120 tanh units; softmax
over 10. The images are gratings in noise, and the class is the direction in which they run.
"""

import time
from pathlib import Path

import numpy as np
from helpers import OUT, chosen_steps, command_line, curves, progress

import tracejit

SIZE, CLASSES = 256, 10


def gratings(count, dtype, rng, size=SIZE):
    """Return noisy images (count, 1, size, size) of waves that run in one of ten directions, and the directions."""
    labels = rng.integers(0, CLASSES, size=count)
    angle = (np.pi * labels / CLASSES)[:, None, None]
    place = np.arange(size) - size / 2
    along = np.cos(angle) * place[:, None] + np.sin(angle) * place
    phase = rng.uniform(0, 2 * np.pi, size=(count, 1, 1))
    images = np.sin(2 * np.pi * along / 7 + phase) + 0.2 * rng.normal(size=(count, size, size))
    return images[:, None].astype(dtype), labels


def parameters(dtype, rng):
    """Return filters, weights and biases, scaled by the number of inputs of each unit."""
    def scaled(*shape):
        inputs = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
        return (rng.normal(size=shape) / np.sqrt(inputs)).astype(dtype)

    return {"K1": scaled(6, 1, 7, 7), "c1": np.zeros((6, 1, 1), dtype),
            "K2": scaled(16, 6, 7, 7), "c2": np.zeros((16, 1, 1), dtype),
            "W": scaled(16 * 11 * 11, 120), "b": np.zeros(120, dtype),
            "V": scaled(120, CLASSES), "d": np.zeros(CLASSES, dtype)}


def convolve(images, filters):
    """Return every filter (out, in, h, w) laid on every place of every image (n, in, H, W)."""
    windows = np.lib.stride_tricks.sliding_window_view(images, filters.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, filters)


def max_pool(images, k):
    """Return the largest value of each k by k tile."""
    n, c, h, w = images.shape
    return images.reshape(n, c, h // k, k, w // k, k).max(axis=(3, 5))


def scores(params, images):
    """Return one score per class and image."""
    h = max_pool(np.tanh(convolve(images, params["K1"]) + params["c1"]), 5)
    h = max_pool(np.tanh(convolve(h, params["K2"]) + params["c2"]), 4)
    h = np.tanh(h.reshape(len(h), -1) @ params["W"] + params["b"])
    return h @ params["V"] + params["d"]


def loss(params, images, labels):
    """Return the mean cross-entropy, written as in the textbook: softmax, then its logarithm."""
    e = np.exp(scores(params, images))
    p = e / e.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(labels)), labels]).mean()


@tracejit.jit
def step(params, images, labels, rate):
    """Return the cost and the parameters after one step of gradient descent."""
    cost, gradient = tracejit.value_and_grad(loss)(params, images, labels)
    return cost, {name: value - rate * gradient[name] for name, value in params.items()}


predict = tracejit.jit(lambda params, images: scores(params, images).argmax(axis=1))


def main(steps=100, dtype="float32", batch=10, out=OUT, quiet=False, rate=0.01, samples=120, unseen=50):
    """Train, print and draw what comes out; returns losses, the accuracy on unseen images, and seconds per step."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    params = parameters(dtype, rng)
    first = {name: value.copy() for name, value in params.items()}

    images, labels = gratings(samples, dtype, rng)
    losses, start = [], None
    for k in progress(steps, f"convnet, {dtype}, batches of {batch}", quiet):
        part = slice(k * batch % samples, k * batch % samples + batch)
        cost, params = step(params, images[part], labels[part], rate)
        losses.append(float(cost))
        start = start or time.perf_counter()  # the first step compiles
    seconds = (time.perf_counter() - start) / max(1, steps - 1)

    images, labels = gratings(unseen, dtype, rng)
    # in batches of the size that is compiled already, and a last smaller one
    guesses = np.concatenate([predict(params, images[k:k + batch]) for k in range(0, unseen, batch)])
    accuracy = float((guesses == labels).mean())
    tail = losses[-max(1, steps // 10):]
    print(f"cost {losses[0]:.4f} at first, {np.mean(tail):.4f} over the last steps; {accuracy:.1%} of {unseen} unseen "
          f"images right; {seconds * 1e3:.1f} ms for a step")
    curves(out / "convnet_loss.svg", {dtype: (range(steps), losses)}, f"Convolutional network, batches of {batch}",
           "cross-entropy")
    filters(out / "convnet_filters.png", images[:6], labels, first["K1"], params["K1"])
    print("pictures:", ", ".join(sorted(p.name for p in out.glob("convnet*"))), "in", out)
    return {"losses": losses, "accuracy": accuracy, "seconds": seconds, "params": params}


def filters(path, images, labels, before, after):
    """Draw some images, and the six filters before and after training."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return  # `curves` has told
    figure = Figure(figsize=(7.2, 4.1), layout="constrained")
    axes = figure.subplots(3, 6)
    for k in range(6):
        pictures = [images[k, 0] if k < len(images) else np.zeros((SIZE, SIZE)), before[k, 0], after[k, 0]]
        for row, picture in enumerate(pictures):
            axes[row, k].imshow(picture, cmap="gray" if row == 0 else "RdBu", interpolation="nearest")
            axes[row, k].set(xticks=[], yticks=[])
        axes[0, k].set_title(f"class {labels[k]}" if k < len(images) else "", fontsize=9)
    for row, words in enumerate(("images", "filters at first", "after training")):
        axes[row, 0].set_ylabel(words, fontsize=9)
    figure.savefig(path, dpi=160)


if __name__ == "__main__":
    parser = command_line(__doc__.splitlines()[0], 100)
    parser.add_argument("--batch", type=int, default=10, help="images in a step (default: %(default)s)")
    arguments = parser.parse_args()
    main(chosen_steps(arguments), arguments.dtype or "float32", arguments.batch, arguments.out)
