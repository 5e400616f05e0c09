"""Ctrl-C and SIGTERM end a run, and the next run continues from what is finished."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest

from vision_assets import settings
from vision_assets.defs.failures import INTERRUPTED
from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.cli.test_command_line import ROOT, Started, start
from vision_assets_tests.pipeline import ALL_ASSETS, Runner, require_same_tables
from vision_assets_tests.torture.kills import processes

pytestmark = pytest.mark.whole

CONFIG: dict[str, Any] = {
    "sift_features": {"partitions": 8},
    "kmeans_dictionary": {"k": 50, "max_iter": 30, "tol": 0.0},
    "image_classifier": {"train_per_class": 3, "splits": 2},
}
SECONDS = 10
"""Time in which all processes of an interrupted run have to end."""


class Phase(NamedTuple):
    """A part of a run, and how to see that it has begun: by a line of the log or by a file."""

    name: str
    line: str
    files: str = ""


PHASES = (
    Phase("start of Spark", "starting Spark on"),
    Phase("listing and upload", "60 images"),
    Phase("extraction", "sift_features          reading", "sift_features/*/part-*"),
    Phase("training", "iteration 2 of 30"),
    Phase("coding", "bow_encodings          reading", "bow_encodings/*/part-*"),
    Phase("commit", "bow_encodings          60 images"),
    Phase("fitting", "images to train on in each split"),
    Phase("report", "classification_report  reading"),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "images"
    write_sample_images(folder, images_per_class=6)
    return folder


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, source: Path, spark: object) -> Runner:
    """What a run makes that nobody interrupts."""
    pipeline = Runner(tmp_path_factory.mktemp("expected") / "data")
    pipeline.run(source, *ALL_ASSETS, **CONFIG)
    return pipeline


def begin(folder: Path, source: Path) -> Started:
    """Start a run whose data folder is beside its folder."""
    folder.mkdir()
    (folder / "data").symlink_to(folder.parent / "data")
    chosen = CONFIG | {"image_seqfile": {"source": str(source)}}
    return start(folder, {"ops": {asset: {"config": options} for asset, options in chosen.items()}})


def await_phase(run: Started, phase: Phase, data: Path) -> None:
    while not (phase.line in run.output.read_text() and (not phase.files or any(data.glob(phase.files)))):
        assert run.process.poll() is None, f"ended before {phase.name}: {run.output.read_text()[-2000:]}"
        time.sleep(0.02)  # between two looks


def require_canceled(run: Started, phase: Phase) -> None:
    started = time.monotonic()
    assert run.process.wait(SECONDS) == 130
    while left := [command for _, command in processes(run.process.pid)]:
        assert time.monotonic() < started + SECONDS, f"goes on after the driver's end: {left[0][:80]}"
        time.sleep(0.02)  # between two looks
    with dg.DagsterInstance.from_config(str(run.home)) as instance:
        (recorded,) = instance.get_runs()
        kinds = {event.dagster_event_type for event in instance.all_logs(recorded.run_id)}
    assert recorded.status is dg.DagsterRunStatus.CANCELED
    assert dg.DagsterEventType.STEP_RESTARTED not in kinds
    if (
        phase.name != "commit"
    ):  # Dagster's own code runs then, and announces another attempt that never begins
        assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in kinds
    assert INTERRUPTED in run.output.read_text()


def test_a_run_that_is_interrupted_in_each_phase_ends_and_is_continued(
    tmp_path: Path, source: Path, expected: Runner
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number, phase in enumerate(PHASES):
        run = begin(tmp_path / str(number), source)
        await_phase(run, phase, data)
        if number % 2:
            run.process.send_signal(signal.SIGTERM)
        else:
            for pid, _ in processes(run.process.pid):  # as a terminal does
                os.kill(pid, signal.SIGINT)
        require_canceled(run, phase)
    last = begin(tmp_path / "last", source)
    assert last.process.wait() == 0, last.output.read_text()[-2000:]
    made = Runner(data)
    require_same_tables(made, expected, *ALL_ASSETS)
    assert not list(data.rglob("*.pending"))


def started_by(home: Path) -> list[str]:
    """Return the command lines of the processes that have a history of their own."""
    mark = f"DAGSTER_HOME={home}\0".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return [command for command in found if command]


@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="make would set up an environment first")
def test_make_run_ends_at_ctrl_c_and_continues(tmp_path: Path, source: Path) -> None:
    home, output = tmp_path / "home", tmp_path / "output"
    settings_of_run = "kmeans_dictionary.k=50 kmeans_dictionary.max_iter=30 kmeans_dictionary.tol=0.0"
    command = ["make", "-s", "run", f"SOURCE={source}", f"SET={settings_of_run}"]
    given = {settings.DATA: str(tmp_path / "data"), "DAGSTER_HOME": str(home)}
    environment = {name: value for name, value in os.environ.items() if name[:4] not in ("MAKE", "PYTE")}
    with output.open("wb") as stream:
        run = subprocess.Popen(
            command, cwd=ROOT, env=environment | given, stdout=stream, stderr=stream, start_new_session=True
        )
    while "iteration 2 of 30" not in output.read_text():
        assert run.poll() is None, output.read_text()[-2000:]
        time.sleep(0.02)  # between two looks
    os.killpg(run.pid, signal.SIGINT)
    interrupted = time.monotonic()
    assert run.wait(SECONDS) in (130, -signal.SIGINT)
    while left := started_by(home):
        assert time.monotonic() < interrupted + SECONDS, f"goes on: {left[0][:80]}"
        time.sleep(0.02)  # between two looks
    assert INTERRUPTED in output.read_text()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        (recorded,) = instance.get_runs()
    assert recorded.status is dg.DagsterRunStatus.CANCELED
    again = subprocess.run(command, cwd=ROOT, env=environment | given, capture_output=True, check=False)
    assert again.returncode == 0
    assert b"sift_features is up to date" in again.stdout + again.stderr
