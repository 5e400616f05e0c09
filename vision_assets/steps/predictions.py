"""The predictions of a classifier: what it says of each image that it is tested on."""

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import BooleanType, DoubleType, IntegerType, StringType, StructType

from vision_assets.pipelines import Step
from vision_assets.steps.classifier import map_probabilities
from vision_assets.steps.run_options import RefreshOptions
from vision_assets.steps.spec import StepSpec
from vision_assets.tables.columns import FILE_NAME, column
from vision_assets.tables.table import Count, Invariant, Table
from vision_assets.vision.classification.linear import Classifier

IMAGE_PREDICTIONS = Table(
    schema=StructType(
        [
            FILE_NAME,
            column("label", StringType(), "the class of the image"),
            column("split", IntegerType(), "0 to splits - 1: the image is one of those tested in this split"),
            column("predicted", StringType(), "the most probable class, by the model of the split"),
            column("score", DoubleType(), "probability of that class"),
            column("margin", DoubleType(), "probability of that class minus that of the second one"),
            column(
                "correct",
                BooleanType(),
                "whether that class is the label; false if the classifier was not trained on the label",
            ),
        ]
    ),
    key="struct(split, fileName)",
    row_noun="predictions",
    counts={
        "splits": Count("max(split) + 1"),
        "wrong_predictions": Count("count_if(not correct)"),
    },
    invariants={
        "scores_in_range": Invariant(
            "bool_and(score > 0 and score <= 1 and margin >= 0 and margin <= score)",
            "Each score is a probability, and no margin exceeds its score.",
        ),
        "correct_means_equal": Invariant(
            "bool_and(correct = (label = predicted))", "A prediction is correct if it is the label."
        ),
    },
)


def declare(step: Step) -> StepSpec:
    """Declare the asset of a classifier's predictions."""
    return StepSpec(
        step,
        IMAGE_PREDICTIONS,
        description="What the classifier says of each image in each split in which the image is tested: "
        "the predicted class, its probability, and how far ahead of the second class it is.",
        options=(RefreshOptions,),
        needs_labels=True,
    )


def predict(encodings: DataFrame, tested: DataFrame, classifier: Classifier) -> DataFrame:
    """Classify images with the models of their splits.

    Parameters
    ----------
    encodings : DataFrame
        Columns ``fileName``, ``vector``.
    tested : DataFrame
        Columns ``fileName``, ``label``, ``split``.
    classifier : Classifier
        With two labels or more.

    Returns
    -------
    DataFrame
        With the schema of `IMAGE_PREDICTIONS`, one row per row of `tested`; not yet computed. Images of
        labels that the classifier does not know are classified, too.
    """
    images = tested.select("fileName", "label", "split")
    make_rows = partial(_predictions, pa.array(classifier.labels))
    return map_probabilities(encodings, images, classifier, make_rows, IMAGE_PREDICTIONS.schema)


def _predictions(
    labels: pa.StringArray, images: pa.RecordBatch, probabilities: NDArray[np.float64]
) -> pa.RecordBatch:
    second, best = np.partition(probabilities, -2, axis=1)[:, -2:].T
    predicted = labels.take(pa.array(probabilities.argmax(axis=1)))
    return pa.record_batch(
        {
            "fileName": images["fileName"],
            "label": images["label"],
            "split": images["split"],
            "predicted": predicted,
            "score": best.copy(),
            "margin": best - second,
            "correct": pc.equal(images["label"], predicted),
        }
    )
