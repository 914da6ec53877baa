"""Sphinx: Markdown pages, and the public interface from its docstrings."""

import tracejit

project = "tracejit"
author = "the tracejit developers"
copyright = "2026, the tracejit developers"
version = release = tracejit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "tracejit"
autodoc_member_order = "bysource"
