"""Window functions: literals, since their arguments are known while tracing."""

import numpy as np

from tracejit.trace.numpy.common import literal, static
from tracejit.trace.numpy.registry import implements


def _window(function):
    def window(M):
        return literal(function(static(M, "M", function)))
    window.__name__ = function.__name__
    window.__doc__ = f"Return the {function.__name__} window of M points (known while tracing)."
    return implements(function)(window)


bartlett = _window(np.bartlett)
blackman = _window(np.blackman)
hamming = _window(np.hamming)
hanning = _window(np.hanning)


@implements(np.kaiser)
def kaiser(M, beta):
    """Return the Kaiser window of M points with shape beta (both known while tracing)."""
    return literal(np.kaiser(static(M, "M", np.kaiser), static(beta, "beta", np.kaiser)))
