"""Two at once: runs of the same assets, a run and readers, a run and the clean-up, on one data folder.

    python -m vision_assets_tests.torture.two_at_once --rounds 20

Two processes run assets, each in a JVM of its own, while this one reads or cleans up. The source changes
before each case, so that rows are taken over from snapshots that the other run removes: in half of the rounds
only the newest is kept. It is a fault if a run or a reader fails, if what becomes current is another table
than that of an undisturbed run, if a kept snapshot is not complete, or if anything is left behind.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, Self

import pandas as pd

from vision_assets import settings
from vision_assets.prediction import Prediction, predict
from vision_assets.snapshots.store import Snapshot, open_store
from vision_assets.vision.classification.linear import classifier_from_npz, classifier_to_npz
from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.pipeline import Runner
from vision_assets_tests.torture import kills
from vision_assets_tests.torture.kills import ASSETS, CONFIG, is_equal, leftovers

_IMAGES_PER_CLASS = 5
_PATH = "import vision_assets.cli; vision_assets.cli.main(['path', 'sift_features'])"


class RunAssets(Protocol):
    """Runs assets, in whatever process; raises if they fail."""

    def __call__(self, data: Path, source: Path, assets: Sequence[str], keep: int) -> None: ...


def run_here(data: Path, source: Path, assets: Sequence[str], keep: int) -> None:
    config: dict[str, Any] = {name: CONFIG[name] for name in assets if name in CONFIG}
    Runner(data).run(source if "image_seqfile" in assets else None, *assets, keep=keep, **config)


class Process:
    """Runs assets in a process of its own, one command after the other."""

    def __init__(self, log: Path) -> None:
        environment = os.environ | {
            settings.SPARK_MASTER: "local[2]",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONWARNINGS": "ignore::FutureWarning",
            "DAGSTER_DISABLE_TELEMETRY": "1",
        }
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vision_assets_tests.torture.two_at_once", "--serve"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )

    def __call__(self, data: Path, source: Path, assets: Sequence[str], keep: int) -> None:
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([str(data), str(source), assets, keep]), file=self._process.stdin, flush=True)
        if error := json.loads(self._process.stdout.readline()):
            raise RuntimeError(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def serve() -> None:
    """Run what each line of the input asks for, and answer with the error or none."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # for what else is printed
        for line in sys.stdin:
            data, source, assets, keep = json.loads(line)
            answer = None
            try:
                run_here(Path(data), Path(source), assets, keep)
            except BaseException as error:  # noqa: BLE001 - all are faults
                answer = f"{type(error).__name__}: {error}"
            print(json.dumps(answer), file=answers, flush=True)


def table(snapshot: Snapshot) -> Any:
    """Return a complete table, to be compared; a classifier without the name of its dictionary's snapshot."""
    found = kills.table(snapshot)
    if snapshot.asset != "image_classifier":
        return found
    return classifier_to_npz(replace(classifier_from_npz(found), dictionary=""))


