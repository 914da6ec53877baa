"""Differential equations and roots: steps, sweeps, stencils."""

import numpy as np

from .registry import program


@program(lambda n, rng: (rng.random((n, n)), 50), small=10, large=300)
def heat(u, steps):
    """Explicit steps of the heat equation, on two arrays that change roles."""
    u = u.copy()
    new = u.copy()
    for _ in range(steps):
        new[1:-1, 1:-1] = u[1:-1, 1:-1] + 0.1 * (
            u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2] - 4 * u[1:-1, 1:-1])
        u, new = new, u
    return u


@program(lambda n, rng: (rng.random((n, n)), 20), small=10, large=300)
def gauss_seidel(u, sweeps):
    """Laplace's equation: every value from the newest ones beside it."""
    u = u.copy()
    n, m = u.shape
    for _ in range(sweeps):
        for i in range(1, n - 1):
            for j in range(1, m - 1):
                u[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
    return u


@program(lambda n, rng: (rng.random((n, n)), 1e-4), small=12, large=100)
def jacobi_until(u, tolerance):
    """Laplace's equation: sweeps until nothing changes much."""
    u = u.copy()
    error = 1.0
    sweeps = 0
    while error > tolerance:
        old = u.copy()
        u[1:-1, 1:-1] = 0.25 * (old[2:, 1:-1] + old[:-2, 1:-1] + old[1:-1, 2:] + old[1:-1, :-2])
        error = np.max(np.abs(u - old))
        sweeps += 1
    return u, sweeps


@program(lambda n, rng: (np.array([1.0, 1.0, 1.0]), 0.01, n), small=30, large=20_000)
def lorenz(state, dt, steps):
    """Runge and Kutta's fourth order, with a function for the right-hand side."""
    def rate(s):
        x, y, z = s[0], s[1], s[2]
        return np.array([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])

    path = np.empty((steps + 1, 3))
    path[0] = state
    for k in range(steps):
        s = path[k]
        k1 = rate(s)
        k2 = rate(s + 0.5 * dt * k1)
        k3 = rate(s + 0.5 * dt * k2)
        k4 = rate(s + dt * k3)
        path[k + 1] = s + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
    return path


@program(lambda n, rng: (1.0, 10.0, 1e-8 / n), small=1, large=100, numba=False)
def adaptive_step(y, end, tolerance):
    """A stiff-looking scalar equation with steps that adapt (Bogacki and Shampine 1989)."""
    def rate(t, y):
        return -2.0 * y + np.sin(5.0 * t)

    t, h, taken = 0.0, 0.1, 0
    while t < end:
        h = min(h, end - t)
        k1 = rate(t, y)
        k2 = rate(t + h / 2, y + h / 2 * k1)
        k3 = rate(t + 0.75 * h, y + 0.75 * h * k2)
        new = y + h * (2 * k1 + 3 * k2 + 4 * k3) / 9
        k4 = rate(t + h, new)
        error = abs(h * (-5 * k1 / 72 + k2 / 12 + k3 / 9 - k4 / 8))
        if error <= tolerance:
            t += h
            y = new
            taken += 1
        h *= min(2.0, max(0.3, 0.9 * (tolerance / max(error, 1e-300)) ** (1 / 3)))
    return y, taken


@program(lambda n, rng: (np.exp(-0.01 * (np.arange(n) - n / 3) ** 2), 0.5, n // 2), small=40, large=2000)
def wave(u, courant, steps):
    """The wave equation by leapfrog, with fixed ends."""
    previous = u.copy()
    current = u.copy()
    for _ in range(steps):
        following = np.zeros_like(u)
        following[1:-1] = (2 * current[1:-1] - previous[1:-1]
                           + courant ** 2 * (current[2:] - 2 * current[1:-1] + current[:-2]))
        previous, current = current, following
    return current


@program(lambda n, rng: (rng.random(n), rng.random(n) + 4, rng.random(n), rng.random(n)), small=12, large=100_000)
def tridiagonal(a, b, c, d):
    """Thomas's algorithm."""
    n = len(d)
    cp = np.empty(n)
    dp = np.empty(n)
    cp[0] = c[0] / b[0]
    dp[0] = d[0] / b[0]
    for i in range(1, n):
        m = b[i] - a[i] * cp[i - 1]
        cp[i] = c[i] / m
        dp[i] = (d[i] - a[i] * dp[i - 1]) / m
    x = np.empty(n)
    x[-1] = dp[-1]
    for i in range(n - 2, -1, -1):
        x[i] = dp[i] - cp[i] * x[i + 1]
    return x


@program(lambda n, rng: (rng.random(n) * 10,), small=9, large=100_000, numba=False)
def kepler(mean_anomaly):
    """Newton's method on all elements until the last has converged."""
    eccentricity = 0.6
    e = mean_anomaly.copy()
    for _ in range(50):
        step = (e - eccentricity * np.sin(e) - mean_anomaly) / (1 - eccentricity * np.cos(e))
        e -= step
        if np.abs(step).max() < 1e-13:
            break
    return e


@program(lambda n, rng: (rng.random((n, n)), 0.2 * rng.random((n, n)), 30), small=12, large=128, numba=False)
def gray_scott(u, v, steps):
    """Reaction and diffusion on a torus, with np.roll."""
    def laplacian(x):
        return np.roll(x, 1, 0) + np.roll(x, -1, 0) + np.roll(x, 1, 1) + np.roll(x, -1, 1) - 4 * x

    for _ in range(steps):
        reaction = u * v * v
        u = u + 0.16 * laplacian(u) - reaction + 0.035 * (1 - u)
        v = v + 0.08 * laplacian(v) + reaction - 0.095 * v
    return u, v



@program(lambda n, rng: (0.5, 3.0, n), small=3, large=50)
def bisection(a, b, rounds):
    """Roots of a family of cubics, one after the other."""
    roots = np.zeros(rounds)
    for k in range(rounds):
        low, high = a, b
        shift = 1.0 + k / rounds
        while high - low > 1e-12:
            mid = (low + high) / 2
            if mid ** 3 - mid - shift > 0:
                high = mid
            else:
                low = mid
        roots[k] = (low + high) / 2
    return roots
