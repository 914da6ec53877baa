"""One call of a NumPy function each, by size: what a user may jit alone, and must not find slower than it was.

A call is a function and ``arguments(n, rng)``, n being the number of elements; its name says what is unusual of it.
"""

import math

import numpy as np

#: Every call by name: (function, arguments, sizes).
CALLS = {}
SIZES = (10, 1_000, 100_000, 1_000_000)
#: For what takes more than linear time.
SMALL = (10, 1_000, 100_000)


def _vector(n, rng):
    return (rng.standard_normal(n),)


def _single(n, rng):
    return (rng.standard_normal(n).astype(np.float32),)


def _positive(n, rng):
    return (rng.random(n) + 0.1,)


def _pair(n, rng):
    return rng.standard_normal(n), rng.standard_normal(n)


def _integers(n, rng):
    return (rng.integers(0, 1000, n),)


def _two_integers(n, rng):
    return rng.integers(-1000, 1000, n), rng.integers(1, 1000, n)


def _bits(n, rng):
    return (rng.random(n) < 0.5,)


def _complex(n, rng):
    return (rng.standard_normal(n) + 1j * rng.standard_normal(n),)


def _side(n):
    return max(2, math.isqrt(n))


def _square(n, rng):
    return (rng.standard_normal((_side(n), _side(n))),)


