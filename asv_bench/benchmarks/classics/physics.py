"""Particles and fields."""

import numpy as np

from .registry import program


def _bodies(n, rng):
    return rng.standard_normal((n, 3)), 0.1 * rng.standard_normal((n, 3)), rng.random(n) + 0.1, 10


@program(_bodies, small=5, large=100)
def n_body_loops(position, velocity, mass, steps):
    """Gravity, pair by pair."""
    x = position.copy()
    v = velocity.copy()
    n = x.shape[0]
    for _ in range(steps):
        for i in range(n):
            ax = ay = az = 0.0
            for j in range(n):
                if i != j:
                    dx = x[j, 0] - x[i, 0]
                    dy = x[j, 1] - x[i, 1]
                    dz = x[j, 2] - x[i, 2]
                    r2 = dx * dx + dy * dy + dz * dz + 1e-3
                    f = mass[j] / (r2 * np.sqrt(r2))
                    ax += f * dx
                    ay += f * dy
                    az += f * dz
            v[i, 0] += 0.01 * ax
            v[i, 1] += 0.01 * ay
            v[i, 2] += 0.01 * az
        x += 0.01 * v
    return x, v


@program(_bodies, small=5, large=200, numba=False)
def n_body_arrays(position, velocity, mass, steps):
    """Gravity, by broadcasting."""
    x, v = position, velocity
    for _ in range(steps):
        d = x[None, :, :] - x[:, None, :]
        r2 = (d ** 2).sum(axis=-1) + 1e-3
        a = (d * (mass / r2 ** 1.5)[:, :, None]).sum(axis=1)
        v = v + 0.01 * a
        x = x + 0.01 * v
    return x, v


@program(lambda n, rng: (rng.random((n, 2)) * 10,), small=9, large=400)
def lennard_jones(positions):
    """Energy and forces in a periodic box."""
    box = 10.0
    n = len(positions)
    forces = np.zeros_like(positions)
    energy = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            d = positions[i] - positions[j]
            d = d - box * np.round(d / box)
            r2 = d[0] * d[0] + d[1] * d[1] + 0.1
            if r2 < 9.0:
                s6 = 1.0 / r2 ** 3
                energy += 4.0 * s6 * (s6 - 1.0)
                f = 24.0 * s6 * (2.0 * s6 - 1.0) / r2
                forces[i] += f * d
                forces[j] -= f * d
    return energy, forces


@program(lambda n, rng: (rng.choice(np.array([-1, 1]), (n, n)), rng.random((5, n, n))), small=8, large=128)
def ising(spins, random):
    """Metropolis sweeps of a magnet, with random numbers given."""
    s = spins.copy()
    n, m = s.shape
    beta = 0.4
    for sweep in range(random.shape[0]):
        for i in range(n):
            for j in range(m):
                around = s[(i + 1) % n, j] + s[(i - 1) % n, j] + s[i, (j + 1) % m] + s[i, (j - 1) % m]
                cost = 2 * s[i, j] * around
                if cost <= 0 or random[sweep, i, j] < np.exp(-beta * cost):
                    s[i, j] = -s[i, j]
    return s, s.mean()


@program(lambda n, rng: (np.exp(-((np.arange(n) - n / 2) / 8) ** 2).astype(complex), 20), small=32, large=1024,
         numba=False)
def schroedinger(psi, steps):
    """A wave packet by split steps between position and momentum."""
    n = len(psi)
    x = np.linspace(-10, 10, n)
    k = 2 * np.pi * np.fft.fftfreq(n, d=x[1] - x[0])
    half = np.exp(-0.5j * 0.05 * 0.5 * x ** 2)
    kinetic = np.exp(-0.05j * 0.5 * k ** 2)
    for _ in range(steps):
        psi = half * np.fft.ifft(kinetic * np.fft.fft(half * psi))
    return np.abs(psi) ** 2 / np.sum(np.abs(psi) ** 2)


@program(lambda n, rng: (n, 40), small=30, large=3000)
def fdtd(n, steps):
    """Maxwell's equations in one dimension (Yee 1966), fields updated in place."""
    e = np.zeros(n)
    h = np.zeros(n - 1)
    for t in range(steps):
        h += 0.5 * (e[1:] - e[:-1])
        e[1:-1] += 0.5 * (h[1:] - h[:-1])
        e[n // 3] += np.exp(-0.5 * ((t - 15) / 5.0) ** 2)
    return e, h


@program(lambda n, rng: (np.array([0.1, 0.0]), n), small=20, large=50_000)
def pendulum(state, steps):
    """A symplectic integrator with Python numbers."""
    angle, momentum = state[0], state[1]
    energy = np.zeros(steps)
    for k in range(steps):
        momentum -= 0.01 * np.sin(angle)
        angle += 0.01 * momentum
        energy[k] = 0.5 * momentum ** 2 - np.cos(angle)
    return angle, momentum, energy
