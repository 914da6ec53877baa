"""The pool that recycles the memory of large outputs, as NumPy's memory handler."""

import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from executables import Program, program, type_
from numpy._core.multiarray import get_handler_name

from tracejit import dispatch, dispatch_python
from tracejit.config import config

N = 100_000  # float64: 800 kB


@pytest.fixture(autouse=True)
def pool():
    assert dispatch.compiled is not None, "tracejit._dispatch is not built: pip install -e ."
    limit = dispatch.pool_info()["limit"]
    dispatch.compiled.set_pool(1 << 30)
    dispatch.pool_clear()
    yield
    dispatch.compiled.set_pool(limit)
    dispatch.pool_clear()


def maker(n=N, dtype="f8", **options):
    """Return a function that returns n fresh numbers, the first of which is 1."""
    c = {"f8": "double", "f4": "float", "i1": "signed char"}[dtype]
    p = program(f"(({c} *)bufs[0])[0] = 1; (({c} *)bufs[0])[{n - 1}] = 2;", [], [type_(dtype, n)], **options)
    d = dispatch.compiled.Dispatcher(lambda args, kwargs: None)
    d.add(dispatch.compiled.Entry((), (), p, (("out", 0, False),), None, (), dispatch.current_key()))
    return d


def address(x):
    return x.__array_interface__["data"][0]


def test_large_outputs_come_from_the_pool_and_own_their_data():
    x = maker()()
    assert get_handler_name(x) == "tracejit_pool" and x.flags.owndata and x.base is None
    assert get_handler_name(maker(1000)()) != "tracejit_pool"
    assert address(x) % 64 == 0


def test_memory_is_used_again():
    f = maker()
    x = f()
    where = address(x)
    y = f()
    assert address(y) != where
    del x
    info = dispatch.pool_info()
    assert info["blocks"] == 1 and info["bytes"] >= 8 * N
    z = f()
    assert address(z) == where and dispatch.pool_info()["blocks"] == 0
    assert dispatch.pool_info()["hits"] == info["hits"] + 1
    assert z[0] == 1 and z[-1] == 2


def test_sizes_that_are_alike_share():
    x = maker(N)()
    where = address(x)
    del x
    assert address(maker(N - 500)()) == where
    keep = maker(2 * N)()
    assert address(keep) != where


@pytest.mark.parametrize(
    "n", [128 << 10, (128 << 10) - 1, (128 << 10) + 1, 1 << 20, 5 << 20, (5 << 20) + 1, 64 << 20, 7_654_321]
)
def test_capacity(n):
    """Every byte that was asked for can be written, and little more is taken."""
    x = maker(n, "i1")()
    x[:] = 7
    pooled = n >= 128 << 10
    assert (get_handler_name(x) == "tracejit_pool") == pooled
    del x
    kept = dispatch.pool_info()["bytes"]
    assert (n <= kept <= 1.25 * n) if pooled else kept == 0


def test_the_pool_is_bounded_and_the_oldest_go_first():
    dispatch.compiled.set_pool(3_000_000)
    f, g = maker(N), maker(2 * N)
    blocks = [f() for _ in range(5)]
    del blocks
    info = dispatch.pool_info()
    assert info["bytes"] <= 3_000_000 and info["blocks"] == 3
    x = g()
    del x  # 1.6 MB: two of the others have to go
    assert dispatch.pool_info()["bytes"] <= 3_000_000 and dispatch.pool_info()["blocks"] == 2
    x = maker(1_000_000)()
    del x  # more than all: not kept, and nothing goes for it
    assert dispatch.pool_info()["blocks"] == 2
    dispatch.compiled.set_pool(1_000_000)
    assert dispatch.pool_info()["bytes"] <= 1_000_000
    dispatch.pool_clear()
    assert dispatch.pool_info()["bytes"] == dispatch.pool_info()["blocks"] == 0


def test_switched_off():
    x = maker()()
    dispatch.compiled.set_pool(0)
    assert get_handler_name(maker()()) != "tracejit_pool"
    del x
    assert dispatch.pool_info()["blocks"] == 0


def test_the_flag():
    before = config.pool
    try:
        config.pool = "2M"
        assert dispatch.pool_info()["limit"] == 2 << 20
    finally:
        config.pool = before
    assert dispatch.pool_info()["limit"] == before


def test_numpy_may_do_with_it_what_it_does_with_arrays():
    x = maker()()
    x[:] = np.arange(N)
    x.resize((3 * N,), refcheck=False)
    assert x[N - 1] == N - 1 and not x[N:].any()
    x.resize((10,), refcheck=False)
    assert x.tolist() == list(range(10))
    x.resize((N,), refcheck=False)
    del x
    y = maker()()
    view = y[10:]
    where = address(y)
    del y
    assert address(maker()()) != where  # the view keeps it
    assert view[-1] == 2
    z = maker()()
    z = z.reshape(100, N // 100)
    z += 1
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(z)), z)
    assert np.array(z, copy=True) is not z


def test_threads():
    f = maker(40_000, long=True)
    wrong = []

    def work():
        kept = []
        for i in range(300):
            x = f()
            x[1] = i
            kept.append((i, x))
            if len(kept) > 3:
                j, y = kept.pop(0)
                if y[1] != j or y[0] != 1:
                    wrong.append(j)

    threads = [threading.Thread(target=work) for _ in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_in_a_forked_child():
    code = """
import os, sys
sys.path.insert(0, 'tests')
import test_pool, tracejit
f = test_pool.maker()
keep = f(); gone = f(); del gone
pid = os.fork()
x = f(); y = f()
assert x[0] == 1 and y[-1] == 2 and keep[0] == 1
if pid:
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
print('fine', flush=True)
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=os.path.dirname(os.path.dirname(__file__))
    )
    assert out.stdout.split() == ["fine", "fine"], out.stderr


def test_what_does_not_exist_cannot_be_had():
    t = type_("f8", 2**44)
    d = dispatch.compiled.Dispatcher(lambda args, kwargs: None)
    d.add(dispatch.compiled.Entry((), (), Program(1, (), (t,)), (("out", 0, False),), None, (), dispatch.current_key()))
    x = maker()()
    del x
    pytest.raises(MemoryError, d)
    assert dispatch.pool_info()["blocks"] == 0  # what we keep may be what is missing


def test_the_twin_has_none():
    assert set(dispatch_python.pool_info()) == set(dispatch.pool_info())
    assert not any(dispatch_python.pool_info().values())
    dispatch_python.pool_clear()
