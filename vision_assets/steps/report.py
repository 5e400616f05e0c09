"""The report on a classifier: its figures on images that it was not trained on."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import ArrayType, DoubleType, IntegerType, StringType, StructType

from vision_assets.pipelines import Step
from vision_assets.steps.run_options import RefreshOptions
from vision_assets.steps.spec import StepSpec
from vision_assets.steps.splits import TRAIN
from vision_assets.tables.columns import column
from vision_assets.tables.table import Count, Invariant, Table
from vision_assets.vision.classification.metrics import class_figures
from vision_assets.vision.options import Options, option


@dataclass(frozen=True)
class ReportOptions(Options):
    """When the check of the report warns."""

    max_accuracy_drop: float = option(
        2.0,
        "Warn when `mean_per_class_accuracy` is lower than in the last report with the same classes and "
        "settings of the splits, by more than this many percentage points.",
        ge=0,
        le=100,
    )


CLASSIFICATION_REPORT = Table(
    schema=StructType(
        [
            column("split", IntegerType(), "0 to splits - 1"),
            column("label", StringType(), "the class"),
            column("trainCount", IntegerType(), "images that were trained on"),
            column("support", IntegerType(), "images that were tested"),
            column(
                "precision",
                DoubleType(),
                "share of the images put into the class that belong to it",
                nullable=True,
            ),
            column("recall", DoubleType(), "share of the class's images that were recognised", nullable=True),
            column("f1", DoubleType(), "harmonic mean of precision and recall", nullable=True),
            column(
                "predicted",
                ArrayType(IntegerType(), containsNull=False),
                "row of the confusion matrix: how many images went to each class, in the order of the labels",
            ),
            column("confusedWith", StringType(), "the wrong class that got most of them", nullable=True),
            column("confusedCount", IntegerType(), "how many it got"),
        ]
    ),
    key="struct(split, label)",
    row_noun="rows",
    counts={
        "classes": Count("count_if(split = 0)"),
        "splits": Count("max(split) + 1"),
        "test_images": Count("sum(support)"),
        "accuracy": Count("sum(recall * support) / sum(support)"),
        "mean_per_class_accuracy": Count("avg(recall)"),
    },
    invariants={
        "shares_in_range": Invariant(
            "bool_and(coalesce(precision, 0) between 0 and 1"
            " and coalesce(recall, 0) between 0 and 1 and coalesce(f1, 0) between 0 and 1)",
            "Precision, recall and F1 are between 0 and 1.",
        ),
        "confusion_adds_up": Invariant(
            "bool_and(aggregate(predicted, 0, (a, x) -> a + x) = support)",
            "Each row of the confusion matrix adds up to the images of its class.",
        ),
    },
)


def declare(step: Step) -> StepSpec:
    """Declare the asset of the report on a classifier."""
    return StepSpec(
        step,
        CLASSIFICATION_REPORT,
        description="Precision, recall, F1, support and confusions of each class and split, on images that "
        "the classifier was not trained on.",
        options=(ReportOptions, RefreshOptions),
        summarize=_summarize,
        needs_labels=True,
        headline=("mean_per_class_accuracy", "std_of_mean_per_class_accuracy", "accuracy"),
    )


def _summarize(counts: Mapping[str, float]) -> str:
    return (
        f"Accuracy {counts['accuracy']:.1%}, mean of the classes {counts['mean_per_class_accuracy']:.1%} "
        f"(chance: {1 / counts['classes']:.1%}), on {counts['test_images'] / counts['splits']:,.0f} "
        f"test images of {counts['classes']:,} classes, "
        + (f"mean of {counts['splits']:,} splits." if counts["splits"] > 1 else "one split.")
    )


def confusion_matrices(predictions: DataFrame, n_splits: int, labels: tuple[str, ...]) -> NDArray[np.int64]:
    """Count predictions; those of images whose class the classifier does not know are left out.

    Parameters
    ----------
    predictions : DataFrame
        Columns ``split``, ``label``, ``predicted``.
    n_splits : int
    labels : tuple of str
        The n classes in order.

    Returns
    -------
    ndarray of shape (n_splits, n, n), dtype int64
        Number of images by split, true class and predicted class.
    """
    confusions = np.zeros((n_splits, len(labels), len(labels)), np.int64)
    index = {label: number for number, label in enumerate(labels)}
    counted = predictions.groupBy("split", "label", "predicted").count().toPandas()
    counted = counted[counted["label"].isin(labels)]
    true, predicted = (counted[name].map(index).astype(np.int64) for name in ("label", "predicted"))
    confusions[counted["split"], true, predicted] = counted["count"]
    return confusions


def surest_wrong(predictions: DataFrame, labels: tuple[str, ...], count: int) -> list[Row]:
    """Find the images of which a wrong class was predicted with the highest probability, in any split.

    Parameters
    ----------
    predictions : DataFrame
        With the schema of `vision_assets.steps.predictions.IMAGE_PREDICTIONS`.
    labels : tuple of str
        Classes that the classifier knows; images of other classes are left out.
    count : int
        Maximum number of images.

    Returns
    -------
    list of Row
        Fields ``fileName``, ``label``, ``predicted``, ``score``; the highest score first, ties in the order
        of the names.
    """
    wrong = predictions.where(~F.col("correct") & F.col("label").isin(*labels))
    surest = F.max(F.struct("score", "predicted")).alias("surest")
    images = wrong.groupBy("fileName", "label").agg(surest)
    ordered = images.orderBy(F.desc("surest.score"), "fileName").limit(count)
    return ordered.select("fileName", "label", "surest.predicted", "surest.score").collect()


def report_rows(
    spark: SparkSession,
    labels: tuple[str, ...],
    confusions: NDArray[np.int64],
    subsets: Mapping[tuple[int, str, str], int],
) -> DataFrame:
    """Make the table of the report.

    Parameters
    ----------
    spark : SparkSession
    labels : tuple of str
        The classes in order.
    confusions : ndarray of shape (splits, n, n), dtype int64
    subsets : mapping
        From `vision_assets.steps.splits.count_subsets`.

    Returns
    -------
    DataFrame
        With the schema of `CLASSIFICATION_REPORT`, one row per split and class.
    """
    parts = [_rows_of_split(split, labels, confusion, subsets) for split, confusion in enumerate(confusions)]
    return spark.createDataFrame(pd.concat(parts), CLASSIFICATION_REPORT.schema).coalesce(1)


def _rows_of_split(
    split: int,
    labels: tuple[str, ...],
    confusion: NDArray[np.int64],
    subsets: Mapping[tuple[int, str, str], int],
) -> pd.DataFrame:
    figures = class_figures(confusion)
    wrong = confusion - np.diag(np.diag(confusion))
    worst, worst_count = wrong.argmax(axis=1), wrong.max(axis=1)
    return pd.DataFrame(
        {
            "split": np.int32(split),
            "label": labels,
            "trainCount": [subsets.get((split, label, TRAIN), 0) for label in labels],
            "support": figures.support,
            "precision": _or_none(figures.precision),
            "recall": _or_none(figures.recall),
            "f1": _or_none(figures.f1),
            "predicted": list(confusion.astype(np.int32)),
            "confusedWith": [labels[i] if n else None for i, n in zip(worst, worst_count, strict=True)],
            "confusedCount": worst_count,
        }
    ).astype({"trainCount": np.int32, "support": np.int32, "confusedCount": np.int32})


def _or_none(figures: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(figure) else float(figure) for figure in figures]
