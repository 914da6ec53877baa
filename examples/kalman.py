"""A Kalman filter: a loop over measurements, a Cholesky factor in each, and the noises by maximum likelihood.

    python examples/kalman.py [--out FOLDER]

A point moves in the plane, pushed at random, and is seen through noise. How hard it is pushed and how noisy the sight
is are found from the measurements alone: the filter gives their likelihood, `value_and_grad` its slope.
"""

from pathlib import Path

import numpy as np
from helpers import COLOURS, OUT, command_line, panels
from scipy import linalg, optimize

import tracejit

DT = 0.5
TRUTH = np.log([0.8, 1.0])  # standard deviations of the pushes and of the measurements


def matrices(logs):
    """Return the motion, its noise, the measurement and its noise; the state is two places and two speeds."""
    push, sight = np.exp(logs)
    one, zero = np.eye(2), np.zeros((2, 2))
    F = np.block([[one, DT * one], [zero, one]])
    G = np.vstack([DT**2 / 2 * one, DT * one])
    H = np.hstack([one, zero])
    return F, push**2 * (G @ G.T), H, sight**2 * one


def kalman(logs, measured):
    """Return the log-likelihood of measurements (n, 2), and mean (n, 4) and covariance (n, 4, 4) after each."""
    F, Q, H, R = matrices(logs)
    mean, covariance = np.zeros(4), 10 * np.eye(4)
    means = np.empty((len(measured), 4))
    covariances = np.empty((len(measured), 4, 4))
    likelihood = 0.0
    for k, y in enumerate(measured):
        mean = F @ mean
        covariance = F @ covariance @ F.T + Q
        L = np.linalg.cholesky(H @ covariance @ H.T + R)
        surprise = linalg.solve_triangular(L, y - H @ mean, lower=True)
        across = linalg.solve_triangular(L, H @ covariance, lower=True)
        likelihood -= 0.5 * surprise @ surprise + np.log(np.diag(L)).sum() + np.log(2 * np.pi)
        mean = mean + across.T @ surprise
        covariance = covariance - across.T @ across
        means[k] = mean
        covariances[k] = covariance
    return likelihood, means, covariances


def cost(logs, measured):
    """Return minus the log-likelihood."""
    return -kalman(logs, measured)[0]


def simulate(count, rng, logs=TRUTH):
    """Return the places (count, 2) of the point, and measurements of them."""
    F, _, H, _ = matrices(logs)
    push, sight = np.exp(logs)
    state, places = np.array([0.0, 0.0, 1.0, 0.5]), np.empty((count, 2))
    for k in range(count):
        force = push * rng.normal(size=2)
        state = F @ state + np.concatenate([DT**2 / 2 * force, DT * force])
        places[k] = H @ state
    return places, places + sight * rng.normal(size=(count, 2))


def main(out=OUT, count=100):
    """Find the noises, print and draw what comes out; returns their logarithms, standard errors, and mean errors."""
    places, measured = simulate(count, np.random.default_rng(8))
    slope = tracejit.value_and_grad(cost)
    trail = [np.log([3.0, 3.0])]
    found = optimize.minimize(slope, trail[0], args=(measured,), jac=True, method="BFGS",
                              callback=lambda x: trail.append(x.copy()))
    sigma = np.sqrt(np.diag(np.linalg.inv(tracejit.hessian(cost)(found.x, measured))))
    for name, true, value, s in zip(("pushes", "measurements"), np.exp(TRUTH), np.exp(found.x), sigma):
        print(f"  noise of the {name:12s} {value:.3f} ± {value * s:.3f}, and {true} in truth")

    _, means, covariances = tracejit.jit(kalman)(found.x, measured)
    errors = {name: float(np.sqrt(((x - places) ** 2).sum(axis=1).mean()))
              for name, x in (("measured", measured), ("filtered", means[:, :2]))}
    print(f"{found.nfev} evaluations; mean error {errors['measured']:.2f} as measured, {errors['filtered']:.2f} as "
          "filtered")
    draw(Path(out) / "kalman.png", places, measured, means, covariances, np.array(trail), found)
    print("pictures: kalman.png in", out)
    return {"logs": found.x, "sigma": sigma, "errors": errors}


def draw(path, places, measured, means, covariances, trail, found):
    """Draw the track with the filter's ellipses, and the likelihood with the way up."""
    def track(axes):
        angle = np.linspace(0, 2 * np.pi, 40)
        circle = 2 * np.array([np.cos(angle), np.sin(angle)])
        axes.plot(*measured.T, ".", color="#9aa3af", label="measured")
        axes.plot(*places.T, color=COLOURS[2], label="true")
        for k in range(0, len(means), 4):
            axes.plot(*(means[k, :2, None] + np.linalg.cholesky(covariances[k, :2, :2]) @ circle), color=COLOURS[0],
                      linewidth=0.6)
        axes.plot(*means[:, :2].T, "--", color=COLOURS[0], label="filtered, two standard errors around")
        axes.set(title="a point, seen through noise", aspect="equal", adjustable="datalim")
        axes.legend(frameon=False, fontsize=8)

    def likelihood(axes):
        compiled = tracejit.jit(cost)
        x, y = np.linspace(np.log(0.15), np.log(4), 45), np.linspace(np.log(0.5), np.log(4), 45)
        z = [[compiled(np.array([a, b]), measured) - found.fun for a in x] for b in y]
        levels = [0, 1, 3, 10, 30, 100, 300, 1000]
        shades = [(0.2 + 0.1 * k, 0.45 + 0.07 * k, 0.82) for k in range(8)]
        axes.contourf(np.exp(x), np.exp(y), z, levels, colors=shades)
        axes.contour(np.exp(x), np.exp(y), z, levels, colors="white", linewidths=0.5)
        axes.plot(*np.exp(trail).T, "o-", color=COLOURS[1], markersize=4, label="steps of BFGS")
        axes.plot(*np.exp(TRUTH), "*", color=COLOURS[2], markersize=12, label="truth")
        axes.set(title="minus the log-likelihood, above its least", xscale="log", yscale="log",
                 xlabel="noise of the pushes", ylabel="noise of the measurements")
        axes.minorticks_off()
        axes.set_xticks(ticks := [0.2, 0.5, 1, 2, 4], labels=ticks)
        axes.set_yticks(ticks[1:], labels=ticks[1:])
        axes.legend(frameon=False, loc="lower right")

    panels(path, track, likelihood, size=(10.5, 4.6))


if __name__ == "__main__":
    main(command_line(__doc__.splitlines()[0]).parse_args().out)
