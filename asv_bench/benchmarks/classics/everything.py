"""All programs: importing the themes registers them."""

from . import equations, images, matrices, physics, searches, sequences, statistics
from .registry import PROGRAMS

__all__ = ["PROGRAMS", "equations", "images", "matrices", "physics", "searches", "sequences", "statistics"]
