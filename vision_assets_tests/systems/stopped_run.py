"""Does what a command of Dagster does, and is killed.

python -m vision_assets_tests.systems.stopped_run amid|after|copying dagster ...

``amid`` making a snapshot current, ``after`` it, or, its JVM alone, while files that are reused are copied.
"""

import os
import re
import signal
import sys

from dagster._cli import main
from pyspark import SparkContext
from pyspark.sql import SparkSession

from vision_assets.storage.files import HadoopFiles

_MANIFEST = re.compile(r"/_snapshots/\.?\d+-[^/]+\.json(\.[0-9a-f]+)?$")
"""Under its name, or another one until it is whole."""


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

    if moment == "amid":
        HadoopFiles._write = written_but_not_closed  # type: ignore[assignment, method-assign]
    else:
        HadoopFiles.create = created  # type: ignore[assignment, method-assign]


def kill_the_jvm_at_copies() -> None:
    copy = HadoopFiles._copy

    def copied(files: HadoopFiles, spark: SparkSession, path: str, target: str) -> None:
        HadoopFiles._copy = copy  # type: ignore[method-assign]
        os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)  # type: ignore[union-attr]
        copy(files, spark, path, target)

    HadoopFiles._copy = copied  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    _, moment, *sys.argv = sys.argv
    if moment == "copying":
        kill_the_jvm_at_copies()
    else:
        kill_at_commit(moment)
    main()
