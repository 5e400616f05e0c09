"""The kinds of descriptors: bytes, or fractions of so few bits that their sums are exact in any order."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Descriptors = NDArray[Any]
"""One per row, uint8 or float32: bytes, or fractions as `quantize` makes them."""

UINT8 = np.dtype(np.uint8)
FIXED_POINT = np.dtype(np.float32)

FIXED_POINT_ONE = 2**15
"""Fractions are multiples of 1 / FIXED_POINT_ONE in -1..1."""

_SHORT = 2**24 // 255**2  # bytes of which the sum of squares is exact in float32

_UNITS = {UINT8: 1, FIXED_POINT: FIXED_POINT_ONE}
_CENTER_BITS = {UINT8: 16, FIXED_POINT: 8}  # what a centre has more than a descriptor


def quantize(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Round values to multiples of ``1 / FIXED_POINT_ONE``.

    Products of such values and their sums are exact in float64, so what is computed from them does not
    depend on how they are divided among tasks.

    Parameters
    ----------
    values : ndarray, any float dtype
        In -1..1; what is beyond is cut off, and what is no number is 0: KAZE divides by the length of a
        descriptor, which may be 0. The length of a row must not be much more than 1.

    Returns
    -------
    ndarray of the same shape, dtype float32
        Off by 1.6e-5 at most. Zero has no sign: equal rows have equal bytes.
    """
    # Adding zero turns -0.0 into 0.0.
    finite = np.nan_to_num(np.clip(values, -1, 1), nan=0.0)
    return (np.rint(finite * FIXED_POINT_ONE) / FIXED_POINT_ONE + 0.0).astype(np.float32)


def fixed_point_scale(dtype: DTypeLike) -> int:
    """Return what descriptors of a dtype are to be multiplied by to be whole numbers."""
    return _UNITS[np.dtype(dtype)]


def center_scale(dtype: DTypeLike) -> int:
    """Return a number so that centres of descriptors of a dtype are multiples of one divided by it.

    They have at most 24 significant bits then, which float32 holds without loss, and their products with
    descriptors are exact in float64.
    """
    return fixed_point_scale(dtype) << _CENTER_BITS[np.dtype(dtype)]


def as_integers(descriptors: Descriptors) -> NDArray[np.floating]:
    """Return descriptors as whole numbers in a dtype that adds up 2¹⁶ of them, and their squares, exactly.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32

    Returns
    -------
    ndarray of shape (N, d), dtype float32 or float64
    """
    if descriptors.dtype == UINT8 and descriptors.shape[1] <= _SHORT:
        return descriptors.astype(np.float32)
    whole = descriptors.astype(np.float64)
    whole *= fixed_point_scale(descriptors.dtype)
    return whole
