"""What the project has stored, as arrays for its peers."""

from collections.abc import Iterator

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.files import spread
from vision_assets.vision.features.codecs import descriptor_matrix

Image = tuple[str, NDArray[np.uint8]]
"""Name and descriptors, of shape (N, 128)."""


def images(features: str, count: int | None = None) -> Iterator[Image]:
    """Read name and descriptors of each image, or of evenly spaced ones."""
    chosen = ds.dataset(features, format="parquet")
    condition = None if count is None else ds.field("fileName").isin(names(features, count))
    # One thread: processes that are forked later must not miss others.
    for batch in chosen.to_batches(columns=["fileName", "descriptors"], filter=condition, use_threads=False):
        for name, cell in zip(*batch.columns, strict=True):
            yield name.as_py(), descriptor_matrix(cell.as_py())


def digests(features: str) -> dict[str, bytes]:
    """Return the digest of each image by its name."""
    table = pq.read_table(features, columns=["fileName", "digest"], use_threads=False)
    return dict(zip(*(column.to_pylist() for column in table.columns), strict=True))


def names(features: str, count: int) -> list[str]:
    """Return the names of evenly spaced images."""
    column = pq.read_table(features, columns=["fileName"], use_threads=False).column(0)
    return spread(sorted(column.to_pylist()), count)


def centers(dictionary: str) -> NDArray[np.float32]:
    """Read the centres of a dictionary: shape (k, 128)."""
    table = pq.read_table(dictionary, columns=["wordId", "center"], use_threads=False).sort_by("wordId")
    return np.stack(table.column("center").to_pylist()).astype(np.float32)
