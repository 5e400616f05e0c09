"""Materializes assets as a user does, and sends itself a signal at an operation on the storage.

    python -m vision_assets_tests.torture.one_run ASSETS RUN_CONFIG OPERATION SIGNAL

Each change of the storage counts as two operations: the moment before it and the moment after it. Operation 0
means no signal; at the end the number of operations is printed.
"""

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from dagster._cli import main

from vision_assets.snapshots.local_files import LocalFiles

OPERATIONS = "operations: "
SENT = "signal sent at "


def send_at(operation: int, number: int) -> None:
    operations = count(1)
    atexit.register(lambda: print(f"{OPERATIONS}{next(operations) - 1}", flush=True))

    def point() -> None:
        if next(operations) == operation:
            print(f"{SENT}{time.time()}", flush=True)
            os.kill(os.getpid(), number)

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
    assets, config, operation, name = sys.argv[1:]
    send_at(int(operation), signal.Signals[name])
    sys.argv = ["dagster", "asset", "materialize", "--select", assets, "-m", "vision_assets.definitions"]
    sys.argv += ["--config-json", config]
    main()
