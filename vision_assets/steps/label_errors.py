"""Images that are likely to have a wrong label, and copies of images."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from py4j.protocol import Py4JError
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.errors import UserError
from vision_assets.steps.classifier import map_probabilities, train_classifier, with_label_index
from vision_assets.steps.splits import DUPLICATE, TEST, TRAIN
from vision_assets.vision.classification.label_errors import class_thresholds, suggested_labels
from vision_assets.vision.classification.linear import TrainingOptions

N_FOLDS = 5
"""Each image is judged by a model that was trained on the other four fifths."""
_CONFIDENCE = "fileName string, target int, confidence double"
_SUSPECT = "fileName string, target int, suggested int, ownProbability double, suggestedProbability double"


class Suspect(NamedTuple):
    """An image that is likely to have a wrong label.

    Attributes
    ----------
    file_name : str
    label : str
        The label that the image has.
    suggested : str
        The label that it is likely to deserve.
    label_probability, suggested_probability : float
        Of the two labels, by a model that was not trained on the image.
    """

    file_name: str
    label: str
    suggested: str
    label_probability: float
    suggested_probability: float

    @property
    def margin(self) -> float:
        """How much more probable the suggested label is than the one that the image has, 0 to 1."""
        return self.suggested_probability - self.label_probability


class Copy(NamedTuple):
    """One of several images with the same bytes.

    Attributes
    ----------
    file_name : str
    label : str
    left_out : bool
        Whether the classifier was not tested on it in some split, because a copy of it was trained on.
    """

    file_name: str
    label: str
    left_out: bool


def find_suspects(
    encodings: DataFrame,
    images: DataFrame,
    seed: int,
    options: TrainingOptions,
    trained: Callable[[int], object] = lambda _: None,
) -> tuple[int, list[Suspect]]:
    """Find likely label errors by confident learning, with probabilities from a cross-validation.

    Parameters
    ----------
    encodings : DataFrame
        Columns ``fileName``, ``vector``.
    images : DataFrame
        From `vision_assets.steps.splits.usable_images`.
    seed : int
        Random seed of the folds.
    options : TrainingOptions
    trained : callable
        Takes the number of folds that a model is trained for, at first 0.

    Returns
    -------
    int
        Number of images that were judged: see `assign_folds`.
    list of Suspect
        The largest margin first, ties in the order of the names.

    Raises
    ------
    UserError
        If fewer than two labels have two images or more.
    """
    folds = assign_folds(images, seed).persist()
    try:
        labels = tuple(sorted(row.label for row in folds.select("label").distinct().collect()))
        if len(labels) < 2:
            raise UserError(
                f"Nothing to compare: {len(labels)} labels have two different images or more, and two are "
                "needed. Add images of other classes."
            )
        classifier = train_classifier(encodings, _subsets(folds), labels, N_FOLDS, options, trained=trained)
        tested = with_label_index(folds.withColumnRenamed("fold", "split"), labels)
        judged = map_probabilities(encodings, tested, classifier, _self_confidences, _CONFIDENCE).toPandas()
        # In a fixed order: the last bits of a mean depend on it.
        judged = judged.sort_values("fileName")
        thresholds = class_thresholds(
            judged["confidence"].to_numpy(), judged["target"].to_numpy(), len(labels)
        )
        make_rows = partial(_suspects, thresholds)
        found = map_probabilities(encodings, tested, classifier, make_rows, _SUSPECT).collect()
    finally:
        with suppress(Py4JError, OSError):  # an interrupt may have stopped the JVM
            folds.unpersist()
    suspects = [
        Suspect(
            row.fileName,
            labels[row.target],
            labels[row.suggested],
            row.ownProbability,
            row.suggestedProbability,
        )
        for row in found
    ]
    return len(judged), sorted(suspects, key=lambda suspect: (-suspect.margin, suspect.file_name))


def assign_folds(images: DataFrame, seed: int) -> DataFrame:
    """Divide the images of each class evenly into folds; copies are in the same fold.

    Images that cannot be judged are left out: copies with different labels, of which all but one are wrong
    for certain, and images of a class that has no other image to learn it from.

    Parameters
    ----------
    images : DataFrame
        From `vision_assets.steps.splits.usable_images`.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``fileName``, ``label``, ``fold`` (0 to `N_FOLDS` - 1). A fold depends on the seed and the
        names of the images of the class alone.
    """
    copies, of_class = Window.partitionBy("digest"), Window.partitionBy("label")
    different = F.count_if(F.col("fileName") == F.col("first_copy")).over(of_class)
    place = F.dense_rank().over(of_class.orderBy("order", "first_copy"))
    # Classes begin with different folds, or small ones would all be in the first.
    first_fold = F.pmod(F.xxhash64("label"), F.lit(N_FOLDS))
    return (
        images.withColumn("first_copy", F.min("fileName").over(copies))
        .withColumn("is_certain", F.min("label").over(copies) == F.max("label").over(copies))
        .where("is_certain")
        .withColumn("different", different)
        .where("different > 1")
        .withColumn("order", F.xxhash64(F.lit(seed), "first_copy"))
        .withColumn("place", place)
        .select("fileName", "label", ((first_fold + F.col("place")) % N_FOLDS).cast("int").alias("fold"))
    )


def _subsets(folds: DataFrame) -> DataFrame:
    """Make a split of each fold: the fold is tested, the others are trained on."""
    splits = folds.sparkSession.range(N_FOLDS).select(F.col("id").cast("int").alias("split"))
    subset = F.when(F.col("fold") == F.col("split"), TEST).otherwise(TRAIN).alias("subset")
    return folds.crossJoin(F.broadcast(splits)).select("split", "fileName", "label", subset)


def _self_confidences(images: pa.RecordBatch, probabilities: NDArray[np.float64]) -> pa.RecordBatch:
    targets = images["target"].to_numpy()
    own = probabilities[np.arange(len(targets)), targets]
    return pa.record_batch({"fileName": images["fileName"], "target": images["target"], "confidence": own})


def _suspects(
    thresholds: NDArray[np.float64], images: pa.RecordBatch, probabilities: NDArray[np.float64]
) -> pa.RecordBatch:
    targets = images["target"].to_numpy()
    suggested = suggested_labels(probabilities, targets, thresholds)
    rows = np.flatnonzero(suggested >= 0)
    return pa.record_batch(
        {
            "fileName": images["fileName"].take(pa.array(rows)),
            "target": targets[rows],
            "suggested": suggested[rows].astype(np.int32),
            "ownProbability": probabilities[rows, targets[rows]],
            "suggestedProbability": probabilities[rows, suggested[rows]],
        }
    )


def find_copies(images: DataFrame, subsets: DataFrame) -> list[list[Copy]]:
    """Find copies that were left out of a test, and copies with different labels.

    Parameters
    ----------
    images : DataFrame
        From `vision_assets.steps.splits.usable_images`.
    subsets : DataFrame
        From `vision_assets.steps.splits.split_images`.

    Returns
    -------
    list of list of Copy
        All images with the same bytes, in the order of their names; groups in the order of their first name.
    """
    left_out = subsets.where(F.col("subset") == DUPLICATE).select("fileName", F.lit(True).alias("leftOut"))
    marked = images.join(left_out.distinct(), "fileName", "left").fillna(False, ["leftOut"])
    copy = F.struct("fileName", "label", "leftOut")
    groups = marked.groupBy("digest").agg(
        F.array_sort(F.collect_list(copy)).alias("copies"),
        F.bool_or("leftOut").alias("some_left_out"),
        (F.min("label") != F.max("label")).alias("differ"),
    )
    found = groups.where("some_left_out or differ").select("copies").collect()
    return sorted([Copy(*copy) for copy in row.copies] for row in found)
