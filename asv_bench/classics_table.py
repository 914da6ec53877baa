"""Print a Markdown table of the programs in `benchmarks/classics`: how many times as fast as NumPy and Numba.

    python asv_bench/classics_table.py [name ...] [--rounds 3]

Each program runs at its large size in turns, plain, jitted and under Numba where that takes it; what is printed is the
median over the rounds, and the time of the first jitted call. A plain run that takes longer than a few seconds is not
repeated.
"""

import argparse
import statistics
import time
import warnings

import numba
from benchmarks.classics.everything import PROGRAMS

import tracejit

#: Seconds of calls per engine and round.
SLICE = 0.1


def timed(call, program):
    """Return the seconds of one call, repeated while that is short."""
    spent = []
    while sum(spent) < SLICE:
        arguments = program.make(program.large)
        begin = time.perf_counter()
        call(*arguments)
        spent.append(time.perf_counter() - begin)
    return min(spent)


def measure(program, rounds):
    """Return (median seconds per engine, seconds of the first jitted call)."""
    engines = {"tracejit": tracejit.jit(program.function), "numpy": program.function}
    if program.numba:
        engines["numba"] = numba.njit(program.function)
    begin = time.perf_counter()
    engines["tracejit"](*program.make(program.large))
    first = time.perf_counter() - begin
    times = {name: [] for name in engines}
    for k in range(rounds):
        for name, call in engines.items():
            if k and name == "numpy" and times[name][0] > 2:
                continue
            if not k and name == "numba":
                call(*program.make(program.large))
            times[name].append(timed(call, program))
    return {name: statistics.median(found) for name, found in times.items()}, first


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*PROGRAMS, []])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("| program | NumPy / tracejit | Numba / tracejit | tracejit | first call |\n|---|---|---|---|---|")
    warnings.simplefilter("ignore")
    for name in options.names or PROGRAMS:
        try:
            times, first = measure(PROGRAMS[name], options.rounds)
        except Exception as error:
            print(f"| {name} | {type(error).__name__}: {str(error).splitlines()[0]} | | | |", flush=True)
            continue
        ours = times["tracejit"]
        ratio = f"{times['numba'] / ours:.2f}" if "numba" in times else "–"
        print(f"| {name} | {times['numpy'] / ours:.3g} | {ratio} | {1e3 * ours:.3g} ms | {first:.2f} s |", flush=True)


if __name__ == "__main__":
    main()
