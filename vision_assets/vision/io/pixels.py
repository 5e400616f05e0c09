"""Grey and colour values of 8 bits from the values that an image file stores, the same for every format."""

from dataclasses import dataclass
from typing import Any, Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

ValueRange = Literal["declared", "full", "image"]
"""Ways to choose which stored values become black and white, see `Pixels.limits`."""

DECLARED: ValueRange = "declared"
FULL: ValueRange = "full"
IMAGE: ValueRange = "image"

_USUAL_BITS = (8, 10, 12, 14, 16, 24, 32, 64)
_16_BITS = 65535


@dataclass(frozen=True)
class Pixels:
    """What an image file stores, before any conversion.

    Parameters
    ----------
    values : ndarray of shape (height, width) or (height, width, 3), integers or floats
        Grey values, or colours in the order blue, green, red, as OpenCV has them.
    white : float, optional
        The value that the file declares to be white; black is 0. None if it declares none.
    is_negative : bool
        Whether black and white are exchanged.
    """

    values: NDArray[Any]
    white: float | None = None
    is_negative: bool = False

    def limits(self, value_range: ValueRange) -> tuple[float, float]:
        """Return the values that become black and white.

        Parameters
        ----------
        value_range : str
            ``declared``: what the file declares. Where it declares nothing, bytes and signed integers of at
            most 16 bits have the range of their type; other unsigned integers have as few of 8, 10, 12, 14,
            16, 24 and 32 bits as hold the largest value; floats are fractions of 1 if all values are; and all
            others have the range from the least to the greatest value.
            ``full``: the range of the type, 0 to 1 for floats.
            ``image``: from the least to the greatest value.

        Returns
        -------
        float, float
            Values beyond them are clipped.
        """
        if value_range == IMAGE:
            return self._extremes()
        if value_range == DECLARED and self.white is not None:
            return 0.0, self.white
        return self._type_limits() if value_range == FULL or self._fills_its_type() else self._likely_limits()

    def _fills_its_type(self) -> bool:
        dtype = self.values.dtype
        return dtype.itemsize == 1 or (dtype.kind == "i" and dtype.itemsize == 2)

    def _type_limits(self) -> tuple[float, float]:
        if self.values.dtype.kind not in "iu":
            return 0.0, 1.0
        limits = np.iinfo(self.values.dtype)
        return float(limits.min), float(limits.max)

    def _likely_limits(self) -> tuple[float, float]:
        least, greatest = self._extremes()
        if self.values.dtype.kind == "u":
            return 0.0, float(next(2**bits - 1 for bits in _USUAL_BITS if greatest < 2**bits))
        is_fraction = self.values.dtype.kind == "f" and least >= 0 and greatest <= 1
        return (0.0, 1.0) if is_fraction else (least, greatest)

    def _extremes(self) -> tuple[float, float]:
        values = self.values
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        return (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)

    def to_gray(self, value_range: ValueRange = DECLARED) -> NDArray[np.uint8]:
        """Return grey values of 8 bits.

        Colours become 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), of 8 bits if the values are bytes from 0 to
        255, else of 16 bits; halves are rounded up. 16 bits become 8 by division by 257, rounded.

        Returns
        -------
        ndarray of shape (height, width), dtype uint8
        """
        values = self._scaled(value_range)
        if values.ndim == 3:
            values = cast("NDArray[Any]", cv2.cvtColor(values, cv2.COLOR_BGR2GRAY))
        return _to_8_bits(values)

    def to_color(self, value_range: ValueRange = DECLARED) -> NDArray[np.uint8]:
        """Return colours of 8 bits.

        Returns
        -------
        ndarray of shape (height, width, 3), dtype uint8
            Channels are blue, green, red.
        """
        values = _to_8_bits(self._scaled(value_range))
        return (
            values
            if values.ndim == 3
            else cast("NDArray[np.uint8]", cv2.cvtColor(values, cv2.COLOR_GRAY2BGR))
        )

    def _scaled(self, value_range: ValueRange) -> NDArray[Any]:
        """Return values from 0 to 255 as they are, others stretched to 0..65535; a negative as a positive."""
        scaled = self._stretched(value_range)
        return np.iinfo(scaled.dtype).max - scaled if self.is_negative else scaled

    def _stretched(self, value_range: ValueRange) -> NDArray[Any]:
        black, white = self.limits(value_range)
        dtype = self.values.dtype
        if (black, white, dtype) == (0.0, 255.0, np.uint8):
            return np.ascontiguousarray(self.values)
        if (black, white, dtype.kind, dtype.itemsize) == (0.0, _16_BITS, "u", 2):
            return np.ascontiguousarray(self.values, np.uint16)
        if dtype.kind in "bu" and dtype.itemsize <= 2:
            # A table: exact, and faster than arithmetic on each pixel.
            table = _stretched(np.arange(2 ** (8 * dtype.itemsize)), black, white)
            return table[self.values.astype(f"u{dtype.itemsize}")]
        return _stretched(self.values, black, white)


def _stretched(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint16]:
    if white <= black:
        return np.zeros(values.shape, np.uint16)
    fractions = (values.astype(np.float64) - black) / (white - black)
    fractions = np.nan_to_num(fractions, copy=False, nan=0.0)
    return cast("NDArray[np.uint16]", np.floor(np.clip(fractions, 0, 1) * _16_BITS + 0.5).astype(np.uint16))


def _to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return cast("NDArray[np.uint8]", values)
    return _OF_16_BITS[values]


_OF_16_BITS = ((np.arange(2**16) * 2 + 257) // 514).astype(np.uint8)
"""Value of 16 bits to the nearest of 8 bits, so that 257 v becomes v."""
