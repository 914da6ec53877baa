"""What a call costs besides its arithmetic: dispatch, tracing, compiling, importing, memory."""

import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from .workloads import STEPS


class Dispatch:
    """A call that hits, on ten elements; one NumPy ufunc call beside it is the mark."""

    number = 20_000

    def setup(self):
        import tracejit  # a benchmark module is imported by asv where the package may not be

        self.a, self.b = np.arange(10.0), np.ones(10)
        self.add = tracejit.jit(lambda a, b: a + b)
        self.nested = tracejit.jit(lambda p, x: {"y": p["w"] * x + p["b"]})
        self.tree = {"w": self.a, "b": self.b}
        self.scalar = tracejit.jit(lambda a, s: a * s)
        self.keyword = tracejit.jit(lambda a, *, b: a + b)
        self.shared = tracejit.shared(np.zeros(10))
        shared = self.shared

        def update(x):
            shared[...] = shared + x

        self.update = tracejit.jit(update)
        self.update(self.a)
        self.time_two_arrays(), self.time_dict(), self.time_python_scalar(), self.time_keyword()

    def time_numpy_add(self):
        np.add(self.a, self.b)

    def time_two_arrays(self):
        self.add(self.a, self.b)

    def time_dict(self):
        self.nested(self.tree, self.a)

    def time_python_scalar(self):
        self.scalar(self.a, 2.5)

    def time_keyword(self):
        self.keyword(self.a, b=self.b)

    def time_shared_update(self):
        self.update(self.a)


class Oscillators:
    """An object as people write them: its methods change its attributes."""

    def __init__(self, n):
        self.x, self.v, self.t, self.steps = np.linspace(0, 1, n), np.zeros(n), 0.0, 0
        self.weights, self.energies = [np.ones(n) for _ in range(4)], []

    def rebind(self, dt):
        """Replace arrays, and count."""
        self.v = self.v - dt * self.x
        self.x = self.x + dt * self.v
        self.t += dt
        self.steps += 1

    def write(self, dt):
        """Write into arrays."""
        self.v -= dt * self.x
        self.x += dt * self.v

    def record(self, dt):
        """Write, and make a list longer."""
        self.write(dt)
        self.energies.append(0.5 * (self.x @ self.x + self.v @ self.v))

    def replace(self, dt):
        """Replace a list of arrays."""
        self.weights = [w - dt * self.x for w in self.weights]


class State:
    """A method that changes its object, beside the same in NumPy."""

    params = [["rebind", "write", "record", "replace"], [10, 1000, 100_000]]
    param_names = ["method", "size"]

    def setup(self, method, size):
        import tracejit

        self.plain, self.jitted = getattr(Oscillators(size), method), tracejit.jit(getattr(Oscillators(size), method))
        for _ in range(3):
            self.jitted(1e-3)

    def time_numpy(self, method, size):
        self.plain(1e-3)

    def time_jitted(self, method, size):
        self.jitted(1e-3)


class Guards:
    """A call whose branch depends on a value, with two variants; and one beyond the limit, which is NumPy's."""

    number = 5_000

    def setup(self):
        import tracejit

        world = {"np": np, "__name__": "made"}
        exec("def f(x):\n    return np.sqrt(x) if x.sum() > 0 else -x\n", world)
        exec("def g(x):\n    return [x] * int(x.sum())\n", world)
        self.branch, self.plain = tracejit.jit(world["f"]), tracejit.jit(world["g"])
        self.up, self.down = np.ones(10), -np.ones(10)
        self.branch(self.up), self.branch(self.down)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for n in range(12):
                self.plain(np.full(1, float(n)))
        self.last = np.full(1, 11.0)

    def time_newest_variant(self):
        self.branch(self.down)

    def time_other_variant(self):
        self.branch(self.up)

    def time_beyond_the_limit(self):
        self.plain(self.last)


