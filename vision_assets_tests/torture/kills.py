"""Kills or interrupts real runs at random moments, and looks at what is left and what the next run makes.

    python -m vision_assets_tests.torture.kills --kills 120 --seed 1

A trial materializes one asset in a process of its own, beside snapshots of an earlier state of the source or
none. It kills the driver at an operation on the storage, or at a random time the driver, its JVM or a Python
worker, or it interrupts the driver at an operation on the storage, which must end the run within ten seconds.
Afterwards every current snapshot must be complete; one more run must succeed, give the tables of an
undisturbed run to the bit and leave nothing behind.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from vision_assets import settings
from vision_assets.pipelines import PIPELINES
from vision_assets.snapshots.store import Snapshot, SnapshotStore, open_store
from vision_assets.vision.classification.linear import CLASSIFIER_FILE
from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.torture.one_run import OPERATIONS, SENT

ASSETS = (
    "image_seqfile",
    "sift_features",
    "kmeans_dictionary",
    "bow_encodings",
    "image_labels",
    "image_classifier",
    "image_predictions",
    "classification_report",
)
CONFIG: dict[str, dict[str, Any]] = {
    **{spec.asset("features"): {"partitions": 6} for spec in PIPELINES.values()},
    "kmeans_dictionary": {"k": 16, "max_iter": 8, "tol": 0.0},
    "image_classifier": {"train_per_class": 3, "splits": 2, "max_iter": 5},
}
VICTIMS = ("storage", "driver", "java", "worker", "interrupt")
_AT_OPERATION = ("storage", "interrupt")
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED = 130  # exit status
_TO_STOP = 10.0  # seconds that an interrupted run may take to end
_LONGEST = 300.0  # seconds that a run may take
_REMOVAL = 10
"""Operations of removing a snapshot: marker, manifest, table, sign of life, marker, before and after each."""


@dataclass(frozen=True)
class Trial:
    asset: str
    victim: str
    earlier: bool
    """Whether the asset has a snapshot of an earlier state of the source."""
    moment: float
    """In 0..1: where in the run the kill is, by its operations on the storage or by time."""
    number: int
    keep: int = 1
    """How many snapshots are kept: with 1 the clean-up removes the earlier one."""
    parts: int = 0
    """Kill once so many part files are there, instead of after a time."""


@dataclass
class Outcome:
    trial: Trial
    killed: bool = False
    died: bool = False
    """Whether the run failed: one that loses a worker or its JVM may go on."""
    faults: list[str] = field(default_factory=list)


class World:
    """The images, and the data folder that an undisturbed pipeline has made of them.

    With `earlier` in two steps: there is a snapshot of an earlier state of the source before.
    """

    def __init__(self, folder: Path, assets: Sequence[str] = ASSETS, *, earlier: bool = True) -> None:
        self.folder = folder
        self.assets = assets
        self.source = folder / "source"
        self.data = folder / "data"
        write_sample_images(self.source, images_per_class=5)
        store = open_store(str(self.data))
        self.earlier: dict[str, Snapshot] = {}
        if earlier:
            later = sorted(self.source.rglob("*.*"))[::5]
            for number, file in enumerate(later):
                file.rename(folder / str(number))
            self.run(self.data, assets)
            self.earlier = {asset: store.require_current((asset,)) for asset in assets}
            for file in sorted(self.source.rglob("*.*"))[::7]:
                file.unlink()
            for number, file in enumerate(later):
                (folder / str(number)).rename(file)
        self.seconds: dict[str, float] = {}
        self.operations: dict[str, int] = {}
        for asset in assets:
            started = time.monotonic()
            self.operations[asset] = self.run(self.data, [asset])
            self.seconds[asset] = time.monotonic() - started
        self.expected = {asset: store.require_current((asset,)) for asset in assets}

    def made(self, asset: str) -> list[Snapshot]:
        """Return the snapshots that the undisturbed pipeline has made of an asset."""
        return [made[asset] for made in (self.earlier, self.expected) if asset in made]

    def command(
        self, assets: Sequence[str], operation: int = 0, sent: signal.Signals = signal.SIGKILL
    ) -> list[str]:
        return run_command(assets, self.source, operation, sent)

    def run(self, data: Path, assets: Sequence[str], keep: int = 3) -> int:
        """Run undisturbed; return how many operations on the storage that took."""
        log = self.folder / f"{data.name}.log"
        status = start_run(data, log, self.command(assets), keep).wait(_LONGEST)
        if status:
            raise RuntimeError(f"an undisturbed run of {assets} failed:\n{log.read_text()[-3000:]}")
        return int(log.read_text().rpartition(OPERATIONS)[2].split()[0])


def run_command(
    assets: Sequence[str],
    source: Path | None = None,
    operation: int = 0,
    sent: signal.Signals = signal.SIGKILL,
) -> list[str]:
    configured = {name: {"config": CONFIG[name]} for name in assets if name in CONFIG}
    if "image_seqfile" in assets:
        configured["image_seqfile"] = {"config": {"source": str(source)}}
    run_config = json.dumps({"ops": configured})
    module = "vision_assets_tests.torture.one_run"
    return [sys.executable, "-m", module, ",".join(assets), run_config, str(operation), sent.name]


def start_run(data: Path, log: Path, command: list[str], keep: int) -> "subprocess.Popen[bytes]":
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("VISION_ASSETS_") and name != "DAGSTER_HOME"
    }
    environment |= {
        settings.DATA: str(data),
        settings.PICTURES: "no",
        settings.EXTRACTORS: "all",
        settings.KEEP_SNAPSHOTS: str(keep),
        settings.SPARK_MASTER: "local[2]",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    with log.open("ab") as output:
        return subprocess.Popen(
            command, env=environment, cwd=log.parent, stdout=output, stderr=output, start_new_session=True
        )


def table(snapshot: Snapshot) -> Any:
    """Return a complete table, to be compared; raises if part of it is missing."""
    folder = Path(snapshot.uri)
    parts = sorted(file for file in folder.iterdir() if file.name[0] not in "._")
    assert len(parts) == snapshot.files, f"{snapshot.uri}: {len(parts)} of {snapshot.files} files"
    assert sum(part.stat().st_size for part in parts) == snapshot.bytes, f"{snapshot.uri}: other sizes"
    if snapshot.asset == "image_classifier":
        return (folder / CLASSIFIER_FILE).read_bytes()
    if snapshot.asset == "image_seqfile":
        rows = pq.read_table(folder / "_index", columns=["fileName", "digest"]).to_pandas()
    else:
        rows = pq.read_table(parts).to_pandas()
    key = [rows.columns[0]]
    if "split" in rows and rows["split"].dtype.kind == "i":
        key = [name for name in ("split", "fileName", "label") if name in rows][:2]
    return rows.sort_values(key).reset_index(drop=True)


def is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, bytes):
        return bool(one == other)
    try:
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    except AssertionError:
        return False
    return True


def leftovers(data: Path, store: SnapshotStore, assets: Sequence[str]) -> list[str]:
    found = []
    for asset in assets:
        kept = {snapshot.name for snapshot in store.snapshots((asset,))}
        notes = {"_snapshots", "_history"}
        found += [path for path in (data / asset).iterdir() if path.name not in kept | notes]
        found += [
            path for name in notes for path in (data / asset / name).glob("*") if path.suffix != ".json"
        ]
        allowed = {"_index"} if asset == "image_seqfile" else set()
        for name in kept:
            hidden = (path for path in (data / asset / name).iterdir() if path.name[0] in "._")
            found += [path for path in hidden if path.name not in allowed]
    return [str(path.relative_to(data)) for path in found]


def processes(session: int) -> Iterator[tuple[int, str]]:
    """Yield id and command line of the processes of a session, without those that only wait to be reaped."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if int(status[3]) == session and status[0] not in "ZX":
                yield int(folder.name), command


