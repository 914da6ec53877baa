"""Views and writes through them, against NumPy: any program of views and in-place writes gives the same arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracing import run, same, trace

import tracejit
from tracejit.errors import UnsupportedError

X = np.arange(24.0).reshape(4, 6)


def test_a_write_through_a_view_changes_the_array():
    def f(x):
        y = x[1:]
        y += 1
        z = y.T[::2]
        z *= 2
        w = x.reshape(-1)
        w[3] = 9
        return y, z, w, x
    same(f, X)


def test_overlapping_writes_through_two_views():
    def f(x):
        a, b = x[:-1], x[1:]
        a += b
        b -= a
        np.add(a, b, out=b)
        return x
    same(f, X)


def test_a_copy_is_no_view():
    def f(x):
        y = x.T.reshape(-1)
        y[0] = 99
        z = x[[0, 1]]
        z += 1
        w = x.copy()
        w[:] = 0
        u = x.astype(float)
        u += 1
        v = x.astype(float, copy=False)
        v += 1
        t = x.flatten()
        t[:] = 3
        return x, y, z
    same(f, X)


def test_views_of_every_kind():
    def f(x):
        x.T[0] = 1
        x.swapaxes(0, 1)[1] = 2
        x.diagonal(1).sum()
        x[:, None].squeeze()[2] = 3
        x.reshape(2, 2, 6)[1, 0] = 4
        x.ravel()[5] = 5
        x.real[0, 0] = 6
        np.moveaxis(x, 0, 1)[3] *= 2
        np.expand_dims(x, 0)[0, 1] -= 1
        x[::-1, ::-2][0] = 7
        x.view()[1, 1] = 8
        x.mT[2, 2] = 9
        x.flat[7] = 10
        return x
    same(f, X)


def test_parts_of_complex_numbers():
    def f(z):
        z.real[1:] = 3
        z.imag += 1
        z.T.real *= 2
        z.real = z.imag
        return z, z.real, z.imag
    same(f, X + 1j)
    same(lambda x: (x.real, x.imag), X)


def test_memory_in_other_orders():
    def f(a):
        y = a.reshape(-1, order="F")
        y[1] = 100
        z = a.reshape(-1)
        z[0] = 7
        k = a.ravel("K")
        k[2] = 5
        return a.strides, a.T.strides, a.flags.f_contiguous, a.reshape(8, 3, order="A")
    same(f, X)
    same(f, np.asfortranarray(X))
    same(f, np.arange(96.0).reshape(8, 12)[::2, ::2])


def test_results_lie_in_memory_as_numpy_lays_them():
    def f(x, y):
        a = x.T * 2
        flat = a.reshape(-1)  # a copy, since a lies in Fortran's order
        flat[0] = 99
        b = x.T + y
        c = x.T + y.T
        c.reshape(-1, order="F")[1] = 77
        return a, b, c, [v.strides for v in (a, b, c, np.sin(x[::2].T), x.transpose() > 3, -y[:, ::2])]
    same(f, X[:, :4].copy(), np.ones((4, 4)))
    same(lambda x: (x.swapaxes(0, 1) + 1).strides, np.zeros((2, 3, 4)))


def test_read_only_destinations():
    frozen = X.copy()
    frozen.flags.writeable = False

    def f(x):
        x[0] = 1
    same(f, frozen)

    def g(x):
        np.broadcast_to(x, (2, 4, 6))[0] = 1
    same(g, X)

    def h(x):
        x.sum()[()] = 1
    same(h, X)


def test_in_place_operators_cast_as_numpy_does():
    def f(n):
        n /= 2
    same(f, np.arange(3))

    def g(n):
        n += 1.5
    same(g, np.arange(3))

    def h(n, m):
        n += m
        n *= True
        n <<= 1
        n **= 2
        n //= 3
        n %= 5
        return n
    same(h, np.arange(3), np.arange(3, dtype=np.int8))

    def k(x):
        x @= np.eye(6)
        return x
    same(k, X)


def test_a_scalar_is_bound_anew():
    def f(x):
        s = x.sum()
        t = s
        t += 1
        return s, t
    same(f, X)


def test_methods_that_write_do_nothing_to_a_scalar():
    def f(x):
        v = x.sum()
        v.fill(3)
        v.flat[1:3] = 4
        v.flat[0] = 3
        v.put([0], 5)
        v.T.fill(3)
        v.resize((1,))
        return v, v.flat[0]
    same(f, X)
    for write in (lambda v: setattr(v, "flat", 3), lambda v: setattr(v, "real", 3), lambda v: np.add.at(v, (), 2)):
        same(lambda x: write(x.sum()), X)


def test_zero_dimensional_arrays():
    def f(a):
        b = a[...]
        b += 1
        a[()] = a * 2
        return a, b, a[()], a[None], a.reshape(1, 1)
    same(f, np.array(2.5))


# ---------------------------------------------------------------- what comes back
def test_returned_arguments_are_the_callers_arrays():
    x = X.copy()
    y, z = run(lambda x: (x, x[1:, ::2]), x)
    assert y is x
    assert np.shares_memory(z, x) and z.strides == x[1:, ::2].strides


def test_a_returned_array_appears_once():
    traced = trace(lambda x: (a := x + 1, a, x * 2), X)
    assert traced.outputs == (("out", 0, False), ("out", 0, False), ("out", 1, False))


def test_two_arrays_of_equal_content_stay_two():
    traced = trace(lambda x: (np.zeros(3), np.zeros(3)), X)
    assert traced.outputs == (("out", 0, False), ("out", 1, False))


def test_an_argument_that_is_only_read_is_not_written():
    def f(x):
        x[:] = x
        x[0] = x[0]
        return x + 1
    assert not trace(f, X).writes


def test_captures_that_share_memory_may_be_read_but_not_written():
    a = np.arange(6.0)
    b = a[2:]
    same(lambda x: a[2:] + b + x, np.ones(4))

    def f(x):
        a[:] = 0
        return b + x
    with pytest.raises(UnsupportedError, match="shares memory"):
        run(f, np.ones(4))


# ---------------------------------------------------------------- where new arrays lie
NEW = {
    "ufunc": np.sign,
    "chain": lambda x: np.where(x > 3, x * 2, x).astype(np.float32),
    "copy": np.copy,
    "like": np.zeros_like,
    "insert": lambda x: np.insert(x, 1, 0.5, axis=-1),
    "inserts": lambda x: np.insert(x, [1, 2], 7, axis=0),
    "inserts at run time": lambda x: np.insert(x, (x[0, :2] > 1).astype(int), 7, axis=0),
    "delete": lambda x: np.delete(x, 1, axis=1),
    "delete a slice": lambda x: np.delete(x, slice(1, 3), axis=1),
    "delete at run time": lambda x: np.delete(x, int(x[0, 0] > 1), axis=1),
    "hstack": lambda x: np.hstack([x, x]),
    "vstack": lambda x: np.vstack([x, x[::-1], x[:1]]),
    "mixed": lambda x: np.concatenate([x, x.copy("F"), x.copy("C")]),
    "stack": lambda x: np.stack([x, x], -1),
    "transposed": lambda x: np.sign(np.hstack([np.einsum("ij->ji", x)] * 2)),
    "branch": lambda x: x + 1 if x.sum() > 70 else x * 2,
    "positions": lambda x: x[:, [1, 0, 1]],
    "running sums": lambda x: np.cumsum(x, axis=-1),
    "fold": lambda x: np.multiply.outer(x, np.arange(1, 3)).transpose(2, 0, 1).copy("K").max(axis=0) + x.sum(0),
    "triangle": lambda x: np.tril(x),
    "roll": lambda x: np.roll(x, 1, 1),
    "two results": lambda x: np.frexp(x)[1],
    "transform": lambda x: np.rint(np.fft.rfft(x, axis=0)),
    "empty": lambda x: np.concatenate([x.T, x.T[:0]]),
}


@pytest.mark.parametrize("make", NEW)
def test_a_flat_view_of_a_new_array_is_one_where_it_lies_like_that(make):
    def f(x):
        a = NEW[make](x)
        a.ravel()[1:] += 1
        b = NEW[make](x)
        b.reshape(-1)[:3] = 9
        return a, b
    c = np.arange(12.0).reshape(3, 4)
    layouts = [c, np.asfortranarray(c), np.arange(24.0).reshape(2, 3, 4)[..., 1].T, c[::-1]]
    for first in range(len(layouts)):
        jitted = tracejit.jit(f)
        for x in layouts[first:] + layouts[:first]:
            for got, expected in zip(jitted(x), f(x)):
                np.testing.assert_array_equal(got, expected, strict=True)


def test_a_call_in_fortran_order_is_compiled_where_no_flat_array_is_written():
    jitted = tracejit.jit(lambda x: (np.sign(x) * 2).ravel() + np.hstack([x, x]).reshape(-1)[:12] + x.ravel())
    jitted(np.ones((3, 4)))
    jitted(np.ones((4, 3)).T)
    assert jitted.cache_info().plain == 0 and jitted.cache_info().hits == 1


GIVEN_BACK = [
    np.ascontiguousarray, np.asfortranarray, lambda x: x.reshape(-1), lambda x: x.reshape(-1, order="F"),
    lambda x: x.ravel(), lambda x: x.ravel("F"), lambda x: x.T.ravel(), lambda x: x[::2].ravel(), np.asarray,
]


@pytest.mark.parametrize("f", GIVEN_BACK)
def test_an_argument_is_given_back_or_copied_as_it_lies(f):
    jitted = tracejit.jit(f)
    b = np.arange(24.0).reshape(4, 6)
    for x in (b, b[:, ::2], np.asfortranarray(b), b.copy(), b[::-1], b[:, 0], b[:1].T):
        got, expected = jitted(x), f(x)
        np.testing.assert_array_equal(got, expected, strict=True)
        assert np.shares_memory(got, x) == np.shares_memory(expected, x)


def test_a_flat_copy_of_a_read_only_array_may_be_written():
    def f(x):
        x.reshape(-1)[0] = 7
        return x.sum()
    jitted = tracejit.jit(f)
    b = np.arange(24.0).reshape(4, 6)
    b.flags.writeable = False
    assert jitted(b[:, :4]) == f(b[:, :4])
    for g in (f, jitted):
        with pytest.raises(ValueError, match="read-only"):
            g(b)


def test_errors_on_the_way_to_a_choice_of_arguments_that_share_memory():
    def f(x, y):
        x[1] = 3
        if y.min() < 1:
            raise ValueError("small")
        return y.sum()
    jitted = tracejit.jit(f)
    a, b = np.zeros((2, 3)), np.zeros((2, 3))
    assert jitted(a, a[1]) == f(b, b[1]) == 9
    for g in (f, jitted):
        with pytest.raises(ValueError, match="small"):
            g(np.zeros((2, 3)), np.zeros(3))


def test_errors_of_arrays_and_numbers_that_cannot_be_written():
    def unsafe(x):
        x += 0.5

    def out(x):
        np.add(x, 1, out=x)

    def number(x):
        x.sum().flags.writeable = False

    def protected(x):
        y = x * 2
        y.flags.writeable = False
        y += 1
    x = np.arange(3)
    x.flags.writeable = False

    def element(x):
        x[0, 0, 0] = np.zeros(9)
    for f in (unsafe, out, number, protected, element):
        with pytest.raises(ValueError) as expected:
            f(x)
        with pytest.raises(ValueError) as got:
            tracejit.jit(f)(x)
        assert str(got.value) == str(expected.value)


# ---------------------------------------------------------------- any program
VIEWS = [
    lambda v: v[1:], lambda v: v[::-1], lambda v: v[..., :2], lambda v: v.T, lambda v: v.reshape(-1), lambda v: v[None],
    lambda v: v.swapaxes(0, -1), lambda v: v[..., ::2], lambda v: v.ravel(), lambda v: v.squeeze(),
    lambda v: v.reshape(v.shape[0], -1), lambda v: v.reshape(-1, order="F"), lambda v: v[0], lambda v: v[-1:, ...],
    lambda v: v.transpose(), lambda v: v.copy(), lambda v: v.reshape((2, -1)), lambda v: v.view(),
]
WRITES = [
    lambda v, w: v.__iadd__(1), lambda v, w: v.__imul__(2), lambda v, w: v.__setitem__(0, 5),
    lambda v, w: v.__setitem__(..., w.sum()), lambda v, w: v.__isub__(v[..., ::-1]), lambda v, w: v.fill(3),
    lambda v, w: v.__setitem__(v > 4, -1), lambda v, w: np.multiply(v, 0.5, out=v), lambda v, w: v.sort(axis=-1),
    lambda v, w: v.__setitem__([0], w.ravel()[:1]), lambda v, w: np.add.at(v, [0, 0], 1.0),
]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, len(VIEWS) - 1), st.integers(0, len(WRITES) - 1)),
                min_size=1, max_size=6))
def test_any_program_of_views_and_writes(steps):
    def program(x):
        live = [x]
        for which, view, write in steps:
            source = live[which % len(live)]
            try:
                new = VIEWS[view](source)
            except (ValueError, IndexError):
                continue
            if isinstance(new, np.ndarray):
                live.append(new)
            try:
                WRITES[write](live[-1], live[(which + 1) % len(live)])
            except (ValueError, IndexError):
                continue
        return tuple(live)
    same(program, np.arange(12.0).reshape(3, 4))


def test_a_number_that_is_broadcast_is_one_element():
    def copied(x):
        a = np.broadcast_to(x.sum(), (3, 4))
        a.ravel()[1:] += 1
        return a, a.strides, a.flags.writeable, np.broadcast_to(2.0, (2, 2)).strides
    same(copied, np.arange(3.0))


def test_elements_at_positions_lie_in_memory_as_with_numpy():
    def f(x):
        a = x.T[np.array([0, -1])]
        b = x[:, :, np.array([1, 0, 1])]
        for y in (a, b, x.T[np.array([0, 2, 1]), np.array([1, 0, 1])], x[::-1].T[:, np.array([[0], [1]])]):
            y.ravel()[1:] += 1
            y.reshape(-1)[:2] = 7
        return a, b, a.strides, b.strides

    same(f, np.arange(24.0).reshape(2, 3, 4))


def test_a_view_that_each_iteration_makes_again_is_the_view():
    def f(x, y):
        for _ in range(12):
            a = x.swapaxes(0, 1)
            y[0] += 3
        a[..., 0].ravel()[1:] += 1
        return a

    same(f, np.arange(12.0).reshape(3, 4), np.ones(2))


def test_arrays_of_branches_and_loops_keep_their_memory_order():
    def branch(x, k):
        a = x.T + 1 if k > 0 else x.T * 2
        a.ravel()[1:] += 1  # of a copy
        return a

    def carried(x, k):
        a = x.T * 1
        for _ in range(k + 12):
            a = a * 2
            a.ravel()[1:] += 1
        return a

    def made(x, k):
        for n in range(12):
            a = x[n % 2:n % 2 + 2].T + 1
        a.ravel()[1:] += 1
        return a

    def turned(x, k):
        a = x
        for _ in range(12):
            a = np.asfortranarray(a * 2)
        a.ravel()[1:] += 1
        return a

    for f in (branch, carried, made, turned):
        for k in (-1, 1):
            same(f, np.arange(12.0).reshape(3, 4), np.array(k))


@pytest.mark.parametrize("ordered", [
    lambda x: np.sort(x, 0), lambda x: np.partition(x, range(4), 0),
], ids=["sort", "partition"])
def test_sorted_arrays_lie_as_what_is_sorted(ordered):
    def f(x):
        y = ordered(x.T)
        z = y.reshape(2, -1)
        z[0] = 5  # of a copy, as y lies in Fortran order
        return y, z

    x = np.arange(24.0)[::-1].reshape(2, 3, 4).copy()
    for got, wanted in zip(tracejit.jit(f)(x), f(x)):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("f", (
    lambda x: x[:, [0, 2]],
    lambda x: np.take(x.T, [2], 0),
    lambda x: x[1:, 5:].T.max(),
    lambda x: np.concatenate([x.T[:2], x.T[2:3]]),
    lambda x: x[2:, ::-7].copy() + x.T[:1].swapaxes(0, 1)[:1],
))
def test_memory_is_not_read_to_find_how_a_result_lies(f):
    """Tracing looks at strides alone: here what lies a stride away is no memory of this process."""
    size = 1 << 40
    huge = np.lib.stride_tricks.as_strided(np.zeros((), np.int8), (3, size), (size, 1))
    assert tracejit.jit(f).trace(huge) is not None


@pytest.mark.parametrize("dtype", (float, ">u4"))
def test_an_array_given_twice_is_itself(dtype):
    def f(x, y, z):
        if x is z:
            np.negative(y, out=y[::-1])
        return x is y, x is z, x is not z

    x, y = np.arange(3.0), np.arange(3).astype(dtype)
    for traced in (tracejit.jit(f), tracejit.jit(f, backend="ref")):
        for z in (x, x.copy(), y):
            ours, theirs = y.copy(), y.copy()
            assert traced(x, ours, ours if z is y else z) == f(x, theirs, theirs if z is y else z)
            np.testing.assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize("f", (
    lambda x, p: p[::-1] if x > 0 else p,
    lambda x, p: p[::2] if x > 0 else p[:2],
    lambda x, p: np.stack([p, p]).T if x > 0 else np.stack([p, p, p, p])[:, :2],
    lambda x, p: p.reshape(2, 2).T if x > 0 else p.reshape(2, 2),
))
def test_flat_arrays_of_what_lies_otherwise_by_the_way_taken(f):
    def flat(x, p):
        y = f(x, p + 0)
        y.ravel()[1:] += 1
        return y, y.flags.c_contiguous

    traced = tracejit.jit(flat, backend="ref")
    for x in (1.0, -1.0, 2.0, -2.0):
        for ours, theirs in zip(traced(x, np.arange(4.0)), flat(x, np.arange(4.0))):
            np.testing.assert_array_equal(ours, theirs)
