"""Ctrl-C, SIGTERM and *Terminate* end a run in any phase, and the next one continues where it ended."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest

from vision_assets import settings
from vision_assets.defs.failures import INTERRUPTED
from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.browser.dagster_page import serving, wait_until
from vision_assets_tests.cli.test_command_line import ROOT, start
from vision_assets_tests.pipeline import ALL_ASSETS, Runner, require_same_tables
from vision_assets_tests.torture.kills import processes

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
    # Moments within a commit are those of `vision_assets_tests.torture.kills`.
    Phase("after a commit", "bow_encodings          60 images"),
    Phase("fitting", "images to train on in each split"),
    Phase("report", "classification_report  reading"),
)


@dataclass(frozen=True)
class Run:
    """A run that was started in one of the ways.

    Attributes
    ----------
    interrupt : callable
        Has the run stop, as a user does.
    said : callable
        Returns what the run has printed.
    status : callable
        Returns the exit status of the command; None while it runs, 130 for a run of a server.
    processes : callable
        Returns the command lines of the run's processes.
    home : Path
        Folder of Dagster's history.
    """

    interrupt: Callable[[], object]
    said: Callable[[], str]
    status: Callable[[], int | None]
    processes: Callable[[], list[str]]
    home: Path

    def record(self) -> tuple[dg.DagsterRun, set[dg.DagsterEventType | None]]:
        """Return the newest run in the history, and the types of its events."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            run = instance.get_runs(limit=1)[0]
            events = {entry.dagster_event_type for entry in instance.all_logs(run.run_id)}
        return run, events


Start = Callable[[Path], Run]
"""Starts a run in a new folder, whose tables are in the folder `data` beside it."""


def run_config(source: Path) -> dict[str, Any]:
    chosen = CONFIG | {"image_seqfile": {"source": str(source)}}
    return {"ops": {asset: {"config": options} for asset, options in chosen.items()}}


@contextmanager
def dagster_command(source: Path, number: signal.Signals) -> Iterator[Start]:
    """Start runs by `dagster job execute`, and send them a signal."""

    def begin(folder: Path) -> Run:
        folder.mkdir()
        (folder / "data").symlink_to(folder.parent / "data")
        run = start(folder, run_config(source))

        def interrupt() -> None:
            # A terminal sends Ctrl-C to all processes.
            pids = processes(run.process.pid) if number == signal.SIGINT else [(run.process.pid, "")]
            for pid, _ in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

        return Run(
            interrupt,
            run.output.read_text,
            run.process.poll,
            lambda: [command for _, command in processes(run.process.pid)],
            run.home,
        )

    yield begin


@contextmanager
def make_run(source: Path) -> Iterator[Start]:
    """Start runs by `make run`, and press Ctrl-C."""
    if not (ROOT / ".venv").exists():
        pytest.skip("make would set up an environment first")
    options = {f"{asset}.{name}={value}" for asset, given in CONFIG.items() for name, value in given.items()}
    command = ["make", "-s", "run", f"SOURCE={source}", f"SET={' '.join(sorted(options))}"]
    environment = {name: value for name, value in os.environ.items() if name[:4] not in ("MAKE", "PYTE")}

    def begin(folder: Path) -> Run:
        folder.mkdir()
        home, output = folder / "home", folder / "output"
        given = {settings.DATA: str(folder.parent / "data"), "DAGSTER_HOME": str(home)}
        with output.open("wb") as stream:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment | given,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        return Run(
            lambda: os.killpg(process.pid, signal.SIGINT),
            output.read_text,
            process.poll,
            lambda: started_in(home),
            home,
        )

    yield begin


