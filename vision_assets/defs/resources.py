"""The resources of the assets: Spark, and the data folder with its IO managers."""

import threading
from typing import Any

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from dagster_spark.utils import flatten_dict

from vision_assets import settings
from vision_assets.defs.io_managers import ClassifierIOManager, ParquetIOManager, SequenceFileIOManager
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.spark import jvm
from vision_assets.spark.properties import spark_config
from vision_assets.spark.session import cores_of, lacks_executors, start_session

_STARTING = threading.Lock()


class SparkResource(LazyPySparkResource):
    """A Spark session that starts when it is first used; its properties are added to this project's own.

    If its JVM has died, the next use starts another one, so that a step can be retried.
    """

    def _init_session(self) -> None:
        # Threads that copy files ask for the session, too.
        with _STARTING:
            self._start_unless_alive()

    def _start_unless_alive(self) -> None:
        if self._spark_session is None or not jvm.is_alive(self._spark_session):
            config = spark_config(dict(flatten_dict(self.spark_config)))
            log = dg.get_dagster_logger()
            if jvm.forget_dead_jvm():
                log.warning("Spark's JVM has died")
            log.info(f"starting Spark on {config['spark.master']}")
            self._spark_session = start_session(config)
            if lacks_executors(self._spark_session):
                log.warning(
                    "Spark has no executor yet, and the run waits for one. Does another application hold all "
                    "cores (spark.cores.max), or do they ask for more memory than a worker has?"
                )
            else:
                log.info(f"Spark runs on {cores_of(self._spark_session)}")


def make_resources(
    data: str | None = None, keep_snapshots: int | None = None, pictures: bool | None = None
) -> dict[str, Any]:
    """Return the resources of all assets.

    Parameters
    ----------
    data : str, optional
        Folder or URI of the tables; from the environment if None.
    keep_snapshots : int, optional
        How many snapshots of an asset are kept; from the environment if None.
    pictures : bool, optional
        Whether pictures of the tables are drawn; from the environment if None.

    Returns
    -------
    dict
        Resource key to resource. What they hold can be changed for a run in its configuration.
    """
    pyspark: Any = SparkResource.configure_at_launch(spark_config={})
    data_folder = TableStoreResource.configure_at_launch(
        pyspark=pyspark,
        uri=data or settings.data_folder(),
        keep_snapshots=settings.keep_snapshots() if keep_snapshots is None else keep_snapshots,
        pictures=settings.pictures() if pictures is None else pictures,
    )
    return {
        "pyspark": pyspark,
        "data_folder": data_folder,
        "parquet": ParquetIOManager(pyspark=pyspark, data_folder=data_folder),
        "classifier": ClassifierIOManager(pyspark=pyspark, data_folder=data_folder),
        "sequence_file": SequenceFileIOManager(pyspark=pyspark, data_folder=data_folder),
    }
