"""The resource of the data folder."""

from collections.abc import Callable, Mapping

import dagster as dg
from dagster_pyspark import LazyPySparkResource

from vision_assets.redaction import redact
from vision_assets.snapshots.files import open_files
from vision_assets.snapshots.store import SnapshotStore
from vision_assets.spark.diagnosis import diagnose
from vision_assets.spark.jvm import hadoop_of
from vision_assets.vision.draw import Picture

PICTURE = "picture_"
"""What the names of pictures in the metadata begin with."""


class TableStoreResource(dg.ConfigurableResource):
    """The folder or URI that contains all tables."""

    pyspark: dg.ResourceDependency[LazyPySparkResource]
    uri: str
    keep_snapshots: int
    pictures: bool

    @property
    def store(self) -> SnapshotStore:
        """The snapshots in this folder."""
        return SnapshotStore(open_files(self.uri, lambda: hadoop_of(self.pyspark.spark_session)))

    def render_pictures(self, draw: Callable[[], Mapping[str, Picture]]) -> dict[str, dg.MetadataValue]:
        """Return pictures as metadata; none if they are switched off, or cannot be drawn.

        Parameters
        ----------
        draw : callable
            Returns name to picture.
        """
        try:
            pictures = draw() if self.pictures else {}
        except Exception as error:  # noqa: BLE001 - the table is worth storing without its pictures
            dg.get_dagster_logger().warning(
                f"the pictures could not be drawn: {redact(diagnose(error).text)}"
            )
            return {}
        return {f"{PICTURE}{name}": dg.MetadataValue.md(pic.markdown()) for name, pic in pictures.items()}
