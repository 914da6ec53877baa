"""A differential equation, solved with steps that adapt, and fitted to data: the derivative goes through the solver.

    python examples/ode.py [--out FOLDER]

Lotka and Volterra's hares and lynxes by the method of Dormand and Prince (1980), a `while` loop in plain Python that
takes as many steps as the tolerance asks for. `jacobian` gives the sensitivities, `value_and_grad` the slope of the
misfit.
"""

from pathlib import Path

import numpy as np
from helpers import COLOURS, OUT, command_line, panels
from scipy import optimize

import tracejit

NAMES = ("births", "hunting", "deaths", "growth")
TRUTH = np.array([0.55, 0.28, 0.84, 0.26])
START = np.array([3.0, 0.6])


def rate(params, y):
    """Return the change of hares and lynxes per year."""
    births, hunting, deaths, growth = params
    return np.array([births * y[0] - hunting * y[0] * y[1], growth * y[0] * y[1] - deaths * y[1]])


def advance(params, y, t, end, tolerance=1e-8):
    """Return the state at the time `end`, from that at `t`, and how many steps it took."""
    h = (end - t) / 4
    steps = 0
    while t < end:
        h = min(h, end - t)
        k1 = rate(params, y)
        k2 = rate(params, y + h * (1 / 5 * k1))
        k3 = rate(params, y + h * (3 / 40 * k1 + 9 / 40 * k2))
        k4 = rate(params, y + h * (44 / 45 * k1 - 56 / 15 * k2 + 32 / 9 * k3))
        k5 = rate(params, y + h * (19372 / 6561 * k1 - 25360 / 2187 * k2 + 64448 / 6561 * k3 - 212 / 729 * k4))
        k6 = rate(params, y + h * (9017 / 3168 * k1 - 355 / 33 * k2 + 46732 / 5247 * k3 + 49 / 176 * k4
                                   - 5103 / 18656 * k5))
        new = y + h * (35 / 384 * k1 + 500 / 1113 * k3 + 125 / 192 * k4 - 2187 / 6784 * k5 + 11 / 84 * k6)
        k7 = rate(params, new)
        error = h * (71 / 57600 * k1 - 71 / 16695 * k3 + 71 / 1920 * k4 - 17253 / 339200 * k5 + 22 / 525 * k6
                     - 1 / 40 * k7)
        size = np.sqrt(np.mean((error / (tolerance * (1 + np.abs(y)))) ** 2))
        if size <= 1:
            t = t + h
            y = new
        h = h * min(5.0, max(0.2, 0.9 * max(size, 1e-10) ** -0.2))
        steps += 1
    return y, steps


@tracejit.jit
def path(params, start, times):
    """Return the states at all times, the first of which is the start."""
    ys = np.empty((len(times), len(start)))
    ys[0] = start
    for k in range(1, len(times)):
        ys[k], _ = advance(params, ys[k - 1], times[k - 1], times[k])
    return ys


def misfit(logs, start, times, data):
    """Return the mean square of the logarithms' differences; the parameters are given as logarithms, too."""
    return ((np.log(path(np.exp(logs), start, times)) - np.log(data)) ** 2).mean()


sensitivities = tracejit.jacobian(path)  # of all states by each parameter: a sweep forward for all of them together


def variational(params, start, times):
    """Return the same by SciPy, from the equations of the sensitivities that one would have to write down otherwise."""
    from scipy.integrate import solve_ivp

    def both(t, state):
        y, s = state[:2], state[2:].reshape(2, 4)
        a, b, c, d = params
        by_state = np.array([[a - b * y[1], -b * y[0]], [d * y[1], d * y[0] - c]])
        by_params = np.array([[y[0], -y[0] * y[1], 0, 0], [0, 0, -y[1], y[0] * y[1]]])
        return np.concatenate([rate(params, y), (by_state @ s + by_params).ravel()])

    found = solve_ivp(both, (times[0], times[-1]), np.concatenate([start, np.zeros(8)]), method="DOP853",
                      t_eval=times, rtol=1e-11, atol=1e-12)
    return found.y[2:].T.reshape(len(times), 2, 4)


def main(out=OUT, points=40):
    """Fit, print and draw what comes out; returns parameters, sensitivities and those by SciPy."""
    times = np.linspace(0, 25, points)
    rng = np.random.default_rng(0)
    data = path(TRUTH, START, times) * np.exp(0.1 * rng.normal(size=(points, 2)))
    guess = np.log([0.5, 0.25, 0.7, 0.25])

    slope = tracejit.value_and_grad(misfit)
    found = optimize.minimize(slope, guess, args=(START, times, data), jac=True, method="BFGS")
    params = np.exp(found.x)
    moved = sensitivities(params, START, times)
    # the parameters' covariance, from the derivative of the logarithms
    J = (moved * params / path(params, START, times)[..., None]).reshape(-1, 4)
    sigma = np.sqrt(found.fun * np.diag(np.linalg.inv(J.T @ J)))
    print(f"{found.nfev} evaluations of the misfit and its slope, down to {found.fun:.5f}")
    for name, true, value, s in zip(NAMES, TRUTH, params, sigma):
        print(f"  {name:8s} {value:.4f} ± {value * s:.4f}, and {true} in truth")
    _, steps = tracejit.jit(advance)(params, START, 0.0, 25.0)
    other = variational(params, START, times)
    print(f"{steps} steps for 25 years in one go; sensitivities differ from those of SciPy by "
          f"{np.abs(moved - other).max() / np.abs(other).max():.1e} of the largest")
    draw(Path(out) / "ode.png", params, times, data, found.fun, J, moved, other)
    print("pictures: ode.png in", out)
    return {"params": params, "sigma": sigma, "moved": moved, "variational": other, "steps": steps}


def draw(path_of_picture, params, times, data, square, J, moved, other):
    """Draw the data with the fit and its error, and the sensitivities of the hares."""
    def fit(axes):
        ys = path(params, START, times)
        spread = np.sqrt(square * np.einsum("ki,ij,kj->k", J, np.linalg.inv(J.T @ J), J)).reshape(ys.shape)
        for k, (name, colour) in enumerate(zip(("hares", "lynxes"), COLOURS)):
            axes.fill_between(times, ys[:, k] * np.exp(-2 * spread[:, k]), ys[:, k] * np.exp(2 * spread[:, k]),
                              color=colour, alpha=0.25, linewidth=0)
            axes.plot(times, ys[:, k], color=colour, label=name)
            axes.plot(times, data[:, k], "o", color=colour, markersize=3)
        axes.set(title="the fit, two standard errors wide", xlabel="year", ylabel="thousands")
        axes.legend(frameon=False, loc="upper right")
        axes.set_ylim(0, 8.5)

    def derivatives(axes):
        for k, (name, colour) in enumerate(zip(NAMES, COLOURS)):
            axes.plot(times, moved[:, 0, k], color=colour, label=name)
            axes.plot(times, other[:, 0, k], ".", color=colour, markersize=4)
        axes.set(title="derivative of the hares by each parameter (dots: SciPy)", xlabel="year")
        axes.legend(frameon=False, loc="lower left")

    panels(path_of_picture, fit, derivatives, size=(10.5, 3.8))


if __name__ == "__main__":
    main(command_line(__doc__.splitlines()[0]).parse_args().out)