def victims(session: int, victim: str) -> list[int]:
    found = list(processes(session))
    if victim == "driver":
        return [session]
    if victim == "java":
        return [pid for pid, command in found if "java " in command]
    daemons = [pid for pid, command in found if "vision_assets.steps.worker_daemon" in command]
    return daemons[1:]  # the first one is what workers are forked from


def kill(process: "subprocess.Popen[bytes]", trial: Trial, is_time: Callable[[], bool]) -> bool:
    """Kill when it is time, unless the run ends before; tell whether it was."""
    while process.poll() is None:
        if is_time() and (pids := victims(process.pid, trial.victim)):
            try:
                os.kill(pids[trial.number % len(pids)], signal.SIGKILL)
            except ProcessLookupError:
                continue
            return True
        time.sleep(0.002)
    return False


def part_files(data: Path, asset: str) -> list[Path]:
    return list((data / asset).glob("*/part-*"))


def prepare(world: World, trial: Trial, data: Path) -> None:
    """Make a data folder as it was just before the undisturbed run of an asset."""
    shutil.copytree(world.data, data, copy_function=os.link)
    for snapshot in world.made(trial.asset):
        if trial.earlier and snapshot is world.earlier[trial.asset]:
            continue
        shutil.rmtree(data / trial.asset / snapshot.name)
        (data / trial.asset / "_snapshots" / f"{snapshot.sequence:010}-{snapshot.name}.json").unlink()


