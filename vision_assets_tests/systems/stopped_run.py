"""Does what a command of Dagster does, and kills itself amid making a snapshot current or after it.

python -m vision_assets_tests.systems.stopped_run amid|after dagster ...
"""

import os
import re
import signal
import sys

from dagster._cli import main

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


if __name__ == "__main__":
    _, moment, *sys.argv = sys.argv
    kill_at_commit(moment)
    main()
