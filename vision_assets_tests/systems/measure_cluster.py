"""Time extraction, and a dictionary on all descriptors, on clusters of one worker and of two, by turns.

python -m vision_assets_tests.systems.measure_cluster IMAGES.tar FOLDER [--rounds 2] [--driver-on-first-core]

Each worker keeps to one core. The driver uses both, which helps one worker more than two; or it keeps to the
core of the first worker, and one core is measured beside two.
"""

import argparse
import os
import statistics
from pathlib import Path

from vision_assets_tests.pipeline import UP_TO_ENCODINGS, Runner, require_same_tables
from vision_assets_tests.servers.spark_cluster import spark_cluster
from vision_assets_tests.systems.processes import begin, materialize, output

_DICTIONARY = {"descriptors_per_word": None, "tol": 0.0}


def measure(folder: Path, images: Path, workers: int, *, driver_on_first_core: bool) -> Runner:
    """Run the job on a cluster of its own."""
    folder.mkdir(parents=True)
    config = {"image_seqfile": {"source": str(images)}, "kmeans_dictionary": _DICTIONARY}
    # All of a worker's, so that it keeps all descriptors in memory even alone.
    (folder / "spark-defaults.conf").write_text("spark.executor.memory 4g")
    with spark_cluster(folder / "cluster", workers, pinned=True) as cluster:
        environment = cluster.environment | {"SPARK_CONF_DIR": str(folder)}
        run = begin(folder, materialize(UP_TO_ENCODINGS, config), str(folder / "data"), environment)
        if driver_on_first_core:
            os.sched_setaffinity(run.pid, {min(os.sched_getaffinity(0))})  # before it starts its JVM
        if run.wait() != 0:
            raise SystemExit(output(folder))
    return Runner(folder / "data")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m vision_assets_tests.systems.measure_cluster")
    parser.add_argument("images", type=Path, help="a folder or a tar file")
    parser.add_argument("folder", type=Path, help="for all that is written")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--driver-on-first-core", action="store_true")
    arguments = parser.parse_args()
    images = arguments.images.absolute()
    ratios: dict[str, list[float]] = {asset: [] for asset in UP_TO_ENCODINGS}
    for number in range(arguments.rounds):
        one, two = (
            measure(
                arguments.folder.absolute() / f"{number}_{workers}",
                images,
                workers,
                driver_on_first_core=arguments.driver_on_first_core,
            )
            for workers in (1, 2)
        )
        for asset in UP_TO_ENCODINGS:
            alone, both = (made.current(asset).seconds for made in (one, two))
            ratios[asset].append(alone / both)
            print(f"{asset:20} {alone:8.1f} s  {both:8.1f} s  1/{ratios[asset][-1]:.2f}", flush=True)
        require_same_tables(one, two)
    print({asset: round(statistics.median(found), 2) for asset, found in ratios.items()})


if __name__ == "__main__":
    main()
