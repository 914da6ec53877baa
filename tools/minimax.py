"""
The polynomials of tracejit/kernels/c/vmath.h: weighted minimax fits, printed as C would read them.

    python tools/minimax.py            # all of them
    python tools/minimax.py log sin    # those whose name begins so

Remez exchange on a grid, in 60 digits. Where the interval does not hold zero in its interior the coefficients are
rounded one at a time, the lowest power first, and the others fitted again; else they are all rounded at the end.
"""

import sys

import mpmath as mp

mp.mp.dps = 60
LOG2 = mp.log(2)
HALF = LOG2 / 2 * mp.mpf("1.0001")  # |r| after the reduction of exp
SQRT_HALF = mp.sqrt(mp.mpf(1) / 2)
SMALL = mp.mpf(10) ** -14  # below it a quotient takes its limit, which the grid meets once at most
ROOT = SQRT_HALF - 1 - mp.mpf("1e-4"), mp.sqrt(2) - 1 + mp.mpf("1e-4")  # f = m - 1 in log
SERIES = mp.mpf(0), ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.0005")  # s^2 in log
EIGHTH = mp.mpf(0), (mp.tan(mp.pi / 8) * mp.mpf("1.0001")) ** 2


def quotient(exact, limit):
    """A function whose formula is 0/0 at zero, where it has the value `limit`."""
    return lambda x: limit + mp.mpf(0) if abs(x) < SMALL else exact(x)


