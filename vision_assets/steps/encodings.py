"""Encodings: one vector per image, from its features and a vocabulary."""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import ArrayType, FloatType, IntegerType, StructType

from vision_assets.errors import UserError
from vision_assets.pipelines import IMAGE_ASSET, Step
from vision_assets.spark.arrow import binary_values, list_column
from vision_assets.spark.worker_files import MappedRows
from vision_assets.steps.images import sample_of
from vision_assets.steps.pictures.encodings import draw_encodings
from vision_assets.steps.run_options import RefreshOptions
from vision_assets.steps.spec import StepSpec, TableWithLineage
from vision_assets.tables.columns import DIGEST, FILE_NAME, LABEL, column
from vision_assets.tables.table import Count, Invariant, Table
from vision_assets.vision.draw import Picture
from vision_assets.vision.encoding.bag_of_words import BagOfWords
from vision_assets.vision.encoding.base import Encoding, FeatureBatch
from vision_assets.vision.encoding.image_encoder import ImageEncoder
from vision_assets.vision.features.codecs import KEYPOINT_FIELDS
from vision_assets.vision.options import summary_of

_ENCODED_VALUES = 2**22  # float64 values of a batch of images: 32 MB
_COPIED_COLUMNS = ("fileName", "label", "digest", "keypointCount")
_POSITIONS = ("width", "height", "keypoints")


def encodings_table(encoding: type[Encoding], features: str | None = None) -> Table:
    """Describe the table of encodings.

    Parameters
    ----------
    encoding : type of Encoding
    features : str, optional
        The asset of the features that are encoded.
    """
    vector = encoding.column
    return Table(
        schema=StructType(
            [
                FILE_NAME,
                LABEL,
                DIGEST,
                column("descriptorCount", IntegerType(), "number of descriptors that were pooled"),
                column(vector, ArrayType(FloatType(), containsNull=False), encoding.column_comment),
            ]
        ),
        key="fileName",
        row_noun="images",
        counts={
            "images": Count("count(*)"),
            "descriptors": Count("sum(descriptorCount)"),
            "words": Count(f"max(size({vector}))", merge=max),
            "zero_vectors": Count(f"count_if(array_max({vector}) = 0)"),
        },
        invariants={
            "one_length": Invariant(
                f"min(size({vector})) = max(size({vector}))", "All vectors have the same length."
            ),
            "finite_and_non_negative": Invariant(
                f"bool_and(array_min({vector}) >= 0 and array_max({vector}) < float('infinity'))",
                "No value is negative, infinite or not a number.",
            ),
        },
        same_keys_as=features,
        is_per_image=True,
        computed="encoded",
        looked_up_by="fileName",
    )


BOW_ENCODINGS = encodings_table(BagOfWords)
"""The table of bags of words, without the features that it is made from."""


def declare(step: Step) -> StepSpec:
    """Declare the asset of an encoding."""
    extractor, encoding = step.extractor, step.encoding
    assert extractor and encoding  # noqa: PT018, S101 - a step of encodings has both

    def draw(encodings: TableWithLineage) -> Mapping[str, Picture]:
        features = encodings.upstream(step.inputs["features"])
        words = encodings.upstream(step.inputs["dictionary"])
        sample = sample_of(features.upstream(IMAGE_ASSET))
        images = encodings.snapshot.counts["images"]
        return draw_encodings(sample, features.rows, words.rows, encodings.rows, images, extractor)

    return StepSpec(
        step,
        encodings_table(encoding, step.inputs["features"]),
        description=f"One vector per image. {summary_of(encoding)}\n\n"
        "Only new and changed images are encoded, unless the dictionary or the settings have changed.",
        options=(encoding, RefreshOptions),
        draw=draw if encoding is BagOfWords else None,
    )


def encode_features(
    features: DataFrame, encoder: ImageEncoder, described: str = "the dictionary"
) -> MappedRows:
    """Encode the stored features of images.

    Parameters
    ----------
    features : DataFrame
        Columns ``fileName``, ``label``, ``digest``, ``keypointCount``, ``descriptors``, and ``width``,
        ``height``, ``keypoints`` for an encoding that uses positions.
    encoder : ImageEncoder
        Its extractor must be the one of the features.
    described : str
        Where the encoder's vocabulary comes from, for an error.

    Returns
    -------
    MappedRows
        With the schema of `encodings_table`, not yet computed, one row per image.

    Raises
    ------
    UserError
        If the descriptors are not as long as the centres.
    """
    _require_fit(features, encoder, described)
    encoding = encoder.encoding
    shared = features.sparkSession.sparkContext.broadcast(encoder)
    columns = features.select(
        *_COPIED_COLUMNS, "descriptors", *(_POSITIONS if encoding.uses_positions else ())
    )
    schema = encodings_table(type(encoding)).schema
    return MappedRows(columns, partial(_encode_batches, shared, schema.names), schema)


def vectors_of(encodings: DataFrame, encoding: type[Encoding]) -> DataFrame:
    """Return ``fileName`` and ``vector`` of stored encodings, for steps that take any encoding.

    Parameters
    ----------
    encodings : DataFrame
        With the schema of `encodings_table`.
    encoding : type of Encoding
    """
    return encodings.select("fileName", F.col(encoding.column).alias("vector"))


def _require_fit(features: DataFrame, encoder: ImageEncoder, described: str) -> None:
    vocabulary = encoder.vocabulary
    first = (
        features.where("keypointCount > 0")
        .selectExpr(f"octet_length(descriptors) div keypointCount div {vocabulary.dtype.itemsize} as length")
        .head()
    )
    if first is not None and first.length != vocabulary.length:
        raise UserError(
            f"The centres of {described} have {vocabulary.length} values, but the features "
            f"{_location(features)} have descriptors of {first.length}. "
            "Materialize the dictionary from these features first."
        )


def _location(table: DataFrame) -> str:
    return next((file.rpartition("/")[0] for file in table.inputFiles()), "in memory")


def _encode_batches(
    encoder: "Broadcast[ImageEncoder]", names: list[str], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    encoding, vocabulary = encoder.value.encoding, encoder.value.vocabulary
    step = max(1, _ENCODED_VALUES // encoding.length(vocabulary))
    for batch in batches:
        for start in range(0, batch.num_rows, step):
            images = batch.slice(start, step)
            encoded = encoder.value.encode_batch(_feature_batch(encoder.value, images))
            copied = [images.column(name) for name in _COPIED_COLUMNS]
            yield pa.RecordBatch.from_arrays([*copied, list_column(encoded)], names=names)


def _feature_batch(encoder: ImageEncoder, images: pa.RecordBatch) -> FeatureBatch:
    vocabulary = encoder.vocabulary
    counts = images.column("keypointCount").to_numpy()
    descriptors = binary_values(images.column("descriptors"), vocabulary.dtype)
    keypoints = sizes = None
    if encoder.encoding.uses_positions:
        keypoints = binary_values(images.column("keypoints"), np.dtype("<f4")).reshape(
            -1, len(KEYPOINT_FIELDS)
        )
        # An image that could not be read has no size.
        sides = [images.column(name).fill_null(0).to_numpy() for name in ("width", "height")]
        sizes = np.column_stack(sides)
    return FeatureBatch(descriptors.reshape(-1, vocabulary.length), counts, keypoints, sizes)
