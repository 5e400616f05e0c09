"""Materializes assets as a user does, and kills itself before or after it has made a snapshot current.

python -m vision_assets_tests.systems.stopped_run ASSETS RUN_CONFIG before|after
"""

import os
import re
import signal
import sys

from dagster._cli import main

from vision_assets.storage.files import HadoopFiles

_MANIFEST = re.compile(r"/_snapshots/\d+-[^/]+\.json$")


def kill_at_commit(moment: str) -> None:
    create = HadoopFiles.create

    def killing(files: HadoopFiles, path: str, content: bytes) -> None:
        if moment == "before" and _MANIFEST.search(path):
            os.kill(os.getpid(), signal.SIGKILL)
        create(files, path, content)
        if _MANIFEST.search(path):
            os.kill(os.getpid(), signal.SIGKILL)

    HadoopFiles.create = killing  # type: ignore[assignment, method-assign]


if __name__ == "__main__":
    assets, config, moment = sys.argv[1:]
    kill_at_commit(moment)
    sys.argv = ["dagster", "asset", "materialize", "--select", assets, "-m", "vision_assets.definitions"]
    sys.argv += ["--config-json", config]
    main()
