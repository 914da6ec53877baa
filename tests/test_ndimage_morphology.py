"""Morphology of grey and of binary images: SciPy's answer over neighbourhoods, borders and dtypes."""

import numpy as np
import pytest
from numpy_samples import call, cases, check, floats, ints
from scipy import ndimage

from tracejit import jit
from tracejit.errors import UnsupportedError

A, I, M = floats(5, 7), ints(5, 7), floats(6, 8, seed=3) > -0.4
U = np.arange(35, dtype=np.uint8).reshape(5, 7)
CROSS, CORNER, EVEN = [[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[1, 1], [0, 1]], [[True] * 4, [True, False, True, True]]
HEIGHTS = np.array([[0.0, 1, 0], [1, 2, 0.5]])
SHAPES = [{"size": 3}, {"size": (2, 4)}, {"footprint": CROSS}, {"footprint": CORNER}, {"footprint": EVEN},
          {"structure": HEIGHTS}, {"structure": HEIGHTS, "footprint": [[1, 0, 1], [1, 1, 1]]}]

GREY = [call(A, **s) for s in SHAPES] + [call(x, size=3) for x in (I, U, A.astype(np.float32), M)] + [
    call(A, size=3, mode=m, cval=0.2) for m in ("constant", "wrap", "mirror", "nearest")] + [
    call(A, size=(3, 4), origin=(1, -1)), call(A, size=3, axes=1), call(A), call(A + 0j, size=3),
    call(A, footprint=CROSS, mode="constant", cval=9.0), call(A, structure=HEIGHTS, mode="constant", cval=1.0),
    call(A, structure=HEIGHTS, origin=(0, 1)), call(I, structure=HEIGHTS)]
BINARY = [call(x) for x in (M, I, A)] + [call(M, s) for s in (CROSS, CORNER, EVEN, [[1, 1, 1]])] + [
    call(M, iterations=3), call(M, CORNER, iterations=2), call(M, border_value=1), call(M, CORNER, border_value=1),
    call(M, EVEN, origin=(0, 1)), call(M, axes=0, iterations=2), call(M, output=np.int8), call(M, mask=~M[::-1]),
    call(M, mask=M[:, ::-1], iterations=2), call(M, mask=M[0]), call(A + 0j)]

SAMPLES = {f: GREY for f in (
    ndimage.grey_erosion, ndimage.grey_dilation, ndimage.grey_opening, ndimage.grey_closing, ndimage.white_tophat,
    ndimage.black_tophat, ndimage.morphological_gradient, ndimage.morphological_laplace)}
SAMPLES |= {f: BINARY for f in (
    ndimage.binary_erosion, ndimage.binary_dilation, ndimage.binary_opening, ndimage.binary_closing)}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_scipy(function, sample):
    check(function, sample)


def test_compiled():
    def f(x, m):
        return ndimage.white_tophat(x, 3) + ndimage.binary_opening(m, iterations=2)[:5, :7]

    np.testing.assert_array_equal(jit(f)(A, M), f(A, M))


def test_until_nothing_changes_is_refused():
    with pytest.raises(UnsupportedError, match=r"binary_erosion with iterations=0.*\n.*\n.*loop"):
        jit(lambda m: ndimage.binary_erosion(m, iterations=0))(M)
