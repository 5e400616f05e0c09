"""Vectors of images as text, and in files."""

import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_assets.encoding import EncodedImage
from vision_assets.errors import UserError

Writer = Callable[[Sequence[Path], Iterable[EncodedImage]], int]
"""Takes images and their encodings, writes them, and returns how many have no vector."""


def as_values(vector: NDArray[np.float32]) -> list[float]:
    """Return the values of a vector with the fewest digits that tell them apart: 0.1, not 0.10000000149."""
    return [float(text) for text in vector.astype(str)]


def as_text(vector: NDArray[np.float32]) -> str:
    """Return the values of a vector, separated by spaces."""
    return " ".join(f"{value:g}" if value.is_integer() else repr(value) for value in as_values(vector))


def require_writer(file: Path) -> Writer:
    """Return what writes vectors to a file.

    Raises
    ------
    UserError
        If its suffix is none of .npy, .npz and .parquet, or its folder does not exist.
    """
    write = _WRITERS.get(file.suffix.lower())
    if write is None:
        raise UserError(f"{file}: its name has to end in {', '.join(_WRITERS)}, which names the format.")
    if not file.parent.is_dir():
        raise UserError(f"The folder {file.parent} does not exist. Create it, or name another file.")
    return lambda images, encoded: _write(file, write, images, encoded)


class _Columns:
    """The columns of a file: one value per image."""

    def __init__(self, images: Sequence[Path], encoded: Iterable[EncodedImage]) -> None:
        # A file name need not be text.
        self.images = [os.fsencode(image).decode(errors="backslashreplace") for image in images]
        found = list(encoded)
        self.vectors = [one.vector for one in found]
        self.keypoints = [one.keypoints for one in found]
        self.errors = [one.error for one in found]

    def matrix(self) -> NDArray[np.float32]:
        """Return the vectors as rows; those of images without one are NaN."""
        length = next((len(vector) for vector in self.vectors if vector is not None), 0)
        none = np.full(length, np.nan, np.float32)
        return np.array([none if vector is None else vector for vector in self.vectors], np.float32)


def _write(
    file: Path,
    write: Callable[[Path, _Columns], None],
    images: Sequence[Path],
    encoded: Iterable[EncodedImage],
) -> int:
    columns = _Columns(images, encoded)
    # A file that is there stays as it is until the new one is complete.
    unfinished = file.with_name(f".{secrets.token_hex(4)}{file.suffix}")
    try:
        write(unfinished, columns)
        unfinished.replace(file)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror or error}. Name another file.") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return sum(vector is None for vector in columns.vectors)


def _write_npy(file: Path, columns: _Columns) -> None:
    np.save(file, columns.matrix())


def _write_npz(file: Path, columns: _Columns) -> None:
    np.savez(
        file,
        images=np.array(columns.images),
        vectors=columns.matrix(),
        keypoints=np.array(columns.keypoints, np.int64),
        errors=np.array([error or "" for error in columns.errors]),
    )


def _write_parquet(file: Path, columns: _Columns) -> None:
    import pyarrow as pa  # noqa: PLC0415 - only for this format
    import pyarrow.parquet as pq  # noqa: PLC0415

    table = pa.table(
        {
            "image": pa.array(columns.images, pa.string()),
            "vector": pa.array(columns.vectors, pa.list_(pa.float32())),
            "keypoints": pa.array(columns.keypoints, pa.int64()),
            "error": pa.array(columns.errors, pa.string()),
        }
    )
    pq.write_table(table, file)


_WRITERS: Mapping[str, Callable[[Path, _Columns], None]] = {
    ".npy": _write_npy,
    ".npz": _write_npz,
    ".parquet": _write_parquet,
}
"""Suffix of a file to what writes it."""
