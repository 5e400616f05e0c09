"""The tables: their columns, what counts in them, and what must hold of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F  # noqa: N812 - the name that all of PySpark's documentation uses
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from vision_assets.pipelines import IMAGE_ASSET, PIPELINES, Pipeline
from vision_assets.vision.features.base import ExtractorOptions
from vision_assets.vision.features.sift import SiftOptions
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT

UNIQUE_KEYS = "unique_keys"
SAME_KEYS = "same_keys_as_upstream"
SAME_IMAGES = "same_images_as_upstream"
AS_MANY_ROWS = "k_centers"


@dataclass(frozen=True)
class Table:
    """What is known of a table before it exists.

    Parameters
    ----------
    schema : StructType
    key : str
        SQL of what no two rows have in common: a column, or a struct of several.
    row_noun : str
        What a row stands for, in the plural.
    counts : mapping
        Name to SQL aggregate: numbers that a user wants to know.
    invariants : mapping
        Name to SQL aggregate that is true of every sound table.
    same_keys_as : tuple of str, optional
        The upstream asset whose every key has exactly one row here.
    rows_setting : str, optional
        The setting that says how many rows there must be.
    is_per_image : bool
        Whether a row is of an image, which its columns ``fileName`` and ``digest`` tell from others.
    content : str, optional
        SQL of what may differ in a row although settings and inputs are the same: an extraction that had
        too little memory gives a row with an error, another processor other last bits of a centre.
    """

    schema: StructType
    key: str
    row_noun: str
    counts: Mapping[str, str] = field(default_factory=dict)
    invariants: Mapping[str, str] = field(default_factory=dict)
    same_keys_as: tuple[str, ...] | None = None
    rows_setting: str | None = None
    is_per_image: bool = False
    content: str | None = None

    @property
    def holds_images(self) -> bool:
        """Tell whether the table is of the images themselves: what is in it does not follow from others."""
        return self.is_per_image and not self.same_keys_as

    @property
    def checks(self) -> list[str]:
        """Names of all that must hold of the table."""
        return [
            UNIQUE_KEYS,
            *self.invariants,
            *([SAME_KEYS] if self.same_keys_as else []),
            *([SAME_IMAGES] if self.same_keys_as and self.is_per_image else []),
            *([AS_MANY_ROWS] if self.rows_setting else []),
        ]


class Fingerprints(Protocol):
    """What tells a stored table from others without reading it."""

    @property
    def keys(self) -> str:
        """Fingerprint of the set of keys: two tables with the same keys have the same one."""

    @property
    def images(self) -> str:
        """Fingerprint of names and digests; empty if the table was stored before there were such."""


@dataclass(frozen=True)
class Summary:
    """What was counted and found in a stored table.

    Parameters
    ----------
    rows : int
    keys : str
        Fingerprint of the set of keys: two tables with the same keys have the same one.
    counts : dict
    check_results : dict
        Name of a check to whether it holds.
    images : str
        Fingerprint of the set of images, of a table of images: equal for the same names and digests.
    content : str
        Fingerprint of what `Table.content` tells apart; empty without it.
    """

    rows: int
    keys: str
    counts: dict[str, int | float]
    check_results: dict[str, bool]
    images: str = ""
    content: str = ""


def observe(table: Table, rows: DataFrame) -> tuple[DataFrame, Observation]:
    """Have a table's counts and invariants evaluated on its rows when they are computed, for `summarize`.

    Parameters
    ----------
    table : Table
    rows : DataFrame

    Returns
    -------
    DataFrame
        The same rows.
    Observation
        What was found; waits until they have been computed.
    """
    observation = Observation()
    values = {**table.counts, **table.invariants}
    return rows.observe(observation, *(F.expr(sql).alias(name) for name, sql in values.items())), observation


def summarize(
    table: Table,
    rows: DataFrame,
    upstream: Fingerprints | None = None,
    config: Mapping[str, Any] | None = None,
    observed: Mapping[str, Any] | None = None,
) -> Summary:
    """Count a stored table, fingerprint its keys and evaluate its invariants, in one pass.

    Parameters
    ----------
    table : Table
    rows : DataFrame
    upstream : Fingerprints, optional
        Of the table that `Table.same_keys_as` names.
    config : mapping, optional
        Settings of the run that made the table.
    observed : mapping, optional
        Counts and invariants found by `observe` while the rows were written. With it only keys, digests
        and content are read.

    Returns
    -------
    Summary
    """
    key = F.expr(table.key)
    has_digests = table.is_per_image and "digest" in rows.columns  # encodings of earlier releases have none
    values = {} if observed is not None else {**table.counts, **table.invariants}
    result: Any = rows.agg(
        F.count("*"),
        F.count_distinct(key),
        _fingerprint(key),
        _fingerprint(F.expr("struct(fileName, digest)" if has_digests else "0")),
        _fingerprint(F.expr(table.content or "0")),
        *map(F.expr, values.values()),
    ).head()
    count, distinct, of_keys, is_per_image, of_content, *found_values = result
    found = dict(zip(values, found_values, strict=True)) if observed is None else observed
    keys = f"{count}:{of_keys or 0}"
    images = f"{count}:{is_per_image or 0}" if has_digests else ""
    results = {UNIQUE_KEYS: distinct == count}
    # An aggregate over no row is null: what holds of every row holds of none.
    results |= {name: found[name] is None or bool(found[name]) for name in table.invariants}
    if upstream:
        results[SAME_KEYS] = keys == upstream.keys
        if table.is_per_image:
            results[SAME_IMAGES] = images == (upstream.images or images)
    if table.rows_setting:
        results[AS_MANY_ROWS] = count == (config or {}).get(table.rows_setting, count)
    counts = {name: found[name] or 0 for name in table.counts}
    return Summary(count, keys, counts, results, images, f"{of_content or 0}" if table.content else "")


def _fingerprint(value: Column) -> Column:
    return F.sum(F.xxhash64(value).cast("decimal(38,0)"))


def count(table: Table, rows: DataFrame, *, sound: bool) -> dict[str, Any]:
    """Evaluate a table's counts on some of its rows, and its invariants unless they are known to hold.

    Parameters
    ----------
    table : Table
    rows : DataFrame
    sound : bool
        Whether the rows are from a table of which all invariants were found to hold.

    Returns
    -------
    dict
        As `observe` finds it.
    """
    values = {**table.counts, **({} if sound else table.invariants)}
    found: Any = rows.agg(*(F.expr(sql).alias(name) for name, sql in values.items())).head()
    return dict(found.asDict())


def add_up(table: Table, pieces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put together what was found in the pieces of a table of which each row stands in one.

    Parameters
    ----------
    table : Table
    pieces : sequence of mapping
        Counts and invariants that `observe` or `count` have found; an invariant that is not there holds.

    Returns
    -------
    dict
        As if all rows had been observed.
    """
    whole: dict[str, Any] = {}
    for name, sql in table.counts.items():
        values = [piece[name] for piece in pieces if piece[name] is not None]
        whole[name] = max(values, default=0) if sql.startswith("max(") else sum(values)
    for name in table.invariants:
        whole[name] = all(piece.get(name) is not False for piece in pieces)
    return whole