@contextmanager
def dagster_page(source: Path, folder: Path) -> Iterator[Start]:
    """Have a server of Dagster start runs, and send it what the button *Terminate* of its page sends."""
    data = {settings.DATA: str(folder / "data"), settings.SPARK_MASTER: "local[2]"}
    terminate = "mutation ($run: String!) { terminateRun(runId: $run) { __typename } }"
    with serving(folder / "server", source, **data) as server:

        def begin(_: Path) -> Run:
            begun = len(server.log.read_bytes())
            run = server.launch("bovw_pipeline", run_config(source))

            def commands() -> list[str]:
                words = ("java", "worker_daemon", run)
                return [c for c in server.processes().values() if any(word in c for word in words)]

            def status() -> int | None:
                with dg.DagsterInstance.from_config(str(server.home)) as instance:
                    recorded = instance.get_run_by_id(run)
                if recorded is None or not recorded.is_finished:
                    return None
                is_canceled = recorded.status is dg.DagsterRunStatus.CANCELED
                return 130 if is_canceled else int(not recorded.is_success)

            def said() -> str:
                return server.log.read_bytes()[begun:].decode()

            return Run(
                lambda: server.graphql(terminate, run=run),
                said,
                status,
                commands,
                server.home,
            )

        yield begin


def started_in(home: Path) -> list[str]:
    """Return the command lines of the processes that have a history of their own."""
    mark = f"DAGSTER_HOME={home}\0".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone
            if mark in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return [command for command in found if command]


WAYS: dict[str, Callable[[Path, Path], AbstractContextManager[Start]]] = {
    "Ctrl-C": lambda source, _: dagster_command(source, signal.SIGINT),
    "SIGTERM": lambda source, _: dagster_command(source, signal.SIGTERM),
    "make run": lambda source, _: make_run(source),
    "Terminate": dagster_page,
}


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


def await_phase(run: Run, phase: Phase, data: Path) -> None:
    while not (phase.line in run.said() and (not phase.files or any(data.glob(phase.files)))):
        assert run.status() is None, f"ended before {phase.name}: {run.said()[-2000:]}"
        time.sleep(0.02)  # between two looks


def require_canceled(run: Run, phase: Phase) -> None:
    wait_until(lambda: run.status() is not None and not run.processes(), SECONDS, f"{run.processes()} go on")
    assert run.status() in (130, -signal.SIGINT)
    recorded, events = run.record()
    assert recorded.status is dg.DagsterRunStatus.CANCELED
    assert dg.DagsterEventType.STEP_RESTARTED not in events
    # Dagster's own code runs after a commit, and announces another attempt that never begins.
    assert phase.name == "after a commit" or dg.DagsterEventType.STEP_UP_FOR_RETRY not in events
    assert INTERRUPTED in run.said()


def require_continued(ways: Sequence[Start], folder: Path, expected: Runner) -> None:
    """Interrupt a run in each phase, in one way after the other, and compare what the last run makes."""
    data = folder / "data"
    data.mkdir()
    for number, (phase, begin) in enumerate(zip(PHASES, cycle(ways))):
        run = begin(folder / str(number))
        await_phase(run, phase, data)
        run.interrupt()
        require_canceled(run, phase)
    last = ways[0](folder / "last")
    wait_until(lambda: last.status() is not None, 120, "the last run goes on")
    assert last.status() == 0, last.said()[-2000:]
    assert "sift_features is up to date" in last.said()
    made = Runner(data)
    require_same_tables(made, expected, *ALL_ASSETS)
    assert not list(data.rglob("*.pending"))


@pytest.mark.whole
def test_a_run_that_is_interrupted_in_each_phase_ends_and_is_continued(
    tmp_path: Path, source: Path, expected: Runner
) -> None:
    with ExitStack() as stack:
        ways = [stack.enter_context(way(source, tmp_path)) for way in WAYS.values()]
        require_continued(ways, tmp_path, expected)


@pytest.mark.torture
@pytest.mark.parametrize("way", WAYS)
def test_each_way_ends_a_run_in_each_phase(way: str, tmp_path: Path, source: Path, expected: Runner) -> None:
    with WAYS[way](source, tmp_path) as begin:
        require_continued([begin], tmp_path, expected)
