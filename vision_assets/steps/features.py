"""Features of images: a table of images in, a table of features out."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema

from vision_assets.spark.crash_guard import Crash, run_guarded
from vision_assets.tables.table import features_table
from vision_assets.vision.features.base import ExtractorOptions
from vision_assets.vision.features.extraction import ImageExtractor
from vision_assets.vision.features.opencv import use_one_thread
from vision_assets.vision.io.decoding import ImageError
from vision_assets.vision.io.labels import label_of

_File = tuple[pa.StringScalar, pa.BinaryScalar]  # name and content

_BATCH_BYTES = 2**22  # of features that are handed over at once; the features of one image may be more


class FeatureRow(NamedTuple):
    """A row of the features: the columns of `vision_assets.tables.table.features_table` in their order."""

    file_name: str
    label: str | None
    digest: bytes
    width: int | None
    height: int | None
    keypoint_count: int
    keypoints: bytes
    descriptors: bytes
    error: str | None


def extract(images: DataFrame, options: ExtractorOptions) -> DataFrame:
    """Extract features, one row per image.

    Parameters
    ----------
    images : DataFrame
        Of the schema of `vision_assets.tables.table.IMAGE_SCHEMA`.
    options : ExtractorOptions
        Which extractor, and how to extract.

    Returns
    -------
    DataFrame
        Of the schema of `vision_assets.tables.table.features_table`, not yet computed. An image that cannot
        be read, or on which the worker crashes again and again, has a row with an error.
    """
    schema = features_table(type(options)).schema
    return images.mapInArrow(partial(_extract_partition, options, to_arrow_schema(schema)), schema)


def _extract_partition(
    options: ExtractorOptions, columns: pa.Schema, images: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    use_one_thread()
    extractor = ImageExtractor(options)
    rows: list[FeatureRow] = []
    size = 0
    with _silent_stderr():
        for batch in images:
            files = list(zip(batch["fileName"], batch["content"], strict=True))
            found = run_guarded(partial(_row_of_file, extractor), files)
            for file, row in zip(files, found, strict=True):
                rows.append(_crashed_row(file, row) if isinstance(row, Crash) else row)
                size += len(rows[-1].keypoints) + len(rows[-1].descriptors)
                if size >= _BATCH_BYTES:
                    yield _batch(rows, columns)
                    rows, size = [], 0
        if rows:
            yield _batch(rows, columns)


def _row_of_file(extractor: ImageExtractor, file: _File) -> FeatureRow:
    file_name, data = file
    return feature_row(extractor, file_name.as_py(), data.as_py())


def _crashed_row(file: _File, crash: Crash) -> FeatureRow:
    file_name, data = file
    error = str(crash) if crash.timed_out else f"the extractor crashed on it ({crash})"
    return _failed_row(file_name.as_py(), data.as_py(), error)


def _failed_row(
    file_name: str, data: bytes, error: str, width: int | None = None, height: int | None = None
) -> FeatureRow:
    return FeatureRow(file_name, label_of(file_name), _digest(data), width, height, 0, b"", b"", error)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _batch(rows: list[FeatureRow], columns: pa.Schema) -> pa.RecordBatch:
    values = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(values, columns, strict=True)], schema=columns
    )


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Silence what libjpeg, libpng and libtiff print of a broken image; its row says it with a name."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def feature_row(extractor: ImageExtractor, file_name: str, data: bytes) -> FeatureRow:
    """Make the row of one image.

    Parameters
    ----------
    extractor : ImageExtractor
    file_name : str
    data : bytes
        The content of the file.

    Returns
    -------
    FeatureRow
    """
    try:
        found = extractor.extract(data)
    except ImageError as error:
        return _failed_row(file_name, data, str(error), error.width, error.height)
    return FeatureRow(
        file_name,
        label_of(file_name),
        _digest(data),
        found.width,
        found.height,
        len(found.keypoints),
        found.keypoints.astype("<f4", copy=False).tobytes(),
        found.descriptors.astype(found.descriptors.dtype.newbyteorder("<"), copy=False).tobytes(),
        None,
    )
