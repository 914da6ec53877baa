"""Jitted functions in other processes: multiprocessing, joblib and Dask, with functions of this very script.

    python examples/workers.py [--quick] [--out FOLDER]

A function is sent as any other. A worker traces it at its first call, and finds the compiled code in the cache on disk
that the first process, here or there, has put there.
"""

import collections
import multiprocessing
import os
from pathlib import Path

import dask.array
import joblib
import numpy as np
from distributed import Client, LocalCluster
from helpers import COLOURS, OUT, command_line, panels

import tracejit


@tracejit.jit
def basins(z, rounds):
    """Return which root of z**3 = 1 Newton's method finds from each place, and after how many steps."""
    root, steps = np.zeros(z.shape, dtype=np.int64), np.zeros(z.shape, dtype=np.int64)
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            w = z[i, j]
            count = 0
            while abs(w**3 - 1) > 1e-6 and count < rounds:
                w = w - (w**3 - 1) / (3 * w**2)
                count += 1
            root[i, j] = int(np.round(np.angle(w) * 3 / (2 * np.pi))) % 3
            steps[i, j] = count
    return np.stack([root, steps], axis=2)


def distance(params, x, y):
    """Return the mean square of a curve's distance from data, with a weak pull to zero."""
    curve = params[0] * np.exp(-params[1] * x) + params[2]
    return ((y - curve) ** 2).mean() + 1e-6 * (params**2).sum()


slope = tracejit.value_and_grad(distance)


@tracejit.jit
def fit(params, x, y):
    """Return the parameters of the least distance: gradient descent with step sizes by Barzilai and Borwein (1988)."""
    _, gradient = slope(params, x, y)
    rate = 0.1
    for _ in range(400):
        new = params - rate * gradient
        _, following = slope(new, x, y)
        moved, turned = new - params, following - gradient
        rate = min(10.0, abs(moved @ moved / (moved @ turned + 1e-30)))
        params, gradient = new, following
    return params


def resampled(x, y, seed):
    """Return the parameters for data drawn anew from the data: one step of the bootstrap."""
    chosen = np.random.default_rng(seed).integers(len(x), size=len(x))
    return fit(np.array([1.0, 1.0, 0.0]), x[chosen], y[chosen])


def block(z):
    """Return the basins of a block, and beside them who has computed them and how often it had to trace."""
    found = basins(z, 60)
    return np.concatenate([found, np.broadcast_to([os.getpid(), basins.cache_info().traces], (*z.shape, 2))], axis=2)


def spread(seed):
    """Return how far apart a hundred random walks are: a task for `multiprocessing`."""
    return walks(np.random.default_rng(seed), 100)


@tracejit.jit
def walks(rng, count):
    return np.cumsum(rng.normal(size=(count, 500)), axis=1)[:, -1].std()


def main(out=OUT, size=360, resamples=60):
    """Compute in processes, print and draw what comes out; returns the basins, the traces of each worker, the fits."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        spreads = pool.map(spread, range(8))
    print(f"multiprocessing: a walk of 500 steps ends {np.mean(spreads):.1f} away, sqrt(500) = {500 ** 0.5:.1f}")

    rng = np.random.default_rng(0)
    x = np.linspace(0, 3, 60)
    y = 2 * np.exp(-1.3 * x) + 0.5 + 0.1 * rng.normal(size=60)
    fits = np.array(joblib.Parallel(n_jobs=2)(joblib.delayed(resampled)(x, y, k) for k in range(resamples)))
    print(f"joblib: parameters {fits.mean(axis=0).round(2)} ± {fits.std(axis=0).round(2)}, in truth [2, 1.3, 0.5]")

    line = np.linspace(-1.6, 1.6, size)
    plane = dask.array.from_array(line + 1j * line[:, None], chunks=(size // 4, size // 3))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        image = plane.map_blocks(block, dtype=np.int64, new_axis=2, chunks=(*plane.chunks, (4,))).compute()
    traces = collections.defaultdict(int)
    for pid, count in np.unique(image[..., 2:].reshape(-1, 2), axis=0):
        traces[int(pid)] = max(traces[int(pid)], int(count))
    print(f"Dask: {plane.numblocks[0] * plane.numblocks[1]} blocks; traces of each worker: {list(traces.values())}")
    draw(Path(out) / "workers.png", image, x, y, fits)
    print("pictures: workers.png in", out)
    return {"image": image, "traces": dict(traces), "fits": fits, "spreads": spreads}


def draw(path, image, x, y, fits):
    """Draw the basins of Newton's method, and the fits of the bootstrap."""
    def plane(axes):
        colours = np.array([[int(c[k:k + 2], 16) / 255 for k in (1, 3, 5)] for c in COLOURS[:3]])
        shade = np.exp(-image[..., 1:2] / 14)
        axes.imshow(colours[image[..., 0]] * shade + 1 - shade, extent=(-1.6, 1.6, -1.6, 1.6), origin="lower")
        axes.set(title="which root Newton's method finds (Dask)", xticks=[], yticks=[])

    def bootstrap(axes):
        for a, b, c in fits:
            axes.plot(x, a * np.exp(-b * x) + c, color=COLOURS[0], alpha=0.1)
        axes.plot(x, y, ".", color=COLOURS[1])
        axes.set(title=f"{len(fits)} fits to data drawn anew (joblib)")

    panels(path, plane, bootstrap, size=(10.5, 4.6))


if __name__ == "__main__":
    parser = command_line(__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small picture, and few fits")
    arguments = parser.parse_args()
    main(arguments.out, *((60, 6) if arguments.quick else ()))