def duplicate_keys(table: Table, rows: DataFrame, limit: int = 3) -> list[str]:
    """Return some keys that stand in more than one row."""
    duplicates = (
        rows.groupBy(F.expr(table.key).alias("key")).count().where("count > 1").orderBy("key").limit(limit)
    )
    return [str(row[0]) for row in duplicates.collect()]


def changed_images(index: DataFrame, features: DataFrame, limit: int = 3) -> list[tuple[str, str]]:
    """Return name and part file of some stored images of which other bytes were read than were stored."""
    read = features.select("fileName", F.col("digest").alias("read"))
    changed = index.join(read, "fileName").where("digest <> read").orderBy("part", "fileName")
    return [(row.fileName, row.part) for row in changed.limit(limit).collect()]


def _column(name: str, kind: Any, comment: str, *, nullable: bool = False) -> StructField:
    return StructField(name, kind, nullable, {"comment": comment})


_FILE_NAME = _column("fileName", StringType(), "path of the image in the source, its parts joined by /")
_DIGEST = _column("digest", BinaryType(), "SHA-256 of the file")
_LABEL = _column("label", StringType(), "name of the folder that the file is in", nullable=True)

SEQUENCE_FILE = StructType(
    [
        _column("key", StringType(), "Text: path of the image in the source, its parts joined by /"),
        _column("value", BinaryType(), "BytesWritable: the bytes of the file, unchanged"),
    ]
)
"""What `image_seqfile` stores."""

