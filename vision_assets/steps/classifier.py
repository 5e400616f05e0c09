"""The classifier: linear models of the labels on the encodings, and their probabilities."""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from py4j.protocol import Py4JError
from pyspark import Broadcast, inheritable_thread_target
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import ArrayType, DoubleType, FloatType, IntegerType, StringType, StructType

from vision_assets.pipelines import Step
from vision_assets.spark.arrow import list_column, list_values
from vision_assets.spark.jvm import stop_jvm
from vision_assets.steps.run_options import RefreshOptions, RetrainOptions
from vision_assets.steps.spec import StepSpec
from vision_assets.steps.splits import TRAIN, SplitOptions
from vision_assets.tables.columns import column
from vision_assets.tables.table import Count, Invariant, Table
from vision_assets.vision.classification.linear import Classifier, TrainingOptions, round_weights
from vision_assets.vision.classification.training import fit_logistic_regression, join_sparse
from vision_assets.vision.encoding.kernel_maps import FeatureMap, apply_feature_map, mapped_length

_FEATURE_VALUES = 2**22  # float64 values of a batch of images: 32 MB
_PARTITION_BYTES = 2**27
_VALUE_BYTES = 8
_SPARSE_VALUES = _PARTITION_BYTES // 12  # a value of a sparse matrix has a column of 4 bytes
_BROADCAST_ROWS = 1_000_000  # of names, splits and labels: about 100 MB
_AT_ONCE = 4  # splits; each has the features of its images in memory


