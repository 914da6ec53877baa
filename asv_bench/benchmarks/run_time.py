"""How long a compiled call takes: elementwise expressions and training steps, NumPy's own time beside it."""

import numpy as np

from .workloads import (
    EXPRESSIONS,
    convnet_data,
    convnet_loss,
    descent_step,
    logreg_data,
    logreg_step,
    mlp_data,
    mlp_loss,
    pair,
)


class Elementwise:
    """One expression over two vectors."""

    params = (
        ["tracejit", "numpy"],
        list(EXPRESSIONS),
        ["float64", "float32"],
        [10, 1_000, 100_000, 1_000_000, 10_000_000],
    )
    param_names = ("engine", "expression", "dtype", "n")

    def setup(self, engine, expression, dtype, n):
        self.arguments = pair(n, dtype)
        self.call = EXPRESSIONS[expression]
        if engine == "tracejit":
            import tracejit  # the NumPy column is measured without it

            self.call = tracejit.jit(self.call)
        self.call(*self.arguments)

    def time_call(self, engine, expression, dtype, n):
        self.call(*self.arguments)


class LogisticRegression:
    """A hundred steps of gradient descent, N=400, 784 features."""

    params = (["tracejit", "numpy"], ["float64", "float32"])
    param_names = ("engine", "dtype")

    def setup(self, engine, dtype):
        if engine == "tracejit":
            self.step, (self.w, self.b, self.x, self.y) = logreg_step(dtype)
        else:
            self.w, self.b, self.x, self.y = logreg_data(dtype)
            self.step = self.numpy_step
        self.step(self.w, self.b, self.x, self.y)

    @staticmethod
    def numpy_step(w, b, x, y):
        p = 1 / (1 + np.exp(-(x @ w) - b))
        d = (p - y) / len(y)
        rate = x.dtype.type(0.1)
        return w - rate * (x.T @ d + w.dtype.type(0.02) * w), b - rate * d.sum(), None

    def time_train(self, engine, dtype):
        w, b = self.w, self.b
        for _ in range(100):
            w, b, _ = self.step(w, b, self.x, self.y)


class Perceptron:
    """One step of gradient descent, 784-500-10, batch of 60."""

    params = (["tracejit", "numpy"], ["float64", "float32"])
    param_names = ("engine", "dtype")

    def setup(self, engine, dtype):
        if engine == "tracejit":
            self.step, self.arguments = descent_step(mlp_loss, mlp_data(dtype), dtype)
        else:
            parameters, rest = mlp_data(dtype)
            self.step, self.arguments = self.numpy_step, (parameters, *rest)
        self.step(*self.arguments)

    @staticmethod
    def numpy_step(parameters, x, targets):
        w1, b1, w2, b2 = parameters
        rate = x.dtype.type(0.01)
        h = np.tanh(x @ w1 + b1)
        z = h @ w2 + b2
        e = np.exp(z - z.max(1, keepdims=True))
        dz = (e / e.sum(1, keepdims=True) - targets) / x.dtype.type(len(x))
        dh = (dz @ w2.T) * (1 - h * h)
        gradients = x.T @ dh, dh.sum(0), h.T @ dz, dz.sum(0)
        return [p - rate * g for p, g in zip(parameters, gradients)]

    def time_step(self, engine, dtype):
        self.step(*self.arguments)


class ConvolutionalNetwork:
    """One step of gradient descent on 256x256 images."""

    params = ([1, 10], ["float64", "float32"])
    param_names = ("batch", "dtype")

    def setup(self, batch, dtype):
        self.step, self.arguments = descent_step(convnet_loss, convnet_data(dtype, batch), dtype)
        self.step(*self.arguments)

    def time_step(self, batch, dtype):
        self.step(*self.arguments)

    def peakmem_step(self, batch, dtype):
        self.step(*self.arguments)
