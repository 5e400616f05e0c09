"""Makes rows and pictures of mutated images, one after the other, and tells how each went.

Whatever goes wrong ends this process or is told, with the number of the mutation that did it.
"""

import os
import resource
import signal
import sys
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema

from vision_assets.steps.features import FeatureRow, feature_row, features_table
from vision_assets.vision.features.extraction import ImageExtractor
from vision_assets.vision.features.opencv import use_one_thread
from vision_assets.vision.features.sift import SiftOptions
from vision_assets.vision.io.decoding import ImageError, decode_preview
from vision_assets_tests.torture.mutations import mutate
from vision_assets_tests.torture.seeds import HEIGHT, WIDTH, seed_files

READY = "ready"
SECONDS = 20
"""For one image, on a busy machine; it takes some milliseconds."""

MAX_PIXELS = 100_000
MEMORY_BYTES = 200 << 20
"""More than SIFT takes for `MAX_PIXELS`, less than decoding without a limit does."""

_ADDRESS_SPACE_BYTES = 6 << 30
_OUT_OF_MEMORY = ("nsufficient memory", "ailed to allocate")


class Outcome(NamedTuple):
    """How it went with one mutation."""

    error: bool
    memory: int
    """Most bytes held until now beyond those at the start."""
    seconds: float
    problem: str


def mutated(kind: str, number: int) -> bytes:
    """Return one of the mutations of a format."""
    files = seed_files()
    others = [file for other in files if other != kind for file in files[other]]
    return mutate(files[kind], others, (WIDTH, HEIGHT), f"{kind} {number}")


def run(kinds: list[str], mutations: int, first: int) -> None:
    """Go through the mutations of all formats, from the one at the place `first` on."""
    use_one_thread()
    extractor = ImageExtractor(SiftOptions(max_pixels=MAX_PIXELS))
    for kind in kinds:
        for data in seed_files()[kind]:
            _check(extractor, data, 0)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    start = _memory("VmRSS")
    print(READY, flush=True)
    # Codecs write about broken images; after this line, no reader needs that.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for place in range(first, mutations * len(kinds)):
        data = mutated(kinds[place // mutations], place % mutations)
        began = perf_counter()
        # Nothing handles the signal, so it ends the process even in the middle of a codec.
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        error, problem = _outcome(extractor, data, place)
        signal.setitimer(signal.ITIMER_REAL, 0)
        memory = _memory("VmHWM") - start
        if memory > MEMORY_BYTES and not problem:
            problem = f"memory: {memory >> 20} MiB"
        print(int(error), memory, perf_counter() - began, problem, sep="\t", flush=True)
        if memory > MEMORY_BYTES:
            # Else all that follow would seem to need as much.
            return


def _outcome(extractor: ImageExtractor, data: bytes, place: int) -> tuple[bool, str]:
    try:
        row = _check(extractor, data, place)
    except Exception as error:  # noqa: BLE001 - each of them is what is looked for
        return True, f"exception: {error!r}".replace("\n", " ").replace("\t", " ")
    if row.error and any(sign in row.error for sign in _OUT_OF_MEMORY):
        return True, f"memory: {row.error}"
    return row.error is not None, ""


def _check(extractor: ImageExtractor, data: bytes, place: int) -> FeatureRow:
    row = feature_row(extractor, "label/name.jpg", data)
    for value, field in zip(row, to_arrow_schema(features_table(SiftOptions).schema), strict=True):
        pa.array([value], field.type).validate(full=True)
    keypoints = np.frombuffer(row.keypoints, np.float32)
    assert keypoints.size == 5 * row.keypoint_count
    assert len(row.descriptors) == SiftOptions.length * row.keypoint_count
    assert np.isfinite(keypoints).all()
    if row.error is None:
        assert row.width is not None
        assert row.height is not None
        assert 0 < row.width * row.height <= MAX_PIXELS
    else:
        assert not row.keypoint_count
        assert len(row.error.splitlines()) == 1
    try:
        picture = decode_preview(data, side=24 if place % 2 else 512, max_pixels=MAX_PIXELS)
        assert picture.shape[2:] == (3,)
    except ImageError as error:
        if any(sign in str(error) for sign in _OUT_OF_MEMORY):
            raise
    return row


def _memory(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split(None, 1)[0]) << 10


if __name__ == "__main__":
    run(sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3]))
