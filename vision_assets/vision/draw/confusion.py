"""Confusion matrices of any number of classes."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from vision_assets.vision.draw.blocks import (
    FAINT,
    INK,
    TEXT_SIZE,
    WHITE,
    Block,
    framed,
    hstack,
    padded,
    text_line,
    vstack,
)
from vision_assets.vision.draw.picture import Picture, png_picture
from vision_assets.vision.draw.text import fitted, get_font

_WIDTH = 860
_MOST_COUNTED = 25
_MOST_DRAWN = 300
_MOST_CONFUSED = 20
# Minimum distance between labels in pixels, and space beyond the middle of the outermost.
_LINE = 15
_OVERHANG = 8
# Pixels beside labels and squares: the name of the axis and the overhang on both sides.
_BESIDE = 20 + 2 * _OVERHANG
_GRID = (222, 222, 222)
_HATCH = ((240, 240, 240), (205, 205, 205))


def confusion_matrix(matrix: NDArray[np.integer], labels: Sequence[str]) -> Picture:
    """Draw a confusion matrix, coloured by shares of the images of the true class.

    Up to 25 classes have their counts in the cells. More classes are drawn without counts, beyond 300 with
    several classes per cell, and the classes that are confused most often are drawn below with counts.

    Parameters
    ----------
    matrix : ndarray of shape (n, n), dtype int
        Number of images by true class (row) and predicted class (column).
    labels : sequence of str
        The n classes.

    Returns
    -------
    Picture
    """
    title = f"confusion matrix of {len(labels):,} classes"
    if not labels:
        return png_picture(framed(text_line("no classes", _WIDTH, colour=FAINT)), title)
    matrix = np.asarray(matrix, np.int64)
    shares = _shares(matrix)
    names = list(labels)
    parts = [_legend(bool(np.isnan(shares).any()))]
    if len(names) <= _MOST_COUNTED:
        parts.append(_counted(matrix, shares, names))
    else:
        parts += [_heading(f"all {len(names):,} classes{_pooling_note(len(names))}"), _whole(shares, names)]
        chosen = _most_confused(matrix, shares)
        if len(chosen):
            part = np.ix_(chosen, chosen)
            parts += [
                _heading(f"the {len(chosen)} classes confused most often, with numbers of images"),
                _counted(matrix[part], shares[part], [names[index] for index in chosen]),
            ]
        else:
            parts.append(_heading("no class is confused with another"))
    return png_picture(framed(vstack(parts, gap=14)), title, _colours(np.linspace(1e-9, 1, 256) ** 2))


def _shares(matrix: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the share of each count in its row; NaN in rows without images."""
    totals = matrix.sum(axis=1, keepdims=True, dtype=np.float64)
    return matrix / np.where(totals > 0, totals, np.nan)


def _most_confused(matrix: NDArray[np.integer], shares: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the classes that are confused most often, by number, then by share, in ascending order."""
    beside_diagonal = matrix.copy()
    np.fill_diagonal(beside_diagonal, 0)
    flat = beside_diagonal.ravel()
    found = np.flatnonzero(flat)
    chosen: set[int] = set()
    for cell in found[np.lexsort((-shares.ravel()[found], -flat[found]))]:
        both = chosen | {int(cell) // len(matrix), int(cell) % len(matrix)}
        if len(both) > _MOST_CONFUSED:
            break
        chosen = both
    return np.array(sorted(chosen), np.intp)


def _colours(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a colour for each share: white for 0, yellow for small ones, dark blue for 1."""
    ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[::-1].reshape(-1, 1), cv2.COLORMAP_CIVIDIS)
    # The square root, and a first colour far from white, make a single image visible.
    levels = np.rint(30 + 225 * np.sqrt(np.nan_to_num(shares))).astype(np.intp)
    colours = ramp[:, 0, ::-1][levels]
    colours[~(shares > 0)] = 255
    return np.ascontiguousarray(colours)


def _cells(shares: NDArray[np.float64], cell: int) -> Block:
    """Draw the squares of a matrix with a frame, and with lines between them if they are large."""
    size = len(shares) * cell
    pixels = _colours(shares).repeat(cell, axis=0).repeat(cell, axis=1)
    unknown = np.isnan(shares[:, 0]).repeat(cell)
    pixels[unknown] = _hatching(size, size)[unknown]
    if cell >= 10:
        pixels[::cell] = _GRID
        pixels[:, ::cell] = _GRID
    return _outlined(PillowImage.fromarray(pixels))


def _hatching(height: int, width: int) -> NDArray[np.uint8]:
    stripes = np.add.outer(np.arange(height), np.arange(width)) % 6 < 2
    return np.where(stripes[:, :, None], _HATCH[1], _HATCH[0]).astype(np.uint8)


def _outlined(block: Block) -> Block:
    return padded(block, block.width + 2, block.height + 2, across=0.5, down=0.5, colour="#999999")


def _heading(text: str) -> Block:
    return text_line(text, _WIDTH, size=15, bold=True)


def _pooling_note(count: int) -> str:
    pool = _pool(count)
    return f"; a cell is the largest share among {pool} by {pool} classes" if pool > 1 else ""


def _pool(count: int) -> int:
    return math.ceil(count / _MOST_DRAWN)


