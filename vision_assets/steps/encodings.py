"""Encodings of images: features and a dictionary in, the table `bow_encodings` out."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame

from vision_assets.errors import UserError
from vision_assets.spark.arrow import binary_values, list_column
from vision_assets.steps.assignment import load_vocabulary
from vision_assets.tables.table import BOW_ENCODINGS
from vision_assets.vision.encoding.bag_of_words import Normalization, Pooling, encode
from vision_assets.vision.vocabulary.assignment import Vocabulary
from vision_assets.vision.vocabulary.fixed_point import UINT8

_POOLED_VALUES = 2**22  # float64 values of a batch of images: 32 MB


def encode_features(
    features: DataFrame,
    dictionary: DataFrame,
    pooling: Pooling,
    normalization: Normalization,
    dtype: np.dtype = UINT8,
) -> DataFrame:
    """Encode each image's descriptors with the words of a dictionary.

    Parameters
    ----------
    features : DataFrame
        Columns ``fileName``, ``label``, ``digest``, ``keypointCount``, ``descriptors``.
    dictionary : DataFrame
        Of the schema of `vision_assets.tables.table.KMEANS_DICTIONARY`.
    pooling : {"sum", "max", "count"}
    normalization : {"none", "l1", "l2", "hellinger"}
    dtype : dtype
        Of the descriptors: uint8 or float32.

    Returns
    -------
    DataFrame
        Of the schema of `vision_assets.tables.table.BOW_ENCODINGS`, not yet computed, one row per image.

    Raises
    ------
    UserError
        If the descriptors are not as long as the centres.
    """
    centers = load_vocabulary(dictionary, dtype)
    _require_fit(features, dictionary, centers)
    shared = features.sparkSession.sparkContext.broadcast(centers)
    columns = features.select("fileName", "label", "digest", "keypointCount", "descriptors")
    return columns.mapInArrow(
        partial(_encode_batches, shared, pooling, normalization),
        BOW_ENCODINGS.schema,
    )


def _require_fit(features: DataFrame, dictionary: DataFrame, centers: Vocabulary) -> None:
    first = (
        features.where("keypointCount > 0")
        .selectExpr(f"octet_length(descriptors) div keypointCount div {centers.dtype.itemsize} as length")
        .head()
    )
    length = centers.matrix.shape[1]
    if first is not None and first.length != length:
        raise UserError(
            f"The dictionary {_location(dictionary)} has centres of length {length}, but the features "
            f"{_location(features)} have descriptors of length {first.length}. "
            "Materialize the dictionary from these features first."
        )


def _location(table: DataFrame) -> str:
    return next((file.rpartition("/")[0] for file in table.inputFiles()), "in memory")


def _encode_batches(
    centers: "Broadcast[Vocabulary]",
    pooling: Pooling,
    normalization: Normalization,
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    step = max(1, _POOLED_VALUES // len(centers.value))
    for batch in batches:
        for start in range(0, batch.num_rows, step):
            yield _encode_batch(centers.value, pooling, normalization, batch.slice(start, step))


def _encode_batch(
    centers: Vocabulary, pooling: Pooling, normalization: Normalization, images: pa.RecordBatch
) -> pa.RecordBatch:
    counts = images.column("keypointCount").to_numpy()
    descriptors = binary_values(images.column("descriptors"), centers.dtype).reshape(
        -1, centers.matrix.shape[1]
    )
    bow = encode(descriptors, counts, centers, pooling, normalization)
    return pa.RecordBatch.from_arrays(
        [
            images.column("fileName"),
            images.column("label"),
            images.column("digest"),
            images.column("keypointCount"),
            list_column(bow),
        ],
        names=BOW_ENCODINGS.schema.names,
    )
