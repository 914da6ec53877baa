"""Plain NumPy functions, traced to a graph, differentiated, rewritten, and run as one C function."""

from tracejit._version import __version__

__all__ = ["__version__"]