class Sizes:
    """A batch size that was not there before: traced, and not compiled."""

    number, repeat, warmup_time = 1, 20, 0

    def setup(self):
        import tracejit

        self.rng = np.random.default_rng(0)
        self.net = tracejit.jit(lambda x, w: np.tanh(x @ w).mean(0))
        self.w = np.ones((20, 10))
        for n in (260, 261):
            self.net(np.ones((n, 20)), self.w)
        self.n = 262

    def time_new_size(self):
        self.n += 1
        self.net(np.ones((self.n, 20)), self.w)


class Trace:
    """From the function to the graph, and from the graph to the program, nothing compiled."""

    params = list(STEPS)
    param_names = ("step",)

    def setup(self, step):
        self.step, self.arguments = STEPS[step]("float64")
        self.step.trace(*self.arguments).lower()

    def time_trace(self, step):
        self.step.trace(*self.arguments)

    def time_trace_and_lower(self, step):
        self.step.trace(*self.arguments).lower()


class LongProgram:
    """A program of some 2,000 operations, traced and differentiated: a second is its limit; then all of its rules."""

    number, repeat, warmup_time = 1, 5, 0

    def setup(self):
        import tracejit

        rng = np.random.default_rng(0)
        lines = ["def f(v0, v1):"]
        for k in range(2, 1002):
            a, b = (f"v{i}" for i in rng.integers(max(0, k - 30), k, 2))
            lines.append(f"    v{k} = " + (f"np.tanh({a}) + {b}", f"{a} * np.sin({b})", f"{a} - 0.5 * {b}",
                                           f"1 / (1 + np.exp(-{a}))")[k % 4])
        world = {"np": np, "__name__": "made"}
        exec("\n".join([*lines, f"    return ({' + '.join(f'v{k}' for k in range(972, 1002))}).sum()"]), world)
        self.size, self.step = 2, tracejit.jit(tracejit.value_and_grad(world["f"]))

    def time_trace_and_differentiate(self):
        self.size += 1  # of another size each time, so that nothing is known from before
        self.step.trace(np.ones(self.size), np.ones(self.size))

    def time_trace_and_lower(self):
        self.size += 1
        self.step.trace(np.ones(self.size), np.ones(self.size)).lower()


class FirstCall:
    """The first call in a new process: nothing compiled before, and with the disk cache filled."""

    params = (list(STEPS), ["cold", "cached"])
    param_names = ("step", "disk_cache")

    def first_call(self, step, folder):
        """Return the seconds of the first call in a new process that keeps its compiled code there."""
        code = (
            f"import sys, time; sys.path.insert(0, {str(Path(__file__).parent.parent)!r})\n"
            "from benchmarks.workloads import STEPS\n"
            f"step, arguments = STEPS[{step!r}]('float64')\n"
            "start = time.perf_counter(); step(*arguments); print(time.perf_counter() - start)"
        )
        env = dict(os.environ, TRACEJIT_FLAGS=f"cache_dir={folder}")
        done = subprocess.run([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, check=True)
        return float(done.stdout)

    def track_first_call(self, step, disk_cache):
        seconds = []
        for _ in range(3):
            with tempfile.TemporaryDirectory() as folder:
                seconds.append(self.first_call(step, folder))
                if disk_cache == "cached":
                    seconds[-1] = self.first_call(step, folder)
        return min(seconds)

    track_first_call.unit = "seconds"


class Import:
    """What `import tracejit` costs a process that calls nothing."""

    def timeraw_import(self):
        return "import tracejit"

    def timeraw_import_numpy(self):
        return "import numpy"

    def peakmem_import(self):
        import tracejit  # what is measured

        return tracejit


class Memory:
    """The most memory that a process needs for one program."""

    params = list(STEPS)
    param_names = ("step",)

    def setup(self, step):
        self.step, self.arguments = STEPS[step]("float64")

    def peakmem_ten_calls(self, step):
        for _ in range(10):
            self.step(*self.arguments)