def _whole(shares: NDArray[np.float64], labels: Sequence[str]) -> Block:
    """Draw the complete matrix, with as many labels as fit."""
    pool = _pool(len(labels))
    pooled = _pooled(shares, pool)
    widest = min(140, _widest(labels))
    cell = max(1, (_WIDTH - widest - _BESIDE) // len(pooled))
    step = math.ceil(_LINE / cell)
    return _with_axes(_cells(pooled, cell), labels[:: pool * step], step * cell, cell, widest)


def _pooled(shares: NDArray[np.float64], pool: int) -> NDArray[np.float64]:
    """Return the maximum of each square of shares; NaN only where all rows are without images."""
    if pool == 1:
        return shares
    starts = np.arange(0, len(shares), pool)
    by_rows = np.fmax.reduceat(shares, starts, axis=0)
    return np.asarray(np.fmax.reduceat(by_rows, starts, axis=1))


def _counted(counts: NDArray[np.integer], shares: NDArray[np.float64], labels: Sequence[str]) -> Block:
    """Draw a small matrix with all labels and counts."""
    widest = min(160, _widest(labels))
    cell = min(64, max(32, 520 // len(labels)), (_WIDTH - widest - _BESIDE) // len(labels))
    block = _cells(shares, cell)
    draw = ImageDraw.Draw(block)
    colours = _colours(shares)
    texts = {(row, column): counts[row, column] for row, column in np.argwhere(counts)}
    size, texts = _count_texts(texts, cell - 3)
    font = get_font(size)
    for (row, column), text in texts.items():
        place = (1 + (column + 0.5) * cell, 1 + (row + 0.5) * cell)
        fill = INK if colours[row, column] @ (0.299, 0.587, 0.114) > 128 else WHITE
        draw.text(place, text, fill=fill, font=font, anchor="mm")
    return _with_axes(block, labels, cell, cell, widest)


def _count_texts(counts: dict[tuple[int, int], int], width: int) -> tuple[int, dict[tuple[int, int], str]]:
    """Return a font size and texts of the counts that fit, in thousands if necessary."""
    for size in (TEXT_SIZE, 11):
        texts = {cell: f"{count:,}" for cell, count in counts.items()}
        if all(get_font(size).getlength(text) <= width for text in texts.values()):
            return size, texts
    return 11, {cell: _compact(int(count)) for cell, count in counts.items()}


def _compact(count: int) -> str:
    """Format a number with three digits at most."""
    for power, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= power:
            return f"{count / power:.1f}{unit}" if count < 9.95 * power else f"{count // power}{unit}"
    return str(count)


def _widest(labels: Sequence[str]) -> int:
    font = get_font(TEXT_SIZE)
    return max(math.ceil(font.getlength(fitted(label, font, 200))) for label in labels) + 2


def _with_axes(block: Block, labels: Sequence[str], distance: int, cell: int, widest: int) -> Block:
    """Put labels and names of the axes around the squares of a matrix.

    Parameters
    ----------
    block : Block
    labels : sequence of str
    distance : int
        Pixels from one label to the next.
    cell : int
        Side of a square in pixels.
    widest : int
        Maximum width of a label in pixels.

    Returns
    -------
    Block
    """
    rows = _label_column(labels, block.height, distance, cell, widest, align=1)
    columns = _label_column(labels, block.width, distance, cell, widest, align=0).rotate(90, expand=True)
    true, predicted = (text_line(f"{which} class", 300, colour=FAINT) for which in ("true", "predicted"))
    true = true.rotate(90, expand=True)
    left, top = true.width + 4 + rows.width, predicted.height + 6 + columns.height
    width = max(block.width + _OVERHANG, predicted.width)
    canvas = PillowImage.new("RGB", (left + width, top + block.height + _OVERHANG), WHITE)
    canvas.paste(rows, (left - rows.width, top - _OVERHANG))
    canvas.paste(columns, (left - _OVERHANG, top - columns.height))
    canvas.paste(block, (left, top))
    canvas.paste(true, (0, top + max(0, (block.height - true.height) // 2)))
    canvas.paste(predicted, (left + max(0, (block.width - predicted.width) // 2), 0))
    return canvas


def _label_column(
    labels: Sequence[str], height: int, distance: int, cell: int, width: int, *, align: int
) -> Block:
    """Write labels one below the other beside their squares, with ticks if squares are small."""
    lines = [text_line(label, width) for label in labels]
    column = PillowImage.new(
        "RGB", (max(line.width for line in lines) + _OVERHANG, height + 2 * _OVERHANG), WHITE
    )
    draw = ImageDraw.Draw(column)
    for index, line in enumerate(lines):
        middle = _OVERHANG + 1 + index * distance + cell / 2
        left = column.width - _OVERHANG - line.width if align else _OVERHANG
        column.paste(line, (left, round(middle - line.height / 2)))
        if distance > cell:
            tick = column.width - 5 if align else 0
            draw.line([(tick, int(middle)), (tick + 4, int(middle))], fill=FAINT)
    return column


def _legend(unknown: bool) -> Block:
    """Draw the legend of the colours."""
    width, height = 260, 14
    ramp = _colours(np.linspace(1e-9, 1, width)[None, :] ** 2).repeat(height, axis=0)
    scale = PillowImage.new("RGB", (width + 40, 20), WHITE)
    draw = ImageDraw.Draw(scale)
    for percent in (1, 10, 25, 50, 100):
        place = 20 + width * math.sqrt(percent / 100)
        draw.line([(place, 0), (place, 3)], fill=FAINT)
        draw.text((place, 4), f"{percent}%", fill=INK, font=get_font(TEXT_SIZE), anchor="mt")
    bar = vstack([_outlined(PillowImage.fromarray(ramp)), scale], align=0.5)
    none = _outlined(PillowImage.new("RGB", (height, height), WHITE))
    boxes = [hstack([none, text_line("none", 100)], gap=4)]
    if unknown:
        hatched = _outlined(PillowImage.fromarray(_hatching(height, height)))
        boxes.append(hstack([hatched, text_line("class without images", 200)], gap=4))
    return hstack([text_line("share of the true class's images", 300), *boxes[:1], bar, *boxes[1:]], gap=12)
