"""Data: estimates, clusters, signals, samples."""

import numpy as np

from .registry import program


@program(lambda n, rng: (rng.random((n, 3)), rng.random((4, 3))), small=20, large=5000, numba=False)
def k_means(points, centres):
    """Lloyd's algorithm until no centre moves."""
    centres = centres.copy()
    while True:
        distance = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
        label = distance.argmin(axis=1)
        new = np.array([points[label == k].mean(axis=0) if (label == k).any() else centres[k]
                        for k in range(len(centres))])
        if np.allclose(new, centres):
            break
        centres = new
    return centres, label


@program(lambda n, rng: (rng.random((n, 3)), rng.random((4, 3))), small=20, large=5000)
def k_means_loops(points, centres):
    """The same with loops, ten rounds."""
    n, dim = points.shape
    k = centres.shape[0]
    centres = centres.copy()
    label = np.zeros(n, dtype=np.int64)
    for _ in range(10):
        sums = np.zeros((k, dim))
        counts = np.zeros(k)
        for i in range(n):
            best = np.inf
            for c in range(k):
                d = 0.0
                for a in range(dim):
                    d += (points[i, a] - centres[c, a]) ** 2
                if d < best:
                    best = d
                    label[i] = c
            counts[label[i]] += 1
            for a in range(dim):
                sums[label[i], a] += points[i, a]
        for c in range(k):
            if counts[c] > 0:
                for a in range(dim):
                    centres[c, a] = sums[c, a] / counts[c]
    return centres, label


@program(lambda n, rng: (rng.standard_normal(n).cumsum(), 0.1, 1.0), small=25, large=50_000)
def kalman(measured, process, noise):
    """A random walk, filtered."""
    estimate, variance = 0.0, 1.0
    out = np.empty_like(measured)
    for t in range(len(measured)):
        variance += process
        gain = variance / (variance + noise)
        estimate += gain * (measured[t] - estimate)
        variance *= 1 - gain
        out[t] = estimate
    return out


@program(lambda n, rng: (rng.standard_normal(n), 0.2), small=30, large=200_000)
def smooth(x, alpha):
    """An exponential moving average."""
    out = np.empty_like(x)
    out[0] = x[0]
    for i in range(1, x.size):
        out[i] = alpha * x[i] + (1 - alpha) * out[i - 1]
    return out


@program(lambda n, rng: (rng.standard_normal(n).cumsum(), 7), small=40, large=50_000, numba=False)
def rolling(x, width):
    """Means, deviations and extremes of a moving window, and drawdown."""
    windows = np.lib.stride_tricks.sliding_window_view(x, 7)
    peak = np.maximum.accumulate(x)
    return windows.mean(axis=1), windows.std(axis=1), windows.max(axis=1), (peak - x).max()


@program(lambda n, rng: (rng.random((2, n)),), small=30, large=500_000)
def pi_by_darts(throws):
    """How often a dart hits the circle, with the error."""
    inside = throws[0] ** 2 + throws[1] ** 2 < 1.0
    p = inside.mean()
    return 4.0 * p, 4.0 * np.sqrt(p * (1.0 - p) / inside.size)


@program(lambda n, rng: (rng.standard_normal((n, 50)), 100.0, 0.02, 0.3), small=20, large=5000, numba=False)
def asian_option(normal, price, rate, volatility):
    """The value of an option on the mean, with antithetic paths."""
    dt = 1.0 / normal.shape[1]
    drift = (rate - 0.5 * volatility ** 2) * dt
    def payoff(z):
        path = price * np.exp(np.cumsum(drift + volatility * np.sqrt(dt) * z, axis=1))
        return np.maximum(path.mean(axis=1) - 100.0, 0.0)
    values = np.exp(-rate) * 0.5 * (payoff(normal) + payoff(-normal))
    return values.mean(), values.std() / np.sqrt(len(values))


@program(lambda n, rng: (rng.random(n) * 80 + 60, rng.random(n) * 80 + 60, rng.random(n) + 0.1), small=9, large=200_000,
         numba=False)
