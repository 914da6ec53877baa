"""Window functions: literals, since their arguments are known while tracing."""

import numpy as np

from tracejit.trace.numpy.common import literal, static
from tracejit.trace.numpy.registry import implements


def _window(function):
    def window(M, *args):
        return literal(function(static(M, "M", function), *(static(a, "beta", function) for a in args)))
    window.__name__ = function.__name__
    window.__doc__ = f"Return the {function.__name__} window of M points (known while tracing)."
    return implements(function)(window)


bartlett = _window(np.bartlett)
blackman = _window(np.blackman)
hamming = _window(np.hamming)
hanning = _window(np.hanning)
kaiser = _window(np.kaiser)
