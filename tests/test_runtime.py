"""The pool of threads under parallel loops."""

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from executables import BIND
from hypothesis import given
from hypothesis import strategies as st

from tracejit.config import config
from tracejit.kernels import compile, runtime, toolchain

ROOT = Path(__file__).parent.parent
FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

# bufs: marks[n], counts of visits; info[4]: pieces, ends that are wrong, beginnings that cut a vector, threads;
# args[4]: n, grain, work per index, nested
MARK = (
    BIND
    + """
static void inner(int64_t begin, int64_t end, void *ctx) {
  for (int64_t i = begin; i < end; i++) __atomic_fetch_add((int64_t *)ctx + i, 1, __ATOMIC_RELAXED);
}
static void mark(int64_t begin, int64_t end, void *ctx) {
  void **bufs = ctx;
  int64_t *marks = bufs[0], *info = bufs[1], *args = bufs[2];
  __atomic_fetch_add(&info[0], 1, __ATOMIC_RELAXED);
  if (end <= begin || end > args[0]) __atomic_fetch_add(&info[1], 1, __ATOMIC_RELAXED);
  if (args[1] % 64 == 0 && begin % 64) __atomic_fetch_add(&info[2], 1, __ATOMIC_RELAXED);
  for (int64_t i = begin; i < end; i++) {
    for (volatile int64_t k = 0; k < args[2]; k++) ;
    if (args[3]) api->parallel(inner, marks + i * 8, 8, 1); else marks[i]++;
  }
}
TJ_EXPORT int64_t tj_entry(void **bufs, int64_t *err) {
  int64_t *args = bufs[2];
  ((int64_t *)bufs[1])[3] = api->threads;
  api->parallel(mark, bufs, args[0], args[1]);
  return 0;
}
"""
)

no_msvc = pytest.mark.skipif(toolchain.compiler().family == "msvc", reason="the test's own C uses GNU atomics")
pytestmark = no_msvc


def run(n, grain=1, work=0, nested=False):
    """Run the loop; return the visits of each index, and what was seen."""
    marks, info = np.zeros(n * (8 if nested else 1), np.int64), np.zeros(4, np.int64)
    args = np.array([n, grain, work, nested])
    entry = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(compile.load(MARK).address)
    entry((ctypes.c_void_p * 3)(*(a.ctypes.data for a in (marks, info, args))), None)
    return marks, info


@pytest.fixture(params=[1, 2, 3, 8])
def threads(request):
    with config.context(threads=request.param):
        yield request.param


