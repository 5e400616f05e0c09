"""Tables as the pipeline has stored them: Parquet, a SequenceFile of images, a classifier for NumPy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.snapshots.manifests import damaged_file
from vision_assets.spark.diagnosis import local_file
from vision_assets.spark.hadoop import escape_glob, size_of
from vision_assets.steps import image_index
from vision_assets.tables.per_image import PendingRows
from vision_assets.tables.table import IMAGE_CLASSIFIER, IMAGE_SEQFILE, Table
from vision_assets.vision.classification.linear import CLASSIFIER_FILE, Classifier, classifier_from_npz


@dataclass(frozen=True)
class ImageStore:
    """A stored SequenceFile of file names and bytes.

    Parameters
    ----------
    spark : SparkSession
    uri : str
        Its folder.
    """

    spark: SparkSession
    uri: str

    def index(self) -> DataFrame:
        """Read which images there are, as `vision_assets.tables.table.IMAGE_SEQFILE` describes."""
        return image_index.read(self.spark, self.uri)

    def table(self, partitions: int | None = None, pending: PendingRows | None = None) -> DataFrame:
        """Read file names and contents.

        Parameters
        ----------
        partitions : int, optional
            About how many; None takes partitions of 1 to 32 MB, sixteen per core if there is enough for it.
        pending : PendingRows, optional
            Only these images, from these part files; None takes all.

        Returns
        -------
        DataFrame
            Of the schema of `vision_assets.tables.table.IMAGE_SCHEMA`.
        """
        uris = [self.uri] if pending is None else [f"{self.uri}/{part}" for part in pending.sources]
        size = sum(size_of(self.spark, uri) for uri in uris)
        partitions = partitions or image_index.default_partitions(self.spark, size)
        images = image_index.read_images(self.spark, uris, partitions)
        if pending is None:
            return images
        return images.join(F.broadcast(pending.keys), "fileName", "left_semi")


def stored_rows(spark: SparkSession, table: Table, uri: str) -> DataFrame:
    """Read a stored table with the columns that its schema gives it.

    Parameters
    ----------
    spark : SparkSession
    table : Table
    uri : str
        Folder of a snapshot.

    Returns
    -------
    DataFrame
        Not yet computed; of images their index.
    """
    if table is IMAGE_SEQFILE:
        return image_index.read(spark, uri)
    if table is IMAGE_CLASSIFIER:
        return classifier_rows(spark, read_classifier(spark, uri))
    return read_parquet(spark, uri)


def read_classifier(spark: SparkSession, uri: str) -> Classifier:
    """Read the classifier in the folder of a snapshot.

    Parameters
    ----------
    spark : SparkSession
    uri : str
        Folder of a snapshot.

    Returns
    -------
    Classifier

    Raises
    ------
    UserError
        If the file is damaged or missing.
    """
    file = f"{uri}/{CLASSIFIER_FILE}"
    try:
        row: Any = spark.read.format("binaryFile").load(escape_glob(file)).head()
        return classifier_from_npz(row.content)
    except (ValueError, AnalysisException) as error:
        fault = f"is damaged or missing ({str(error).splitlines()[0]})"
        raise damaged_file(local_file(file), fault, row_wise=False) from error


def classifier_rows(spark: SparkSession, classifier: Classifier) -> DataFrame:
    """Show a classifier as a table.

    Parameters
    ----------
    spark : SparkSession
    classifier : Classifier

    Returns
    -------
    DataFrame
        Of the schema of `vision_assets.tables.table.IMAGE_CLASSIFIER`, one row per split and class.
    """
    splits, classes, _ = classifier.weights.shape
    rows = pd.DataFrame(
        {
            "split": np.repeat(np.arange(splits, dtype=np.int32), classes),
            "label": list(classifier.labels) * splits,
            "intercept": classifier.intercepts.reshape(-1),
            "weights": list(classifier.weights.reshape(splits * classes, -1)),
        }
    )
    return spark.createDataFrame(rows, IMAGE_CLASSIFIER.schema)


def read_parquet(spark: SparkSession, *uris: str) -> DataFrame:
    """Read Parquet files or folders of them, whatever characters stand in their names."""
    return spark.read.parquet(*map(escape_glob, uris))
