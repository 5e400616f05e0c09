"""Features of images: SequenceFile pairs in, the table `sift_features` out."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath

from pyspark import RDD
from pyspark.sql import DataFrame, SparkSession

from vision_assets.spark.tables import SIFT_FEATURES
from vision_assets.vision.decoding import ImageError
from vision_assets.vision.sift import SiftExtractor, SiftOptions, use_one_thread

FeatureRow = tuple[
    str, str | None, bytes, int | None, int | None, int, bytes | bytearray, bytes | bytearray, str | None
]


def extract(spark: SparkSession, images: "RDD[tuple[str, bytes]]", options: SiftOptions) -> DataFrame:
    """Extract SIFT features, one row per image.

    Parameters
    ----------
    spark : SparkSession
    images : RDD of (str, bytes)
        File name and content.
    options : SiftOptions

    Returns
    -------
    DataFrame
        Of the schema of `vision_assets.spark.tables.SIFT_FEATURES`, not yet computed. An image that cannot
        be read has a row with an error.
    """
    rows = images.mapPartitions(partial(_extract_partition, options))
    return spark.createDataFrame(rows, SIFT_FEATURES.schema, verifySchema=False)


def _extract_partition(options: SiftOptions, images: Iterable[tuple[str, bytes]]) -> Iterator[FeatureRow]:
    use_one_thread()
    extractor = SiftExtractor(options)
    with _silent_stderr():
        for file_name, data in images:
            yield feature_row(extractor, file_name, bytes(data))


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


def feature_row(extractor: SiftExtractor, file_name: str, data: bytes) -> FeatureRow:
    """Make the row of one image.

    Parameters
    ----------
    extractor : SiftExtractor
    file_name : str
    data : bytes
        The content of the file.

    Returns
    -------
    tuple
        In the order of the columns of `vision_assets.spark.tables.SIFT_FEATURES`.
    """
    label = label_of(file_name)
    digest = hashlib.sha256(data).digest()
    try:
        found = extractor.extract(data)
    except ImageError as error:
        return file_name, label, digest, error.width, error.height, 0, b"", b"", str(error)
    return (
        file_name,
        label,
        digest,
        found.width,
        found.height,
        len(found.keypoints),
        found.keypoints.astype("<f4", copy=False).tobytes(),
        found.descriptors.tobytes(),
        None,
    )


def label_of(file_name: str) -> str | None:
    """Return the name of the folder that a file is in; None without one."""
    return PurePosixPath(file_name).parent.name or None
