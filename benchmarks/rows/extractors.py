"""The features of each extractor on the same images: images per second, descriptors, room and memory."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.commands import Config, Materialized
from benchmarks.report import Figures, Line, Report, Row, megabytes, number, seconds
from vision_assets.pipelines import PIPELINES, Pipeline


def _measure(bench: Bench) -> Figures:
    figures: dict[str, float] = {
        "images": min(bench.count, bench.sizes.extractor_images),
        "cores": bench.cores,
        "max_side": bench.sizes.max_side,
    }
    for name, pipeline in PIPELINES.items():
        figures |= {f"{name} {what}": value for what, value in _of_one(bench, pipeline).items()}
    return figures


def _of_one(bench: Bench, pipeline: Pipeline) -> dict[str, float]:
    def run(images: Path, *, watched: bool = False, **settings: int) -> Materialized:
        config: Config = {"image_seqfile": {"source": str(images)}, pipeline.asset("features"): settings}
        with bench.scratch("data") as data:
            return bench.commands.materialize(
                data, "image_seqfile", pipeline.asset("features"), config=config, watched=watched
            )

    made = run(bench.some_images(bench.sizes.extractor_images)).metadata[pipeline.asset("features")]
    photos = run(bench.photos(), watched=True, max_side=bench.sizes.max_side)
    return {name: made[name] for name in ("seconds", "descriptors", "size_mb")} | {
        "worker": photos.peak.worker
    }


def _report(rounds: Sequence[Figures]) -> Report:
    figures = rounds[-1]
    images = figures["images"]

    def line(name: str, pipeline: Pipeline) -> Line:
        taken, descriptors, size, worker = (
            figures[f"{name} {what}"] for what in ("seconds", "descriptors", "size_mb", "worker")
        )
        note = (
            f"{images:,} images: {number(images / taken / figures['cores'])} per second and core, "
            f"{descriptors / images:,.0f} descriptors and {number(1000 * size / images)} kB each; a worker's "
            f"memory, photos of `max_side` {figures['max_side']:,}: {megabytes(worker)}"
        )
        return Line(f"`{pipeline.asset('features')}`", seconds(taken), target="none", note=note)

    return Report([line(name, pipeline) for name, pipeline in PIPELINES.items()])


EXTRACTORS = Row("extractors", _measure, _report, once=True)
