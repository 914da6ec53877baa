"""scipy.ndimage: morphology, of grey images by minima and maxima over neighbourhoods, of binary ones by all and any."""

import operator

import numpy as np

from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.types import BOOL, F64
from tracejit.trace.numpy.common import refuse_option, static
from tracejit.trace.numpy.ndimage import (
    _axes,
    _footprint,
    _input,
    _Known,
    _maximum,
    _minimum,
    _neighbourhood,
    _output,
    _sequence,
    _shifted,
    _values,
    maximum_filter,
    minimum_filter,
)
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import Tracer, as_tracer, wrap


def _turned(places):
    return places[(slice(None, None, -1),) * places.ndim]


def _opposite(origin, sizes):
    """Return the origins of the neighbourhood that is turned round."""
    return [-operator.index(o) - (1 - n % 2) for o, n in zip(_sequence(origin, len(sizes)), sizes)]


# ---------------------------------------------------------------- grey images
def _erode(input, size, footprint, structure, output, mode, cval, origin, axes, dilate=False):
    """Return the erosion of a grey image, or its dilation, whose neighbourhood is turned round."""
    if size is None and footprint is None and structure is None:
        raise ValueError("size, footprint, or structure must be specified")
    x = _input(input)
    if x.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    known_axes = _axes(axes, x.ndim)
    if structure is not None:
        structure = as_tracer(structure)
        if structure.ndim != len(known_axes):
            raise RuntimeError("structure array has incorrect shape")
        shape = np.ones(structure.shape, bool) if footprint is None else _footprint(x, None, footprint, known_axes)
        structure = _turned(structure) if dilate else structure
    else:
        shape = _footprint(x, size, footprint, known_axes)
    if dilate:
        shape, origin = _turned(shape), _opposite(origin, shape.shape)
    if structure is None:
        chosen = maximum_filter if dilate else minimum_filter
        return chosen(x, None, _Known(shape), output, mode, cval, origin, axes=axes)
    values = _values(x, shape, known_axes, mode, cval, origin)
    result = None
    for value, place in zip(values, zip(*np.nonzero(shape))):
        height = wrap(cast(structure[place].node, F64))
        height = height if dilate else -height
        if result is None:
            result = wrap(cast(value.node, F64)) + height
        else:  # SciPy adds in the type of the image, from the second term on
            value = value + wrap(cast(height.node, value.dtype))
            result = (_maximum if dilate else _minimum)(result, wrap(cast(value.node, F64)))
    return _output(result, output, x.dtype)


@implements("scipy.ndimage.grey_erosion")
def grey_erosion(input, size=None, footprint=None, structure=None, output=None, mode="reflect", cval=0.0, origin=0, *,
                 axes=None):
    """Return minima over a neighbourhood, less the heights of a structure; see scipy.ndimage.grey_erosion."""
    return _erode(input, size, footprint, structure, output, mode, cval, origin, axes)


@implements("scipy.ndimage.grey_dilation")
def grey_dilation(input, size=None, footprint=None, structure=None, output=None, mode="reflect", cval=0.0, origin=0, *,
                  axes=None):
    """Return maxima over a neighbourhood, plus the heights of a structure; see scipy.ndimage.grey_dilation."""
    return _erode(input, size, footprint, structure, output, mode, cval, origin, axes, dilate=True)


@implements("scipy.ndimage.grey_opening")
def grey_opening(input, size=None, footprint=None, structure=None, output=None, mode="reflect", cval=0.0, origin=0, *,
                 axes=None):
    """Return the dilation of the erosion; see scipy.ndimage.grey_opening."""
    eroded = _erode(input, size, footprint, structure, None, mode, cval, origin, axes)
    return _erode(eroded, size, footprint, structure, output, mode, cval, origin, axes, dilate=True)


@implements("scipy.ndimage.grey_closing")
def grey_closing(input, size=None, footprint=None, structure=None, output=None, mode="reflect", cval=0.0, origin=0, *,
                 axes=None):
    """Return the erosion of the dilation; see scipy.ndimage.grey_closing."""
    dilated = _erode(input, size, footprint, structure, None, mode, cval, origin, axes, dilate=True)
    return _erode(dilated, size, footprint, structure, output, mode, cval, origin, axes)


@implements("scipy.ndimage.morphological_gradient")
def morphological_gradient(input, size=None, footprint=None, structure=None, output=None, mode="reflect", cval=0.0,
                           origin=0, *, axes=None):
    """Return the dilation less the erosion; see scipy.ndimage.morphological_gradient."""
    high = _erode(input, size, footprint, structure, None, mode, cval, origin, axes, dilate=True)
    into = output if isinstance(output, (Tracer, np.ndarray)) else None
    low = _erode(input, size, footprint, structure, into, mode, cval, origin, axes)
    return np.subtract(high, low, **({} if into is None else {"out": as_tracer(into)}))


