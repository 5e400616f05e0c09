"""Descriptors as fixed-point numbers of so few bits that their sums are exact in any order."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Descriptors = NDArray[Any]
"""One descriptor per row: uint8, or float32 values as `quantize` makes them."""

UINT8 = np.dtype(np.uint8)
FIXED_POINT = np.dtype(np.float32)

FIXED_POINT_ONE = 2**15
"""Values of dtype FIXED_POINT are multiples of 1 / FIXED_POINT_ONE in -1..1."""

_SHORT = 2**24 // 255**2  # so many squares of uint8 values have an exact sum in float32

_SCALES = {UINT8: 1, FIXED_POINT: FIXED_POINT_ONE}
_CENTER_BITS = {UINT8: 16, FIXED_POINT: 8}  # bits that a centre has in addition to those of a descriptor


def quantize(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Round values to multiples of ``1 / FIXED_POINT_ONE``.

    Products of such values and their sums are exact in float64, so results do not depend on how the
    descriptors are divided among tasks.

    Parameters
    ----------
    values : ndarray, any float dtype
        Values in -1..1. Values beyond are clipped, and NaN becomes 0: KAZE divides by the norm of a
        descriptor, which may be 0. The norm of a row must not be much larger than 1.

    Returns
    -------
    ndarray of the same shape, dtype float32
        The rounding error is 1.6e-5 at most. Zero has no sign, so that equal rows have equal bytes.

    Examples
    --------
    >>> import numpy as np
    >>> values = quantize(np.array([0.1, -3.0, np.nan]))
    >>> (values * FIXED_POINT_ONE).tolist()
    [3277.0, -32768.0, 0.0]
    """
    # Adding zero turns -0.0 into 0.0.
    finite = np.nan_to_num(np.clip(values, -1, 1), nan=0.0)
    return (np.rint(finite * FIXED_POINT_ONE) / FIXED_POINT_ONE + 0.0).astype(np.float32)


def fixed_point_scale(dtype: DTypeLike) -> int:
    """Return the factor that turns descriptors of a dtype into integers.

    Parameters
    ----------
    dtype : dtype
        Type of the descriptors: uint8 or float32.

    Returns
    -------
    int
        1 for uint8, `FIXED_POINT_ONE` for float32.
    """
    return _SCALES[np.dtype(dtype)]


def center_scale(dtype: DTypeLike) -> int:
    """Return the factor that turns rounded centres of descriptors of a dtype into integers.

    Rounded centres have at most 24 significant bits: float32 stores them without loss, and their products
    with descriptors are exact in float64.

    Parameters
    ----------
    dtype : dtype
        Type of the descriptors: uint8 or float32.

    Returns
    -------
    int
        65,536 for uint8, 8,388,608 for float32.
    """
    return fixed_point_scale(dtype) << _CENTER_BITS[np.dtype(dtype)]


def as_integers(descriptors: Descriptors) -> NDArray[np.floating]:
    """Convert descriptors to integers, in a float dtype.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32

    Returns
    -------
    ndarray of shape (N, d), dtype float32 or float64
        Integers. The sums of up to 2¹⁶ of them, and of their squares, are exact in this dtype.
    """
    if descriptors.dtype == UINT8 and descriptors.shape[1] <= _SHORT:
        return descriptors.astype(np.float32)
    integers = descriptors.astype(np.float64)
    integers *= fixed_point_scale(descriptors.dtype)
    return integers
