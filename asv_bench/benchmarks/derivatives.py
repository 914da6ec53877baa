"""What derivatives and batches cost: gradients beside values, batches beside what one writes by hand, and tracing."""

import numpy as np


def _long():
    """Return a function of 2,000 operations, written out."""
    lines = [f"    y = np.sin(y) * 0.9 + x * {k * 0.01 + 0.001}\n" for k in range(500)]
    names = {"np": np}
    exec("def long(x):\n    y = x\n" + "".join(lines) + "    return y.sum()\n", names)
    return names["long"]


def _network(w, x):
    for _ in range(4):
        x = np.tanh(x @ w)
    return (x**2).mean()


def _pointwise(x):
    return (np.tanh(np.sin(x) * x + np.exp(-x * x)) / (1 + x * x)).sum()


def _recurrence(x):
    total = 0.0
    for i in range(1, len(x)):
        total = total * 0.99 + x[i] * x[i - 1]
    return total


def _distance(x, y):
    return np.sqrt(((x - y) ** 2).sum())


class Tracing:
    """A program written out in 2,000 operations, traced anew each time."""

    number = 1

    def setup(self):
        import tracejit  # a benchmark module is imported by asv where the package may not be

        long = _long()
        self.value, self.gradient, self.x = tracejit.jit(long), tracejit.grad(long), np.ones(10)

    def time_trace(self):
        self.value.trace(self.x)

    def time_trace_and_differentiate(self):
        self.gradient.trace(self.x)


class Gradients:
    """The value, and the value with its gradient, which costs a few times as much."""

    params = (["network", "pointwise", "recurrence"], ["value", "gradient"])
    param_names = ("program", "what")

    def setup(self, program, what):
        import tracejit  # as above

        rng = np.random.default_rng(0)
        self.args = {"network": (0.06 * rng.normal(size=(256, 256)), rng.normal(size=(512, 256))),
                     "pointwise": (rng.normal(size=200_000),), "recurrence": (rng.normal(size=20_000),)}[program]
        function = {"network": _network, "pointwise": _pointwise, "recurrence": _recurrence}[program]
        self.run = tracejit.jit(function) if what == "value" else tracejit.value_and_grad(function)
        self.run(*self.args)

    def time_call(self, program, what):
        self.run(*self.args)


class Batches:
    """`vmap`, and the same for the whole batch as one writes it by hand."""

    params = (["products", "solves", "distances"], ["vmap", "by hand"])
    param_names = ("program", "what")

    def setup(self, program, what):
        import tracejit  # as above

        rng = np.random.default_rng(0)
        a, b = rng.normal(size=(200, 32, 32)) + 8 * np.eye(32), rng.normal(size=(200, 32))
        mapped, by_hand, self.args = {
            "products": (tracejit.vmap(lambda a, b: a @ b), lambda a, b: (a @ b[:, :, None])[:, :, 0], (a, b)),
            "solves": (tracejit.vmap(np.linalg.solve, (None, 0)), lambda a, b: np.linalg.solve(a, b.T).T, (a[0], b)),
            "distances": (tracejit.vmap(tracejit.vmap(_distance, (None, 0)), (0, None)),
                          lambda x, y: np.sqrt(((x[:, None] - y) ** 2).sum(-1)), (b, b))}[program]
        self.run = mapped if what == "vmap" else tracejit.jit(by_hand)
        self.run(*self.args)

    def time_call(self, program, what):
        self.run(*self.args)
