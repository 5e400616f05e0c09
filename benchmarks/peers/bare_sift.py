"""A bare pool of processes that reads image files, runs SIFT and keeps the result in memory."""

import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2

from benchmarks.files import files_of

_CHUNK = 4  # small, so that all processes end at about the same time

_sift: Any = None
_kept: list[tuple[str, Any, Any]] = []


def _start() -> None:
    global _sift  # noqa: PLW0603 - a pool's process has no other place to keep things in
    cv2.setNumThreads(1)
    # With any argument left out OpenCV may take the overload without descriptorType.
    _sift = cv2.SIFT.create(
        nfeatures=0,
        nOctaveLayers=3,
        contrastThreshold=0.04,
        edgeThreshold=10.0,
        sigma=1.6,
        descriptorType=cv2.CV_8U,
        enable_precise_upscale=False,
    )


def _extract(file: str) -> int:
    gray = cv2.imread(file, cv2.IMREAD_GRAYSCALE)
    if gray is None:
        return 0
    keypoints, descriptors = _sift.detectAndCompute(gray, None)
    _kept.append((file, keypoints, descriptors))
    return len(keypoints)


def measure(folder: str, processes: int) -> dict[str, float]:
    files = [str(file) for file in files_of(Path(folder))]
    started = time.monotonic()
    with get_context("fork").Pool(processes, _start) as pool:
        descriptors = sum(pool.imap_unordered(_extract, files, _CHUNK))
        seconds = time.monotonic() - started
        # Leaving the block would end the processes by a signal that the user's shell may have them ignore.
        pool.close()
        pool.join()
    return {"seconds": seconds, "descriptors": descriptors}
