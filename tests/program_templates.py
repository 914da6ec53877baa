"""What random programs are made of: NumPy as people write it, one template per line.

In a template `{a}`, `{b}`, `{c}` are arrays, `{n}` is a number, `{d}` a dtype, `{s}` the program's Python float, `{m}`
its integer, `{i}` an index, `{r}` a number of turns, `{t}` the variable that is assigned, `{j}` a number that makes
names different, `{when}` a condition, `{line}` a statement and `{block}` one that may have statements of its own.
"""

from dataclasses import dataclass

#: Python's names that programs use, and what they define before they begin.
PRELUDE = """\
import contextlib
import dataclasses
import functools
import itertools
import math

import numpy as np

G = np.arange(12.0).reshape(3, 4) - 5
WEIGHTS = [2, np.array([1, -1, 2, 0])]


def scaled(a, by=2, *rest, shift=0):
    for r in rest:
        shift = shift + r
    return a * by + shift


def early(a, limit):
    if a.sum() > limit:
        return a[::-1]
    for row in a:
        if np.all(row == limit):
            return a * 2
    return a + limit


def rows(a):
    for k, row in enumerate(a):
        if k == 2:
            return
        yield row * (k + 1)


def power(a, n):
    return a if n == 0 else power(a, n - 1) + a


def in_place(a, n):
    a[...] = a * n
    a[:1] += 1


def twice(f):
    @functools.wraps(f)
    def inner(*args, **kwargs):
        return f(f(*args, **kwargs), **kwargs)
    return inner


@twice
def bumped(a, by=1):
    return a + by


@contextlib.contextmanager
def doubled(a):
    a *= 2
    try:
        yield a
    finally:
        a -= 1


@dataclasses.dataclass
class Pair:
    left: np.ndarray
    right: np.ndarray = None

    def total(self):
        return self.left + (0 if self.right is None else self.right)


class Box:
    size = 2

    def __init__(self, a, b=3):
        self.a, self.b = a, b

    def __len__(self):
        return len(self.a)

    def __getitem__(self, k):
        return self.a[k]

    def __call__(self, n):
        return self.a * n + self.b

    def __add__(self, other):
        return Box(self.a + other, self.b)

    @property
    def first(self):
        return self.a[0]

    @classmethod
    def of(cls, a):
        return cls(a, cls.size)

    def add(self, n):
        self.a = self.a + n
        self.b += n
        return self
"""


@dataclass(frozen=True)
class Language:
    """The templates of one kind of programs."""

    dtypes: tuple
    expressions: tuple
    scalars: tuple
    writes: tuple
    conditions: tuple
    loops: tuple
    structures: tuple = ()
    failures: tuple = ()
    layouts: tuple = ("C",)
    prelude: str = "import numpy as np\n"


