"""Which pictures show a snapshot."""

from collections.abc import Callable, Mapping

from pyspark.sql import DataFrame, SparkSession

from vision_assets.pipelines import IMAGE_ASSET, PIPELINES, Pipeline
from vision_assets.snapshots.store import Snapshot, SnapshotStore
from vision_assets.steps.pictures import pictures
from vision_assets.steps.pictures.sample import ImageSample
from vision_assets.steps.stored_tables import ImageStore, read_parquet
from vision_assets.uris import hadoop_uri
from vision_assets.vision.draw import Picture


class _Tables:
    """A snapshot and those that it was made from, opened when they are asked for."""

    def __init__(self, spark: SparkSession, snapshots: Mapping[str, Snapshot]) -> None:
        self._spark = spark
        self._snapshots = snapshots

    @property
    def gallery(self) -> ImageSample:
        return ImageSample(ImageStore(self._spark, hadoop_uri(self._snapshots[IMAGE_ASSET].uri)))

    def __getitem__(self, asset: str) -> DataFrame:
        return read_parquet(self._spark, hadoop_uri(self._snapshots[asset].uri))


_Draw = Callable[[_Tables], dict[str, Picture]]


def _drawing_of(pipeline: Pipeline) -> dict[str, _Draw]:
    extractor = pipeline.extractor
    return {
        pipeline.features: lambda tables: pictures.pictures_of_features(
            tables.gallery, tables[pipeline.features]
        ),
        pipeline.dictionary: lambda tables: pictures.pictures_of_dictionary(
            tables.gallery, tables[pipeline.features], tables[pipeline.dictionary], extractor
        ),
        pipeline.encodings: lambda tables: pictures.pictures_of_encodings(
            tables.gallery,
            tables[pipeline.features],
            tables[pipeline.dictionary],
            tables[pipeline.encodings],
            extractor,
        ),
    }


_DRAW: Mapping[str, _Draw] = {IMAGE_ASSET: lambda tables: pictures.pictures_of_images(tables.gallery)} | {
    asset: draw for pipeline in PIPELINES.values() for asset, draw in _drawing_of(pipeline).items()
}


def pictures_of(spark: SparkSession, store: SnapshotStore, snapshot: Snapshot) -> dict[str, Picture]:
    """Draw the pictures of a snapshot.

    Parameters
    ----------
    spark : SparkSession
    store : SnapshotStore
    snapshot : Snapshot

    Returns
    -------
    dict
        Name to picture; empty if there is nothing to be drawn of its asset.
    """
    draw = _DRAW.get(snapshot.asset)
    if draw is None:
        return {}
    return draw(_Tables(spark, store.lineage(snapshot) | {snapshot.asset: snapshot}))
