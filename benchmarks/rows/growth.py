"""Whether time grows in proportion to the number of images, once the start-up is subtracted."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.bench import Bench
from benchmarks.commands import ASSETS
from benchmarks.files import link_copies
from benchmarks.report import Figures, Line, Report, Row, median, number, seconds, table

_FULL = "full job"
# The dictionary is trained on a sample, so it takes the same time from some number of images on.
_PROPORTIONAL = (_FULL, "image_seqfile", "sift_features", "bow_encodings")


def _measure(bench: Bench) -> Figures:
    # The very same images once, twice, ...: other images would be other work.
    times = bench.sizes.growth
    base = bench.some_images(max(1, bench.count // times[-1]))
    figures: dict[str, float] = {"images": max(1, bench.count // times[-1])}
    for copies in times:
        images = bench.folder / f"{copies}_copies"
        if not images.exists():
            link_copies(base, copies, images)
        with bench.scratch("data") as data:
            run = bench.run_job(data, images)
        figures[f"{_FULL} {copies}"] = run.seconds
        figures |= {f"{asset} {copies}": run.metadata[asset]["seconds"] for asset in ASSETS}
    return figures


class Growth(NamedTuple):
    """A line fitted to times, and how far each time without the start-up is off proportion."""

    start: float
    slope: float
    deviations: list[float]


def fit(times: Sequence[int], measured: Sequence[float]) -> Growth:
    """Fit ``start + slope · times`` so that the relative deviations from proportion are least."""
    x, y = np.array(times, float), np.array(measured)
    slope, start = np.polyfit(x, y, 1, w=1 / x)
    return Growth(float(start), float(slope), ((y - start) / (slope * x) - 1).tolist())


def _report(rounds: Sequence[Figures]) -> Report:
    times = [int(name.rpartition(" ")[2]) for name in rounds[0] if name.startswith(_FULL)]
    growths = {
        part: fit(times, [median(rounds, f"{part} {copies}") for copies in times]) for part in _PROPORTIONAL
    }
    full = growths[_FULL]
    # Where start-up takes most of the time, the rest is noise.
    telling = {part for part, growth in growths.items() if growth.slope * times[-1] > growth.start}
    line = Line(
        f"growth of the full job, 1 to {times[-1]} times {rounds[0]['images']:,} images",
        f"{max(map(abs, full.deviations)):.1%}",
        "a straight line",
        ratio="largest deviation",
        target="≤ 5 %",
        note=f"start-up {seconds(full.start)} subtracted" if full.start > 0 else "no start-up",
    )
    rows = [
        (
            f"{copies * rounds[0]['images']:,}",
            *(
                number(median(rounds, f"{part} {copies}"))
                + (f" ({growths[part].deviations[index]:+.1%})" if part in telling else "")
                for part in (_FULL, *ASSETS)
            ),
        )
        for index, copies in enumerate(times)
    ]
    return Report(
        [line],
        "Seconds by number of images (in brackets: deviation from proportion, each start-up subtracted):\n\n"
        + table(("images", _FULL, *(f"`{asset}`" for asset in ASSETS)), rows),
    )


GROWTH = Row("growth", _measure, _report)