class Source:
    """A folder of images with two states: in one of them every fifth image is missing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "source"
        self.is_complete = True
        self._away = folder / "away"
        write_sample_images(self.folder, images_per_class=_IMAGES_PER_CLASS)
        files = sorted(self.folder.rglob("*.jpg"))
        self.image = files[1]
        self._moved = [file.relative_to(self.folder) for file in files[::5]]

    def change(self) -> None:
        """Go to the other state."""
        here, there = (self.folder, self._away) if self.is_complete else (self._away, self.folder)
        for name in self._moved:
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).rename(there / name)
        self.is_complete = not self.is_complete


class World:
    """A data folder with two who run assets on it, and what an undisturbed run makes of each state."""

    def __init__(self, folder: Path, runners: tuple[RunAssets, RunAssets]) -> None:
        self.data = folder / "data"
        self.source = Source(folder)
        self.done: Counter[str] = Counter()
        self._store = open_store(str(self.data))
        self._runners = runners
        self._expected: dict[bool, dict[str, Any]] = {}
        self._predictions: list[Prediction] = []
        self._left = folder / "left"
        for _ in range(2):
            self.source.change()
            runners[0](self.data, self.source.folder, ASSETS, 1)
            tables = {asset: table(self._store.require_current((asset,))) for asset in ASSETS}
            self._expected[self.source.is_complete] = tables
            self._predictions += predict(self.source.image, data_folder=self.data)
        shutil.copytree(self._store.require_current(("sift_features",)).uri, self._left)

    # ------------------------------------------------------------------------------------------- cases

    def two_runs_of_one_asset(self, keep: int) -> None:
        """Images, features and dictionary, after a run of the features that has died late."""
        self.source.change()
        for asset in ASSETS[:3]:
            if asset == "sift_features" and self.source.is_complete:
                self._leave_features()
            self._at_once([asset], [asset], keep)
            self._check(asset)

    def two_runs_of_all_assets(self, keep: int) -> None:
        self.source.change()
        self._at_once(ASSETS, ASSETS, keep)
        self._check(*ASSETS)

    def a_run_and_readers(self, keep: int) -> None:
        """All assets, while the report is made of what is there, and others read or predict."""
        self.source.change()
        with self._again_and_again(self._read_path, self._read_held, self._predict):
            self._at_once(ASSETS, ["classification_report"], keep)
        self._check(*ASSETS[:-1])  # the report may be of the classifier before

    def a_run_and_one_downstream(self, keep: int) -> None:
        self.source.change()
        self._at_once(ASSETS[:2], ASSETS[2:4], keep)
        self._check(*ASSETS[:2])  # the others may be of the features before or after

    def a_run_and_the_clean_up(self, keep: int) -> None:
        self.source.change()
        with self._again_and_again(self._clean_up):
            self._at_once(ASSETS, [], keep)
        self._check(*ASSETS)

    # ------------------------------------------------------------------------------------------- steps

    def _at_once(self, one: Sequence[str], other: Sequence[str], keep: int) -> None:
        with ThreadPoolExecutor(2) as pool:
            runs = [
                pool.submit(runner, self.data, self.source.folder, assets, keep)
                for runner, assets in zip(self._runners, (one, other), strict=True)
                if assets
            ]
        for run in runs:
            run.result()
        self.done["runs"] += len(runs)

    def _leave_features(self) -> None:
        """Leave all features as a run does that dies before its commit."""
        version = self._store.require_current(("sift_features",)).row_version
        pending = self._store.begin(("sift_features",), "that died", {}, version)
        shutil.copytree(self._left, pending.uri)
        self._store.abandon(pending)

    @contextmanager
    def _again_and_again(self, *actions: Callable[[], object]) -> Iterator[None]:
        over = threading.Event()

        def repeat(action: Callable[[], object]) -> None:
            while not over.is_set():
                action()
                self.done[action.__name__.strip("_")] += 1

        with ThreadPoolExecutor(len(actions)) as pool:
            repeated = [pool.submit(repeat, action) for action in actions]
            try:
                yield
            finally:
                over.set()
        for one in repeated:
            one.result()

    def _read_path(self) -> None:
        """As who asks for a path and reads the folder: all of its rows, or it is gone and he asks again."""
        environment = os.environ | {settings.DATA: str(self.data)}
        printed = subprocess.run(
            [sys.executable, "-c", _PATH], env=environment, capture_output=True, text=True, check=True
        )
        try:
            rows = len(pd.read_parquet(Path(printed.stdout.strip())))
        except FileNotFoundError:
            self.done["paths gone"] += 1
            return
        counts = [len(tables["sift_features"]) for tables in self._expected.values()]
        assert rows in counts, f"{printed.stdout} has {rows} rows, not one of {counts}"

    def _read_held(self) -> None:
        """As who keeps a snapshot from being removed while he reads it."""
        held = self._store.lease(lambda: self._store.require_current(("bow_encodings",)), "")
        assert held
        snapshot, hold = held
        try:
            assert len(pd.read_parquet(snapshot.uri)) == snapshot.rows
        finally:
            self._store.discard(hold)

    def _predict(self) -> None:
        (prediction,) = predict(self.source.image, data_folder=self.data)
        assert prediction in self._predictions, f"{prediction} is not one of {self._predictions}"

    def _clean_up(self) -> None:
        for asset in ASSETS:
            self._store.prune((asset,), 1)

    def _check(self, *made: str) -> None:
        """Look at all snapshots; the current ones of what was made are as an undisturbed run's."""
        for asset in ASSETS:
            tables = [table(snapshot) for snapshot in self._store.snapshots((asset,))]
            expected = self._expected[self.source.is_complete][asset]
            assert asset not in made or is_equal(tables[-1], expected), f"{asset} has other rows"
        self._check_order()
        left = leftovers(self.data, self._store, ASSETS)
        assert not left, f"left: {left}"

    def _check_order(self) -> None:
        """The last commit wins; of two at the same moment, which have the same number, either."""
        for asset in ASSETS:
            for before, after in pairwise(self._store.snapshots((asset,))):
                same = before.sequence == after.sequence
                self.done["commits at the same moment"] += same
                # Not the times of the files: a manifest is written again if a reader begins amid its removal.
                in_order = before.committed_at <= after.committed_at
                assert same or in_order, f"{before.name} was committed after {after.name}"


CASES = {
    case.__name__.replace("_", "-"): case
    for case in (
        World.two_runs_of_one_asset,
        World.two_runs_of_all_assets,
        World.a_run_and_readers,
        World.a_run_and_one_downstream,
        World.a_run_and_the_clean_up,
    )
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--folder", type=Path, default=Path("two_at_once"))
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return 0
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    folder = options.folder.absolute()
    rounds: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    with Process(folder / "one.log") as one, Process(folder / "other.log") as other:
        world = World(folder, (one, other))
        for number in range(options.rounds):
            for name in options.cases:
                started = time.monotonic()
                try:
                    CASES[name](world, 3 if number // 2 % 2 else 1)
                except Exception as error:  # noqa: BLE001 - all are faults
                    faults[name] += 1
                    print(
                        f"FAULT in round {number}, {name}: {type(error).__name__}: {error}"[:3000], flush=True
                    )
                rounds[name] += 1
                seconds[name] += round(time.monotonic() - started)
            print(f"round {number + 1} of {options.rounds}: {sum(faults.values())} faults", flush=True)
    print("| case | rounds | with a fault | seconds |\n|---|---|---|---|")
    for name, count in rounds.items():
        print(f"| {name.replace('-', ' ')} | {count} | {faults[name]} | {seconds[name]:,} |")
    print(", ".join(f"{name.replace('_', ' ')}: {count:,}" for name, count in sorted(world.done.items())))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
