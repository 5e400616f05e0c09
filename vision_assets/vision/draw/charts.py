"""Charts of numbers, drawn with Matplotlib."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from vision_assets.vision.draw.blocks import BLUE, FAINT, INK, ORANGE, VERMILLION
from vision_assets.vision.draw.picture import Picture, png_picture
from vision_assets.vision.draw.text import fitted, get_font

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# At 72 dots per inch a point is a pixel.
_STYLE: dict[Any, object] = {
    "figure.dpi": 72,
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.labelsize": 12,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "text.parse_math": False,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.grid.axis": "y",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
}
_TITLE_SIZE = 14
# Left, bottom, width and height of the axes, in pixels.
_HISTOGRAM = (66, 52, 546, 188)
_MOST_BARS = 40
_MOST_ROWS = 40
_ROW = 26
# Matplotlib's settings are global to the process.
_MATPLOTLIB = threading.RLock()

_SCALES = ((1e15, "10¹⁵"), (1e12, "trillion"), (1e9, "billion"), (1e6, "million"), (1e3, "thousand"))


class _Bins(NamedTuple):
    """Bars of a histogram.

    Attributes
    ----------
    edges : ndarray of shape (bars + 1,), dtype float64
        A bar counts values of at least its left edge and less than its right edge.
    logarithmic : bool
    """

    edges: NDArray[np.float64]
    logarithmic: bool

    def place(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the places of values of 1 or more on the axis."""
        return np.log2(values) if self.logarithmic else values


def count_histogram(
    counts: Sequence[int] | NDArray[np.integer], *, title: str, x_label: str, y_label: str
) -> Picture:
    """Draw a histogram of counts and their median, on an axis that suits their spread.

    Parameters
    ----------
    counts : sequence of int
        Non-negative numbers. Zeros have a separate bar.
    title : str
    x_label : str
        What is counted.
    y_label : str
        What has the counts.

    Returns
    -------
    Picture
    """
    values = np.asarray(counts, np.float64)
    with _figure(640, 300) as figure:
        axes = _axes(figure, _HISTOGRAM)
        _text(figure, title, (12, 278), 616, size=_TITLE_SIZE, bold=True)
        axes.set_xlabel(fitted(x_label, get_font(12), _HISTOGRAM[2]))
        axes.set_ylabel(fitted(y_label, get_font(12), _HISTOGRAM[3]))
        if len(values):
            _draw_histogram(figure, axes, values)
        else:
            _say_empty(axes)
        return _rendered(figure, title)


def training_charts(inertia: Sequence[float], word_sizes: NDArray[np.int64]) -> Picture:
    """Draw the inertia of each iteration of a training and the sizes of the words.

    Parameters
    ----------
    inertia : sequence of float
        Inertia of the initial centres and after each iteration.
    word_sizes : ndarray of shape (k,), dtype int64
        Number of training descriptors of each word.

    Returns
    -------
    Picture
    """
    with _figure(840, 300) as figure:
        _draw_inertia(figure, _axes(figure, (66, 52, 328, 178)), np.asarray(inertia, np.float64))
        _draw_sizes(figure, _axes(figure, (490, 52, 320, 178)), np.sort(word_sizes)[::-1])
        return _rendered(figure, "inertia by iteration, and descriptors by word")


def accuracy_chart(names: Sequence[str], means: Sequence[float], deviations: Sequence[float]) -> Picture:
    """Draw accuracies with their standard deviations, one row each.

    Parameters
    ----------
    names : sequence of str
        What was tested, from the top.
    means, deviations : sequence of float
        Accuracies from 0 to 1, mean and standard deviation over the splits.

    Returns
    -------
    Picture
    """
    shown = list(zip(names, means, deviations, strict=True))[:_MOST_ROWS]
    height = 86 + _ROW * len(shown)
    with _figure(840, height) as figure:
        axes = _axes(figure, (300, 52, 510, height - 92))
        title = "mean accuracy of the classes"
        if len(shown) < len(names):
            title += f", the first {len(shown):,} of {len(names):,}"
        _text(figure, title, (12, height - 22), 816, size=_TITLE_SIZE, bold=True)
        rows = np.arange(len(shown))
        values, errors = (100 * np.array([row[at] for row in shown]) for at in (1, 2))
        axes.errorbar(values, rows, xerr=errors, fmt="o", color=BLUE, ecolor=FAINT, markersize=7, capsize=3)
        axes.set_yticks(rows, [fitted(name, get_font(12), 270) for name, _, _ in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlabel("percent; the line is one standard deviation over the splits")
        axes.grid(axis="x", visible=True)
        return _rendered(figure, "mean accuracy of the classes by settings")


@contextmanager
def _figure(width: int, height: int) -> Iterator["Figure"]:
    """Make a figure of a size in pixels, independent of the user's settings."""
    import matplotlib as mpl  # noqa: PLC0415 - takes a second, and not all that import this module draw
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    with _MATPLOTLIB, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield Figure((width / 72, height / 72))


def _rendered(figure: "Figure", title: str) -> Picture:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - as above

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return png_picture(PillowImage.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3].copy()), title)


