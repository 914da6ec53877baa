"""Print how many times as fast as NumPy single calls of its functions are when jitted, slowest first.

    python asv_bench/functions_table.py [name ...] [--sizes 10,1000,100000,1000000] [--rounds 15] [--below 1.0]

Progress goes to stderr. NumPy and tracejit run in turns, and the least time of each counts, so that other work on the
machine does not. With ``TRACEJIT_FLAGS=threads=1`` and ``--clock cpu`` it is the processor time of one thread that is
compared.
"""

import argparse
import fnmatch
import sys
import time
import warnings
import zlib

import numpy as np
from benchmarks.functions import CALLS

import tracejit

#: Seconds that one timed stretch of calls should take at least, and all of a call's stretches at most.
STRETCH, LIMIT = 50e-6, 0.4


def stretch(call, arguments, repeats, clock):
    """Return the seconds of one call, as the mean over a stretch of them."""
    begin = clock()
    for _ in range(repeats):
        call(*arguments)
    return (clock() - begin) / repeats


def measure(name, size, rounds, clock):
    """Return the least seconds of (NumPy's call, the jitted one)."""
    function, make, _ = CALLS[name]
    arguments = make(size, np.random.default_rng(zlib.crc32(name.encode())))
    jitted = tracejit.jit(function)
    for _ in range(2):
        jitted(*arguments)
        function(*arguments)
    once = min(stretch(function, arguments, 1, time.perf_counter) for _ in range(3))
    repeats = max(1, int(STRETCH / max(once, 1e-7)))
    best, end = [np.inf, np.inf], time.perf_counter() + LIMIT
    for k in range(rounds):
        if k >= 3 and time.perf_counter() > end:
            break
        for i, call in enumerate((function, jitted)):
            stretch(call, arguments, 1, clock)  # the caches are this one's
            best[i] = min(best[i], stretch(call, arguments, repeats, clock))
    return best


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="patterns")
    parser.add_argument("--sizes", help="instead of those that belong to each call")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--below", type=float, default=np.inf, help="print only ratios below this")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    options = parser.parse_args()
    clock = time.perf_counter if options.clock == "wall" else time.thread_time
    sizes = options.sizes and tuple(int(float(n)) for n in options.sizes.split(","))
    chosen = [n for n in CALLS if not options.names or any(fnmatch.fnmatch(n, p) for p in options.names)]
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    rows = []
    for name in chosen:
        for size in CALLS[name][2] if not sizes else [n for n in sizes if n <= max(CALLS[name][2])]:
            try:
                theirs, ours = measure(name, size, options.rounds, clock)
            except Exception as error:
                print(f"{name} {size}: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
                continue
            rows.append((theirs / ours, name, size, theirs, ours))
            print(f"{theirs / ours:.2f} {name} {size}", file=sys.stderr, flush=True)
    print("| NumPy / tracejit | call | elements | NumPy | tracejit |\n|---|---|---|---|---|")
    for ratio, name, size, theirs, ours in sorted(rows):
        if ratio < options.below:
            print(f"| {ratio:.2f} | {name} | {size:,} | {1e6 * theirs:.2f} µs | {1e6 * ours:.2f} µs |")
    print(f"\n{sum(r[0] >= 1 for r in rows)} of {len(rows)} are not slower; the mean ratio is "
          f"{np.exp(np.mean([np.log(r[0]) for r in rows])):.2f}.")


if __name__ == "__main__":
    main()
