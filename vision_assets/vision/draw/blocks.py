"""Blocks of pixels that are combined to sheets, so that nothing overlaps or is cut off."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from vision_assets.vision.draw.picture import Image
from vision_assets.vision.draw.text import fitted, get_font

Block = PillowImage.Image

WHITE = "#FFFFFF"
INK = "#1A1A1A"
FAINT = "#666666"
PALE = "#F2F2F2"
# Colours of Okabe and Ito, which colour-blind people can distinguish.
BLUE = "#0072B2"
ORANGE = "#E69F00"
VERMILLION = "#D55E00"

TEXT_SIZE = 13


def text_line(
    text: str,
    width: int,
    *,
    size: int = TEXT_SIZE,
    bold: bool = False,
    colour: str = INK,
    background: str = WHITE,
) -> Block:
    """Draw one line of text.

    Parameters
    ----------
    text : str
    width : int
        Maximum width in pixels; a longer text is shortened in its middle.
    size : int
        Size of the font in pixels.
    bold : bool
    colour, background : str

    Returns
    -------
    Block
        As wide as the text.
    """
    font = get_font(size, bold=bold)
    line = fitted(text, font, width - 2)
    block = PillowImage.new("RGB", (math.ceil(font.getlength(line)) + 2, sum(font.getmetrics())), background)
    ImageDraw.Draw(block).text((1, 0), line, fill=colour, font=font)
    return block


def fit_size(image: Image, width: int, height: int) -> tuple[int, int]:
    """Return the size at which an image fits into a box, with its shape kept.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3) or (height, width), dtype uint8
    width, height : int
        Size of the box in pixels.

    Returns
    -------
    tuple of (int, int)
        Width and height in pixels.
    """
    scale = min(width / image.shape[1], height / image.shape[0])
    return max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))


def resized(image: Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Shrink or enlarge an image.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3) or (height, width), dtype uint8
    size : tuple of int
        Width and height.

    Returns
    -------
    ndarray of shape (height, width, 3) or (height, width), dtype uint8
    """
    shrink = size[0] < image.shape[1]
    return np.asarray(
        cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC), np.uint8
    )


def photo(image: Image, width: int, height: int) -> Block:
    """Fit an image into a box.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3) or (height, width), dtype uint8
        BGR or grey.
    width, height : int
        Size of the box in pixels.

    Returns
    -------
    Block
        Of the size that the image has then.
    """
    pixels = resized(image, fit_size(image, width, height))
    code = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB
    return PillowImage.fromarray(cv2.cvtColor(pixels, code))


def padded(
    block: Block,
    width: int = 0,
    height: int = 0,
    *,
    across: float = 0.0,
    down: float = 0.0,
    colour: str = WHITE,
) -> Block:
    """Enlarge a block to at least a size.

    Parameters
    ----------
    block : Block
    width, height : int
        Minimum size in pixels.
    across, down : float
        Place of the block: 0 is at the left or top, 0.5 in the middle, 1 at the right or bottom.
    colour : str
        Colour of the added area.

    Returns
    -------
    Block
    """
    width, height = max(width, block.width), max(height, block.height)
    larger = PillowImage.new("RGB", (width, height), colour)
    larger.paste(block, (round((width - block.width) * across), round((height - block.height) * down)))
    return larger


def hstack(blocks: Sequence[Block], *, gap: int = 0, align: float = 0.0) -> Block:
    """Put blocks side by side.

    Parameters
    ----------
    blocks : sequence of Block
        At least one.
    gap : int
        Pixels between two blocks.
    align : float
        0 aligns them at the top, 0.5 in the middle, 1 at the bottom.

    Returns
    -------
    Block
    """
    return _stack(blocks, 0, gap, align)


def vstack(blocks: Sequence[Block], *, gap: int = 0, align: float = 0.0) -> Block:
    """Put blocks one below the other.

    Parameters
    ----------
    blocks : sequence of Block
        At least one.
    gap : int
        Pixels between two blocks.
    align : float
        0 aligns them at the left, 0.5 in the middle, 1 at the right.

    Returns
    -------
    Block
    """
    return _stack(blocks, 1, gap, align)


def _stack(blocks: Sequence[Block], axis: int, gap: int, align: float) -> Block:
    """Put blocks in a line along the axis x (0) or y (1)."""
    extent = max(block.size[1 - axis] for block in blocks)
    total = sum(block.size[axis] for block in blocks) + gap * (len(blocks) - 1)
    canvas = PillowImage.new("RGB", (total, extent) if axis == 0 else (extent, total), WHITE)
    start = 0
    for block in blocks:
        across = round((extent - block.size[1 - axis]) * align)
        canvas.paste(block, (start, across) if axis == 0 else (across, start))
        start += block.size[axis] + gap
    return canvas


def framed(block: Block, margin: int = 8) -> Block:
    """Put a white margin around a block.

    Parameters
    ----------
    block : Block
    margin : int
        Width of the margin in pixels.

    Returns
    -------
    Block
    """
    return padded(block, block.width + 2 * margin, block.height + 2 * margin, across=0.5, down=0.5)