def _axes(figure: "Figure", box: tuple[int, int, int, int]) -> "Axes":
    """Add axes, given left, bottom, width and height in pixels."""
    width, height = figure.get_size_inches() * 72
    left, bottom, across, up = box
    return figure.add_axes((left / width, bottom / height, across / width, up / height))


def _text(
    figure: "Figure",
    text: str,
    place: tuple[float, float],
    width: float,
    *,
    size: int = 12,
    bold: bool = False,
    colour: str = INK,
    align: Literal["left", "right"] = "left",
) -> None:
    """Write a line that begins or ends at a place, in pixels from the left and bottom."""
    across, up = figure.get_size_inches() * 72
    figure.text(
        place[0] / across,
        place[1] / up,
        fitted(text, get_font(size, bold=bold), width),
        fontsize=size,
        fontweight="bold" if bold else "normal",
        color=colour,
        ha=align,
        va="center",
    )


def _say_empty(axes: "Axes") -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, "no values", color=FAINT, ha="center", va="center", transform=axes.transAxes)


def _whole_ticks(low: float, high: float, most: int) -> NDArray[np.float64]:
    """Return evenly spaced integers within a range."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - as above

    ticks = np.asarray(MaxNLocator(most, integer=True, steps=[1, 2, 5, 10]).tick_values(low, high))
    return ticks[(ticks >= low) & (ticks <= high) & (ticks == np.rint(ticks))]


def _written(values: NDArray[np.float64]) -> list[str]:
    """Format numbers at an axis, large ones in millions."""
    return [f"{value / 1e6:,.6g}M" if value >= 1e6 else f"{value:,.0f}" for value in values]


def _draw_histogram(figure: "Figure", axes: "Axes", values: NDArray[np.float64]) -> None:
    positive = values[values > 0]
    bins = _choose_bins(positive)
    heights = np.histogram(positive, bins.edges)[0]
    places = bins.place(bins.edges)
    axes.bar(
        places[:-1], heights, np.diff(places), align="edge", color=BLUE, edgecolor="white", linewidth=0.7
    )
    zeros = len(values) - len(positive)
    bar = places[1] - places[0]
    zero = places[0] - 1.2 * bar
    low = places[0]
    if zeros:
        axes.bar([zero], [zeros], bar, color=ORANGE, edgecolor="white", linewidth=0.7)
        low = zero - bar / 2
    # A bar is at most a tenth of the axis wide.
    high = max(places[-1], low + 10 * bar)
    margin = (high - low) * 0.01
    axes.set_xlim(low - margin, high + margin)
    ticks = _count_ticks(bins)
    at = bins.place(ticks)
    if zeros:
        free = at > zero + (high - low) * 0.06
        ticks, at = np.append(0, ticks[free]), np.append(zero, at[free])
    axes.set_xticks(at, _written(ticks))
    top = max(int(heights.max(initial=0)), zeros)
    axes.set_ylim(0, top * 1.05)
    heights_shown = _whole_ticks(0, top * 1.05, 5)
    axes.set_yticks(heights_shown, _written(heights_shown))
    _mark_median(figure, axes, float(np.median(values)), bins, zero)


def _choose_bins(positive: NDArray[np.float64]) -> _Bins:
    """Return bins for numbers of 1 or more; logarithmic ones if a few are much larger than most."""
    if not len(positive):
        return _Bins(np.array([0.5, 1.5]), logarithmic=False)
    low, high = float(positive.min()), float(positive.max())
    if high > 8 * np.median(positive) and high >= 50:
        return _Bins(_log_edges(positive, low, high), logarithmic=True)
    low = 1 if low < high / 2 else low
    step = _bar_width((high - low + 1) / _MOST_BARS)
    first, last = np.floor((low - 1) / step), np.ceil(high / step)
    # Edges are halves, between integers.
    return _Bins(np.arange(first, last + 1) * step + 0.5, logarithmic=False)


def _log_edges(positive: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Return the narrowest bins of equal width on a logarithmic axis that contain several integers each."""
    usual = float(np.quantile(positive, 0.05))
    for bars in (4, 2, 1):
        first, last = np.floor(np.log2(low) * bars), np.floor(np.log2(high) * bars) + 1
        if usual * (2 ** (1 / bars) - 1) >= 4 and last - first <= _MOST_BARS:
            break
    return 2 ** (np.arange(first, last + 1) / bars)


