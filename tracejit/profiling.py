"""What functions cost: time to trace, compile and run, per function, while the flag `profile` is on.

The same measurements are what ``TRACEJIT_FLAGS=log=trace+compile+dispatch`` reports one by one.
"""

import atexit
import contextlib
import ctypes
import dataclasses
import sys
import time

import numpy as np

from tracejit.config import config

__all__ = ["profile", "record", "reset", "watched"]


@dataclasses.dataclass
class Costs:
    """Counts and seconds of one function."""

    traces: int = 0
    trace_seconds: float = 0.0
    compiles: int = 0
    compile_seconds: float = 0.0
    calls: int = 0
    call_seconds: float = 0.0


_costs: dict[str, Costs] = {}


def _of(name):
    if not _costs:
        atexit.register(lambda: _costs and print(profile(), file=sys.stderr))
    return _costs.setdefault(name, Costs())


@contextlib.contextmanager
def record(what, name, detail=""):
    """Time a block that traces or compiles (`what`) the function `name`."""
    begin = time.perf_counter()
    yield
    seconds = time.perf_counter() - begin
    if what in config.log:
        print(f"tracejit {what}: {name}{detail} in {seconds * 1e3:.1f} ms", file=sys.stderr)
    if config.profile:
        costs = _of(name)
        setattr(costs, f"{what}s", getattr(costs, f"{what}s") + 1)
        setattr(costs, f"{what}_seconds", getattr(costs, f"{what}_seconds") + seconds)


def missed(name):
    """Report a call that no compiled signature matched."""
    if "dispatch" in config.log:
        print(f"tracejit dispatch: {name} has no compiled code for this call", file=sys.stderr)


def watched(executable, name):
    """Return the executable that also counts and times its calls; slower to call by some microseconds."""
    run = executable.call or _by_address(executable)

    def call(inputs, outputs):
        costs = _of(name)
        begin = time.perf_counter()
        answer = run(inputs, outputs)
        costs.call_seconds += time.perf_counter() - begin
        costs.calls += 1
        return answer

    return dataclasses.replace(executable, address=0, call=call, keep=executable)


def _by_address(executable):
    entry = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(executable.address)
    pointer, details = ctypes.c_void_p, ctypes.c_int64 * 4

    def run(inputs, outputs):
        arena = np.empty(executable.arena_bytes + 64, np.uint8)
        aligned = arena.ctypes.data + -arena.ctypes.data % 64
        addresses = [a.ctypes.data for a in (*inputs, *outputs)] + [aligned]
        addresses.append(None if executable.table is None else executable.table.ctypes.data)
        err = details()
        return entry((pointer * len(addresses))(*addresses), err), list(err)
    return run


def profile():
    """Return the table of what has been recorded since the start or the last `reset`, dearest first."""
    rows = [f"{'function':28} {'calls':>9} {'run s':>9} {'µs/call':>9} {'traces':>7} {'s':>7} {'compiles':>8} {'s':>7}"]
    for name, c in sorted(_costs.items(), key=lambda item: -item[1].call_seconds):
        each = c.call_seconds / c.calls * 1e6 if c.calls else 0.0
        rows.append(f"{name[:28]:28} {c.calls:9} {c.call_seconds:9.3f} {each:9.2f} {c.traces:7} {c.trace_seconds:7.3f} "
                    f"{c.compiles:8} {c.compile_seconds:7.3f}")
    return "\n".join(rows)


def reset():
    """Forget what has been recorded."""
    _costs.clear()