Model: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Weights of shape (classes, D), and intercepts of shape (classes,)."""

IMAGE_CLASSIFIER = Table(
    schema=StructType(
        [
            column("split", IntegerType(), "0 to splits - 1: one model for each random split"),
            column("label", StringType(), "the class that these weights belong to"),
            column("intercept", DoubleType(), "added to the weighted features"),
            column("weights", ArrayType(FloatType(), containsNull=False), "one per feature"),
        ]
    ),
    key="struct(split, label)",
    row_noun="rows",
    counts={
        "classes": Count("count_if(split = 0)"),
        "splits": Count("max(split) + 1"),
        "features": Count("max(size(weights))", merge=max),
    },
    invariants={
        "one_length": Invariant(
            "min(size(weights)) = max(size(weights))", "All vectors have the same length."
        ),
        "finite_weights": Invariant(
            "bool_and(abs(intercept) < double('infinity')"
            " and array_max(weights) < float('infinity') and array_min(weights) > -float('infinity'))",
            "No weight or intercept is infinite or not a number.",
        ),
    },
)


def declare(step: Step) -> StepSpec:
    """Declare the asset of a classifier on encodings."""
    return StepSpec(
        step,
        IMAGE_CLASSIFIER,
        description="Linear models of the labels on the encodings, one for each split.\n\n"
        "Skipped if there is nothing to classify: fewer than two labels. Trained again only if encodings, "
        "labels or settings have changed, or as `retrain` says.",
        options=(SplitOptions, TrainingOptions, RetrainOptions, RefreshOptions),
        storage="classifier",
        badges=frozenset({"pyspark", "numpy"}),
        needs_labels=True,
        code_version="2",
    )


def train_classifier(
    encodings: DataFrame,
    subsets: DataFrame,
    labels: tuple[str, ...],
    n_splits: int,
    options: TrainingOptions,
    log: Callable[[str], None] = lambda _: None,
    trained: Callable[[int], object] = lambda _: None,
) -> Classifier:
    """Train one multinomial logistic regression per split, several at once.

    Parameters
    ----------
    encodings : DataFrame
        Columns ``fileName``, ``vector``.
    subsets : DataFrame
        From `vision_assets.steps.splits.split_images`.
    labels : tuple of str
        The classes in order.
    n_splits : int
        Number of splits.
    options : TrainingOptions
    log : callable
        Takes a line after each split.
    trained : callable
        Takes the number of splits that are trained, at first 0.

    Returns
    -------
    Classifier
        Without a dictionary and settings. The same input gives the same bits if the training features of a
        split take up to 128 MB; beyond that, partial sums are added in the order of arrival.
    """
    training = with_label_index(subsets.where(F.col("subset") == TRAIN), labels)
    examples = with_vectors(training, encodings).persist()
    spark = encodings.sparkSession
    models: list[Model] = []
    started = time.monotonic()

    @inheritable_thread_target(spark)
    def train(split: int) -> Model:
        return _train(examples.where(F.col("split") == split), sizes[split], len(labels), options)

    trained(0)
    try:
        sizes = _sizes(examples)
        at_once = min(spark.sparkContext.defaultParallelism, _AT_ONCE)
        with ThreadPoolExecutor(at_once) as threads:
            try:
                for model in threads.map(train, range(n_splits)):
                    models.append(model)
                    trained(len(models))
                    seconds = time.monotonic() - started
                    turns, all_turns = -(-len(models) // at_once), -(-n_splits // at_once)
                    left = seconds / turns * (all_turns - turns)
                    remaining = f", about {left:.0f} s left" if left else ""
                    log(
                        f"split {len(models)} of {n_splits}: trained on {len(labels):,} classes, "
                        f"{seconds:.1f} s{remaining}"
                    )
            except KeyboardInterrupt:
                # The pool waits for its threads, and these for Spark; a cancelled job is followed by others.
                stop_jvm()
                raise
    finally:
        with suppress(Py4JError, OSError):  # the JVM may have been stopped
            examples.unpersist()
    return Classifier(
        labels=labels,
        weights=np.stack([round_weights(weights) for weights, _ in models]),
        intercepts=np.stack([intercepts for _, intercepts in models]),
        feature_map=options.feature_map,
    )


def with_vectors(images: DataFrame, encodings: DataFrame) -> DataFrame:
    """Add the column ``vector`` to images. The vectors stay where they are: the images go to all workers.

    Only if there are millions of images are these and the vectors shuffled.

    Parameters
    ----------
    images : DataFrame
        With a column ``fileName``.
    encodings : DataFrame
        Columns ``fileName``, ``vector``.
    """
    vectors = encodings.select("fileName", "vector")
    # Brought here and not only counted, because drawing the splits of a million images takes a minute.
    some = images.limit(_BROADCAST_ROWS + 1).toArrow()
    if some.num_rows > _BROADCAST_ROWS:
        return vectors.join(images, "fileName")
    known = images.sparkSession.createDataFrame(some, images.schema)
    return vectors.join(F.broadcast(known), "fileName")


def with_label_index(rows: DataFrame, labels: tuple[str, ...]) -> DataFrame:
    """Replace the label by its index as ``target``; rows of other labels are left out.

    Parameters
    ----------
    rows : DataFrame
        With a column ``label``.
    labels : tuple of str
        The classes in order.

    Returns
    -------
    DataFrame
    """
    known = rows.sparkSession.createDataFrame(list(enumerate(labels)), "target int, label string")
    return rows.join(F.broadcast(known), "label").drop("label")


class _Size(NamedTuple):
    """Images to train on in a split, length of their encodings, and the mean of their squared norms."""

    images: int
    length: int
    square: float


def _sizes(examples: DataFrame) -> dict[int, _Size]:
    squares = F.aggregate("vector", F.lit(0.0), lambda total, value: total + value * value)
    found = examples.groupBy("split").agg(F.count("*"), F.max(F.size("vector")), F.avg(squares))
    return {split: _Size(*size) for split, *size in found.collect()}


def _train(examples: DataFrame, size: _Size, classes: int, options: TrainingOptions) -> Model:
    # L-BFGS and the penalty need features of about length 1. A power of two changes no bit of them.
    scale = 2.0 ** -round(math.log2(size.square or 1) / 2) if options.feature_map == "none" else 1.0
    values = mapped_length(size.length, options.feature_map)
    partitions = max(1, -(-size.images * values * _VALUE_BYTES // _PARTITION_BYTES))
    # Maps leave zeros as they are, and the features of a large vocabulary are nearly all zeros.
    is_sparse = partitions > 1 and _nonzeros(examples) * values // size.length <= _SPARSE_VALUES
    if is_sparse:
        partitions = 1
    # In a fixed order: the last bits of a sum depend on it.
    rows = examples.repartition(partitions, "fileName").sortWithinPartitions("fileName")
    rows = rows.select("target", "vector")
    if partitions == 1:
        weights, intercepts = _train_in_one_task(rows, scale, classes, options, is_sparse=is_sparse)
    else:
        weights, intercepts = _train_by_mllib(rows, scale, classes, options)
    return weights * scale, intercepts


def _nonzeros(examples: DataFrame) -> int:
    counts = examples.select("vector").mapInArrow(_count_nonzeros, "nonzeros long")
    return counts.agg(F.sum("nonzeros")).head()[0]  # type: ignore[index]


def _count_nonzeros(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in filter(len, batches):
        yield pa.record_batch({"nonzeros": [np.count_nonzero(list_values(batch["vector"]))]})


def _train_in_one_task(
    rows: DataFrame, scale: float, classes: int, options: TrainingOptions, *, is_sparse: bool
) -> Model:
    """Train in one of Spark's workers: for small data, each of MLlib's iterations is a job that waits."""
    fit = partial(_fit, scale, classes, options, is_sparse)
    fitted = rows.mapInArrow(fit, "target int, intercept double, weights array<double>").toArrow()
    fitted = fitted.sort_by("target")
    return list_values(fitted["weights"].combine_chunks()), fitted["intercept"].to_numpy()


def _fit(
    scale: float,
    classes: int,
    options: TrainingOptions,
    is_sparse: bool,
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    targets = []

    def features() -> Iterator[NDArray[np.float64]]:
        for images, vectors in _slices(batches, options.feature_map):
            targets.append(images["target"].to_numpy())
            yield apply_feature_map(vectors, options.feature_map) * scale

    matrix = join_sparse(features()) if is_sparse else np.concatenate(list(features()))
    weights, intercepts = fit_logistic_regression(
        matrix, np.concatenate(targets), classes, reg_param=options.reg_param, max_iter=options.max_iter
    )
    yield pa.record_batch(
        {
            "target": pa.array(range(classes), pa.int32()),
            "intercept": intercepts,
            "weights": list_column(weights),
        }
    )


def _train_by_mllib(rows: DataFrame, scale: float, classes: int, options: TrainingOptions) -> Model:
    features = rows.mapInArrow(
        partial(_map_batches, options.feature_map, scale), "label double, values array<double>"
    )
    model = LogisticRegression(
        family="multinomial", regParam=options.reg_param, maxIter=options.max_iter, standardization=False
    ).fit(features.select("label", array_to_vector(F.col("values")).alias("features")))
    return model.coefficientMatrix.toArray(), model.interceptVector.toArray()


def _map_batches(
    feature_map: FeatureMap, scale: float, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    for images, vectors in _slices(batches, feature_map):
        features = apply_feature_map(vectors, feature_map) * scale
        yield pa.record_batch({"label": images["target"].cast(pa.float64()), "values": list_column(features)})


def map_probabilities(
    encodings: DataFrame,
    images: DataFrame,
    classifier: Classifier,
    make_rows: Callable[[pa.RecordBatch, NDArray[np.float64]], pa.RecordBatch],
    schema: StructType | str,
) -> DataFrame:
    """Classify images with the models of their splits, and make rows of the probabilities.

    Parameters
    ----------
    encodings : DataFrame
        Columns ``fileName``, ``vector``.
    images : DataFrame
        Columns ``fileName``, ``split`` and any others.
    classifier : Classifier
    make_rows : callable
        Takes a batch of `images` and the probabilities, of shape (length of the batch, number of labels).
        Runs in Spark's workers.
    schema : StructType or str
        Of what `make_rows` returns.

    Returns
    -------
    DataFrame
        Not yet computed.
    """
    shared = encodings.sparkSession.sparkContext.broadcast(classifier)
    joined = with_vectors(images, encodings)
    return joined.select(*images.columns, "vector").mapInArrow(
        partial(_map_probabilities, shared, make_rows), schema
    )


def _map_probabilities(
    shared: "Broadcast[Classifier]",
    make_rows: Callable[[pa.RecordBatch, NDArray[np.float64]], pa.RecordBatch],
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    classifier = shared.value
    for images, vectors in _slices(batches, classifier.feature_map):
        splits = images["split"].to_numpy()
        probabilities = np.empty((len(vectors), len(classifier.labels)), np.float64)
        for split in np.unique(splits):
            rows = np.flatnonzero(splits == split)
            probabilities[rows] = classifier.probabilities(vectors[rows], split)
        yield make_rows(images, probabilities)


def _slices(
    batches: Iterator[pa.RecordBatch], feature_map: FeatureMap
) -> Iterator[tuple[pa.RecordBatch, NDArray[np.float32]]]:
    """Batches of bounded size with their encodings as a matrix."""
    for batch in filter(len, batches):
        length = len(batch["vector"][0])
        step = max(1, _FEATURE_VALUES // mapped_length(length, feature_map))
        for start in range(0, len(batch), step):
            images = batch.slice(start, step)
            yield images, list_values(images["vector"])
