"""Progress of an asset: messages to a program that draws bars, where there is one, else lines for the log."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DISPLAY = "VISION_ASSETS_PROGRESS"
"""Environment variable: datagram socket of the program that draws progress. `make run` sets it."""

_LINE_INTERVAL = 10.0  # seconds between lines
_MESSAGE_INTERVAL = 0.5  # seconds between messages


class Progress(NamedTuple):
    """How far an asset has come.

    Parameters
    ----------
    asset : str
        Name of the asset.
    what : str
        What is counted, in the plural: "images".
    done : int
        Number done.
    total : int, optional
        Number to do; None if it is unknown.
    finished : bool
        Whether all is done.
    """

    asset: str
    what: str
    done: int
    total: int | None = None
    finished: bool = False

    def to_bytes(self) -> bytes:
        """Return the message for the display."""
        return json.dumps(self._asdict()).encode()

    @classmethod
    def from_bytes(cls, message: bytes) -> "Progress":
        """Return what `to_bytes` made a message of."""
        return cls(**json.loads(message))


def show(progress: Progress) -> bool:
    """Send progress to the program that draws it. Never waits and never fails.

    Parameters
    ----------
    progress : Progress

    Returns
    -------
    bool
        Whether there is such a program.
    """
    address = os.environ.get(DISPLAY)
    if not address:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(progress.to_bytes(), address)
    except BlockingIOError:  # the program is behind; a later message replaces this one
        return True
    except OSError:  # the program has ended
        return False
    return True


@contextmanager
def reporting(
    spark: "SparkSession",
    what: str,
    total: int | None,
    log: Callable[[str], None],
    asset: str = "",
    count_written: Callable[[], int] = lambda: 0,
) -> Iterator[None]:
    """Report the progress of the Spark stage that writes rows until the block is left.

    A program that draws progress gets two messages a second. Without one, `log` gets a line every ten
    seconds.

    Parameters
    ----------
    spark : SparkSession
    what : str
        What the rows are, in the plural: "images".
    total : int, optional
        Number of rows to write; the time left is estimated from the tasks if None.
    log : callable
        Takes a line.
    asset : str
        Name of the asset, for the display.
    count_written : callable
        Returns how many rows workers have written themselves, which Spark does not count.
    """
    left = threading.Event()
    started = time.monotonic()
    written = 0
    shown = show(Progress(asset, what, 0, total))

    def report() -> None:
        nonlocal written
        while not left.wait(_MESSAGE_INTERVAL if shown else _LINE_INTERVAL):
            tasks, finished, rows = _active_stage(spark)
            rows = rows or count_written()
            if tasks and shown:
                written = max(written, rows)
                show(Progress(asset, what, written, total))
            elif tasks:
                seconds = time.monotonic() - started
                log(progress_line(what, rows, total, finished=finished, tasks=tasks, seconds=seconds))

    thread = threading.Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()
    if shown:
        show(Progress(asset, what, written if total is None else total, total, finished=True))


def progress_line(
    what: str, rows: int, total: int | None, *, finished: int, tasks: int, seconds: float
) -> str:
    """Describe progress in one line.

    Parameters
    ----------
    what : str
        What the rows are, in the plural.
    rows : int
        Rows done.
    total : int, optional
        Rows to do.
    finished, tasks : int
        Tasks done, and all tasks.
    seconds : float
        Time since the start.

    Returns
    -------
    str
        For instance ``3,120 of 9,144 images, 98/s, 61 s left (12 of 35 tasks)``.
    """
    line = f"{rows:,} of {total:,} {what}" if total else f"{rows:,} {what}"
    if rows:
        line += f", {rate(rows / seconds)}"
    share = rows / total if total else finished / tasks
    if share:
        line += f", {max(0.0, seconds / share - seconds):,.0f} s left"
    return f"{line} ({finished} of {tasks} tasks)"


def rate(per_second: float) -> str:
    """Return a rate as text: ``98/s`` or ``0.31/s``."""
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second:.2g}/s"


def _active_stage(spark: "SparkSession") -> tuple[int, int, int]:
    """Tasks, finished tasks and rows written of the newest active stage; zeros if no stage is active."""
    stages = spark.sparkContext._jsc.sc().statusStore().activeStages()
    if not stages.size():
        return 0, 0, 0
    stage = max((stages.apply(index) for index in range(stages.size())), key=lambda stage: stage.stageId())
    return stage.numTasks(), stage.numCompleteTasks(), stage.outputRecords()