def odd(function, third):
    """(function(x) / x - 1) / x^2 as a function of x^2; `third` is the coefficient of x^3."""
    return quotient(lambda z: (function(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, third)


def square(limit):
    return mp.mpf(0), (limit * mp.mpf("1.002")) ** 2


def remez(function, degree, weight, a, b):
    """Coefficients c_0 .. c_(degree) with the least weighted error on [a, b], and that error."""
    n, a, b = degree + 1, mp.mpf(a), mp.mpf(b)
    middle, half = (a + b) / 2, (b - a) / 2
    nodes = [middle - half * mp.cos(mp.pi * (i + mp.mpf("0.5")) / (n + 1)) for i in range(n + 1)]
    nodes = [x + (b - a) * mp.mpf("0.003") * (x - a) * (b - x) for x in nodes]  # never exactly zero
    grid = [middle - half * mp.cos(mp.pi * i / (40 * n)) for i in range(1, 40 * n + 1)]
    values = [(x, function(x), weight(x)) for x in grid]
    best = [], mp.inf
    for _ in range(12):
        rows = [[x**j * weight(x) for j in range(n)] + [(-1) ** i] for i, x in enumerate(nodes)]
        solved = mp.lu_solve(mp.matrix(rows), mp.matrix([function(x) * weight(x) for x in nodes]))
        found = list(solved[:n])
        errors = [(x, w * (mp.polyval(found[::-1], x) - y)) for x, y, w in values]
        largest = max(abs(error) for _, error in errors)
        best = min(best, (found, largest), key=lambda pair: pair[1])
        extrema = []  # the largest error between each two changes of its sign
        for x, error in errors:
            if not extrema or (error > 0) != (extrema[-1][1] > 0):
                extrema.append((x, error))
            elif abs(error) > abs(extrema[-1][1]):
                extrema[-1] = x, error
        if largest < abs(solved[n]) * mp.mpf("1.02") or len(extrema) < n + 1:
            break
        while len(extrema) > n + 1:
            extrema.pop(0 if abs(extrema[0][1]) < abs(extrema[-1][1]) else -1)
        nodes = [x for x, _ in extrema]
    return best


def rounded(x, bits):
    if x == 0:
        return x
    mantissa, exponent = mp.frexp(x)
    return mp.ldexp(mp.nint(mp.ldexp(mantissa, bits)), exponent - bits)


def fit(function, terms, weight, a, b, bits):
    """A minimax polynomial with `terms` coefficients of `bits` bits."""
    if a < 0 < b:
        return [rounded(c, bits) for c in remez(function, terms - 1, weight, a, b)[0]]
    found = []
    for k in range(terms):
        rest = lambda x, k=k: (function(x) - mp.polyval(found[::-1], x)) / x**k if k else function(x)
        start = a if k == 0 else a + (b - a) * mp.mpf("1e-7")
        found.append(rounded(remez(rest, terms - 1 - k, lambda x, k=k: weight(x) * x**k, start, b)[0][0], bits))
    return found


exponential = quotient(lambda r: (mp.exp(r) - 1 - r) / r**2, mp.mpf(1) / 2)
power_of_two = quotient(lambda r: (mp.mpf(2) ** r - 1) / r, LOG2)
logarithm = quotient(lambda f: (mp.log(1 + f) - f + f**2 / 2) / f**3, mp.mpf(1) / 3)
artanh = quotient(lambda z: (2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 2) / z, mp.mpf(2) / 3)
sine = odd(mp.sin, -mp.mpf(1) / 6)
even_cosine = quotient(lambda z: ((mp.cos(mp.sqrt(z)) - 1) / z + mp.mpf(1) / 2) / z, mp.mpf(1) / 24)
even_cosh = quotient(lambda z: (mp.cosh(mp.sqrt(z)) - 1) / z, mp.mpf(1) / 2)
error_series = quotient(lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, 2 / mp.sqrt(mp.pi) - 1)
error_tail = lambda x: mp.log(mp.erfc(x))
to_sine = lambda z: z * mp.sqrt(z) / mp.sin(mp.sqrt(z)) if z > 0 else mp.mpf(0)
identity = lambda x: abs(x)

# name: function, terms, weight that makes the error relative to the result, interval; f64 then f32
FITS = {
    "exp": ((exponential, 10, 5), lambda r: r * r, (-HALF, HALF)),
    "expm1": ((exponential, 10, 5), identity, (-HALF, HALF)),
    "exp2": ((power_of_two, 11, 6), identity, (mp.mpf("-0.5001"), mp.mpf("0.5001"))),
    "log-f64": ((artanh, 7, 0), identity, SERIES),
    "log-f32": ((logarithm, 0, 8), lambda f: f * f, ROOT),
    "sinh": ((odd(mp.sinh, mp.mpf(1) / 6), 5, 3), identity, (mp.mpf(0), HALF**2)),
    "cosh": ((even_cosh, 6, 3), identity, (mp.mpf(0), HALF**2)),
    "sin": ((sine, 8, 4), to_sine, square(mp.pi / 2)),
    "tan-sine": ((sine, 6, 0), identity, square(mp.pi / 4)),
    "tan-cosine": ((even_cosine, 6, 0), lambda z: z * z, square(mp.pi / 4)),
    "tan-f32": ((odd(mp.tan, mp.mpf(1) / 3), 0, 7), identity, square(mp.pi / 4 * mp.mpf("1.018"))),
    "arctan-f64": ((odd(mp.atan, -mp.mpf(1) / 3), 11, 0), identity, EIGHTH),
    "arctan-f32": ((odd(mp.atan, -mp.mpf(1) / 3), 0, 9), identity, (mp.mpf(0), mp.mpf(1))),
    "erf-near": ((error_series, 12, 6), lambda z: 1 / (1 + error_series(z)), (mp.mpf(0), mp.mpf(1))),
    "erf-far-f64": ((error_tail, 18, 0), mp.erfc, (mp.mpf(1), mp.mpf("5.93"))),
    "erf-far-f32": ((error_tail, 0, 7), mp.erfc, (mp.mpf(1), mp.mpf("3.93"))),
}


def main(names):
    for name, ((function, double, single), weight, (a, b)) in FITS.items():
        if names and not name.startswith(tuple(names)):
            continue
        for terms, bits in ((double, 53), (single, 24)):
            if not terms:
                continue
            found = fit(function, terms, weight, a, b, bits)
            points = [a + (b - a) * i / 1001 for i in range(1, 1001)]
            error = max(abs(weight(x) * (mp.polyval(found[::-1], x) - function(x))) for x in points)
            print(f"{name} f{64 if bits == 53 else 32}: error 2^{float(mp.log(error, 2)):.1f}")
            for c in found:
                print("   ", repr(float(c)) if bits == 53 else f"{float(c):.9g}f")


if __name__ == "__main__":
    main(sys.argv[1:])
