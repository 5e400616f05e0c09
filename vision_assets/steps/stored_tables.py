"""Stored tables: how each kind of storage is read, and a table together with what it was made from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession

from vision_assets.errors import UserError
from vision_assets.snapshots.files import open_files
from vision_assets.snapshots.manifests import damaged_file
from vision_assets.snapshots.store import Snapshot, SnapshotStore
from vision_assets.spark.diagnosis import diagnose
from vision_assets.spark.jvm import hadoop_of
from vision_assets.steps import image_index
from vision_assets.steps.catalog import SPECS
from vision_assets.steps.classifier import IMAGE_CLASSIFIER
from vision_assets.steps.images import ImageStore
from vision_assets.steps.spec import StepSpec, Storage
from vision_assets.tables.parquet import read_parquet
from vision_assets.uris import hadoop_uri, readable
from vision_assets.vision.classification.linear import CLASSIFIER_FILE, Classifier, classifier_from_npz


@dataclass(frozen=True)
class StoredTable:
    """A stored table and, through its lineage, those that it was made from.

    Parameters
    ----------
    spark : SparkSession
    store : SnapshotStore
    snapshot : Snapshot
    """

    spark: SparkSession
    store: SnapshotStore
    snapshot: Snapshot

    @property
    def asset(self) -> str:
        """Name of the asset."""
        return self.snapshot.asset

    @property
    def uri(self) -> str:
        """Folder of the table as a URI for Spark."""
        return hadoop_uri(self.snapshot.uri)

    @property
    def spec(self) -> StepSpec:
        """The declaration of the asset."""
        return SPECS[self.asset]

    def require_complete(self) -> None:
        """Raise a `UserError` if a file of the table is missing or has changed its size."""
        if damage := self.store.damage(self.snapshot):
            raise damage

    @property
    def rows(self) -> DataFrame:
        """The table as a DataFrame, not yet computed: the index of images, the models of a classifier."""
        return read_rows(self.spec, self.spark, self.uri)

    @property
    def images(self) -> ImageStore:
        """The images of a SequenceFile."""
        return ImageStore(self.spark, self.uri)

    def classifier(self) -> Classifier:
        """Read a classifier."""
        return read_classifier(self.spark, self.uri)

    def as_type(self, kind: Any) -> Any:
        """Return the content as a DataFrame, an ImageStore or a Classifier; else this object itself."""
        if kind is DataFrame:
            return self.rows
        if kind is ImageStore:
            return self.images
        return self.classifier() if kind is Classifier else self

    def upstream(self, asset: str) -> "StoredTable":
        """Return the table of another asset that this one was made from, directly or not.

        Parameters
        ----------
        asset : str

        Raises
        ------
        UserError
            If its snapshot has been removed.
        """
        snapshot = self.store.lineage(self.snapshot).get(asset)
        if snapshot is None:
            raise UserError(
                f"The snapshot of {asset} that {self.snapshot.uri} was made from is gone. "
                f"Materialize {self.asset} again first."
            )
        return StoredTable(self.spark, self.store, snapshot)


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
    try:
        return classifier_from_npz(open_files(uri, lambda: hadoop_of(spark)).read(CLASSIFIER_FILE))
    except (OSError, ValueError, Py4JJavaError) as error:
        cause = diagnose(error).text if isinstance(error, Py4JJavaError) else str(error)
        fault = f"is damaged or missing ({cause})"
        raise damaged_file(readable(f"{uri}/{CLASSIFIER_FILE}"), fault) from error


def classifier_rows(spark: SparkSession, classifier: Classifier) -> DataFrame:
    """Return a classifier as a table.

    Parameters
    ----------
    spark : SparkSession
    classifier : Classifier

    Returns
    -------
    DataFrame
        With the schema of `vision_assets.steps.classifier.IMAGE_CLASSIFIER`, one row per split and class.
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


def _classifier_rows(spark: SparkSession, uri: str) -> DataFrame:
    return classifier_rows(spark, read_classifier(spark, uri))


def read_rows(spec: StepSpec, spark: SparkSession, uri: str) -> DataFrame:
    """Read a stored table of an asset, not yet computed: the index of images, the models of a classifier."""
    return _ROWS[spec.storage](spark, uri)


_ROWS: Mapping[Storage, Callable[[SparkSession, str], DataFrame]] = {
    "parquet": read_parquet,
    "sequence_file": image_index.read,
    "classifier": _classifier_rows,
}