PLAIN = Language(
    dtypes=("float64", "float64", "float32", "int64", "int32", "uint8", "bool", "complex128"),
    expressions=(
        "{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} + {n}", "{n} - {a}", "{a} * {n}", "-{a}", "abs({a})", "{a} > {b}",
        "{a} <= {n}", "{a} == {b}", "{a} != {n}", "{a} // {n}", "{a} % {n}", "{a} & {b}", "{a} | {b}", "{a} ** 2",
        "np.maximum({a}, {b})", "np.minimum({a}, {n})", "np.where({a} > {n}, {b}, {c})", "np.clip({a}, -3, 5)",
        "np.floor({a})", "np.rint({a})", "np.sign({a})", "np.square({a})", "np.logical_not({a})", "np.isfinite({a})",
        "{a}.astype(np.{d})", "{a}.copy()", "np.zeros_like({a})", "np.full_like({a}, 3)", "np.real({a})",
        "np.conj({a})",
        # views
        "{a}[1:]", "{a}[::-1]", "{a}[..., 0]", "{a}.T", "{a}[:, None]", "{a}[None]", "{a}[0]", "{a}[-1]", "{a}[:2]",
        "{a}[1::2]", "{a}[:, 1:]", "{a}[:, ::-2]", "{a}.reshape(-1)", "{a}.ravel()", "{a}.swapaxes(0, 1)",
        "{a}.squeeze()", "np.broadcast_to({a}, (3, 4))", "{a}.reshape(2, -1)", "np.expand_dims({a}, 0)", "{a}.real",
        # reductions and scans
        "{a}.sum()", "{a}.sum(axis=0)", "{a}.sum(-1, keepdims=True)", "{a}.max()", "{a}.min(axis=-1)", "{a}.any()",
        "{a}.all(axis=0)", "np.cumsum({a}, axis=-1)", "{a}.argmax()", "{a}.argmin(axis=0)", "np.count_nonzero({a})",
        "np.maximum.accumulate({a})", "np.add.reduce({a}, axis=0)", "np.ptp({a})",
        # structure
        "np.concatenate([{a}, {b}])", "np.stack([{a}, {b}])", "np.roll({a}, 1)", "np.roll({a}, -2, axis=0)",
        "np.flip({a})", "np.sort({a})", "np.sort({a}, axis=0)", "np.argsort({a}, kind='stable')", "np.tile({a}, 2)",
        "np.repeat({a}, 2, axis=0)", "np.diff({a})", "np.outer({a}, {b})", "{a} @ {b}", "np.dot({a}, {b})",
        "np.tril({a})", "np.pad({a}, 1)", "np.take({a}, [0, 1, 0])", "{a}[[1, 0]]", "{a}[np.array([0, -1])]",
        "np.array([{s}, {n}])", "np.arange({m}) + {s}", "np.eye(3) * {s}", "np.atleast_2d({a})",
        "np.hstack([{a}, {a}])",
        "{a}[{a} > {n}]", "np.nonzero({a})[0].copy()", "np.unique({a})", "np.add.outer({a}, {b})",
        "np.einsum('ij->ji', {a})",
        "{a}[{i}]", "{a}[{i}] + {a}[-{i} - 1]", "np.searchsorted(np.sort({a}), {b})",
    ),
    scalars=("{a}.ravel()[0]", "{a}.ravel()[{i}]", "{a}.sum()", "{s} + 1", "{s} - {n}", "{s} * 2", "int({a}.max())",
             "float({a}.min())", "len({a})", "{a}.shape[0]", "{a}.size", "min({s}, {n})",
             "max({s}, {a}.real.max())", "{m}"),
    writes=(
        "{a}[0] = {b}", "{a}[1:] = {b}", "{a} += {b}", "{a} -= {n}", "{a} *= {n}", "{a}[1:] -= {n}",
        "{a}[:-1] += {a}[1:]", "{a}[{a} > {n}] = {n}", "{a}[{a} < {n}] += 1", "{a}[[0, 1]] = {b}",
        "np.add.at({a}, [0, 0], {n})", "{a}.fill({n})", "{a}.sort()", "{a}[...] = {b}", "{a}.T[0] = {n}",
        "np.add({a}, {b}, out={a})", "{a}[::2] = {n}", "{a}[0], {a}[1] = {a}[1], {a}[0]", "{a}[{i}] = {s}",
        "{a}[{i}] += {n}", "{a}.ravel()[1:] += 1", "np.maximum({a}, {b}, out={a}, where={a} > {n})", "{a}[:, 0] = {b}",
        "np.copyto({a}, {b}, where={a} > 0)",
    ),
    conditions=("{s} > {n}", "{a}.sum() > {n}", "{a}.any()", "{s} % 2 == 0", "{n} < {s} <= 9", "not {a}.all()",
                "{s} > {n} and {a}.size > 2", "{a}.ravel()[0] < {s} or {s} == {n}"),
    loops=("for k{j} in range({r}):", "for k{j} in range({m}):", "for k{j}, e{j} in enumerate({a}):",
           "for e{j} in {a}:", "for k{j} in range({r}, 0, -1):", "while t{j} < {r}:"),
)

