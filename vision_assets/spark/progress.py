"""Progress of the Spark stage that is running, as lines for a log."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

_INTERVAL = 10.0  # seconds between lines


@contextmanager
def reporting(
    spark: SparkSession, what: str, total: int | None, log: Callable[[str], None]
) -> Iterator[None]:
    """Report how far the last stage that writes rows has come, every few seconds until the block is left.

    Parameters
    ----------
    spark : SparkSession
    what : str
        What the rows are, in the plural: "images".
    total : int, optional
        Number of rows that will be written; estimated from the tasks if None.
    log : callable
        Takes a line.
    """
    done = threading.Event()
    started = time.monotonic()

    def report() -> None:
        while not done.wait(_INTERVAL):
            tasks, finished, rows = _active_stage(spark)
            if tasks:
                log(
                    progress_line(
                        what, rows, total, finished=finished, tasks=tasks, seconds=time.monotonic() - started
                    )
                )

    thread = threading.Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


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
        Tasks done and to do.
    seconds : float
        Time passed.

    Returns
    -------
    str
        For instance ``3,120 of 9,144 images, 98/s, 61 s left (12 of 35 tasks)``.
    """
    line = f"{rows:,} of {total:,} {what}" if total else f"{rows:,} {what}"
    if rows:
        line += f", {_rate(rows / seconds)}/s"
    share = rows / total if total else finished / tasks
    if share:
        line += f", {max(0.0, seconds / share - seconds):,.0f} s left"
    return f"{line} ({finished} of {tasks} tasks)"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _active_stage(spark: SparkSession) -> tuple[int, int, int]:
    """Tasks, finished tasks and rows written of the newest active stage; zeros if there is none."""
    stages = spark.sparkContext._jsc.sc().statusStore().activeStages()
    if not stages.size():
        return 0, 0, 0
    stage = max((stages.apply(index) for index in range(stages.size())), key=lambda stage: stage.stageId())
    return stage.numTasks(), stage.numCompleteTasks(), stage.outputRecords()