def _rows(n, rng):
    return (rng.standard_normal((max(1, n // 10), 10)),)


def _columns(n, rng):
    return (rng.standard_normal((10, max(1, n // 10))),)


def _cube(n, rng):
    side = max(2, round(n ** (1 / 3)))
    return (rng.standard_normal((side, side, side)),)


def _sorted_and_queries(n, rng):
    return np.sort(rng.standard_normal(n)), rng.standard_normal(n)


def _table_and_queries(n, rng):
    return rng.standard_normal(n), np.linspace(-2, 2, 100), rng.standard_normal(100)


def _indexed(n, rng):
    return rng.standard_normal(n), rng.integers(0, n, n)


def _masked(n, rng):
    return rng.standard_normal(n), rng.random(n) < 0.5


def _places(n, rng):
    return rng.standard_normal(n), np.sort(rng.choice(n, max(1, n // 100), replace=False))


def _matrices(n, rng):
    side = _side(n)
    return rng.standard_normal((side, side)), rng.standard_normal((side, side))


def _definite(n, rng):
    side = _side(n)
    a = rng.standard_normal((side, side))
    return (a @ a.T + side * np.eye(side),)


def _system(n, rng):
    return (*_definite(n, rng), rng.standard_normal(_side(n)))


def _small_matrices(n, rng):
    return (rng.standard_normal((max(1, n // 9), 3, 3)) + 3 * np.eye(3),)


def _every_other(n, rng):
    return (rng.standard_normal(2 * n)[::2],)


def _backwards(n, rng):
    return (rng.standard_normal(n)[::-1],)


def _first_column(n, rng):
    return (rng.standard_normal((n, 4))[:, 0],)


def _transposed(n, rng):
    return (_cube(n, rng)[0].transpose(1, 0, 2),)


def _reversed_axes(n, rng):
    return (_cube(n, rng)[0].T,)


def _inner_part(n, rng):
    side = _side(n)
    return (rng.standard_normal((side + 2, side + 2))[1:-1, 1:-1],)


def _fortran(n, rng):
    return (np.asfortranarray(_square(n, rng)[0]),)


def _add(arguments, sizes=SIZES, **functions):
    """Register calls on the same kind of arguments."""
    for name, function in functions.items():
        assert name not in CALLS, f"two calls are called {name}"
        CALLS[name] = (function, arguments, sizes)


# elementwise
_add(
    _vector,
    negative=lambda x: -x, absolute=np.abs, exp=np.exp, sin=np.sin, tanh=np.tanh, floor=np.floor, sign=np.sign,
    square=np.square, cube=lambda x: x**3, isnan=np.isnan, clip=lambda x: np.clip(x, -1.0, 1.0),
    where=lambda x: np.where(x > 0, x, 0.0), nan_to_num=np.nan_to_num, round=lambda x: np.round(x, 2), copy=np.copy,
    astype_float32=lambda x: x.astype(np.float32), astype_int=lambda x: x.astype(np.int64),
)
_add(_single, exp_single=np.exp, tanh_single=np.tanh, sum_single=np.sum, sort_single=np.sort)
_add(_positive, log=np.log, sqrt=np.sqrt, log1p=np.log1p, power=lambda x: x**1.7, reciprocal=lambda x: 1 / x)
_add(
    _pair,
    add=np.add, multiply=np.multiply, divide=np.divide, maximum=np.maximum, hypot=np.hypot, arctan2=np.arctan2,
    less=np.less, copysign=np.copysign, fmod=np.fmod, logaddexp=np.logaddexp, isclose=np.isclose, allclose=np.allclose,
    array_equal=np.array_equal, dot=np.dot, vdot=np.vdot, inner=np.inner, outer_sum=lambda x, y: (x - y).sum(),
    concatenate=lambda x, y: np.concatenate([x, y]), stack=lambda x, y: np.stack([x, y]),
    column_stack=lambda x, y: np.column_stack([x, y]), corrcoef=np.corrcoef,
)
_add(_two_integers, floor_divide=np.floor_divide, remainder=np.remainder, gcd=np.gcd, bitwise_and=np.bitwise_and)
_add(_complex, absolute_complex=np.abs, angle=np.angle, conjugate=np.conj, exp_complex=np.exp, sum_complex=np.sum)

# reductions and scans
_add(
    _vector,
    sum=np.sum, mean=np.mean, std=np.std, var=np.var, max=np.max, min=np.min, argmax=np.argmax, argmin=np.argmin,
    prod=np.prod, ptp=np.ptp, nansum=np.nansum, nanmax=np.nanmax, nanmean=np.nanmean, norm=np.linalg.norm,
    norm_1=lambda x: np.linalg.norm(x, 1), norm_inf=lambda x: np.linalg.norm(x, np.inf),
    cumsum=np.cumsum, cumprod=np.cumprod, diff=np.diff, gradient=np.gradient, trapezoid=np.trapezoid,
    median=np.median, percentile=lambda x: np.percentile(x, 30), quantiles=lambda x: np.quantile(x, [0.25, 0.5, 0.75]),
    maximum_accumulate=np.maximum.accumulate, count_nonzero=np.count_nonzero,
)
_add(_bits, any=np.any, all=np.all, sum_bits=np.sum, logical_not=np.logical_not, nonzero=np.nonzero,
     flatnonzero=np.flatnonzero, packbits=np.packbits)
_add(_integers, sum_integers=np.sum, max_integers=np.max, bincount=np.bincount, unique=np.unique, sort_integers=np.sort)
_add(_square, sum_0=lambda x: x.sum(0), sum_1=lambda x: x.sum(1), max_0=lambda x: x.max(0), max_1=lambda x: x.max(1),
     argmax_0=lambda x: x.argmax(0), argmax_1=lambda x: x.argmax(1), cumsum_0=lambda x: x.cumsum(0),
     cumsum_1=lambda x: x.cumsum(1), mean_0=lambda x: x.mean(0), std_1=lambda x: x.std(1),
     norm_rows=lambda x: np.linalg.norm(x, axis=1), trace=np.trace, diagonal=lambda x: np.diagonal(x).copy())
_add(_rows, sum_short_rows=lambda x: x.sum(1), argmax_short_rows=lambda x: x.argmax(1),
     max_short_rows=lambda x: x.max(1), mean_short_rows=lambda x: x.mean(1), sort_short_rows=lambda x: np.sort(x, 1),
     median_short_rows=lambda x: np.median(x, 1))
_add(_columns, sum_few_rows=lambda x: x.sum(0), argmax_few_rows=lambda x: x.argmax(0), std_few_rows=lambda x: x.std(1))

# moving
_add(
    _vector,
    roll=lambda x: np.roll(x, 3), flip=lambda x: np.flip(x).copy(), tile=lambda x: np.tile(x, 2),
    repeat=lambda x: np.repeat(x, 2), pad=lambda x: np.pad(x, 3), pad_reflect=lambda x: np.pad(x, 3, mode="reflect"),
    append=lambda x: np.append(x, 1.0), split=lambda x: [p.copy() for p in np.array_split(x, 3)],
    ediff1d=np.ediff1d, vander=lambda x: np.vander(x, 3), insert_one=lambda x: np.insert(x, 3, 1.0),
    delete_one=lambda x: np.delete(x, 3), full_like=lambda x: np.full_like(x, 2.0), zeros_like=np.zeros_like,
    linspace=lambda x: np.linspace(x[0], x[1], x.size), arange=lambda x: np.arange(x.size) * x[0],
)
_add(_square, transpose=lambda x: x.T.copy(), triu=np.triu, roll_axis=lambda x: np.roll(x, 1, axis=1),
     flip_axis=lambda x: x[:, ::-1].copy(), rot90=lambda x: np.rot90(x).copy(), sort_axis=lambda x: np.sort(x, axis=0),
     pad_square=lambda x: np.pad(x, 2, mode="edge"), stencil=lambda x: x[1:] - x[:-1])
_add(_cube, moveaxis=lambda x: np.moveaxis(x, 0, 2).copy(), sum_middle=lambda x: x.sum(1),
     swapaxes=lambda x: np.swapaxes(x, 0, 2).copy())

# selecting, sorting, searching
_add(_indexed, take=np.take, index=lambda x, i: x[i], add_at=lambda x, i: _added(x, i))
_add(_masked, mask=lambda x, m: x[m], compress=lambda x, m: np.compress(m, x),
     where_mask=lambda x, m: np.where(m, x, -x), extract=lambda x, m: np.extract(m, x),
     mask_set=lambda x, m: _cleared(x, m))
_add(_places, insert=lambda x, i: np.insert(x, i, 1.0), delete=np.delete)
_add(_vector, sort=np.sort, argsort=np.argsort, partition=lambda x: np.partition(x, x.size // 2),
     unique_floats=np.unique, histogram=lambda x: np.histogram(x, bins=20, range=(-3.0, 3.0))[0],
     digitize=lambda x: np.digitize(x, np.linspace(-2, 2, 20)))
_add(_sorted_and_queries, searchsorted=np.searchsorted)
_add(_pair, isin=np.isin, intersect1d=np.intersect1d, sizes=SMALL)
_add(_table_and_queries, interp=np.interp)

# products, transforms, polynomials
_add(_matrices, matmul=np.matmul, einsum=lambda a, b: np.einsum("ij,jk->ik", a, b),
     kron=lambda a, b: np.kron(a[:3, :3], b), tensordot=lambda a, b: np.tensordot(a, b, 2))
_add(_square, svd_values=lambda a: np.linalg.svd(a, compute_uv=False), det=np.linalg.det, inv=np.linalg.inv,
     qr=np.linalg.qr, eigvals=np.linalg.eigvals, eig=np.linalg.eig, sizes=SMALL)
_add(_definite, cholesky=np.linalg.cholesky, eigh=np.linalg.eigh, sizes=SMALL)
_add(_system, solve=np.linalg.solve, matvec=lambda a, b: a @ b, sizes=SMALL)
_add(_small_matrices, det_small=np.linalg.det, inv_small=np.linalg.inv, matmul_small=lambda a: a @ a,
     eigvals_small=np.linalg.eigvals, eig_small=np.linalg.eig, sizes=SMALL)
_add(_vector, rfft=np.fft.rfft, convolve_short=lambda x: np.convolve(x, np.ones(5) / 5),
     polyval=lambda x: np.polyval([1.0, 2.0, 3.0, 4.0], x), sinc=np.sinc, outer=lambda x: np.outer(x[:100], x),
     meshgrid=lambda x: np.meshgrid(x, x[:10])[0].copy())
_add(_complex, fft=np.fft.fft, ifft=np.fft.ifft)
_add(_square, fft2=np.fft.fft2)
_add(_pair, convolve=lambda x, y: np.convolve(x, y), correlate=lambda x, y: np.correlate(x, y, "same"),
     cov=lambda x, y: np.cov(x, y), polyfit=lambda x, y: np.polyfit(x, y, 2), sizes=SMALL)

# arguments that lie in other ways
for _name, _arguments in (("every_other", _every_other), ("backwards", _backwards), ("column", _first_column),
                          ("swapped_axes", _transposed), ("reversed_axes", _reversed_axes), ("inner_part", _inner_part),
                          ("fortran", _fortran)):
    _add(_arguments, **{
        f"{_name}:add": lambda x: x + 1.0, f"{_name}:exp": np.exp, f"{_name}:sum": np.sum, f"{_name}:copy": np.copy,
        f"{_name}:max": np.max,
    })


def _added(x, i):
    out = np.zeros_like(x)
    np.add.at(out, i, x)
    return out


def _cleared(x, m):
    out = x.copy()
    out[m] = 0.0
    return out