WIDE = Language(
    dtypes=("float64", "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32",
            "uint64", "bool", "complex64", "complex128"),
    expressions=PLAIN.expressions + (
        "{a} / 2", "{a} / {n}", "{a} << 1", "{a} >> 1", "~{a}", "{a} ^ {b}", "{a} // {b}", "{a} % {b}", "+{a}",
        "divmod({a}, {n})[1]", "np.fmod({a}, 3)", "np.modf({a})[0]", "np.divmod({a}, {n})[0]", "np.trunc({a})",
        "np.ceil({a})", "np.fmax({a}, {b})", "np.copysign({a}, {b})", "np.signbit({a})", "np.gcd({a}, {b})",
        "np.lcm({a}, 2)", "np.ldexp({a}, 1)", "np.heaviside({a}, {n})", "np.logical_xor({a}, {b})",
        "np.float_power({a}, 2)",
        "np.positive({a})", "np.isnan({a})", "np.around({a}, 1)", "np.nan_to_num({a})", "np.power({a}, 3)",
        # keywords
        "np.add({a}, {b}, dtype=np.{d})", "np.multiply({a}, {n}, dtype=np.{d}, casting='unsafe')",
        "np.add({a}, {b}, where={a} > {n}, out=np.zeros_like({a}))", "np.sum({a}, axis=(0, 1))",
        "{a}.sum(axis=(0, -1), keepdims=True)", "{a}.max(axis=(0, 1), initial={n})",
        "{a}.min(initial=3, where={a} > 0)",
        "np.sum({a}, dtype=np.{d})", "np.any({a}, axis=(0, 1))", "{a}.prod(axis=0)", "np.sum({a}, where={a} > {n})",
        "np.max({a}, axis=-1, keepdims=True)", "np.mean({a}, axis=-1)", "{a}.mean(axis=0, dtype=np.float64)",
        "np.cumsum({a}, dtype=np.{d})", "np.sum({a}, axis=0, initial={n})", "np.median({a}, axis=-1)",
        "{a}.var(axis=-1)",
        "np.argmax({a}, axis=0, keepdims=True)", "np.count_nonzero({a}, axis=0)",
        "np.all({a}, axis=(0,), keepdims=True)",
        "np.nansum({a}, axis=0)", "np.cumprod({a}, axis=-1)", "np.average({a}, axis=0)", "np.trapezoid({a})",
        "np.full({m}, {s})", "np.full((2, 3), {n}, dtype=np.{d})", "np.ones({a}.shape, np.{d})", "np.arange(1, 9, 2)",
        "np.empty_like({a}, shape=(0, 2))", "np.linspace(0, 2, 5)", "np.identity(3, np.{d})", "np.tri(3)",
        "np.array({a}, dtype=np.{d})", "np.array({a}, ndmin=3)", "np.asarray({a})", "np.asfortranarray({a})",
        "np.ascontiguousarray({a})", "np.array({a}, order='F')", "{a}.copy('F')", "{a}.astype(np.{d}, order='F')",
        "{a}.astype(np.{d}, copy=False)", "np.array([{a}, {b}])", "np.array([[{s}, 1], [2, {n}]])",
        "np.array({a}.tolist())",
        "np.array([{a}.sum(), {n}])", "np.float32({s})", "np.array({s})", "np.int8({m})", "np.asarray({n})",
        # views of views
        "{a}[1:][::-1]", "{a}[::-1][1:]", "{a}.T[1:].T", "{a}[..., ::-1][..., 1:]", "{a}[:, 1:3][1]", "{a}[...]",
        "{a}[None, ..., None]", "{a}.T.reshape(-1)", "{a}.reshape(-1, order='F')", "{a}.flatten('F')", "{a}.ravel('K')",
        "np.moveaxis({a}, 0, -1)", "np.rollaxis({a}, 1)", "{a}.transpose(1, 0)", "{a}.diagonal()", "np.diag({a})",
        "np.split({a}, 2)[0]", "np.array_split({a}, 3, axis=-1)[1]", "np.hsplit({a}, 2)[1]", "np.rot90({a})",
        "np.einsum('ii->i', {a}[:3, :3]) if {a}.shape[0] else {a}", "{a}.imag", "{a}[-2:, -1:]",
        "{a}[10:]", "{a}[::-2]", "{a}.view()",
        "np.lib.stride_tricks.sliding_window_view({a}, 2, axis=0)", "np.broadcast_arrays({a}, {b})[1]", "{a}[()]",
        "{a}[int({s}) % 2]", "{a}[:int({s}) % 3]", "{a}[int({s}) % 2:]", "{a}[..., int({s}) % 2]", "{a}.mT",
        # choosing
        "{a}[[0, 1], [1, 0]]", "{a}[:, [1, 0]]", "{a}[[[0], [1]], [0, 1]]", "{a}[np.ix_([0, 1], [1, 0])]",
        "{a}[[True, False, True]]", "{a}[{a} > {n}, ...]", "{a}[..., {b}.ravel()[:2] > 0]", "{a}.take([1, 0], axis=-1)",
        "np.take({a}, 5, mode='wrap')", "np.take_along_axis({a}, np.argsort({a}, axis=-1, kind='stable'), axis=-1)",
        "np.compress([True, False, True], {a}, axis=0)", "np.extract({a} > {n}, {a})", "np.argwhere({a} > {n})",
        "np.flatnonzero({a})", "np.choose([0, 1, 0, 1], [{a}, {b}])", "np.where({a} > {n}, {a}, 0)",
        "np.select([{a} > 1, {a} < 0], [{a}, {b}], 7)", "np.where({a})[0].copy()", "{a}[{a} == {a}.max()]",
        "{a}[np.newaxis, 1]",
        # joining, repeating, sorting
        "np.vstack([{a}, {b}])", "np.dstack([{a}, {a}])", "np.column_stack([{a}, {a}])",
        "np.block([[{a}, {a}], [{b}, {b}]])",
        "np.append({a}, {n})", "np.append({a}, {b}, axis=0)", "np.insert({a}, 1, {n}, axis=-1)",
        "np.delete({a}, 0, axis=0)",
        "np.concatenate([{a}, {b}], axis=None)", "np.concatenate([{a}, {b}], axis=-1, dtype=np.{d}, casting='unsafe')",
        "np.stack([{a}, {b}], axis=-1)", "np.repeat({a}, [1, 2, 0], axis=0)", "np.tile({a}, (2, 1))",
        "np.resize({a}, (2, 5))",
        "np.pad({a}, 1, mode='edge')", "np.pad({a}, (1, 2), constant_values={n})", "np.pad({a}, 2, 'wrap')",
        "np.triu({a}, 1)",
        "np.roll({a}, (1, 2), axis=(0, 1))", "np.flipud({a})", "np.ediff1d({a})", "np.diff({a}, n=2, axis=0)",
        "np.diff({a}, prepend=0)",
        "np.sort({a}, axis=None)", "-np.sort(-{a})", "np.lexsort(({a}, {b}))", "np.partition({a}, 1)[..., 1]",
        "{a}.argsort(kind='stable')[::-1]",
        "np.unique({a}, return_counts=True)[1]", "np.unique({a}, return_inverse=True)[1]", "np.isin({a}, {b})",
        "np.union1d({a}, {b})",
        "np.intersect1d({a}, {b})", "np.setdiff1d({a}, {b})", "np.digitize({a}, [-1, 0, 2])",
        "np.histogram({a}, bins=[-5, 0, 1, 5])[0]",
        "np.bincount({a}.ravel().astype(int) % 5)", "np.searchsorted([-2, 0, 1], {a}, side='right')",
        "np.meshgrid({a}, {b})[0]",
        "np.indices((2, 3))[1]", "np.trim_zeros({a})", "np.atleast_3d({a})", "np.fliplr({a})",
        "np.vander([1, 2, 3], 3)",
        # contractions
        "np.einsum('ij,kj->ik', {a}, {b})", "np.einsum('ij->j', {a})", "np.einsum('...i,...i', {a}, {b})",
        "np.einsum('ij,j', {a}, {b})",
        "np.einsum('bij,bij->b', {a}, {b})", "np.einsum({a}, [0, 1], [1, 0])", "np.tensordot({a}, {b}, axes=1)",
        "np.inner({a}, {b})",
        "np.tensordot({a}, {b}, axes=([0, 1], [0, 1]))", "np.vdot({a}, {b})", "np.matmul({a}, {b})", "{a} @ {a}.T",
        "{a}.dot({b})", "np.kron({a}, {b})",
        "np.trace({a})", "np.convolve({a}, {b})", "np.correlate({a}, {b}, 'full')",
        "np.cross({a}[..., :3], {b}[..., :3])", "np.vecdot({a}, {b})",
        # ufunc methods
        "np.add.reduceat({a}, [0, 2])", "np.add.reduceat({a}, [0, 1], axis=-1)", "np.multiply.outer({a}, {b})",
        "np.subtract.reduce({a}, axis=0)",
        "np.logical_and.accumulate({a})", "np.maximum.reduce({a}, axis=(0, 1))", "np.bitwise_xor.reduce({a})",
        "np.add.accumulate({a}, axis=1)",
        "np.minimum.reduce({a}, initial={n})", "np.logical_or.reduce({a}, axis=None)", "np.maximum.outer([0, 1], {a})",
        "np.multiply.accumulate({a}, axis=-1)",
        # functions of functions
        "np.apply_along_axis(np.sum, 0, {a})", "np.vectorize(lambda e: e + 1)({a})",
        "functools.partial(np.add, {n})({a})",
        "functools.reduce(np.add, [{a}, {b}, {a}])",
        "np.apply_along_axis(lambda e: e[::-1], -1, {a})",
        "(lambda p, q={n}: p * q)({a})", "sum(e for e in {a})", "np.stack([e * 2 for e in {a}])",
        "np.array([e.sum() for e in {a}])",
        "np.array([e for e in {a}.ravel() if e > {n}])", "np.array(list(map(np.sum, {a})))",
        "np.stack(list(rows({a})))", "sum(rows({a}))",
        "max((e.sum() for e in {a}), default={n})", "np.array([p * q for p, q in zip({a}, {b})])",
        "np.array([[p + q for q in {a}] for p in range(2)])",
        "np.stack([p for p in {a}][::-1])", "np.array(sorted({a}.ravel().tolist()))",
        "np.array([float({n}) if e.any() else {s} for e in {a}])",
        "np.fromiter((e.sum() for e in {a}), float)", "np.concatenate([*{a}])", "np.stack([*{a}, *{b}])",
        "np.array([any(e > {n}) for e in {a}])",
        "{{k: e for k, e in enumerate({a})}}[1]", "[{a}, {b}][int({s}) % 2]", "({a} if {when} else {b})",
        "np.stack(tuple(e + k for k, e in enumerate({a}, 1)))",
        "list(itertools.accumulate({a}))[-1]", "np.array([p for p, q in itertools.product({a}, range(2))])",
        "dict(p={a}, q={b})['q']",
        # the program's own functions and classes
        "scaled({a})", "scaled({a}, {n}, 1, 2, shift={s})", "scaled(by={b}, a={a})", "scaled(*[{a}, {b}])",
        "scaled(**dict(a={a}, by=3))",
        "early({a}, {n})", "power({a}, 3)", "bumped({a})", "bumped({a}, by={n})", "Pair({a}, {b}).total()",
        "Pair({a}).total()", "Box({a})({n})",
        "Box.of({a}).first", "Box({a}).add({n}).add(1).a", "(Box({a}) + {b})[0]", "len(Box({a})) * {b}",
        "dataclasses.replace(Pair({a}), right={b}).total()",
        "G + {a}", "G[1]", "G * WEIGHTS[0]", "{a} * WEIGHTS[1]", "np.sum(G, axis=1)",
    ),
    scalars=PLAIN.scalars + (
        "{a}.item(0)", "{a}.ndim", "{a}.itemsize", "{a}.flat[0]", "{a}.ravel()[int({s}) % 2]",
        "sum({a}.ravel().tolist())", "abs({s})", "round({s})",
        "{s} // 2", "{s} % 3", "math.floor({s})", "max({a}.shape)", "x.strides[0]", "np.sum({a})",
        "{s} if {when} else {n}", "{s} and {n}",
        "{a}.argmax()", "sum(e.max() for e in {a})", "len([e for e in {a}.ravel() if e > {n}])", "bool({a}.any())",
        "int({s}) & 3", "-{s}",
        "isinstance({a}, np.ndarray)", "{a}.dtype.kind == 'f'", "w.flags.c_contiguous", "np.isscalar({a})",
        "np.ndim({a})", "math.prod({a}.shape)",
        "{a}.dtype.itemsize", "np.shape({a})[0]", "float({n} in {a})", "(np.abs({a}) > {n}).sum()",
        "next(iter({a}.ravel()))", "len(str({m}))",
    ),
    writes=PLAIN.writes + (
        "{a}[:] = {a}[::-1]", "{a}[1:] = {a}[:-1]", "{a}[:-1] = {a}[1:]", "{a}[::-1][1:] = {b}", "{a}.T[...] = {b}",
        "{a}[1:][::-1] += {n}",
        "{a}.flat[1:3] = {n}", "{a}.flat = {n}", "{a}.reshape(-1)[::2] += 1", "{a}.real = {b} * 2", "{a}.imag[0] = 2",
        "{a}[()] = {n}", "{a}[..., -1] *= 2",
        "np.put({a}, [0, 1], {n})", "np.place({a}, {a} > 0, [1, 2])", "np.putmask({a}, {a} > {n}, {b})",
        "np.fill_diagonal({a}, {n})", "{a}.put([1, -1], {s})",
        "np.add({a}[1:], {a}[:-1], out={a}[1:])", "np.cumsum({a}, axis=0, out={a})", "{a}.sum(axis=0, out={b}[0])",
        "np.negative({a}, out={a}[::-1])",
        "np.subtract.at({a}, [0, 1, 0], {n})", "np.maximum.at({a}, [0, 0, 1], {b})", "{a} @= {b}", "{a} //= 2",
        "{a} %= 3", "{a} **= 2", "{a} <<= 1",
        "{a} &= {b}", "{a} |= {n}", "{a} /= 2", "np.clip({a}, -2, 2, out={a})", "{a}[np.ix_([0, 1], [1, 0])] = {n}",
        "{a}[[0, 0, 1]] += {n}",
        "{a}[..., None][0] = 3", "{a}.sort(axis=0)", "{a}[::-1].sort()", "{a}[{a}.argmax() % 2] = {n}",
        "{a}[int({s}) % 2] = {b}", "{a}[:int({s}) % 3] += {n}",
        "{a}[0] = {a}[1] = {n}", "{a}[0][...] = {a}[1]", "{a}[[True, False, True]] = {b}",
        "{a}[:, [0, 1]] = {a}[:, [1, 0]]", "{a}[{s} > 0] = {n}",
        "{a}[1:, 1:] = {a}[:-1, :-1]", "{a}[[0, 1]], {a}[-1] = {a}[[1, 0]], {n}",
        "np.put_along_axis({a}, {a}.argmax(0, keepdims=True), {n}, 0)",
        "in_place({a}, {n})", "G[0] += {n}", "G[...] = {a}", "np.multiply({a}, {n}, {a})", "np.copyto({a}[::2], {n})",
        "{a}[0, ...][1:] = 0",
        "{a}.diagonal().sum(out={b}[0, ...])", "np.add.reduce({a}, axis=0, out={a}[0])", "{a}[{a} > {n}] *= -1",
        "{a}[np.nonzero({a} > 1)] = {n}",
        "np.where({a} > 0, {a}, 0).sum(axis=0, out={b})", "np.divmod({a}, 2, out=({a}, np.empty_like({a})))",
        "{a}[1::2], {a}[::2] = {n}, 0", "{a}.squeeze()[0] = {n}",
    ),
    conditions=PLAIN.conditions + (
        "{a}.shape[0] > 2", "{a}.ndim == 2 and {a}.sum() > {n}", "any(e.sum() > {n} for e in {a})",
        "np.array_equal({a}, {b})", "len({a}) > {m}",
        "{s} > {n} or {a}.any()", "not {s} > {n}", "{a}.max() == {a}.min()", "{n} in {a}", "{a} is {b}",
        "isinstance({a}, np.ndarray)", "int({s}) % 2",
        "{a}.dtype.newbyteorder('=') == np.{d}", "np.all({a} == {b})",
        "{s} != {s} or {s} < {n}", "{a}.size and {a}.ravel()[-1] > {n}",
        "np.any({a} > {n})",
    ),
    loops=PLAIN.loops + (
        "for p{j}, e{j} in zip({a}, {b}):", "for k{j} in range(int({s}) % 4):", "for e{j} in {a}[::-1]:",
        "for e{j} in rows({a}):",
        "for k{j} in reversed(range({r})):", "for k{j} in (0, 1, 1):",
        "for k{j}, (p{j}, e{j}) in enumerate(zip({a}, {b})):", "for e{j} in [{a}, {b}]:",
        "for e{j} in {a}.T:", "for e{j} in {a}.flat:", "for k{j}, e{j} in np.ndenumerate({a}):",
        "for k{j} in np.arange(3):", "while t{j} < {r} and {s} < 9:",
        "for k{j} in range(0, {m}, 2):", "while t{j} < len({a}):",
    ),
    structures=(
        "def h{j}(p, q={n}):\n    p = p + q\n    if p.sum() > {n}:\n        return p[::-1]\n    return p\n"
        "{t} = h{j}({a})",
        "def h{j}(p):\n    nonlocal s\n    s = s + 1.0\n    return p * s\n{t} = h{j}({a})\n{t} = h{j}({t})",
        "def h{j}(p, *, q=1, **o):\n    {line}\n    return p * q + len(o)\n{t} = h{j}({a}, q=2, z=1)",
        "def h{j}():\n    {a}[0] = {n}\n    return {a}\n{t} = h{j}()",
        "def g{j}():\n    for k in range(3):\n        yield {a} * k\n{t} = sum(g{j}())",
        "f{j} = [lambda p, k=k: p * k for k in range(3)]\n{t} = f{j}[2]({a}) + f{j}[1]({b})",
        "l{j} = [{a}, {b}.copy()]\nl{j}.append({a} + {n})\nl{j}[0] = l{j}[0] * 2\n{line}\n{t} = l{j}[-1] + l{j}.pop(0)",
        "l{j} = []\nfor e in {a}:\n    if e.sum() > {n}:\n        l{j}.append(e)\n{t} = np.array(l{j})",
        "l{j} = []\nfor k in range({r}):\n    l{j}.append({a} * k)\n{t} = sum(l{j})",
        "l{j} = [{n}] * 4\nfor k in range(3):\n    l{j}[k] = {a}.sum() + k\n{t} = np.array(l{j})",
        "d{j} = dict(p={a}, q={b})\nfor k, e in d{j}.items():\n    d{j}[k] = e + 1\n{t} = d{j}['p'] - d{j}['q']",
        "d{j} = {{}}\nd{j}['p'] = {a}\nd{j}.setdefault('q', {b})\nd{j}['p'] += {n}\n{t} = d{j}.get('q', 0)",
        "o{j} = Box({a}, {b})\no{j}.add({n})\nif {when}:\n    o{j}.a = o{j}.a * 2\n{t} = o{j}({n})",
        "o{j} = Box({a})\nfor k in range({r}):\n    o{j}.b = o{j}.b + 1\n{t} = o{j}(2)",
        "o{j} = Pair({a}, {b})\no{j}.left[0] = {n}\no{j}.right = o{j}.left\n{t} = o{j}.total()",
        "with np.errstate(all='ignore'):\n    {line}",
        "with doubled({a}) as e{j}:\n    {line}",
        "try:\n    {line}\n    {t} = {a}[7]\nexcept IndexError:\n    {t} = {b}",
        "try:\n    {t} = {a} + np.zeros(5)\nexcept ValueError as error:\n    {t} = {b} * len(error.args)\nelse:\n"
        "    {t} = {t} * 2\nfinally:\n    {line}",
        "try:\n    if {when}:\n        raise KeyError({n})\n    {t} = {a}\nexcept KeyError:\n    {t} = {b}",
        "try:\n    {t} = 7 // int({s} * 0)\nexcept (ZeroDivisionError, TypeError):\n    {t} = {a}",
        "for k{j} in range(9):\n    if k{j} > {s}:\n        {line}\n        break\n    {line}\nelse:\n    {line}",
        "t{j} = 0\nwhile t{j} < {r}:\n    t{j} += 1\n    if {when}:\n        continue\n    {line}\n"
        "    if t{j} > 2 and {when}:\n        break\nelse:\n    {line}",
        "for k{j} in range(2):\n    for n{j} in range({r}):\n        if n{j} == 1 and {when}:\n            break\n"
        "        {line}\n    {line}",
        "if {when}:\n    {block}\nelif {when}:\n    {line}\nelse:\n    {block}",
        "for k{j} in range({r}):\n    {block}\n    {line}",
        "if {when}:\n    return {returned}",
        "for k{j} in range({r}):\n    if {when}:\n        return {returned}\n    {line}",
        "{t}, *r{j} = {a}\n{t} = {t} + len(r{j})",
        "({t}, s) = ({a}, s + 1.0)",
        "{t} = w{j} = {a}\nw{j} += {n}",
        "q{j}, p{j} = {a}, {b}\nq{j}, p{j} = p{j}, q{j}\n{t} = q{j} - p{j}",
        "q{j}, p{j} = {a}.copy(), {a}.copy()\nfor k in range({r}):\n    p{j}[1:] = q{j}[:-1]\n"
        "    q{j}, p{j} = p{j}, q{j}\n{t} = q{j}",
        "if (q{j} := {a}.sum()) > {n}:\n    s = s + 1.0\n{t} = q{j} + {b}",
        "a{j} = {a}\na{j}[0] = {n}\n{t} = a{j} + {a}",
        "match {a}.ndim:\n    case 1:\n        {t} = {a} * 2\n    case 2 | 3:\n        {t} = {a}.T\n    case _:\n"
        "        {t} = {b}",
        "assert {a}.size >= 0, 'size'\n{t} = {a}",
        "del {v}",
        "{t} = np.zeros((3, 3))\nfor k in range(3):\n    for q in range(k + 1):\n        {t}[k, q] = k - q + {s}",
        "{t} = np.zeros(12)\nfor k in range(1, 12):\n    {t}[k] = {t}[k - 1] + {a}.ravel()[k % 4]",
        "{t} = np.zeros(4)\nfor k in range({r}):\n    {t}[k % 4:] += k % 3",
        "u{j} = {a}.sum()\nu{j} += 1\nu{j} *= {n}\n{t} = u{j}",
        "c{j} = 0\nfor e in {a}.ravel():\n    if e > {n}:\n        c{j} += 1\n{t} = np.arange(3) + c{j}",
        "b{j} = {a}.max()\nfor e in {a}.ravel():\n    b{j} = max(b{j}, e)\n{t} = {b} * (b{j} > {n})",
    ),
    failures=(
        "{t} = {a}[7]", "{t} = {a}[:, :, :, :, 0]", "{t} = {a} + np.zeros(5)", "{t} = {a}.reshape(7, 5)",
        "raise ValueError({n})",
        "if {when}:\n    raise KeyError('no')", "assert {when}", "{a}[0] = np.zeros(9)",
        "{t} = np.concatenate([{a}, {b}])", "{t} = {a} @ {b}",
        "{t} = int({a})", "if {a}:\n    {line}", "{t} = {a}[int({s}) + 900]", "{t} = {a}.nothing",
        "{t} = 1 // int({s} * 0)",
        "{t} = {a}.sum(axis=5)",
        "{a} += 0.5", "{a} += {b}", "{t} = np.stack([{a}, {b}])", "{t} = [1, 2][int({s}) + 900]",
        "{t} = dict(p={a})['q']",
        "{t} = {a}[:0].max()", "{t} = {a}[[0, 9]]",
        "{t} = np.linalg.inv(np.zeros((2, 2)))", "{t} = -np.array([True])", "{t} = next(iter([]))", "{t}, q = {a}",
        "{t} = len({a}.sum())", "{t} = {a}(3)",
        "{t} = undefined + {a}", "for k in range({r}):\n    if k == 1:\n        raise RuntimeError(k)",
        "{t} = {a}[{a}]",
        "{t} = {a}.transpose(0, 0)", "{t} = {a} + 'text'",
        "{t} = np.broadcast_to({a}, (7, 7))", "{t} = {a}.squeeze(0)", "{t} = np.add({a})", "{t} = {a}.sum(wrong=1)",
        "{t} = scaled()", "Box({a}).missing()",
        "{t} = {a}[1.5]", "{t} = {a} & 0.5", "{a}[int({s}) + 900] = 1", "{t} = np.eye(3)[{a}.ravel()[0] + 0.5]",
        "{t} = np.split({a}, 7)", "{a}.flags.writeable = False\n{a}[0] = 1",
    ),
    layouts=("C", "C", "C", "F", "strided", "reversed", "transposed", "readonly", "misaligned", "swapped"),
    prelude=PRELUDE,
)
