"""Which pictures show a snapshot."""

from collections.abc import Callable, Mapping

from pyspark.sql import DataFrame, SparkSession

from vision_assets.pipelines import CHAINS, IMAGES, Chain
from vision_assets.snapshots.files import hadoop_uri
from vision_assets.snapshots.store import Snapshot, SnapshotStore
from vision_assets.steps.pictures import pictures
from vision_assets.steps.pictures.sample import Gallery
from vision_assets.steps.stored_tables import StoredImages, read_parquet
from vision_assets.vision.draw import Picture


class _Tables:
    """A snapshot and those that it was made from, opened when they are asked for."""

    def __init__(self, spark: SparkSession, snapshots: Mapping[str, Snapshot]) -> None:
        self._spark = spark
        self._snapshots = snapshots

    @property
    def gallery(self) -> Gallery:
        return Gallery(StoredImages(self._spark, hadoop_uri(self._snapshots[IMAGES].uri)))

    def __getitem__(self, asset: str) -> DataFrame:
        return read_parquet(self._spark, hadoop_uri(self._snapshots[asset].uri))


_Draw = Callable[[_Tables], dict[str, Picture]]


def _drawing_of(chain: Chain) -> dict[str, _Draw]:
    extractor = chain.extractor
    return {
        chain.features: lambda tables: pictures.pictures_of_features(tables.gallery, tables[chain.features]),
        chain.dictionary: lambda tables: pictures.pictures_of_dictionary(
            tables.gallery, tables[chain.features], tables[chain.dictionary], extractor
        ),
        chain.encodings: lambda tables: pictures.pictures_of_encodings(
            tables.gallery,
            tables[chain.features],
            tables[chain.dictionary],
            tables[chain.encodings],
            extractor,
        ),
    }


_DRAW: Mapping[str, _Draw] = {IMAGES: lambda tables: pictures.pictures_of_images(tables.gallery)} | {
    asset: draw for chain in CHAINS.values() for asset, draw in _drawing_of(chain).items()
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
