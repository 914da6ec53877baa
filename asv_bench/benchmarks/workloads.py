"""The seed's programs, as plain NumPy: what a user would write, and what `tracejit.jit` is given."""

import numpy as np

EXPRESSIONS = {
    "a+1": lambda a, b: a + 1,
    "2a+3b": lambda a, b: 2 * a + 3 * b,
    "a^2+b^2+2ab": lambda a, b: a**2 + b**2 + 2 * a * b,
    "2a+b^10": lambda a, b: 2 * a + b**10,
    "mix": lambda a, b: np.log(1 + np.exp(-a)) * np.tanh(b) + np.sin(a) / (1 + b * b),
}


def pair(n, dtype):
    """Return two normal vectors."""
    rng = np.random.default_rng(0)
    return rng.normal(size=n).astype(dtype), rng.normal(size=n).astype(dtype)


# ---------------------------------------------------------------- logistic regression, N=400, 784 features
def logreg_data(dtype):
    """Return w, b, x, y."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 784)).astype(dtype)
    y = rng.integers(0, 2, size=400).astype(dtype)
    return rng.normal(size=784).astype(dtype), np.zeros((), dtype), x, y


def logreg_cost(w, b, x, y):
    """Return the mean cross-entropy, naively on purpose, and a penalty."""
    p = 1 / (1 + np.exp(-(x @ w) - b))
    xent = -y * np.log(p) - (1 - y) * np.log(1 - p)
    return xent.mean() + 0.01 * (w**2).sum()


# ---------------------------------------------------------------- multi-layer perceptron 784-500-10, batch 60
def mlp_data(dtype):
    """Return the parameters, and (x, one-hot targets)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 784)).astype(dtype)
    targets = np.eye(10, dtype=dtype)[rng.integers(0, 10, size=60)]
    parameters = [
        (rng.normal(size=(784, 500)) * 0.05).astype(dtype),
        np.zeros(500, dtype),
        (rng.normal(size=(500, 10)) * 0.05).astype(dtype),
        np.zeros(10, dtype),
    ]
    return parameters, (x, targets)


def negative_log_likelihood(z, targets):
    """Return the cross-entropy of a softmax, as it is written on paper."""
    e = np.exp(z)
    p = e / e.sum(1, keepdims=True)
    return -(targets * np.log(p)).sum() / z.shape[0]


def mlp_loss(parameters, x, targets):
    """Return the loss of one hidden layer of tanh units."""
    w1, b1, w2, b2 = parameters
    return negative_log_likelihood(np.tanh(x @ w1 + b1) @ w2 + b2, targets)


# ---------------------------------------------------------------- convolutional network, 256x256 images
def convnet_data(dtype, batch):
    """Return the parameters, and (images, one-hot targets)."""
    rng = np.random.default_rng(0)

    def normal(*shape, scale=0.05):
        return (rng.normal(size=shape) * scale).astype(dtype)

    x = normal(batch, 1, 256, 256, scale=1)
    targets = np.eye(10, dtype=dtype)[rng.integers(0, 10, size=batch)]
    parameters = [
        normal(6, 1, 7, 7),
        np.zeros((6, 1, 1), dtype),
        normal(16, 6, 7, 7),
        np.zeros((16, 1, 1), dtype),
        normal(16 * 11 * 11, 120, scale=0.02),
        np.zeros(120, dtype),
        normal(120, 10),
        np.zeros(10, dtype),
    ]
    return parameters, (x, targets)


def convolve(x, k):
    """Return the valid cross-correlation of images and filters."""
    windows = np.lib.stride_tricks.sliding_window_view(x, k.shape[2:], axis=(2, 3))
    return np.einsum("ncijuv,fcuv->nfij", windows, k)


def max_pool(v, k):
    """Return the maxima of k x k tiles."""
    n, c, h, w = v.shape
    return v.reshape(n, c, h // k, k, w // k, k).max(axis=(3, 5))


def convnet_loss(parameters, x, targets):
    """Return the loss of two convolutions, 120 tanh units and a softmax over 10."""
    k1, c1, k2, c2, w, b, v, d = parameters
    h = max_pool(np.tanh(convolve(x, k1) + c1), 5)
    h = max_pool(np.tanh(convolve(h, k2) + c2), 4)
    h = np.tanh(h.reshape(h.shape[0], -1) @ w + b)
    return negative_log_likelihood(h @ v + d, targets)


# ---------------------------------------------------------------- one training step of each, jitted
def logreg_step(dtype):
    """Return a jitted step and its arguments."""
    import tracejit  # the NumPy columns are measured without it

    gradient = tracejit.value_and_grad(logreg_cost, argnums=(0, 1))
    rate = np.asarray(0.1, dtype)[()]

    def step(w, b, x, y):
        cost, (gw, gb) = gradient(w, b, x, y)
        return w - rate * gw, b - rate * gb, cost

    return tracejit.jit(step), logreg_data(dtype)


def descent_step(loss, data, dtype):
    """Return a jitted step of gradient descent and its arguments."""
    import tracejit  # the NumPy columns are measured without it

    gradient = tracejit.grad(loss)
    rate = np.asarray(0.01, dtype)[()]
    parameters, rest = data

    def step(parameters, *rest):
        return [p - rate * g for p, g in zip(parameters, gradient(parameters, *rest))]

    return tracejit.jit(step), (parameters, *rest)


def expression_call(dtype):
    """Return a jitted elementwise expression and its arguments."""
    import tracejit  # the NumPy columns are measured without it

    return tracejit.jit(EXPRESSIONS["mix"]), pair(1000, dtype)


STEPS = {
    "mix": expression_call,
    "logreg": logreg_step,
    "mlp": lambda dtype: descent_step(mlp_loss, mlp_data(dtype), dtype),
    "convnet": lambda dtype: descent_step(convnet_loss, convnet_data(dtype, 1), dtype),
}
