"""Quickstart: compile two expressions, look at their graphs before and after the rewrites, take a derivative.

    python examples/quickstart.py [--out FOLDER] [--source]
"""

import argparse
from pathlib import Path

import numpy as np
from helpers import OUT

import tracejit
from tracejit import printing


@tracejit.jit
def f(a):
    return a + a**10


@tracejit.jit
def g(a, b):
    return a**2 + b**2 + 2 * a * b


@tracejit.jit
def tiny(x):
    return np.log(1 + x)


def main(out=OUT, source=False):
    """Run the examples, print what happens, draw the graphs; returns the results by name."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    a, b = np.array([0.0, 1.0, 2.0]), np.array([3.0, 4.0, 5.0])
    results = {"f": f(a), "g": g(a, b)}

    print("f(a) = a + a**10 at [0, 1, 2]:", results["f"])
    print("g(a, b) = a**2 + b**2 + 2*a*b:", results["g"])

    for function, arguments in ((f, (a,)), (g, (a, b))):
        name = function.__name__
        traced = function.trace(*arguments)  # Python ran once, on stand-ins
        lowered = traced.lower()  # rewritten, and turned into loops and library calls
        results[name, "before"], results[name, "after"] = traced.graph, lowered.graph
        print(f"\n{name}, as it was traced:\n{traced}")
        print(f"\n{name}, rewritten:\n{printing.text(lowered)}")
        names = ("a", "b")[:len(arguments)]
        for suffix in (".svg", ".png"):
            path = out / f"quickstart_{name}{suffix}"
            printing.draw({"traced": traced, "rewritten": lowered}, path, names=names)
        print(f"\ndrawn in {out / f'quickstart_{name}.svg'} and .png")
        if source:
            print(f"\nthe C source of {name}:\n{lowered.compile()}")

    results["gradient"] = tracejit.grad(lambda a: f(a).sum())(a)
    print("\ngradient of f(a).sum(), 1 + 10*a**9:", results["gradient"])

    x = np.array([1e-18])
    results["tiny"] = tiny(x)
    print(f"log(1 + x) at 1e-18: NumPy {np.log(1 + x)[0]}, tracejit {results['tiny'][0]}")
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the pictures (default: examples/out)")
    parser.add_argument("--source", action="store_true", help="print the generated C source, too")
    arguments = parser.parse_args()
    main(arguments.out, arguments.source)
