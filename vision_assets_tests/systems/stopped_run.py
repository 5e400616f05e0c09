"""Does what a command of Dagster does, and is killed.

python -m vision_assets_tests.systems.stopped_run extracting|during|after|copying dagster ...

While features are ``extracting`` and two tasks have ended, ``during`` the commit of a snapshot, ``after`` it,
or, its JVM alone, while files that are reused are copied.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from threading import Thread
from typing import Any

from dagster._cli import main
from pyspark import SparkContext, TaskContext
from pyspark.sql import SparkSession

from vision_assets.snapshots.hadoop_files import HadoopFiles
from vision_assets.spark.worker_files import MappedRows

_MANIFEST = re.compile(r"/_snapshots/\.?\d+-[^/]+\.json(\.[0-9a-f]+)?$")
"""A manifest under its name, or under another one until it is complete."""


def kill_at_commit(moment: str) -> None:
    create = HadoopFiles.create

    def written_but_not_closed(files: HadoopFiles, path: str, content: bytes, *, overwrite: bool) -> None:
        system, file = files._open(path)
        stream = system.create(file, overwrite)
        stream.write(bytearray(content))
        if _MANIFEST.search(path):
            os.kill(os.getpid(), signal.SIGKILL)
        stream.close()

    def created(files: HadoopFiles, path: str, content: bytes) -> None:
        create(files, path, content)
        if _MANIFEST.search(path):
            os.kill(os.getpid(), signal.SIGKILL)

    if moment == "during":
        HadoopFiles._write = written_but_not_closed  # type: ignore[assignment, method-assign]
    else:
        HadoopFiles.create = created  # type: ignore[assignment, method-assign]


def kill_the_jvm_at_copies() -> None:
    copy = HadoopFiles._copy

    def copied(files: HadoopFiles, hadoop: tuple[Any, Any], path: str, target: str) -> None:
        HadoopFiles._copy = copy  # type: ignore[method-assign]
        os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)  # type: ignore[union-attr]
        copy(files, hadoop, path, target)

    HadoopFiles._copy = copied  # type: ignore[assignment, method-assign]


def kill_during_the_extraction() -> None:
    module: Any = import_module("vision_assets.defs.assets.features")
    extract = module.extract

    def wait_but_in_two(batches: Iterator[Any]) -> Iterator[Any]:
        if TaskContext.get().partitionId() >= 2:  # type: ignore[union-attr]
            time.sleep(600)  # until it is killed
        yield from batches

    def extracted(*arguments: Any) -> MappedRows:
        rows = extract(*arguments)
        Thread(target=kill_when_two_tasks_have_ended, args=[rows.source.sparkSession], daemon=True).start()
        function = rows.function  # the rows cannot be sent to a worker
        return replace(rows, function=lambda batches: wait_but_in_two(function(batches)))

    module.extract = extracted


def kill_when_two_tasks_have_ended(spark: SparkSession) -> None:
    tracker = spark.sparkContext.statusTracker()
    while True:
        stages = map(tracker.getStageInfo, tracker.getActiveStageIds())
        if any(stage and stage.numCompletedTasks == 2 for stage in stages):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)  # between two looks


if __name__ == "__main__":
    _, moment, *sys.argv = sys.argv
    if moment == "copying":
        kill_the_jvm_at_copies()
    elif moment == "extracting":
        kill_during_the_extraction()
    else:
        kill_at_commit(moment)
    main()
