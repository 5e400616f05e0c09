"""The visual index: the strongest features of each image as words, signatures and quantised keypoints."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, IntegerType, StructType

from vision_assets.spark.worker_files import MappedRows
from vision_assets.tables.columns import DIGEST, ERROR, FILE_NAME, HEIGHT, LABEL, WIDTH, column
from vision_assets.tables.table import Count, Invariant, Table
from vision_assets.vision.features.codecs import descriptor_matrix, keypoint_matrix
from vision_assets.vision.features.extraction import ImageFeatures
from vision_assets.vision.options import Options, option
from vision_assets.vision.retrieval.cells import (
    keypoints_from_cell,
    keypoints_to_cell,
    words_from_cell,
    words_to_cell,
)
from vision_assets.vision.retrieval.indexed_features import FeatureIndexer, IndexedFeatures

_READ_COLUMNS = (
    "fileName",
    "label",
    "digest",
    "width",
    "height",
    "keypointCount",
    "keypoints",
    "descriptors",
    "error",
)


@dataclass(frozen=True)
class IndexOptions(Options):
    """What of an image is indexed.

    Parameters
    ----------
    max_features : int
        The strongest features of an image that are indexed. 0 for all.
    """

    max_features: int = option(
        2000,
        "Index only this many features per image, the strongest; 0 indexes all. Each takes 16 bytes and a "
        "share of every search.",
        ge=0,
    )


def index_table(features: str | None = None) -> Table:
    """Describe the table of a visual index.

    Parameters
    ----------
    features : str, optional
        The asset of the features that are indexed.
    """
    return Table(
        schema=StructType(
            [
                FILE_NAME,
                LABEL,
                DIGEST,
                WIDTH,
                HEIGHT,
                column("keypointCount", IntegerType(), "keypoints that the image has"),
                column("featureCount", IntegerType(), "features that are indexed, the strongest ones"),
                column("words", BinaryType(), "gaps between the ascending words, in 3 planes of bytes"),
                column("signatures", BinaryType(), "uint64, one for each feature"),
                column(
                    "keypoints", BinaryType(), "uint16 x, uint16 y, uint8 scale, uint8 angle, in 4 planes"
                ),
                ERROR,
            ]
        ),
        key="fileName",
        row_noun="images",
        counts={
            "images": Count("count(*)"),
            "features": Count("sum(featureCount)"),
            "images_without_features": Count("count_if(featureCount = 0)"),
            "failures": Count("count(error)"),
        },
        invariants={
            "sizes_match": Invariant(
                "bool_and(featureCount >= 0 and featureCount <= keypointCount"
                " and octet_length(words) = featureCount * 3"
                " and octet_length(signatures) = featureCount * 8"
                " and octet_length(keypoints) = featureCount * 6 and octet_length(digest) = 32)",
                "The binary cells have the sizes that the counts imply.",
            )
        },
        same_keys_as=features,
        is_per_image=True,
        computed="indexed",
    )


def index_features(features: DataFrame, indexer: FeatureIndexer) -> MappedRows:
    """Index the stored SIFT features of images.

    Parameters
    ----------
    features : DataFrame
        With the schema of `vision_assets.steps.features.features_table`.
    indexer : FeatureIndexer

    Returns
    -------
    MappedRows
        With the schema of `index_table`, not yet computed, one row per image.
    """
    schema = index_table().schema
    shared = features.sparkSession.sparkContext.broadcast(indexer)
    return MappedRows(
        features.select(*_READ_COLUMNS), partial(_index_batches, shared, to_arrow_schema(schema)), schema
    )


def _index_batches(
    indexer: "Broadcast[FeatureIndexer]", columns: pa.Schema, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        indexed = indexer.value.index(_features_of(batch))
        cells = {
            "featureCount": [len(image.words) for image in indexed],
            "words": [words_to_cell(image.words) for image in indexed],
            "signatures": [image.signatures.astype("<u8", copy=False).tobytes() for image in indexed],
            "keypoints": [keypoints_to_cell(image.keypoints) for image in indexed],
        }
        arrays = [
            pa.array(cells[column.name], column.type) if column.name in cells else batch[column.name]
            for column in columns
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=columns)


def _features_of(batch: pa.RecordBatch) -> list[ImageFeatures]:
    rows = zip(*(batch[name] for name in ("width", "height", "keypoints", "descriptors")), strict=True)
    return [
        ImageFeatures(
            width.as_py() or 0,
            height.as_py() or 0,
            keypoint_matrix(keypoints.as_buffer()),
            descriptor_matrix(descriptors.as_buffer()),
        )
        for width, height, keypoints, descriptors in rows
    ]


def indexed_of(batch: pa.RecordBatch) -> list[IndexedFeatures]:
    """Return the features in rows of a visual index.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Columns ``width``, ``height``, ``words``, ``signatures``, ``keypoints``.

    Raises
    ------
    ValueError
        If the size of a cell is not one that its kind can have.
    """
    columns = ("width", "height", "words", "signatures", "keypoints")
    return [
        IndexedFeatures(
            width.as_py() or 0,
            height.as_py() or 0,
            words_from_cell(words.as_buffer()),
            np.frombuffer(signatures.as_buffer(), "<u8"),
            keypoints_from_cell(keypoints.as_buffer()),
        )
        for width, height, words, signatures, keypoints in zip(
            *(batch[name] for name in columns), strict=True
        )
    ]
