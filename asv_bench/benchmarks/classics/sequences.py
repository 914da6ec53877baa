"""Strings, integers, tables: dynamic programming, number theory, graphs."""

import numpy as np

from .registry import program


def _words(n, rng):
    return rng.integers(0, 4, n), rng.integers(0, 4, n + 3)


def _weights(n, rng):
    w = rng.random((n, n)) * 10
    w[rng.random((n, n)) < 0.6] = np.inf
    np.fill_diagonal(w, 0)
    return (w,)


@program(_words, small=9, large=600)
def edit_distance(a, b):
    """Levenshtein's table."""
    n, m = len(a), len(b)
    d = np.zeros((n + 1, m + 1), dtype=np.int64)
    for i in range(n + 1):
        d[i, 0] = i
    for j in range(m + 1):
        d[0, j] = j
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            cost = 0 if a[i - 1] == b[j - 1] else 1
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + cost)
    return d[n, m]


@program(_words, small=9, large=600)
def smith_waterman(a, b):
    """The best local alignment's score."""
    n, m = a.shape[0], b.shape[0]
    h = np.zeros((n + 1, m + 1))
    best = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            score = 3.0 if a[i - 1] == b[j - 1] else -3.0
            value = max(0.0, h[i - 1, j - 1] + score, h[i - 1, j] - 2.0, h[i, j - 1] - 2.0)
            h[i, j] = value
            if value > best:
                best = value
    return best


@program(lambda n, rng: (rng.integers(1, 20, n), rng.integers(1, 50, n), 5 * n), small=7, large=300)
def knapsack(weights, values, capacity):
    """The most that a bag can hold."""
    best = np.zeros(capacity + 1, dtype=np.int64)
    for w, v in zip(weights, values):
        for c in range(capacity, w - 1, -1):
            best[c] = max(best[c], best[c - w] + v)
    return best[capacity]


@program(_weights, small=8, large=150)
def floyd_warshall(weights):
    """All shortest paths."""
    d = weights.copy()
    n = d.shape[0]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                if d[i, k] + d[k, j] < d[i, j]:
                    d[i, j] = d[i, k] + d[k, j]
    return d


@program(_weights, small=8, large=150)
def floyd_warshall_rows(weights):
    """All shortest paths, a row at a time."""
    d = weights.copy()
    for k in range(len(d)):
        d = np.minimum(d, d[:, k:k + 1] + d[k:k + 1, :])
    return d


@program(_weights, small=9, large=300)
def dijkstra(weights):
    """Shortest paths from vertex 0, by scanning."""
    n = weights.shape[0]
    distance = np.full(n, np.inf)
    done = np.zeros(n, dtype=np.bool_)
    distance[0] = 0.0
    for _ in range(n):
        nearest = -1
        for v in range(n):
            if not done[v] and (nearest == -1 or distance[v] < distance[nearest]):
                nearest = v
        if distance[nearest] == np.inf:
            break
        done[nearest] = True
        for v in range(n):
            through = distance[nearest] + weights[nearest, v]
            if through < distance[v]:
                distance[v] = through
    return distance


@program(lambda n, rng: (n,), small=60, large=1_000_000)
def sieve(n):
    """Primes below n: how many, and their sum."""
    prime = np.ones(n, dtype=np.bool_)
    prime[:2] = False
    i = 2
    while i * i < n:
        if prime[i]:
            for j in range(i * i, n, i):
                prime[j] = False
        i += 1
    total = 0
    count = 0
    for i in range(n):
        if prime[i]:
            count += 1
            total += i
    return count, total


@program(lambda n, rng: (rng.integers(0, 256, n).astype(np.uint8),), small=40, large=100_000)
def crc32(data):
    """The checksum of Ethernet and zip, bit by bit."""
    crc = np.uint32(0xFFFFFFFF)
    for byte in data:
        crc = crc ^ np.uint32(byte)
        for _ in range(8):
            if crc & np.uint32(1):
                crc = (crc >> np.uint32(1)) ^ np.uint32(0xEDB88320)
            else:
                crc = crc >> np.uint32(1)
    return crc ^ np.uint32(0xFFFFFFFF)


@program(lambda n, rng: (n,), small=20, large=30_000)
def collatz(limit):
    """The start below `limit` with the longest way to 1."""
    longest, best = 0, 1
    for start in range(1, limit):
        x, length = start, 1
        while x != 1:
            if x % 2 == 0:
                x //= 2
            else:
                x = 3 * x + 1
            length += 1
        if length > longest:
            longest, best = length, start
    return best, longest


@program(lambda n, rng: (rng.random((n, 6)), rng.random((6, 6)), rng.random(6)), small=8, large=5000)
def viterbi(emission, transition, start):
    """The likeliest path through a hidden Markov model."""
    n, k = emission.shape
    score = np.log(start) + np.log(emission[0])
    back = np.zeros((n, k), dtype=np.int64)
    for t in range(1, n):
        new = np.empty(k)
        for j in range(k):
            options = score + np.log(transition[:, j])
            back[t, j] = np.argmax(options)
            new[j] = options[back[t, j]] + np.log(emission[t, j])
        score = new
    path = np.zeros(n, dtype=np.int64)
    path[-1] = np.argmax(score)
    for t in range(n - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path


@program(lambda n, rng: ((rng.random((n, n)) < 3 / n).astype(float), 60), small=9, large=400, numba=False)
def page_rank(links, rounds):
    """Ranks of pages; those without links pass on to all."""
    out = links.sum(axis=1)
    n = len(links)
    share = np.divide(links, out[:, None], out=np.full_like(links, 1 / n), where=out[:, None] > 0)
    rank = np.full(n, 1 / n)
    for _ in range(rounds):
        rank = 0.15 / n + 0.85 * rank @ share
    return rank / rank.sum()


@program(lambda n, rng: (rng.integers(0, 1000, n),), small=12, large=2000)
def insertion_sort(values):
    """In place, as in every textbook."""
    a = values.copy()
    for i in range(1, len(a)):
        key = a[i]
        j = i - 1
        while j >= 0 and a[j] > key:
            a[j + 1] = a[j]
            j -= 1
        a[j + 1] = key
    return a


@program(lambda n, rng: (np.sort(rng.random(n)), rng.random(n)), small=10, large=20_000)
def binary_search(table, queries):
    """Positions in a sorted table, by hand."""
    out = np.empty(len(queries), dtype=np.int64)
    for k in range(len(queries)):
        low, high = 0, len(table)
        while low < high:
            mid = (low + high) // 2
            if table[mid] < queries[k]:
                low = mid + 1
            else:
                high = mid
        out[k] = low
    return out
