"""Time the assets on a storage beside a local disk, by turns, and compare the tables to the bit.

python -m vision_assets_tests.systems.measure STORAGE IMAGES.tar FOLDER [--images 2000] [--rounds 3]
"""

import argparse
import io
import logging
import os
import statistics
import tarfile
from collections import defaultdict
from pathlib import Path

import dagster as dg

from benchmarks.files import spread
from vision_assets import settings
from vision_assets.snapshots.hadoop_files import HadoopFiles
from vision_assets.spark.jvm import hadoop_of
from vision_assets.spark.session import start_session
from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.pipeline import (
    UP_TO_ENCODINGS,
    AnyRunner,
    Runner,
    require_same_tables,
)
from vision_assets_tests.servers.storages import STORAGES
from vision_assets_tests.systems.conftest import Elsewhere, started

_DICTIONARY = {"k": 1000, "max_iter": 10}
Seconds = dict[str, list[float]]
"""Seconds of each asset, of all together, and of a second run's reuse, round by round."""


def some_images(archive: Path, count: int) -> bytes:
    """Return a tar with evenly spaced images of another one."""
    with tarfile.open(archive) as given, tarfile.open(fileobj=(some := io.BytesIO()), mode="w") as chosen:
        images = [member for member in given if member.name.endswith(".jpg")]
        for image in spread(images, count):
            chosen.addfile(image, given.extractfile(image))
    return some.getvalue()


def measure(pipeline: AnyRunner, source: str, seconds: Seconds) -> None:
    """Run the job on an empty data folder and once more, and add what it takes."""
    first, again = (durations(pipeline.run(source, kmeans_dictionary=_DICTIONARY)) for _ in range(2))
    for asset, taken in first.items():
        seconds[asset].append(taken)
    seconds["together"].append(sum(first.values()))
    reused = (taken for asset, taken in again.items() if asset != "kmeans_dictionary")
    seconds["again, without the dictionary"].append(sum(reused))


def durations(result: dg.ExecuteInProcessResult) -> dict[str, float]:
    """Return the seconds of each asset of a run."""
    done = [e for e in result.all_events if e.is_step_success and e.step_key in UP_TO_ENCODINGS]
    return {str(event.step_key): event.step_success_data.duration_ms / 1000 for event in done}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vision_assets_tests.systems.measure")
    parser.add_argument("storage", choices=STORAGES)
    parser.add_argument("archive", type=Path, help="a tar file of JPEG images")
    parser.add_argument("folder", type=Path, help="for all that is written")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    logging.getLogger("dagster").setLevel(logging.ERROR)
    os.environ[settings.CONNECTORS] = "s3a,alluxio"
    os.environ.setdefault(settings.SPARK_MASTER, "local[2]")
    spark = start_session()
    folder: Path = arguments.folder
    folder.mkdir(parents=True)
    archive = folder / "images.tar"
    archive.write_bytes(some_images(arguments.archive, arguments.images))
    write_sample_images(folder / "sample", images_per_class=3)
    Runner(folder / "warm").run(folder / "sample")  # what a JVM does but once
    local: Seconds = defaultdict(list)
    there: Seconds = defaultdict(list)
    with started(arguments.storage, folder / "server") as system:
        for name, value in system.properties.items():
            spark.sparkContext._jsc.hadoopConfiguration().set(name, value)
        HadoopFiles(system.uri, lambda: hadoop_of(spark)).create("images.tar", archive.read_bytes())
        Elsewhere(f"{system.uri}/warm", spark).run(folder / "sample")
        for number in range(arguments.rounds):
            here = Runner(folder / f"data_{number}")
            measure(here, str(archive), local)
            elsewhere = Elsewhere(f"{system.uri}/data_{number}", spark)
            measure(elsewhere, f"{system.uri}/images.tar", there)
            require_same_tables(elsewhere, here)
    print(
        f"{arguments.images} images, {arguments.rounds} rounds: seconds on {arguments.storage} (local disk)"
    )
    for what, taken in there.items():
        print(f"{what:30} {_shown(taken):>22}  ({_shown(local[what])})")


def _shown(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.1f} [{min(seconds):.1f} {max(seconds):.1f}]"


if __name__ == "__main__":
    main()
