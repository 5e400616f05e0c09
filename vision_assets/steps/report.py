"""The report on a classifier: predictions in, the table `classification_report` out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.steps.splits import TRAIN
from vision_assets.tables.table import CLASSIFICATION_REPORT
from vision_assets.vision.classification.metrics import class_figures


def confusion_matrices(predictions: DataFrame, splits: int, classes: int) -> NDArray[np.int64]:
    """Count predictions.

    Parameters
    ----------
    predictions : DataFrame
        From `vision_assets.steps.classifier.predict`.
    splits, classes : int

    Returns
    -------
    ndarray of shape (splits, classes, classes), dtype int64
        Number of images by split, true class and predicted class.
    """
    confusions = np.zeros((splits, classes, classes), np.int64)
    counted = predictions.groupBy("split", "target", "predicted").count().toPandas()
    confusions[counted["split"], counted["target"], counted["predicted"]] = counted["count"]
    return confusions


def report_table(
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
        Of the schema of `vision_assets.tables.table.CLASSIFICATION_REPORT`, one row per split and class.
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


def surest_predictions(predictions: DataFrame, names: Sequence[str]) -> list[Row]:
    """Find, for each class, the surest right and the surest wrong prediction of all splits.

    Parameters
    ----------
    predictions : DataFrame
        From `vision_assets.steps.classifier.predict`.
    names : sequence of str
        File names of the images to choose from.

    Returns
    -------
    list of Row
        Fields ``target``, ``right`` (whether it is), ``probability``, ``fileName``, ``predicted``.
    """
    images = predictions.sparkSession.createDataFrame([(name,) for name in names], "fileName string")
    chosen = predictions.join(F.broadcast(images), "fileName")
    right = (F.col("target") == F.col("predicted")).alias("right")
    # The name decides between equal ones.
    surest = F.max(F.struct("probability", "fileName", "predicted")).alias("surest")
    rows = chosen.groupBy("target", right).agg(surest).select("target", "right", "surest.*")
    return rows.orderBy("target", "right").collect()
