"""Sheets of photos and patches with captions."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from vision_assets.vision.draw.blocks import (
    BLUE,
    FAINT,
    PALE,
    VERMILLION,
    Block,
    fit_size,
    framed,
    hstack,
    padded,
    photo,
    resized,
    text_line,
    vstack,
)
from vision_assets.vision.draw.picture import Image, Picture, jpeg_picture

_WIDTH = 824
_HEADING = 15
_GAP = 8

_MOST_IMAGES = 30
_MOST_KEYPOINT_IMAGES = 6
_MOST_KEYPOINTS = 150
# Keypoints are drawn on an image enlarged by this factor, which is shrunk afterwards.
_FINER = 4
_BRIGHT = (255, 225, 25)
_DARK = (0, 0, 0)

_PATCHES_OF_A_WORD = 10
_PATCH = 62
_MOST_ROWS = 5
_WORDS_OF_AN_IMAGE = 6
_SQUARE = 98
_MOST_CLASSES = 8


class WordPatches(NamedTuple):
    """A word, shown by patches that its descriptors cover.

    Attributes
    ----------
    word_id : int
    note : str
        Text below its name.
    patches : sequence of ndarray of shape (side, side), dtype uint8
        The patch nearest to the centre first.
    """

    word_id: int
    note: str
    patches: Sequence[NDArray[np.uint8]]


class Example(NamedTuple):
    """An image that was classified.

    Attributes
    ----------
    image : ndarray of shape (height, width, 3) or (height, width), dtype uint8
        BGR or grey.
    caption : str
        Text below the image.
    name : str
        Name of the file, in a second line below it.
    """

    image: Image
    caption: str
    name: str


def contact_sheet(images: Sequence[tuple[str, Image]]) -> Picture:
    """Show thumbnails of images.

    Parameters
    ----------
    images : sequence of (str, ndarray of shape (height, width, 3) or (height, width), dtype uint8)
        Caption and image, BGR or grey. The first 30 are shown.

    Returns
    -------
    Picture
    """
    shown = images[:_MOST_IMAGES]
    columns, side = _columns(len(shown), 6, 270)
    cells = [
        vstack([photo(image, side, side), _caption(caption, side)], gap=2, align=0.5)
        for caption, image in shown
    ]
    return _sheet(_grid(cells, columns, side), f"{len(shown)} images")


def keypoint_sheet(images: Sequence[tuple[str, Image, NDArray[np.float32]]]) -> Picture:
    """Show the strongest keypoints of images as circles of their size with a radius at their angle.

    Parameters
    ----------
    images : sequence of (str, ndarray of dtype uint8, ndarray of shape (N, 5), dtype float32)
        Caption, image as above and keypoints: x, y, size (diameter), angle in degrees clockwise, response.
        The first 6 are shown.

    Returns
    -------
    Picture
    """
    shown = images[:_MOST_KEYPOINT_IMAGES]
    columns, side = _columns(len(shown), 3, 400)
    cells = [
        vstack(
            [
                _with_keypoints(image, keypoints, side),
                _caption(caption, side),
                text_line(_keypoint_note(len(keypoints)), side, colour=FAINT),
            ],
            gap=2,
            align=0.5,
        )
        for caption, image, keypoints in shown
    ]
    return _sheet(_grid(cells, columns, side), f"keypoints of {len(shown)} images")


def word_sheet(groups: Sequence[tuple[str, Sequence[WordPatches]]]) -> Picture:
    """Show words, one per row, by patches of descriptors that are near their centre.

    Parameters
    ----------
    groups : sequence of (str, sequence of WordPatches)
        A title and the words below it. The first 10 patches of a word are shown.

    Returns
    -------
    Picture
    """
    parts = [
        vstack(
            [
                text_line(title, _WIDTH, size=_HEADING, bold=True),
                *([_word_row(word) for word in words] or [_nothing("none")]),
            ],
            gap=4,
        )
        for title, words in groups
    ]
    return _sheet(parts, f"{sum(len(words) for _, words in groups)} words", gap=14)


def strongest_words_sheet(images: Sequence[tuple[str, Image, Sequence[WordPatches]]]) -> Picture:
    """Show images, one per row, and the words that weigh most in their vectors.

    Parameters
    ----------
    images : sequence of (str, ndarray of dtype uint8, sequence of WordPatches)
        Caption, image as above and words, the strongest first. The first 5 images are shown, with 6 words
        each and 4 patches per word.

    Returns
    -------
    Picture
    """
    shown = images[:_MOST_ROWS]
    width = 160
    rows = [
        hstack(
            [
                padded(
                    vstack([photo(image, width, 120), _caption(caption, width)], gap=2, align=0.5),
                    width,
                    across=0.5,
                ),
                *([_word_cell(word) for word in words[:_WORDS_OF_AN_IMAGE]] or [_nothing("no words")]),
            ],
            gap=12,
        )
        for caption, image, words in shown
    ]
    return _sheet(rows, f"strongest words of {len(shown)} images", gap=14)


def surest_sheet(rows: Sequence[tuple[str, Example | None, Example | None]]) -> Picture:
    """Show for each class the most certain correct prediction and the most certain wrong one.

    Parameters
    ----------
    rows : sequence of (str, Example or None, Example or None)
        Class, most certain correct example, most certain wrong example. The first 8 classes are shown.

    Returns
    -------
    Picture
    """
    shown = rows[:_MOST_CLASSES]
    columns = min(2, max(1, len(shown)))
    width = 196
    head = hstack(
        [
            padded(text_line("surest right", width, size=_HEADING, bold=True, colour=BLUE), width + _GAP),
            padded(text_line("surest wrong", width, size=_HEADING, bold=True, colour=VERMILLION), width),
        ]
    )
    cells = [
        vstack(
            [
                _rule(head.width),
                text_line(label, head.width, bold=True),
                hstack([_example(right, width), _example(wrong, width)], gap=_GAP),
            ],
            gap=3,
        )
        for label, right, wrong in shown
    ]
    lines = [hstack(cells[first : first + columns], gap=24) for first in range(0, len(cells), columns)]
    heads = [hstack([head] * columns, gap=24)] if lines else []
    return _sheet([*heads, *lines], f"surest right and wrong images of {len(shown)} classes")


def _columns(count: int, most: int, widest: int) -> tuple[int, int]:
    """Return the number of columns that fills the rows best, and the width of a column."""
    lines = max(1, math.ceil(count / most))
    columns = max(1, math.ceil(count / lines))
    return columns, min(widest, (_WIDTH - _GAP * (columns - 1)) // columns)


def _grid(cells: Sequence[Block], columns: int, width: int) -> list[Block]:
    """Arrange cells in lines, aligned at the bottom so that captions are on one line."""
    wide = [padded(cell, width, across=0.5) for cell in cells]
    return [
        hstack(wide[first : first + columns], gap=_GAP, align=1) for first in range(0, len(wide), columns)
    ]


def _sheet(lines: Sequence[Block], title: str, gap: int = 12) -> Picture:
    return jpeg_picture(framed(vstack(lines or [_nothing("no images")], gap=gap)), title)


def _caption(text: str, width: int) -> Block:
    return text_line(text, width)


def _nothing(text: str) -> Block:
    return text_line(text, _WIDTH, colour=FAINT)


def _rule(width: int) -> Block:
    return PillowImage.new("RGB", (width, 1), "#CCCCCC")


def _keypoint_note(count: int) -> str:
    if count > _MOST_KEYPOINTS:
        return f"{_MOST_KEYPOINTS} strongest of {count:,} keypoints"
    return "1 keypoint" if count == 1 else f"{count or 'no'} keypoints"


def _with_keypoints(image: Image, keypoints: NDArray[np.float32], side: int) -> Block:
    size = fit_size(image, side, side)
    large = resized(image, (size[0] * _FINER, size[1] * _FINER))
    gray = large if large.ndim == 2 else cv2.cvtColor(large, cv2.COLOR_BGR2GRAY)
    canvas = cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)
    strongest = keypoints[np.argsort(-keypoints[:, 4], kind="stable")[:_MOST_KEYPOINTS]].astype(np.float64)
    scales = np.array(large.shape[1::-1]) / image.shape[1::-1]
    # Centres of pixels have integer coordinates.
    centres = (strongest[:, :2] + 0.5) * scales - 0.5
    radii = np.maximum(strongest[:, 2] / 2 * scales.mean(), 2.5 * _FINER)
    angles = np.radians(strongest[:, 3])
    ends = centres + radii[:, None] * np.column_stack([np.cos(angles), np.sin(angles)])
    fixed = [np.rint(values).astype(int).tolist() for values in (centres, ends, radii)]
    # All outlines come before all lines, or the outline of one keypoint would cut the line of another.
    for colour, thickness in ((_DARK, 9), (_BRIGHT, 4)):
        for centre, end, radius in zip(*fixed, strict=True):
            cv2.circle(canvas, centre, radius, colour, thickness, cv2.LINE_AA)
            cv2.line(canvas, centre, end, colour, thickness, cv2.LINE_AA)
    return PillowImage.fromarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA))


def _word_label(word: WordPatches, width: int, align: float = 0.0) -> Block:
    return vstack(
        [text_line(f"word {word.word_id:,}", width), text_line(word.note, width, colour=FAINT)], align=align
    )


def _word_row(word: WordPatches) -> Block:
    patches = [photo(patch, _PATCH, _PATCH) for patch in word.patches[:_PATCHES_OF_A_WORD]]
    label = padded(_word_label(word, 158), 162)
    return hstack([label, *(patches or [_nothing("no patches")])], gap=4, align=0.5)


def _word_cell(word: WordPatches) -> Block:
    count = len(word.patches)
    if count > 1:
        side = (_SQUARE - 2) // 2
        patches = [photo(patch, side, side) for patch in word.patches[:4]]
        square = vstack([hstack(patches[row : row + 2], gap=2) for row in range(0, len(patches), 2)], gap=2)
    elif count == 1:
        square = photo(word.patches[0], _SQUARE, _SQUARE)
    else:
        square = _nothing("no patches")
    return vstack([padded(square, _SQUARE, _SQUARE), _word_label(word, _SQUARE)], gap=2)


def _example(example: Example | None, width: int) -> Block:
    height = 147
    if example is None:
        none = text_line("none", width, colour=FAINT, background=PALE)
        box = padded(none, width, height, across=0.5, down=0.5, colour=PALE)
        return vstack([box, _caption("", width), _caption("", width)], gap=2)
    image = padded(photo(example.image, width, height), width, height, across=0.5, down=1)
    name = text_line(example.name, width, colour=FAINT)
    return vstack([image, _caption(example.caption, width), name], gap=2, align=0.5)
