"""Materializes assets as a user does, and kills itself at an operation on the storage.

    python -m vision_assets_tests.torture.one_run ASSETS RUN_CONFIG OPERATION

Each change of the storage counts as two operations: the moment before it and the moment after it. Operation 0
means no kill; at the end the number of operations is printed.
"""

import atexit
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from dagster._cli import main

from vision_assets.snapshots.local_files import LocalFiles

OPERATIONS = "operations: "


def kill_at(operation: int) -> None:
    operations = count(1)
    atexit.register(lambda: print(f"{OPERATIONS}{next(operations) - 1}", flush=True))

    def point() -> None:
        if next(operations) == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            point()
            result = change(*arguments)
            point()
            return result

        return wrapped

    for name in ("create", "replace", "delete", "share"):
        setattr(LocalFiles, name, counted(getattr(LocalFiles, name)))


if __name__ == "__main__":
    assets, config, operation = sys.argv[1:]
    kill_at(int(operation))
    sys.argv = ["dagster", "asset", "materialize", "--select", assets, "-m", "vision_assets.definitions"]
    sys.argv += ["--config-json", config]
    main()