IMAGE_SCHEMA = StructType([_FILE_NAME, _column("content", BinaryType(), "the bytes of the file, unchanged")])
"""What is read from it."""

IMAGE_SEQFILE = Table(
    schema=StructType(
        [
            _FILE_NAME,
            _column("length", LongType(), "bytes of the file"),
            _DIGEST,
            _column("part", StringType(), "part file that the image lies in"),
            _column("stamp", StringType(), "state of the file in the source when it was read", nullable=True),
        ]
    ),
    key="fileName",
    row_noun="images",
    counts={"images": "count(*)"},
    is_per_image=True,
)
"""Its index, which lies beside the images: they are not read to know which they are."""


def features_table(extractor: type[ExtractorOptions]) -> Table:
    """Describe the table of an extractor's features."""
    dtype, length = extractor.dtype, extractor.length
    return Table(
        schema=StructType(
            [
                _FILE_NAME,
                _LABEL,
                _DIGEST,
                _column("width", IntegerType(), "pixels", nullable=True),
                _column("height", IntegerType(), "pixels", nullable=True),
                _column("keypointCount", IntegerType(), "number of keypoints and descriptors"),
                _column("keypoints", BinaryType(), "float32, keypointCount x 5: x, y, size, angle, response"),
                _column("descriptors", BinaryType(), f"{dtype}, keypointCount x {length}, row-major"),
                _column(
                    "error", StringType(), "why the image could not be read; null when fine", nullable=True
                ),
            ]
        ),
        key="fileName",
        row_noun="images",
        counts={
            "images": "count(*)",
            "descriptors": "sum(keypointCount)",
            "failures": "count(error)",
            "images_without_keypoints": "count_if(error is null and keypointCount = 0)",
        },
        invariants={
            "sizes_match": "bool_and(keypointCount >= 0 and octet_length(keypoints) = keypointCount * 20"
            f" and octet_length(descriptors) = keypointCount * {length * dtype.itemsize}"
            " and octet_length(digest) = 32)",
            "errors_have_no_descriptors": "bool_and(error is null or keypointCount = 0)",
        },
        same_keys_as=(IMAGE_ASSET,),
        is_per_image=True,
        content="struct(fileName, keypointCount, error)",
    )


SIFT_FEATURES = features_table(SiftOptions)

KMEANS_DICTIONARY = Table(
    schema=StructType(
        [
            _column("wordId", IntegerType(), "0 to k - 1"),
            _column(
                "center",
                ArrayType(FloatType(), containsNull=False),
                "mean of the word's descriptors, as long as one of them",
            ),
            _column("descriptorCount", LongType(), "training descriptors nearest to this centre"),
            _column("inertia", DoubleType(), "sum of their squared distances to it"),
        ]
    ),
    key="wordId",
    row_noun="words",
    counts={
        "words": "count(*)",
        "training_descriptors": "sum(descriptorCount)",
        "smallest_word_size": "min(descriptorCount)",
        "largest_word_size": "max(descriptorCount)",
    },
    invariants={
        "numbered_words": "min(wordId) = 0 and max(wordId) = count(*) - 1",
        "no_empty_word": "bool_and(descriptorCount > 0)",
        "finite_and_non_negative": "bool_and(array_min(center) >= 0 and array_max(center) <= 255"
        " and inertia >= 0 and inertia < double('infinity'))",
    },
    rows_setting="k",
    content="struct(wordId, center, descriptorCount, inertia)",
)
"""Of words of bytes."""

_OF_FRACTIONS = replace(
    KMEANS_DICTIONARY,
    invariants={
        "numbered_words": KMEANS_DICTIONARY.invariants["numbered_words"],
        "no_empty_word": KMEANS_DICTIONARY.invariants["no_empty_word"],
        "values_in_range": "bool_and(array_min(center) >= -1 and array_max(center) <= 1"
        " and inertia >= 0 and inertia < double('infinity'))",
    },
)