@implements("scipy.ndimage.morphological_laplace")
def morphological_laplace(input, size=None, footprint=None, structure=None, output=None, mode="reflect", cval=0.0,
                          origin=0, *, axes=None):
    """Return the dilation and the erosion less twice the image; see scipy.ndimage.morphological_laplace."""
    x = _input(input)
    high = _erode(x, size, footprint, structure, None, mode, cval, origin, axes, dilate=True)
    into = output if isinstance(output, (Tracer, np.ndarray)) else None
    total = _erode(x, size, footprint, structure, into, mode, cval, origin, axes)
    np.add(high, total, out=total)
    np.subtract(total, x, out=total)
    return np.subtract(total, x, out=total)


def _difference(a, b, target, x):
    both = x.dtype == BOOL and target.dtype == BOOL
    return (np.bitwise_xor if both else np.subtract)(a, b, out=target)


@implements("scipy.ndimage.white_tophat")
def white_tophat(input, size=None, footprint=None, structure=None, output=None, mode="reflect", cval=0.0, origin=0, *,
                 axes=None):
    """Return the image less its opening; see scipy.ndimage.white_tophat."""
    x = _input(input)
    opened = grey_opening(x, size, footprint, structure, output, mode, cval, origin, axes=axes)
    return _difference(x, opened, opened, x)


@implements("scipy.ndimage.black_tophat")
def black_tophat(input, size=None, footprint=None, structure=None, output=None, mode="reflect", cval=0.0, origin=0, *,
                 axes=None):
    """Return the closing less the image; see scipy.ndimage.black_tophat."""
    x = _input(input)
    closed = grey_closing(x, size, footprint, structure, output, mode, cval, origin, axes=axes)
    return _difference(closed, x, closed, x)


# ---------------------------------------------------------------- binary images
def _structure(structure, x, axes):
    """Return the neighbourhood as a Boolean array; without one it is a pixel and its neighbours along the axes."""
    if structure is None:
        return np.abs(np.indices((3,) * len(axes)) - 1).sum(axis=0) <= 1
    return _footprint(x, None, structure, axes)


def _binary(input, structure, iterations, mask, output, border_value, origin, axes, dilate=False):
    x = _input(input)
    if x.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    times = operator.index(static(iterations, "iterations"))
    if times < 1:
        refuse_option("scipy.ndimage.binary_dilation" if dilate else "scipy.ndimage.binary_erosion",
                      f"iterations={times}", "say how often, or loop until nothing changes")
    axes = _axes(axes, x.ndim)
    shape = _structure(structure, x, axes)
    if shape.size < 1:
        raise RuntimeError("structure must not be empty")
    if dilate:
        shape, origin = _turned(shape), _opposite(origin, shape.shape)
    whole = x if x.dtype == BOOL else np.not_equal(x, 0)
    if mask is not None:
        mask = as_tracer(mask)
        if mask.shape != x.shape:
            raise RuntimeError("mask and input must have equal sizes")
        mask = mask if mask.dtype == BOOL else np.not_equal(mask, 0)
    border = bool(static(border_value, "border_value"))
    for _ in range(times):
        padded, sizes = _neighbourhood(whole, shape.shape, axes, "constant", border, origin)
        result = None
        for place in zip(*np.nonzero(shape.reshape(sizes))):
            value = _shifted(padded, place, x.shape)
            result = value if result is None else (_maximum if dilate else _minimum)(result, value)
        if result is None:
            result = np.full(x.shape, not dilate)
        whole = result if mask is None else np.where(mask, result, whole)
    return _output(whole, output if isinstance(output, (Tracer, np.ndarray)) else None, np.dtype(bool))


@implements("scipy.ndimage.binary_erosion", without=("iterations=0",))
def binary_erosion(input, structure=None, iterations=1, mask=None, output=None, border_value=0, origin=0,
                   brute_force=False, *, axes=None):
    """Return where all of a neighbourhood is true; see scipy.ndimage.binary_erosion."""
    return _binary(input, structure, iterations, mask, output, border_value, origin, axes)


@implements("scipy.ndimage.binary_dilation", without=("iterations=0",))
def binary_dilation(input, structure=None, iterations=1, mask=None, output=None, border_value=0, origin=0,
                    brute_force=False, *, axes=None):
    """Return where any of a neighbourhood is true; see scipy.ndimage.binary_dilation."""
    return _binary(input, structure, iterations, mask, output, border_value, origin, axes, dilate=True)


@implements("scipy.ndimage.binary_opening", without=("iterations=0",))
def binary_opening(input, structure=None, iterations=1, output=None, origin=0, mask=None, border_value=0,
                   brute_force=False, *, axes=None):
    """Return the dilation of the erosion; see scipy.ndimage.binary_opening."""
    eroded = _binary(input, structure, iterations, mask, None, border_value, origin, axes)
    return _binary(eroded, structure, iterations, mask, output, border_value, origin, axes, dilate=True)


@implements("scipy.ndimage.binary_closing", without=("iterations=0",))
def binary_closing(input, structure=None, iterations=1, output=None, origin=0, mask=None, border_value=0,
                   brute_force=False, *, axes=None):
    """Return the erosion of the dilation; see scipy.ndimage.binary_closing."""
    dilated = _binary(input, structure, iterations, mask, None, border_value, origin, axes, dilate=True)
    return _binary(dilated, structure, iterations, mask, output, border_value, origin, axes)
