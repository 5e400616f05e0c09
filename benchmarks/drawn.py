"""Draw a collection of any size: small images of classes that look different, in a tar of tars.

python -m benchmarks.drawn COUNT FILE [--per-class 10000]

The same arguments give the same images. Each class is a tar of its own within FILE. An image is a JPEG of
96 x 96 pixels and about 5 kB, in which SIFT finds some 30 keypoints.
"""

import argparse
import io
import tarfile
import tempfile
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import cores

_SIDE = 96
_SHAPES = 12
_COLORS = 6  # of a class


def draw(label: int, number: int) -> NDArray[np.uint8]:
    """Draw an image: soft noise, and the shapes of its class in the colours of its class.

    Returns
    -------
    ndarray of shape (96, 96, 3), dtype uint8
    """
    of_class = np.random.default_rng([20160122, label])
    colors = of_class.integers(0, 256, (_COLORS, 3)).tolist()
    corners, sizes = of_class.integers(3, 9, 2), of_class.integers(4, 22, 2)
    generator = np.random.default_rng([20160122, label, number])
    grid = generator.integers(60, 196, (_SIDE // 12, _SIDE // 12, 3), np.uint8)
    image = cv2.resize(grid, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    for _ in range(_SHAPES):
        center = generator.integers(0, _SIDE, 2)
        radius = generator.integers(sizes.min(), sizes.max() + 2)
        turns = 2 * np.pi * np.arange(generator.choice(corners)) / generator.choice(corners)
        points = center + radius * np.column_stack([np.cos(turns), np.sin(turns)])
        color = colors[generator.integers(_COLORS)]
        cv2.fillPoly(image, [np.rint(points).astype(np.int32)], color, cv2.LINE_AA)
    return image.astype(np.uint8, copy=False)


def _write_class(folder: Path, count: int, per_class: int, label: int) -> Path:
    file = folder / f"class_{label:03d}.tar"
    with tarfile.open(file, "w") as tar:
        for number in range(min(per_class, count - label * per_class)):
            data = cv2.imencode(".jpg", draw(label, number))[1].tobytes()
            member = tarfile.TarInfo(f"image_{number:06d}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file


def write(count: int, file: Path, per_class: int) -> None:
    """Write a tar of tars, one for each class."""
    cv2.setNumThreads(1)
    with (
        tempfile.TemporaryDirectory(dir=file.parent) as folder,
        get_context("fork").Pool(cores()) as pool,
        tarfile.open(file, "w") as tar,
    ):
        write_class = partial(_write_class, Path(folder), count, per_class)
        for inner in pool.imap(write_class, range(-(-count // per_class))):
            member = tarfile.TarInfo(inner.name)  # without the time, so that the file is the same again
            member.size = inner.stat().st_size
            with inner.open("rb") as content:
                tar.addfile(member, content)
            inner.unlink()
        # Leaving the block would end the processes by a signal that the user's shell may have them ignore.
        pool.close()
        pool.join()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drawn", description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("--per-class", type=int, default=10_000)
    options = parser.parse_args()
    write(options.count, options.file, options.per_class)


if __name__ == "__main__":
    main()
