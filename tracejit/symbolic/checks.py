"""The errors of compiled code: what a `check` raises where what it asks for does not hold."""

import numpy as np

#: What a `check` raises, by its `error` attr: exception class and message over the details.
CHECKS = {
    "index": (IndexError, "index {0} is out of bounds for axis {1} with size {2}"),
    "negative_power": (ValueError, "Integers to negative integer powers are not allowed."),
    "mask_count": (ValueError, "NumPy boolean array indexing assignment cannot assign {1} input values "
                               "to the {0} output values where the mask is true"),
    "geometric": (ValueError, "Geometric sequence cannot include zero"),
    "choice": (ValueError, "invalid entry in choice array"),
    "coordinate": (ValueError, "invalid entry in coordinates array"),
    "percentile": (ValueError, "Percentiles must be in the range [0, 100]"),
    "quantile": (ValueError, "Quantiles must be in the range [0, 1]"),
    "bins": (ValueError, "bins must be monotonically increasing or decreasing"),
    "bincount": (ValueError, "'list' argument must have no negative elements"),
    "histogram_bins": (ValueError, "`bins` must increase monotonically, when an array"),
    "histogram_found_range": (ValueError, "autodetected range is not finite"),
    "histogram_order": (ValueError, "max must be larger than min in range parameter."),
    "histogram_range": (ValueError, "supplied range is not finite"),
    "all_nan": (ValueError, "All-NaN slice encountered"),
    "negative_weights": (ValueError, "Weights must be non-negative."),
    "no_weights": (ValueError, "Weights included NaN, inf or were all zero."),
    "zero_weights": (ZeroDivisionError, "Weights sum to zero, can't be normalized"),
    "reduceat": (IndexError, "index {0} out-of-bounds in reduceat [0, {1})"),
    "repeats": (ValueError, "repeats may not contain negative values."),
    "unravel": (ValueError, "index {0} is out of bounds for array with size {1}"),
    **{f"range_{name}": (OverflowError, f"Python integer {{0}} out of bounds for {name}") for name in (
        "int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64")},
    "broadcast": (ValueError, "operands could not be broadcast together with shapes ({0},) ({1},)"),
    "assigned": (ValueError, "could not broadcast input array from shape ({0},) into shape ({1},)"),
    "contracted": (ValueError, "matmul: Input operand 1 has a mismatch in its core dimension 0 (size {0} is different "
                               "from {1})"),
    "joined": (ValueError, "all the input array dimensions except for the concatenation axis must match exactly, but "
                           "along a dimension one array has size {0} and another has size {1}"),
    "mask_size": (IndexError, "boolean index did not match indexed array: size of an axis is {1} but size of the "
                              "corresponding boolean axis is {0}"),
    "negative_size": (ValueError, "negative dimensions are not allowed"),
    "reshaped": (ValueError, "cannot reshape array of size {0} into a shape of size {1}"),
    "memory": (MemoryError, "unable to allocate {0} bytes for an array"),
    "zero_division": (ZeroDivisionError, "division by zero"),
    "zero_size_maximum": (ValueError, "zero-size array to reduction operation maximum which has no identity"),
    "zero_size_minimum": (ValueError, "zero-size array to reduction operation minimum which has no identity"),
    **{f"zero_size_{name}": (ValueError, f"zero-size array to reduction operation {name} which has no identity")
       for name in ("fmax", "fmin", "logaddexp", "logaddexp2")},
    "indexed": (IndexError,
                "shape mismatch: indexing arrays could not be broadcast together with shapes ({0},) ({1},)"),
    "empty_argmax": (ValueError, "attempt to get argmax of an empty sequence"),
    "empty_argmin": (ValueError, "attempt to get argmin of an empty sequence"),
    "linalg_singular": (np.linalg.LinAlgError, "Singular matrix"),
    "linalg_posdef": (np.linalg.LinAlgError, "Matrix is not positive definite"),
    "linalg_svd": (np.linalg.LinAlgError, "SVD did not converge"),
    "linalg_eigenvalues": (np.linalg.LinAlgError, "Eigenvalues did not converge"),
    "linalg_lstsq": (np.linalg.LinAlgError, "SVD did not converge in Linear Least Squares"),
    "linalg_schur": (np.linalg.LinAlgError, "Schur form not found. Possibly ill-conditioned."),
    "linalg_finite": (np.linalg.LinAlgError, "Array must not contain infs or NaNs"),
    "finite": (ValueError, "array must not contain infs or NaNs"),
    #: No errors of the user's: the call is carried out by the plain function.
    "room": (None, "a list has more items than there is room for"),
    "empty": (None, "a list has no items, from which NumPy makes something else"),
}


class Unserved(RuntimeError):
    """What a check raises that is no error of the user's."""
