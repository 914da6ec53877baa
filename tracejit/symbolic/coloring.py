"""Which columns of a sparse matrix can be found together: those that have no row in common.

Curtis, Powell and Reid 1974, "On the estimation of sparse Jacobian matrices"; the order, largest first, after Coleman
and Moré 1983. Rows that are nearly full are found by themselves, so that an arrow costs two products, not n.
"""

from typing import NamedTuple

import numpy as np


class Plan(NamedTuple):
    """How the numbers of a sparse matrix are found.

    Attributes
    ----------
    columns : array of int
        The color of each column: one product with the matrix per color. -1: none.
    rows : array of int
        The color of each row: one product with the transpose per color. -1: none.
    places : array of int
        For each number, in the order of compressed rows, its place among all products, one after the other.
    """

    columns: np.ndarray
    rows: np.ndarray
    places: np.ndarray

    @property
    def forward(self):
        """Number of products with the matrix."""
        return int(self.columns.max(initial=-1)) + 1

    @property
    def backward(self):
        """Number of products with the transpose."""
        return int(self.rows.max(initial=-1)) + 1


def color(pattern, chosen=None):
    """Return one color per column, so that columns of one color have no row in common; -1 for those not chosen.

    The colors that a row has are the bits of an integer.
    """
    by_column, count = pattern.tocsc(), np.diff(pattern.tocsc().indptr)
    taken = [0] * pattern.shape[0]
    colors = np.full(pattern.shape[1], -1)
    starts, rows = by_column.indptr.tolist(), by_column.indices.tolist()
    order = np.argsort(-count, kind="stable")
    for j in (order if chosen is None else order[chosen[order]]).tolist():
        mine = rows[starts[j]:starts[j + 1]]
        used = 0
        for i in mine:
            used |= taken[i]
        bit = ~used & (used + 1)
        for i in mine:
            taken[i] |= bit
        colors[j] = bit.bit_length() - 1
    return colors


def plan(pattern, mode=None):
    """Return the cheapest Plan for a pattern by compressed rows; `mode` "fwd" or "rev" allows one kind of products."""
    m, n = pattern.shape
    if pattern.nnz == 0:
        return Plan(np.full(n, -1), np.full(m, -1), np.empty(0, np.int64))
    plans = []
    if mode != "rev":
        plans.append(_with_rows(pattern, np.zeros(m, bool)))
    if mode != "fwd":
        plans.append(_with_rows(pattern, np.ones(m, bool)))
    if mode is None:
        counts = np.diff(pattern.indptr)
        plans += [_with_rows(pattern, counts > limit) for limit in _limits(counts)]
        counts = np.bincount(pattern.indices, minlength=n)
        plans += [_with_columns(pattern, counts > limit) for limit in _limits(counts)]
    # a product with the transpose computes the function and goes back through it
    return min(plans, key=lambda p: p.forward + 2 * p.backward)


def _limits(counts):
    """Return sizes above which rows are so much fuller than the others that it may pay to find them by themselves."""
    found = np.unique(counts)
    jumps = [int(a) for a, b in zip(found, found[1:]) if b >= 2 * a + 4]
    return jumps[-3:]


def _with_rows(pattern, backward):
    """Return the Plan that finds the marked rows by products with the transpose, the others by those with itself."""
    places = pattern.tocoo()
    rows, columns = places.coords
    marked = backward[rows]
    rest, full = _part(pattern, rows, columns, ~marked), _part(pattern, rows, columns, marked)
    return _plan(pattern, rows, columns, marked, rest, full)


def _with_columns(pattern, forward):
    """Return the Plan that finds the marked columns by products with the matrix, the others by those with its
    transpose."""
    rows, columns = pattern.tocoo().coords
    marked = ~forward[columns]
    return _plan(pattern, rows, columns, marked, _part(pattern, rows, columns, ~marked),
                 _part(pattern, rows, columns, marked))


def _part(pattern, rows, columns, keep):
    made = type(pattern)((np.ones(keep.sum(), bool), (rows[keep], columns[keep])), shape=pattern.shape)
    return made


def _plan(pattern, rows, columns, backward, by_columns, by_rows):
    m, n = pattern.shape
    of_columns = color(by_columns, np.diff(by_columns.tocsc().indptr) > 0)
    of_rows = color(by_rows.T.tocsr(), np.diff(by_rows.indptr) > 0)
    behind = (int(of_columns.max(initial=-1)) + 1) * m
    places = np.where(backward, behind + of_rows[rows] * n + columns, of_columns[columns] * m + rows)
    return Plan(of_columns, of_rows, places.astype(np.int64))


def symmetric(pattern):
    """Return the Plan for a symmetric matrix, by products with it: each number is found, or the one across is.

    A star coloring: what is joined to nearly everything has a color of its own, and its row is its column; what is left
    is colored as by `color`.
    """
    n = pattern.shape[0]
    rows, columns = pattern.tocoo().coords
    counts = np.diff(pattern.indptr)
    best = None
    for limit in (n, *_limits(counts)):
        hubs = np.flatnonzero(counts > limit)
        inside = ~np.isin(rows, hubs) & ~np.isin(columns, hubs)
        part = _part(pattern, rows, columns, inside)
        chosen = np.diff(part.tocsc().indptr) > 0
        colors = color(part, chosen)
        first = int(colors.max(initial=-1)) + 1
        colors[hubs] = first + np.arange(len(hubs))
        if best is None or first + len(hubs) < int(best[0].max(initial=-1)) + 1:
            best = colors, np.isin(columns, hubs), np.isin(rows, hubs)
    colors, _, row_is_hub = best
    # of two hubs either one will do
    places = np.where(row_is_hub, colors[rows] * n + columns, colors[columns] * n + rows)
    return Plan(colors, np.full(n, -1), places.astype(np.int64))
