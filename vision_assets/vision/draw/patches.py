"""The part of an image that a descriptor covers."""

import math
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray


def cut_patch(
    gray: NDArray[np.uint8], keypoint: NDArray[np.float32], width_per_size: float, side: int = 48
) -> NDArray[np.uint8]:
    """Cut out the square that a descriptor covers, rotated into the frame of its keypoint.

    Parameters
    ----------
    gray : ndarray of shape (height, width), dtype uint8
    keypoint : ndarray of shape (5,), dtype float32
        x, y, size (diameter), angle in degrees clockwise, response; see
        `vision_assets.vision.features.codecs.KEYPOINT_FIELDS`.
    width_per_size : float
        Side of the square in the image, in sizes of the keypoint.
    side : int
        Side of the patch in pixels.

    Returns
    -------
    ndarray of shape (side, side), dtype uint8
        The keypoint is in the middle and its orientation points to the right. Border pixels are repeated
        outside of the image.
    """
    x, y, size, angle = (float(value) for value in keypoint[:4])
    width = max(size, 1e-3) * width_per_size
    region, left, top = _region(gray, x, y, width)
    step = width / side
    if step > 1:
        # A warp reads only a few pixels for each one of the result, so fine texture would turn into noise.
        shape = (max(1, round(region.shape[1] / step)), max(1, round(region.shape[0] / step)))
        scale_x, scale_y = shape[0] / region.shape[1], shape[1] / region.shape[0]
        region = cast("NDArray[np.uint8]", cv2.resize(region, shape, interpolation=cv2.INTER_AREA))
    else:
        scale_x = scale_y = 1.0
    # From a pixel of the patch to one of the region; centres of pixels have integer coordinates.
    cosine, sine = math.cos(math.radians(angle)) * step, math.sin(math.radians(angle)) * step
    middle = (side - 1) / 2
    turn = np.array(
        [
            [cosine, -sine, x - left + (sine - cosine) * middle],
            [sine, cosine, y - top - (sine + cosine) * middle],
        ]
    )
    scale = np.array([[scale_x], [scale_y]])
    turn = turn * scale
    turn[:, 2:] += scale / 2 - 0.5
    patch = cv2.warpAffine(
        region,
        turn,
        (side, side),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cast("NDArray[np.uint8]", patch)


def _region(gray: NDArray[np.uint8], x: float, y: float, width: float) -> tuple[NDArray[np.uint8], int, int]:
    """Return the part of the image around a square at any angle, and its first column and row."""
    reach = width * math.sqrt(0.5) + 3
    height_all, width_all = gray.shape
    left = min(max(math.floor(x - reach), 0), width_all - 1)
    top = min(max(math.floor(y - reach), 0), height_all - 1)
    right = min(max(math.ceil(x + reach) + 1, left + 1), width_all)
    bottom = min(max(math.ceil(y + reach) + 1, top + 1), height_all)
    return gray[top:bottom, left:right], left, top