BOW_ENCODINGS = Table(
    schema=StructType(
        [
            _FILE_NAME,
            _LABEL,
            _DIGEST,
            _column("descriptorCount", IntegerType(), "number of descriptors that were pooled"),
            _column(
                "bow",
                ArrayType(FloatType(), containsNull=False),
                "one value per visual word, in the order of wordId",
            ),
        ]
    ),
    key="fileName",
    row_noun="images",
    counts={
        "images": "count(*)",
        "descriptors": "sum(descriptorCount)",
        "words": "max(size(bow))",
        "zero_vectors": "count_if(array_max(bow) = 0)",
    },
    invariants={
        "one_length": "min(size(bow)) = max(size(bow))",
        "finite_and_non_negative": "bool_and(array_min(bow) >= 0 and array_max(bow) < float('infinity'))",
    },
    is_per_image=True,
)
"""Without the features that they are of."""

IMAGE_CLASSIFIER = Table(
    schema=StructType(
        [
            _column("split", IntegerType(), "0 to splits - 1: one model for each random split"),
            _column("label", StringType(), "the class that these weights speak for"),
            _column("intercept", DoubleType(), "added to the weighted features"),
            _column("weights", ArrayType(FloatType(), containsNull=False), "one per feature"),
        ]
    ),
    key="struct(split, label)",
    row_noun="rows",
    counts={
        "classes": "count_if(split = 0)",
        "splits": "max(split) + 1",
        "features": "max(size(weights))",
    },
    invariants={
        "one_length": "min(size(weights)) = max(size(weights))",
        "finite_weights": "bool_and(abs(intercept) < double('infinity')"
        " and array_max(weights) < float('infinity') and array_min(weights) > -float('infinity'))",
    },
)

CLASSIFICATION_REPORT = Table(
    schema=StructType(
        [
            _column("split", IntegerType(), "0 to splits - 1"),
            _column("label", StringType(), "the class"),
            _column("trainCount", IntegerType(), "images that were trained on"),
            _column("support", IntegerType(), "images that were tested"),
            _column("precision", DoubleType(), "share of those classified so that are right", nullable=True),
            _column("recall", DoubleType(), "share of the class's images that are right", nullable=True),
            _column("f1", DoubleType(), "harmonic mean of precision and recall", nullable=True),
            _column(
                "predicted",
                ArrayType(IntegerType(), containsNull=False),
                "row of the confusion matrix: how many images went to each class, in the order of the labels",
            ),
            _column("confusedWith", StringType(), "the wrong class that got most of them", nullable=True),
            _column("confusedCount", IntegerType(), "how many it got"),
        ]
    ),
    key="struct(split, label)",
    row_noun="rows",
    counts={
        "classes": "count_if(split = 0)",
        "splits": "max(split) + 1",
        "test_images": "sum(support)",
        "accuracy": "sum(recall * support) / sum(support)",
        "mean_per_class_accuracy": "avg(recall)",
    },
    invariants={
        "shares_in_range": "bool_and(coalesce(precision, 0) between 0 and 1"
        " and coalesce(recall, 0) between 0 and 1 and coalesce(f1, 0) between 0 and 1)",
        "confusion_adds_up": "bool_and(aggregate(predicted, 0, (a, x) -> a + x) = support)",
    },
)


def _tables_of(pipeline: Pipeline) -> dict[tuple[str, ...], Table]:
    return {
        (pipeline.features,): features_table(pipeline.extractor),
        (pipeline.dictionary,): _OF_FRACTIONS
        if pipeline.extractor.dtype == FIXED_POINT
        else KMEANS_DICTIONARY,
        (pipeline.encodings,): replace(BOW_ENCODINGS, same_keys_as=(pipeline.features,)),
        (pipeline.classifier,): IMAGE_CLASSIFIER,
        (pipeline.report,): CLASSIFICATION_REPORT,
    }


TABLES: Mapping[tuple[str, ...], Table] = {(IMAGE_ASSET,): IMAGE_SEQFILE} | {
    asset: table for pipeline in PIPELINES.values() for asset, table in _tables_of(pipeline).items()
}
"""Asset key to table."""
