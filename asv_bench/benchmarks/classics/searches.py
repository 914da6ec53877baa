"""Lists that grow: stacks, queues, paths, and what is gathered one by one."""

import numpy as np

from .registry import program


@program(lambda n, rng: (rng.random((n, n)) < 0.6,), small=7, large=150, numba=False)
def flood_fill(grid):
    """Number the connected parts of a picture, with a stack."""
    labels = np.zeros(grid.shape, dtype=np.int64)
    height, width = grid.shape
    current = 0
    for i in range(height):
        for j in range(width):
            if grid[i, j] and labels[i, j] == 0:
                current += 1
                stack = [(i, j)]
                while stack:
                    a, b = stack.pop()
                    if 0 <= a < height and 0 <= b < width and grid[a, b] and labels[a, b] == 0:
                        labels[a, b] = current
                        stack += [(a + 1, b), (a - 1, b), (a, b + 1), (a, b - 1)]
    return labels, current


@program(lambda n, rng: (rng.random((n, n)) < 3 / n,), small=9, large=300, numba=False)
def breadth_first(linked):
    """Steps from the first vertex of a graph to the others, with a queue."""
    distance = np.full(len(linked), -1)
    distance[0] = 0
    queue = [0]
    while queue:
        u = queue.pop(0)
        for v in range(len(linked)):
            if linked[u, v] and distance[v] < 0:
                distance[v] = distance[u] + 1
                queue.append(v)
    return distance


@program(lambda n, rng: (rng.normal(size=n).cumsum(), 0.1), small=20, large=20_000)
def exponential_average(x, rate):
    """A running mean that forgets."""
    out = [x[0]]
    for v in x[1:]:
        out.append(rate * v + (1 - rate) * out[-1])
    return np.array(out)


@program(lambda n, rng: (rng.normal(size=n).cumsum(),), small=30, large=20_000, numba=False)
def turning_points(x):
    """Where a series turns, and how far it goes in between."""
    peaks = [i for i in range(1, len(x) - 1) if (x[i] - x[i - 1]) * (x[i + 1] - x[i]) < 0]
    swings = [abs(x[b] - x[a]) for a, b in zip(peaks[:-1], peaks[1:])]
    return np.array(peaks), max(swings)
