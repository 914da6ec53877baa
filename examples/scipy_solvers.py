"""SciPy's solvers with derivatives: a minimum, robust least squares, a stiff equation in space and time.

    python examples/scipy_solvers.py [--out FOLDER]

SciPy calls back with NumPy arrays and wants NumPy arrays: jitted functions and their derivatives can be given to it as
they are. Where a Jacobian is sparse, `sparse_jacobian` finds out its pattern, and the numbers by a few products.
"""

from pathlib import Path

import numpy as np
from helpers import COLOURS, OUT, command_line, panels
from scipy import integrate, optimize

import tracejit


# ---------------------------------------------------------------- a minimum
def rosenbrock(x):
    """Return Rosenbrock's function: a valley that bends, with its least value 0 at (1, 1, …)."""
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


value_and_slope = tracejit.value_and_grad(rosenbrock)
curvature = tracejit.hvp(rosenbrock)  # the product of the Hessian with a direction


def minimum(method, start):
    """Return SciPy's result, and the places it has been at."""
    trail = [start]
    options = {"jac": True, "callback": lambda x: trail.append(x.copy())}
    if method == "Newton-CG":
        options["hessp"] = curvature
    return optimize.minimize(value_and_slope, start, method=method, **options), np.array(trail)


# ---------------------------------------------------------------- least squares
def residuals(curve, data, stiffness):
    """Return how far a curve is from data, and how much it bends, as one vector; its slope saturates, as a ramp's."""
    return np.concatenate([np.tanh(curve) * 2 - data, stiffness * (curve[2:] - 2 * curve[1:-1] + curve[:-2])])


def smoothed(data, stiffness):
    """Return the curve whose residuals are least in the sense that outliers count little."""
    return optimize.least_squares(tracejit.jit(residuals), np.zeros(len(data)), tracejit.sparse_jacobian(residuals),
                                  args=(data, stiffness), loss="soft_l1", f_scale=0.2)


# ---------------------------------------------------------------- a stiff equation
def brusselator(state):
    """Return the change of two substances that react and diffuse, side by side at each place (Hairer and Wanner)."""
    u, v = state[0::2], state[1::2]
    spread = 0.02 * (len(u) + 1) ** 2
    left, right = np.ones(1), 3 * np.ones(1)
    padded_u, padded_v = np.concatenate([left, u, left]), np.concatenate([right, v, right])
    change = np.empty_like(state)
    change[0::2] = 1 + u * u * v - 4 * u + spread * (padded_u[2:] - 2 * u + padded_u[:-2])
    change[1::2] = 3 * u - u * u * v + spread * (padded_v[2:] - 2 * v + padded_v[:-2])
    return change


def waves(places, times):
    """Return SciPy's solution from a smooth start, by an implicit method with the Jacobian."""
    x = np.arange(1, places + 1) / (places + 1)
    start = np.stack([1 + np.sin(2 * np.pi * x), np.full(places, 3.0)], axis=1).ravel()
    change, jacobian = tracejit.jit(brusselator), tracejit.sparse_jacobian(brusselator)
    return integrate.solve_ivp(lambda t, y: change(y), (times[0], times[-1]), start, method="Radau", t_eval=times,
                               jac=lambda t, y: jacobian(y), rtol=1e-6, atol=1e-6)


def main(out=OUT, points=200, places=60):
    """Solve, print and draw what comes out; returns SciPy's results."""
    start = np.array([-1.4, 1.6])
    trails = {method: minimum(method, start) for method in ("BFGS", "Newton-CG")}
    for method, (found, _) in trails.items():
        print(f"{method}: {found.fun:.1e} after {found.nfev} evaluations of the value and {found.njev} of the slope")

    x = np.linspace(0, 1, points)
    rng = np.random.default_rng(0)
    truth = 1.7 * np.sin(5 * x) * np.exp(-x)
    data = truth + 0.1 * rng.normal(size=points)
    data[rng.integers(points, size=points // 12)] += 2
    fit = smoothed(data, 60.0)
    error = np.abs(2 * np.tanh(fit.x) - truth).mean()
    print(f"least squares: {points} unknowns, {fit.njev} sparse Jacobians, mean error {error:.3f}")

    times = np.linspace(0, 12, 160)
    solution = waves(places, times)
    print(f"Radau: {2 * places} equations, {solution.nfev} evaluations, {solution.njev} Jacobians, {solution.nlu} "
          "factorizations")
    draw(Path(out) / "scipy_solvers.png", trails, x, data, truth, fit.x, solution)
    print("pictures: scipy_solvers.png in", out)
    return {"minima": {m: found for m, (found, _) in trails.items()}, "fit": fit, "error": error, "solution": solution}


def draw(path, trails, x, data, truth, curve, solution):
    """Draw the ways to the minimum, the smooth curve, and the substance over space and time."""
    def valley(axes):
        a, b = np.linspace(-1.8, 1.6, 120), np.linspace(-0.8, 2.4, 120)
        z = [[rosenbrock(np.array([p, q])) for p in a] for q in b]
        axes.contour(a, b, z, levels=np.geomspace(1, 2000, 9), colors="#9aa3af", linewidths=0.6)
        for (method, (_, trail)), colour in zip(trails.items(), COLOURS):
            axes.plot(*trail.T, "o-", color=colour, markersize=3, linewidth=1, label=method)
        axes.set(title="minimize: two ways down Rosenbrock's valley")
        axes.legend(frameon=False, loc="lower left")

    def smooth(axes):
        axes.plot(x, data, ".", color=COLOURS[1], markersize=4, label="data")
        axes.plot(x, truth, "--", color=COLOURS[2], label="truth")
        axes.plot(x, 2 * np.tanh(curve), color=COLOURS[0], label="fit")
        axes.set(title="least_squares: outliers count little")
        axes.legend(frameon=False, loc="upper right")

    def spacetime(axes):
        axes.imshow(solution.y[0::2], aspect="auto", origin="lower", cmap="viridis",
                    extent=(solution.t[0], solution.t[-1], 0, 1))
        axes.set(title="solve_ivp: the Brusselator by Radau", xlabel="time", ylabel="place")

    panels(path, valley, smooth, spacetime, size=(12.5, 3.9))


if __name__ == "__main__":
    main(command_line(__doc__.splitlines()[0]).parse_args().out)