@pytest.mark.parametrize("grain", [1, 3, 64, 1000, 10**9])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 63, 1000, 100_000])
def test_each_index_is_visited_once(threads, n, grain):
    for _ in range(3):
        marks, (pieces, wrong, uneven, seen) = run(n, grain)
        assert (marks == 1).all() and not wrong and not uneven and seen == threads
        assert pieces <= max(1, n // grain + threads) and (pieces <= 1 or n > grain and threads > 1)


@pytest.mark.fuzz
@given(st.integers(0, 3000), st.integers(1, 3000))
def test_any_size_and_grain(n, grain):
    with config.context(threads=3):
        marks, (_, wrong, uneven, _) = run(n, grain)
    assert (marks == 1).all() and not wrong and not uneven


def test_loops_inside_loops(threads):
    marks, _ = run(500, nested=True)
    assert (marks == 1).all()


def test_a_small_loop_is_one_piece():
    with config.context(threads=4):
        assert run(100, 100)[1][0] == 1


def test_threads_take_part():
    """Each piece waits for the other: a pool that runs them one after the other would give up and say so."""
    source = (
        BIND
        + """
static void meet(int64_t begin, int64_t end, void *ctx) {
  int64_t *there = ctx;
  for (int64_t i = begin; i < end; i++) {
    __atomic_fetch_add(there, 1, __ATOMIC_SEQ_CST);
    for (int64_t k = 0; k < 5000000000 && __atomic_load_n(there, __ATOMIC_SEQ_CST) < 2; k++) ;
    if (__atomic_load_n(there, __ATOMIC_SEQ_CST) < 2) there[1] = 1;
  }
}
TJ_EXPORT int64_t tj_entry(void **bufs, int64_t *err) { api->parallel(meet, bufs[0], 2, 1); return 0; }
"""
    )
    with config.context(threads=2):
        entry = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(compile.load(source).address)
    for _ in range(20):
        there = np.zeros(2, np.int64)
        entry((ctypes.c_void_p * 1)(there.ctypes.data), None)
        assert there.tolist() == [2, 0]


def test_loops_of_many_threads_at_once(threads):
    """The pool serves one of them; the others do their loops themselves."""
    wrong = []

    def work(seed):
        with config.context(threads=threads):
            for i in range(100):
                marks, info = run(200 + seed * 100 + i, 1 + seed, 10)
                if not (marks == 1).all() or info[1] or info[2]:
                    wrong.append((seed, i))

    running = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    [t.start() for t in running]
    [t.join() for t in running]
    assert not wrong


def test_workers_come_and_go_many_times():
    """Short loops, one behind the other: a worker that wakes late must not join the wrong one."""
    with config.context(threads=4):
        for i in range(3000):
            marks, info = run(4 + i % 5)
            assert (marks == 1).all() and not info[1]


def in_child(code):
    """Run code in a process of its own, where forking harms nobody."""
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{ROOT}"}
    head = "import os, sys, threading, warnings\nfrom test_runtime import *\nconfig.threads = 4\n"
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", head + code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@FORK
def test_a_forked_child_works_after_the_pool_was_used():
    out = in_child(
        """
def check():
    for n in (1, 100, 5000):
        assert (run(n)[0] == 1).all()
check()
for generation in range(3):
    pid = os.fork()
    if pid == 0:
        check()
        grandchild = os.fork()
        check()
        if grandchild:
            assert os.waitpid(grandchild, 0)[1] == 0
        os._exit(0)
    check()
    assert os.waitpid(pid, 0)[1] == 0
print('fine')
"""
    )
    assert out.stdout == "fine\n", out.stderr


@FORK
def test_a_fork_while_the_pool_is_at_work():
    """The child has one thread, and none of the locks that others held."""
    out = in_child(
        """
stop = False
def busy():
    with config.context(threads=4):
        while not stop:
            run(3000, 1, 200)
thread = threading.Thread(target=busy)
thread.start()
for _ in range(30):
    pid = os.fork()
    if pid == 0:
        assert (run(3000)[0] == 1).all()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop = True
thread.join()
print('fine')
"""
    )
    assert out.stdout == "fine\n", out.stderr


@FORK
def test_a_process_pool():
    out = in_child(
        """
import multiprocessing
def check(n):
    return int(run(n)[0].sum())
if __name__ == '__main__':
    assert check(50) == 50
    with multiprocessing.get_context('fork').Pool(3) as pool:
        assert pool.map(check, range(1, 30)) == list(range(1, 30))
    print('fine')
"""
    )
    assert out.stdout == "fine\n", out.stderr


def test_a_process_ends_while_workers_sleep_or_spin():
    for _ in range(5):
        out = in_child("run(5000); print('fine')")
        assert (out.stdout, out.returncode) == ("fine\n", 0), out.stderr


def test_signals_are_for_pythons_threads():
    if not hasattr(os, "kill") or os.name == "nt":
        pytest.skip("no signals to speak of")
    out = in_child(
        """
import signal
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(threading.current_thread() is threading.main_thread()))
for i in range(50):
    run(200, 1, 100)
    os.kill(os.getpid(), signal.SIGUSR1)
assert got and all(got)
print('fine')
"""
    )
    assert out.stdout == "fine\n", out.stderr


def test_one_pool_per_number_of_threads():
    with config.context(threads=2):
        two = runtime.api()
        assert runtime.api() == two
    with config.context(threads=3):
        assert runtime.api() != two
