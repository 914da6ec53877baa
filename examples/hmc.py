"""Hamiltonian Monte Carlo: a whole Markov chain as one compiled function, with the gradient and the draws inside.

    python examples/hmc.py [--out FOLDER]

The density is a bent normal one (a "banana"), of which a random walk makes hard work. Each draw gives the point a push
at random, follows it along the slope of the density for some steps of leapfrog, and takes where it has come to by
Metropolis's rule (Neal 2011). The loops are Python's, the random numbers those of NumPy's generator.
"""

import time
from pathlib import Path

import numpy as np
from helpers import COLOURS, OUT, command_line, panels

import tracejit

WIDE, BEND = 2.0, 0.35


def log_density(q):
    """Return the logarithm of the density, but for a constant: x is normal, and so is y around a parabola of x."""
    return -0.5 * (q[0] / WIDE) ** 2 - 0.5 * (q[1] - BEND * (q[0] ** 2 - WIDE**2)) ** 2


slope = tracejit.grad(log_density)


def leapfrog(q, p, size, leaps):
    """Return place and momentum after some steps along the slope."""
    p = p + 0.5 * size * slope(q)
    for _ in range(leaps - 1):
        q = q + size * p
        p = p + size * slope(q)
    q = q + size * p
    return q, p + 0.5 * size * slope(q)


@tracejit.jit
def sample(rng, q, size, leaps, count):
    """Return draws (count, 2) from the density, and how many of the ways were taken."""
    chain = np.empty((count, 2))
    taken = 0
    for k in range(count):
        p = rng.normal(size=2)
        new, speed = leapfrog(q, p, size, leaps)
        gain = log_density(new) - 0.5 * speed @ speed - log_density(q) + 0.5 * p @ p
        if np.log(rng.random()) < gain:
            q = new
            taken += 1
        chain[k] = q
    return chain, taken


def effective(chain):
    """Return how many independent draws each coordinate of a chain is worth (Geyer's initial positive sequence)."""
    centred = chain - chain.mean(axis=0)
    n = len(chain)
    spectrum = np.fft.rfft(centred, 2 * n, axis=0)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:n]
    correlation = correlation / correlation[0]
    worth = []
    for c in correlation.T:
        pairs = c[0:n - n % 2:2] + c[1:n - n % 2:2]
        negative = np.flatnonzero(pairs < 0)
        worth.append(n / (2 * pairs[:negative[0] if len(negative) else None].sum() - 1))
    return np.array(worth)


def main(out=OUT, count=20_000, size=0.35, leaps=12):
    """Draw, print and picture what comes out; returns the chain, the share taken, and its effective sizes."""
    rng = np.random.default_rng(0)
    sample(rng, np.zeros(2), size, leaps, count)  # compiles: the number of draws is the size of an array
    start = time.perf_counter()
    chain, taken = sample(rng, np.zeros(2), size, leaps, count)
    seconds = time.perf_counter() - start
    worth = effective(chain)
    print(f"{count} draws of {leaps} steps in {seconds * 1e3:.0f} ms, {taken / count:.0%} taken, worth "
          f"{worth[0]:.0f} and {worth[1]:.0f} independent ones")
    print(f"mean {chain.mean(axis=0).round(3)}, exactly [0 0]; standard deviation {chain.std(axis=0).round(3)}, "
          f"exactly [{WIDE} {np.sqrt(1 + 2 * (BEND * WIDE**2) ** 2):.3f}]")
    draw(Path(out) / "hmc.png", chain, size, leaps)
    print("pictures: hmc.png in", out)
    return {"chain": chain, "taken": taken / count, "effective": worth, "seconds": seconds}


def draw(path, chain, size, leaps):
    """Draw the density with draws and a few ways, and the distribution of y beside the exact one."""
    def plane(axes):
        x, y = np.linspace(-6.5, 6.5, 200), np.linspace(-5, 12, 200)
        axes.contour(x, y, np.exp(log_density(np.array(np.meshgrid(x, y)))), levels=6, colors="#9aa3af",
                     linewidths=0.7)
        axes.plot(*chain[::10].T, ".", color=COLOURS[0], markersize=1.5)
        rng = np.random.default_rng(4)
        for q, colour in zip(chain[100::40], COLOURS[1:]):
            p, way = rng.normal(size=2), [q]
            for _ in range(leaps):
                q, p = leapfrog(q, p, size, 1)
                way.append(q)
            axes.plot(*np.array(way).T, "o-", color=colour, markersize=3, linewidth=1)
        axes.set(title="draws, and the ways to three of them", xlim=(-6.5, 6.5), ylim=(-5, 12))

    def distribution(axes):
        y, x = np.linspace(-5, 12, 300), np.linspace(-8, 8, 400)
        exact = np.exp(log_density(np.array(np.meshgrid(x, y)))).sum(axis=1)
        axes.hist(chain[:, 1], bins=100, range=(-5, 12), density=True, color=COLOURS[0], alpha=0.4, label="draws")
        axes.plot(y, exact / (exact.sum() * (y[1] - y[0])), color=COLOURS[1], label="exact")
        axes.set(title="distribution of the second coordinate", yticks=[])
        axes.legend(frameon=False)

    panels(path, plane, distribution, size=(10.5, 4.2))


if __name__ == "__main__":
    main(command_line(__doc__.splitlines()[0]).parse_args().out)