def _bar_width(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, 50, ... that is no smaller than asked."""
    power = 10 ** np.floor(np.log10(max(least, 1)))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= least))


def _count_ticks(bins: _Bins) -> NDArray[np.float64]:
    low, high = float(bins.edges[0]), float(bins.edges[-1])
    return _log_ticks(low, high, 10) if bins.logarithmic else _whole_ticks(low, high, 8)


def _log_ticks(low: float, high: float, most: int) -> NDArray[np.float64]:
    """Return round integers within a range, for a logarithmic axis."""
    powers = 10.0 ** np.arange(max(0, np.floor(np.log10(low))), np.ceil(np.log10(high)) + 1)
    for steps in ([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1]):
        ticks = np.outer(powers, steps).ravel()
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        if len(ticks) <= most:
            break
    return ticks[:: -(-len(ticks) // most) or 1]


def _mark_median(figure: "Figure", axes: "Axes", median: float, bins: _Bins, zero: float) -> None:
    first = float(bins.edges[0])
    if median < first:
        place = float(np.interp(median, [0, first], [zero, bins.place(bins.edges)[0]]))
    else:
        place = float(bins.place(np.array([median]))[0])
    axes.axvline(place, color=VERMILLION, linewidth=2, linestyle=(0, (4, 2)))
    low, high = axes.get_xlim()
    share = (place - low) / (high - low)
    label = f"median {median:,.1f}".removesuffix(".0")
    # The label is above the axes, where no bar is, and begins or ends at the line.
    left, _, width, _ = _HISTOGRAM
    align: Literal["left", "right"] = "left" if share < 0.5 else "right"
    _text(figure, label, (left + width * share, 249), 280, colour=VERMILLION, align=align)


def _draw_inertia(figure: "Figure", axes: "Axes", inertia: NDArray[np.float64]) -> None:
    _text(figure, "inertia", (12, 280), 380, size=_TITLE_SIZE, bold=True)
    axes.set_xlabel("iteration")
    if not len(inertia):
        _say_empty(axes)
        return
    scale, name = next(((s, n) for s, n in _SCALES if np.abs(inertia).max() >= s), (1.0, ""))
    shown = inertia / scale
    axes.plot(
        np.arange(len(shown)),
        shown,
        color=BLUE,
        linewidth=2,
        marker="o",
        markersize=4 if len(shown) < 60 else 0,
    )
    axes.set_xlim(-0.5, max(1, len(shown) - 1) + 0.5)
    ticks = _whole_ticks(0, max(1, len(shown) - 1), 8)
    axes.set_xticks(ticks, _written(ticks))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    axes.set_ylabel(name)
    drop = f", {1 - shown[-1] / shown[0]:.1%} below the first" if len(shown) > 1 and shown[0] > 0 else ""
    last = f"final {shown[-1]:,.4g} {name}".rstrip()
    _text(figure, last + drop, (12, 257), 388, colour=FAINT)


def _draw_sizes(figure: "Figure", axes: "Axes", sizes: NDArray[np.int64]) -> None:
    _text(
        figure, "training descriptors of each word (log scale)", (436, 280), 388, size=_TITLE_SIZE, bold=True
    )
    empty = int((sizes == 0).sum())
    axes.set_xlabel("words, largest first" + (f" ({empty:,} without any)" if empty else ""))
    if not len(sizes):
        _say_empty(axes)
        return
    positive = sizes[sizes > 0]
    low, high = (float(positive[-1]), float(positive[0])) if len(positive) else (1.0, 1.0)
    # A logarithmic axis has no zero: empty words are drawn on its lower edge.
    floor = low / (2 if empty else 1.25)
    heights = np.maximum(sizes, floor)
    ranks = np.arange(1, len(sizes) + 1)
    axes.set_yscale("log")
    axes.plot(ranks, heights, color=BLUE, linewidth=2, drawstyle="steps-mid")
    for name, rank, value, colour, marker in (
        ("largest", 1, sizes[0], BLUE, "^"),
        ("median", (len(sizes) + 1) / 2, np.median(sizes), ORANGE, "o"),
        ("smallest", len(sizes), sizes[-1], VERMILLION, "v"),
    ):
        label = f"{name} {value:,.1f}".removesuffix(".0")
        axes.plot(
            rank, max(value, floor), marker, color=colour, markersize=8, clip_on=False, label=label, zorder=3
        )
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.05, 1.0),
        ncols=3,
        frameon=False,
        handletextpad=0.1,
        columnspacing=1,
    )
    axes.set_xlim(0.5, len(sizes) + 0.5)
    ticks = _whole_ticks(1, len(sizes), 6)
    axes.set_xticks(ticks, _written(ticks))
    axes.set_ylim(floor, high * 1.25)
    heights_shown = _log_ticks(floor, high * 1.25, 6)
    axes.set_yticks(heights_shown, _written(heights_shown))
    axes.set_yticks([], minor=True)