def torture(world: World, trial: Trial) -> Outcome:
    outcome = Outcome(trial)
    data = world.folder / f"trial-{trial.number}"
    log = world.folder / f"trial-{trial.number}.log"
    prepare(world, trial, data)
    store = open_store(str(data))
    removal = _REMOVAL if trial.earlier and trial.keep == 1 else 0
    operation = 1 + int(trial.moment * (world.operations[trial.asset] + removal))
    at_operation = trial.victim in _AT_OPERATION
    sent = _INTERRUPTS[trial.number % 2] if trial.victim == "interrupt" else signal.SIGKILL
    command = world.command([trial.asset], operation if at_operation else 0, sent)
    process = start_run(data, log, command, trial.keep)
    if not at_operation:
        until = time.monotonic() + trial.moment * world.seconds[trial.asset]
        before = len(part_files(data, trial.asset))
        outcome.killed = kill(
            process,
            trial,
            lambda: (
                len(part_files(data, trial.asset)) >= before + trial.parts
                if trial.parts
                else time.monotonic() >= until
            ),
        )
    outcome.died = process.wait(_LONGEST) != 0
    outcome.killed |= at_operation and outcome.died
    if trial.victim == "interrupt" and outcome.died:
        outcome.faults += faults_of_interrupt(process.returncode, log.read_text())
    until = time.monotonic() + 60
    while orphans := [command for _, command in processes(process.pid)]:
        if time.monotonic() > until:
            outcome.faults.append(f"goes on after the driver's end: {orphans[0][:80]}")
            os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    try:
        for asset in world.assets:
            current = store.current((asset,))
            if current is None:
                assert asset == trial.asset, f"{asset} has no snapshot any more"
                continue
            known = [table(one) for one in world.made(asset)]
            assert any(is_equal(table(current), one) for one in known), f"{asset} has other rows"
        world.run(data, [trial.asset], trial.keep)
        current = store.require_current((trial.asset,))
        assert is_equal(table(current), table(world.expected[trial.asset])), "the next run made other rows"
        assert current.version == world.expected[trial.asset].version, "the next run made another version"
        left = leftovers(data, store, world.assets)
        assert not left, f"left: {left}"
    except Exception as error:  # noqa: BLE001 - all are faults
        outcome.faults.append(f"{type(error).__name__}: {error}"[:2000])
    else:
        if not outcome.faults:
            shutil.rmtree(data)
    return outcome


def faults_of_interrupt(status: int, output: str) -> list[str]:
    """Tell what is wrong with how an interrupted run has just ended."""
    faults = [] if status == _INTERRUPTED else [f"ended with {status}"]
    took = time.time() - float(output.rpartition(SENT)[2].split()[0])
    return faults if took < _TO_STOP else [*faults, f"took {took:.0f} s to end"]


def trials(count: int, seed: int) -> list[Trial]:
    """Spread kills evenly over assets and victims."""
    generator = random.Random(seed)
    chosen = []
    for number in range(count):
        # Their numbers have no common divisor, so each victim meets each asset.
        victim, asset = VICTIMS[number % len(VICTIMS)], ASSETS[number % len(ASSETS)]
        moment = generator.uniform(0.0 if victim in _AT_OPERATION else 0.25, 1.0)
        earlier, keep = generator.random() < 0.5, generator.choice([1, 3])
        chosen.append(Trial(asset, victim, earlier, moment, number, keep))
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=120, help="tried; some runs end before")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("torture"))
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    started = time.monotonic()
    world = World(options.folder.absolute())
    print(f"undisturbed: {', '.join(f'{a} {s:.1f} s' for a, s in world.seconds.items())}", flush=True)
    killed: Counter[str] = Counter()
    died: Counter[str] = Counter()
    faults = 0
    with ThreadPoolExecutor(options.at_once) as pool:
        for outcome in pool.map(lambda trial: torture(world, trial), trials(options.kills, options.seed)):
            trial = outcome.trial
            killed[trial.victim] += outcome.killed
            died[trial.victim] += outcome.died
            faults += bool(outcome.faults)
            for fault in outcome.faults:
                print(f"FAULT {trial}: {fault}", flush=True)
    for victim in VICTIMS:
        print(f"{victim}: {killed[victim]} runs hit, {died[victim]} ended by it")
    print(f"{killed.total()} runs hit, {faults} with a fault, {time.monotonic() - started:,.0f} s")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
