"""Pictures: filters, fractals, cellular automata."""

import numpy as np

from .registry import program


def _picture(n, rng):
    return (rng.random((n, n)),)


@program(lambda n, rng: (n, 40), small=12, large=400)
def mandelbrot(n, limit):
    """Escape times, pixel by pixel."""
    out = np.zeros((n, n), dtype=np.int64)
    for i in range(n):
        for j in range(n):
            c = complex(-2.0 + 3.0 * j / n, -1.5 + 3.0 * i / n)
            z = 0j
            count = 0
            while z.real * z.real + z.imag * z.imag <= 4.0 and count < limit:
                z = z * z + c
                count += 1
            out[i, j] = count
    return out


@program(lambda n, rng: (np.linspace(-1.5, 1.5, n), 30), small=15, large=300, numba=False)
def julia(axis, limit):
    """Escape times, whole arrays at a time."""
    z = axis[None, :] + 1j * axis[:, None]
    c = -0.8 + 0.156j
    times = np.zeros(z.shape, dtype=int)
    for _ in range(limit):
        inside = np.abs(z) < 2
        z[inside] = z[inside] ** 2 + c
        times[inside] += 1
    return times


@program(lambda n, rng: (rng.integers(0, 2, (n, n)), 12), small=16, large=512)
def life(board, generations):
    """Conway's game on a torus, with slices."""
    board = board.copy()
    n, m = board.shape
    for _ in range(generations):
        padded = np.zeros((n + 2, m + 2), board.dtype)
        padded[1:-1, 1:-1] = board
        padded[0, 1:-1] = board[-1]
        padded[-1, 1:-1] = board[0]
        padded[:, 0] = padded[:, -2]
        padded[:, -1] = padded[:, 1]
        count = (padded[:-2, :-2] + padded[:-2, 1:-1] + padded[:-2, 2:] + padded[1:-1, :-2] + padded[1:-1, 2:]
                 + padded[2:, :-2] + padded[2:, 1:-1] + padded[2:, 2:])
        board = np.where((count == 3) | ((board == 1) & (count == 2)), 1, 0)
    return board


@program(lambda n, rng: (*_picture(n, rng), rng.random((5, 5))), small=14, large=400)
def convolve_by_hand(image, kernel):
    """A filter as four nested loops."""
    n, m = image.shape
    h, w = kernel.shape
    out = np.zeros((n - h + 1, m - w + 1))
    for i in range(n - h + 1):
        for j in range(m - w + 1):
            total = 0.0
            for a in range(h):
                for b in range(w):
                    total += image[i + a, j + b] * kernel[a, b]
            out[i, j] = total
    return out


@program(_picture, small=14, large=800, numba=False)
def sobel_edges(image):
    """Strength and direction of edges."""
    gx = np.zeros_like(image)
    gy = np.zeros_like(image)
    gx[1:-1, 1:-1] = (image[:-2, 2:] + 2 * image[1:-1, 2:] + image[2:, 2:]
                      - image[:-2, :-2] - 2 * image[1:-1, :-2] - image[2:, :-2])
    gy[1:-1, 1:-1] = (image[2:, :-2] + 2 * image[2:, 1:-1] + image[2:, 2:]
                      - image[:-2, :-2] - 2 * image[:-2, 1:-1] - image[:-2, 2:])
    strength = np.hypot(gx, gy)
    return strength / strength.max(), np.arctan2(gy, gx)


@program(lambda n, rng: ((rng.random((n, n)) * 255).astype(np.uint8),), small=16, large=600, numba=False)
def equalize(image):
    """Histogram equalisation of an 8-bit picture."""
    histogram = np.bincount(image.ravel(), minlength=256)
    cdf = histogram.cumsum()
    low = cdf[cdf > 0].min()
    table = np.round((cdf - low) / (image.size - low) * 255).astype(np.uint8)
    return table[image]


@program(lambda n, rng: (rng.random((n, n, 3)),), small=9, large=600)
def to_grey(picture):
    """Luminance, with gamma."""
    linear = np.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    y = 0.2126 * linear[:, :, 0] + 0.7152 * linear[:, :, 1] + 0.0722 * linear[:, :, 2]
    return np.clip(np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055), 0.0, 1.0)


@program(lambda n, rng: ((rng.random((n, n)) * 255).astype(np.int64),), small=10, large=300)
def floyd_steinberg(image):
    """Dithering: each error is spread over the pixels that follow."""
    work = image.astype(np.float64)
    h, w = work.shape
    for y in range(h):
        for x in range(w):
            old = work[y, x]
            new = 255.0 if old > 127 else 0.0
            work[y, x] = new
            error = old - new
            if x + 1 < w:
                work[y, x + 1] += error * 7 / 16
            if y + 1 < h:
                if x > 0:
                    work[y + 1, x - 1] += error * 3 / 16
                work[y + 1, x] += error * 5 / 16
                if x + 1 < w:
                    work[y + 1, x + 1] += error * 1 / 16
    return work


@program(lambda n, rng: (rng.random((n, n)), 1.5), small=12, large=300, numba=False)
def gaussian_blur(image, sigma):
    """Separable smoothing with mirrored borders."""
    radius = int(3 * 1.5)
    x = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    weights /= weights.sum()
    padded = np.pad(image, radius, mode="reflect")
    rows = sum(w * padded[:, k:k + image.shape[1]] for k, w in enumerate(weights))
    return sum(w * rows[k:k + image.shape[0]] for k, w in enumerate(weights))
