"""The memory of a run on small and on large images."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.commands import Config
from benchmarks.machine import available_memory
from benchmarks.report import PEAK_TITLES, Figures, Line, Report, Row, megabytes, peak_cells, peaks, table

_SMALL_SHARE = 4
_BYTES_PER_PIXEL = 260  # of a worker, at full size
_REST = 4000  # MB: the JVM and the driver


def _measure(bench: Bench) -> Figures:
    fewer = max(1, bench.count // _SMALL_SHARE)
    figures = {
        **_run(bench, "fewer", bench.some_images(fewer), fewer, _shrunk(bench.sizes.small_side)),
        **_run(bench, "more", bench.images, bench.count, _shrunk(bench.sizes.small_side)),
    }
    width, height = bench.sizes.photo
    photos, count = bench.photos(), bench.photo_count
    figures |= _run(bench, "shrunk", photos, count, _shrunk(bench.sizes.max_side))
    needed = bench.cores * width * height * _BYTES_PER_PIXEL / 1e6 + _REST
    if needed < available_memory():
        figures |= _run(bench, "full", photos, count)
    sides = {"small_side": bench.sizes.small_side, "max_side": bench.sizes.max_side}
    return figures | sides | {"megapixels": width * height / 1e6, "needed": needed}


def _shrunk(max_side: int) -> Config:
    return {"sift_features": {"max_side": max_side}}


def _run(bench: Bench, kind: str, images: Path, count: int, config: Config | None = None) -> dict[str, float]:
    with bench.scratch("data") as data:
        run = bench.run_job(data, images, config, watched=True)
    return {f"{kind} images": count} | peaks(kind, run.peak)


def _report(rounds: Sequence[Figures]) -> Report:
    figures = rounds[-1]
    photos = f"of {figures['megapixels']:.0f} megapixels"
    kinds = {
        "fewer": f"of at most {figures['small_side']} pixels",
        "more": f"of at most {figures['small_side']} pixels",
        "shrunk": f"{photos}, `max_side` {figures['max_side']:,}",
        "full": photos,
    }
    kinds = {
        kind: f"{figures[f'{kind} images']:,} images {what}"
        for kind, what in kinds.items()
        if f"{kind} images" in figures
    }

    def line(kind: str, against: str = "") -> Line:
        return Line(
            f"a worker's memory, {kinds[kind]}",
            megabytes(figures[f"{kind} worker"]),
            kinds.get(against, ""),
            megabytes(figures[f"{against} worker"]) if against else "",
            f"{figures[f'{kind} worker'] / figures[f'{against} worker']:.2f}" if against else "",
            "≤ 700 MB" + (", flat" if against else ""),
        )

    lines = [line("more", "fewer"), line("shrunk")]
    if "full" in kinds:
        lines.append(line("full"))
    else:
        missing = f"not measured: needs {megabytes(figures['needed'])} of free memory"
        lines.append(Line(f"a worker's memory, images {photos}", target="≤ 700 MB", note=missing))
    rows = [(what, *peak_cells(rounds, kind)) for kind, what in kinds.items()]
    return Report(lines, "Peak memory:\n\n" + table(("the full job on", *PEAK_TITLES), rows))


MEMORY = Row("memory", _measure, _report, once=True)