def black_scholes(spot, strike, time):
    """Prices of calls and puts, with an approximated error function (Abramowitz and Stegun 7.1.26)."""
    def normal_cdf(x):
        z = np.abs(x) / np.sqrt(2.0)
        t = 1.0 / (1.0 + 0.3275911 * z)
        tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
        erf = 1.0 - tail * np.exp(-z * z)
        return 0.5 * (1.0 + np.sign(x) * erf)
    d1 = (np.log(spot / strike) + (0.03 + 0.5 * 0.04) * time) / (0.2 * np.sqrt(time))
    d2 = d1 - 0.2 * np.sqrt(time)
    call = spot * normal_cdf(d1) - strike * np.exp(-0.03 * time) * normal_cdf(d2)
    return call, call - spot + strike * np.exp(-0.03 * time)


@program(lambda n, rng: (rng.standard_normal(n), rng.random(25)), small=60, large=20_000, numba=False)
def filter_and_decimate(signal, taps):
    """A filter, every fourth sample, and the spectrum of what is left."""
    taps = taps / taps.sum()
    filtered = np.convolve(signal, taps, mode="same")[::4]
    window = np.hanning(len(filtered))
    spectrum = np.abs(np.fft.rfft(filtered * window)) ** 2
    frequency = np.fft.rfftfreq(len(filtered), d=4.0)
    return filtered, (frequency * spectrum).sum() / spectrum.sum()


@program(lambda n, rng: (rng.random(n) + 1j * rng.random(n),), small=16, large=4096)
def fft_by_hand(x):
    """Cooley and Tukey's transform, in place, for powers of two."""
    a = x.copy()
    n = len(a)
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j |= bit
        if i < j:
            a[i], a[j] = a[j], a[i]
    length = 2
    while length <= n:
        angle = -2.0 * np.pi / length
        for start in range(0, n, length):
            for k in range(length // 2):
                w = complex(np.cos(angle * k), np.sin(angle * k))
                u = a[start + k]
                v = a[start + k + length // 2] * w
                a[start + k] = u + v
                a[start + k + length // 2] = u - v
        length *= 2
    return a


@program(lambda n, rng: (rng.random((n, 4)), rng.integers(0, 3, n)), small=20, large=20_000, numba=False)
def naive_bayes(x, y):
    """Class means and deviations by masks, and the labels they predict."""
    classes = np.unique(y)
    means = np.array([x[y == c].mean(axis=0) for c in classes])
    deviations = np.array([x[y == c].std(axis=0) for c in classes])
    prior = np.array([np.mean(y == c) for c in classes])
    z = (x[:, None, :] - means) / deviations
    score = np.log(prior) - np.log(deviations).sum(axis=1) - 0.5 * (z ** 2).sum(axis=2)
    return classes[score.argmax(axis=1)], means


@program(lambda n, rng: (rng.standard_normal(n),), small=30, large=50_000, numba=False)
def robust_summary(x):
    """Median, quartiles, deviation, and what is left without outliers."""
    low, mid, high = np.percentile(x, [25, 50, 75])
    keep = x[(x > low - 1.5 * (high - low)) & (x < high + 1.5 * (high - low))]
    mad = np.median(np.abs(x - mid))
    counts, edges = np.histogram(keep, bins=10, range=(-3.0, 3.0))
    return mid, mad, keep.mean(), keep.size, counts


@program(lambda n, rng: (rng.random((n, 8)), rng.random(n), np.zeros(8), n), small=15, large=2000)
def stochastic_descent(x, y, w, steps):
    """A linear model, one sample at a time."""
    w = w.copy()
    for t in range(steps):
        row = x[t % len(x)]
        error = row @ w - y[t % len(x)]
        w -= 0.05 / (1 + 0.01 * t) * error * row
    return w


@program(lambda n, rng: (rng.standard_normal((n, 6)), rng.standard_normal((6, 8)), rng.standard_normal((8, 1)),
                         rng.standard_normal((n, 1)), 20), small=9, large=300)
def neural_network(x, w1, w2, y, epochs):
    """Backpropagation written out."""
    w1 = w1.copy()
    w2 = w2.copy()
    for _ in range(epochs):
        hidden = np.tanh(x @ w1)
        error = hidden @ w2 - y
        g2 = hidden.T @ error / len(x)
        g1 = x.T @ ((error @ w2.T) * (1 - hidden ** 2)) / len(x)
        w1 -= 0.1 * g1
        w2 -= 0.1 * g2
    return w1, w2, np.mean(error ** 2)
