"""Extracts many small images, a folder of photos and a giant image, and prints the memory of all processes.

    python -m vision_assets_tests.torture.load

Each case is a run of `image_seqfile` and `sift_features` in a process of its own. It is a fault if a worker
takes more memory than `Case.worker_limit`, or if another number of images than expected has an error.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import photos
from benchmarks.commands import Commands, Materialized

GIANT = (20_000, 10_000)
PHOTO = (6000, 4000)
SMALL_SIDE = 96
_ASSETS = ("image_seqfile", "sift_features")
_PER_FOLDER = 1000


@dataclass(frozen=True)
class Case:
    name: str
    source: Path
    worker_limit: float
    """MB of the largest worker."""
    failures: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    """Configuration of `sift_features`."""
    spark_config: dict[str, str] = field(default_factory=dict)


def draw_small(folder: Path, count: int) -> Path:
    """Draw small JPEGs of soft noise."""
    for number in range(count):
        generator = np.random.default_rng([20160122, number])
        grid = generator.integers(0, 256, (SMALL_SIDE // 6, SMALL_SIDE // 6, 3), np.uint8)
        image = cv2.resize(grid, (SMALL_SIDE, SMALL_SIDE), interpolation=cv2.INTER_CUBIC)
        file = folder / f"{number // _PER_FOLDER:03}" / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), image)
    return folder


def draw_large(folder: Path, count: int, size: tuple[int, int]) -> Path:
    photos.measure(str(folder), count, *size)
    return folder


def cases(folder: Path, small: int, photo_count: int) -> list[Case]:
    few = draw_small(folder / "few", small // 10)
    many = draw_small(folder / "many", small)
    large = draw_large(folder / "photos", photo_count, PHOTO)
    giant = draw_large(folder / "giant", 1, GIANT)
    shrunk = {"max_side": 1600}
    any_size = {"max_pixels": GIANT[0] * GIANT[1]}
    return [
        Case(f"{small // 10:,} images of {SMALL_SIDE} pixels", few, 300),
        Case(f"{small:,} images of {SMALL_SIDE} pixels", many, 300),
        Case(f"{photo_count} photos of 24 megapixels, max_side 1600", large, 650, 0, shrunk),
        Case("200 megapixels, defaults", giant, 300, 1),
        Case("200 megapixels, max_side 1600, max_pixels raised", giant, 1000, 0, shrunk | any_size),
        Case(
            "200 megapixels, max_pixels raised, workers bounded to 3 GB",
            giant,
            3 << 10,
            1,
            any_size,
            {"spark.executor.pyspark.memory": "3g"},
        ),
    ]


def row(case: Case, made: Materialized) -> list[str]:
    counts, peak = made.metadata["sift_features"], made.peak
    sizes = (peak.worker, peak.workers, peak.jvm, peak.driver, peak.total)
    return [
        case.name,
        f"{made.seconds:,.0f}",
        f"{counts['descriptors']:,}",
        f"{counts['failures']:,}",
        *(f"{size:,.0f}" for size in sizes),
    ]


def faults(case: Case, made: Materialized) -> list[str]:
    failures, largest = made.metadata["sift_features"]["failures"], made.peak.worker
    found = [] if failures == case.failures else [f"{failures} images have an error, not {case.failures}"]
    if largest > case.worker_limit:
        found.append(f"a worker took {largest:,.0f} MB, more than {case.worker_limit:,.0f}")
    return found


def _print(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", type=int, default=50_000)
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--only", default="", help="only cases with this in their name")
    options = parser.parse_args()
    sizes = ("largest worker", "all workers", "JVM", "driver", "all")
    found = []
    with tempfile.TemporaryDirectory(prefix="load-") as temporary:
        folder = Path(temporary)
        chosen = [case for case in cases(folder, options.small, options.photos) if options.only in case.name]
        _print(["images", "seconds", "descriptors", "errors", *(f"{size}, MB" for size in sizes)])
        _print(["---"] * 9)
        for number, case in enumerate(chosen):
            config = {"image_seqfile": {"source": str(case.source)}, "sift_features": case.config}
            commands = Commands(folder / f"history-{number}", case.spark_config)
            made = commands.materialize(folder / f"data-{number}", *_ASSETS, config=config, watched=True)
            _print(row(case, made))
            found += [f"{case.name}: {fault}" for fault in faults(case, made)]
    for fault in found:
        print(f"FAULT {fault}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
