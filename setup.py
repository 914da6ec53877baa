"""Builds the compiled dispatcher; everything else is declared in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, setup


def extensions():
    """Return the dispatcher, or nothing where NumPy's headers or the source are missing."""
    source = "tracejit/_dispatch.c"
    if not (Path(__file__).parent / source).exists():
        return []
    try:
        import numpy
    except ImportError:
        return []
    # optional: without a compiler the build goes on, and tracejit/dispatch.py serves in its place
    return [
        Extension(
            "tracejit._dispatch",
            [source],
            include_dirs=[numpy.get_include()],
            depends=[f"tracejit/_{name}.h"
                     for name in ("copy", "dispatch_entry", "dispatch_guard", "dispatch_look", "pool")],
            optional=True,
        )
    ]


setup(ext_modules=extensions())
