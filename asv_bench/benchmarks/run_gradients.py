"""What a gradient costs beside the value: the programs of the examples."""

import importlib
import sys
import time
from pathlib import Path

import numpy as np

EXAMPLES = str(Path(__file__).resolve().parents[2] / "examples")


def example(name):
    """Import one of the examples."""
    if EXAMPLES not in sys.path:
        sys.path.append(EXAMPLES)
    return importlib.import_module(name)


def residual_network():
    """24 blocks, 16 wide, 512 points."""
    module, rng = example("resnet"), np.random.default_rng(0)
    x, labels = module.spirals(512, "float64", rng)
    return module.loss, (module.parameters("float64", rng), x, labels)


def adaptive_solver():
    """Hares and lynxes at 40 times, some 200 steps."""
    module = example("ode")
    times = np.linspace(0, 25, 40)
    return module.misfit, (np.log(module.TRUTH) + 0.1, module.START, times,
                           module.path(module.TRUTH, module.START, times))


def kalman_filter():
    """A hundred measurements, four states."""
    module = example("kalman")
    return module.cost, (module.TRUTH, module.simulate(100, np.random.default_rng(0))[1])


def gaussian_process():
    """Some eighty points."""
    module = example("gaussian_process")
    return module.cost, (module.GUESS, *module.data(90, np.random.default_rng(0)))


def leapfrog():
    """A hundred steps along a slope, which is itself a derivative."""
    module = example("hmc")

    def end(start):
        q, p = module.leapfrog(start[:2], start[2:], 0.1, 100)
        return module.log_density(q) - 0.5 * p @ p

    return end, (np.array([0.5, -0.5, 1.0, 0.3]),)


def fixed_point():
    """Penalties of a logistic regression through Newton's method, by implicit differentiation."""
    module, rng = example("implicit"), np.random.default_rng(0)
    return module.cost, (np.full(module.FEATURES, -3.0), module.data(80, rng), module.data(240, rng))


PROGRAMS = {f.__name__: f for f in (residual_network, adaptive_solver, kalman_filter, gaussian_process, leapfrog,
                                    fixed_point)}


class Gradient:
    """One call, of the value alone, or of the value and the gradient by the first argument."""

    params = (["value", "value_and_grad"], list(PROGRAMS))
    param_names = ("what", "program")

    def setup(self, what, program):
        import tracejit  # as for the others: what is imported at the top is not measured

        function, self.arguments = PROGRAMS[program]()
        self.call = {"value": tracejit.jit, "value_and_grad": tracejit.value_and_grad}[what](function)
        self.call(*self.arguments)

    def time_call(self, what, program):
        self.call(*self.arguments)


class GradientRatio:
    """How many times the value a value with its gradient takes: the least of many calls of each, in turns."""

    params = list(PROGRAMS)
    param_names = ("program",)
    unit = "times"

    def track_ratio(self, program):
        import tracejit  # likewise

        function, arguments = PROGRAMS[program]()
        calls = tracejit.jit(function), tracejit.value_and_grad(function)
        least = [float("inf")] * 2
        for _ in range(200):
            for k, call in enumerate(calls):
                start = time.perf_counter()
                call(*arguments)
                least[k] = min(least[k], time.perf_counter() - start)
        return least[1] / least[0]
