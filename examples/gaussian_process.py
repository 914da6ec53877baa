"""A Gaussian process: a curve with its uncertainty from scattered points, its five parameters by marginal likelihood.

    python examples/gaussian_process.py [--out FOLDER]

A trend that is smooth and a wave that may change slowly (Rasmussen and Williams 2006, section 5.4). The likelihood
takes a determinant and a linear system; its derivative by each parameter comes out of the same factors.
"""

from pathlib import Path

import numpy as np
from helpers import COLOURS, OUT, command_line, panels
from scipy import linalg, optimize

import tracejit

NAMES = ("trend", "its length", "wave", "its period", "noise")
GUESS = np.log([1.0, 3.0, 0.5, 1.2, 0.3])


def covariance(logs, a, b):
    """Return the covariance (n, m) of the curve at the places a (n,) and b (m,)."""
    trend, length, wave, period, _ = np.exp(logs)
    apart = a[:, None] - b
    smooth = trend**2 * np.exp(-0.5 * (apart / length) ** 2)
    return smooth + wave**2 * np.exp(-2 * np.sin(np.pi * apart / period) ** 2 - 0.5 * (apart / 6) ** 2)


def cost(logs, x, y):
    """Return minus the logarithm of the marginal likelihood."""
    K = covariance(logs, x, x) + np.exp(2 * logs[4]) * np.eye(len(x))
    _, logdet = np.linalg.slogdet(K)
    return 0.5 * (y @ np.linalg.solve(K, y) + logdet + len(x) * np.log(2 * np.pi))


@tracejit.jit
def posterior(logs, x, y, places):
    """Return mean and covariance of the curve at other places."""
    L = np.linalg.cholesky(covariance(logs, x, x) + np.exp(2 * logs[4]) * np.eye(len(x)))
    across = linalg.solve_triangular(L, covariance(logs, x, places), lower=True)
    mean = across.T @ linalg.solve_triangular(L, y, lower=True)
    return mean, covariance(logs, places, places) - across.T @ across


@tracejit.jit
def draws(rng, mean, variance, count):
    """Return curves (count, m) at random."""
    L = np.linalg.cholesky(variance + 1e-9 * np.eye(len(mean)))
    return mean + rng.normal(size=(count, len(mean))) @ L.T


def data(count, rng):
    """Return places, with a gap in the middle, and noisy values there."""
    x = np.sort(rng.uniform(0, 10, size=count))
    x = x[(x < 5.2) | (x > 7)]
    return x, truth(x) + 0.2 * rng.normal(size=len(x))


def truth(x):
    return 2 * np.sin(0.45 * x) + (1 - 0.05 * x) * np.sin(2 * np.pi * x / 1.5)


def main(out=OUT, count=90):
    """Optimise, print and draw what comes out; returns parameters, costs, and the mean error in and out of the gap."""
    rng = np.random.default_rng(1)
    x, y = data(count, rng)
    found = optimize.minimize(tracejit.value_and_grad(cost), GUESS, args=(x, y), jac=True, method="L-BFGS-B")
    first = cost(GUESS, x, y)
    print(f"{found.nfev} evaluations; minus the log of the evidence {first:.1f} at first, {found.fun:.1f} at last")
    for name, before, after in zip(NAMES, np.exp(GUESS), np.exp(found.x)):
        print(f"  {name:10s} {before:.3f} at first, {after:.3f} at last")
    places = np.linspace(-1, 12, 261)
    mean, variance = posterior(found.x, x, y, places)
    inside = (places > 0) & (places < 10)
    error = float(np.sqrt(((mean - truth(places))[inside] ** 2).mean()))
    print(f"mean error of the curve {error:.3f} between 0 and 10")
    draw(Path(out) / "gaussian_process.png", x, y, places, found.x, rng)
    print("pictures: gaussian_process.png in", out)
    return {"logs": found.x, "costs": (first, found.fun), "error": error}


def draw(path, x, y, places, logs, rng):
    """Draw the curve with its band, as guessed and as found."""
    def curve(logs, title):
        def panel(axes):
            mean, variance = posterior(logs, x, y, places)
            spread = 2 * np.sqrt(np.diag(variance))
            axes.fill_between(places, mean - spread, mean + spread, color=COLOURS[0], alpha=0.2, linewidth=0)
            axes.plot(places, draws(rng, mean, variance, 3).T, color=COLOURS[0], linewidth=0.6, alpha=0.7)
            axes.plot(places, mean, color=COLOURS[0], label="mean, two standard deviations, three draws")
            axes.plot(places, truth(places), "--", color=COLOURS[2], label="truth")
            axes.plot(x, y, ".", color=COLOURS[1], label="data")
            axes.set(title=title, ylim=(-3.6, 4.6))
            axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper right")
        return panel

    panels(path, curve(GUESS, "with the parameters as guessed"), curve(logs, "with those of the greatest evidence"),
           size=(7.2, 6.4), rows=2)


if __name__ == "__main__":
    main(command_line(__doc__.splitlines()[0]).parse_args().out)
