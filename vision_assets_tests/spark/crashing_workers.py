"""Spark's daemon of Python workers with a decoder that crashes on images that ask for it.

The property ``spark.python.daemon.module`` names this module.
"""

import os
import runpy
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

SECONDS_PER_CALL = 3
_MARK = b"\ncrash: "


def _die(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def _die_with_the_daemon() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    _die(signal.SIGKILL)


CRASHES: dict[str, Callable[[], Any]] = {
    "SIGSEGV": partial(_die, signal.SIGSEGV),
    "SIGABRT": os.abort,
    "SIGKILL": partial(_die, signal.SIGKILL),
    "exit": partial(os._exit, 1),
    "hang": signal.pause,
    "daemon": _die_with_the_daemon,
    "colour": os.abort,  # only if it is decoded to colours
}


def crashing(image: bytes, how: str, once: Path | None = None) -> bytes:
    """Mark an image; if `once` is given it is fine again as soon as this file exists."""
    return image + _MARK + f"{how} {once or ''}".encode()


def _patch_decoder() -> None:
    from vision_assets.spark import crash_guard as isolation
    from vision_assets.vision.io import decoding

    isolation.SECONDS_PER_CALL = SECONDS_PER_CALL
    cv2: Any = decoding.cv2
    decode = cv2.imdecode

    def imdecode(data: Any, mode: int) -> Any:
        _, mark, order = data.tobytes().rpartition(_MARK)
        how, _, once = order.decode().partition(" ") if mark else ("", "", "")
        spared = Path(once).exists() if once else how == "colour" and mode == cv2.IMREAD_GRAYSCALE
        if mark and not spared:
            if once:
                Path(once).touch()
            CRASHES[how]()
        return decode(data, mode)

    cv2.imdecode = imdecode


if __name__ == "__main__":
    _patch_decoder()
    runpy.run_module("vision_assets.steps.worker_daemon", run_name="__main__")
