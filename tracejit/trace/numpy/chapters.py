"""All chapters: importing this fills the registry."""

from tracejit.trace.numpy import (  # noqa: F401  imported for what they register
    creation,
    dtypes,
    functional,
    linalg,
    manipulation,
    products,
    reductions,
    searching,
    statistics,
    windows,
)
