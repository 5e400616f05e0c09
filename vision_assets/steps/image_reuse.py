"""Which part files of stored images can be taken over: those of images that are unchanged in the source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from vision_assets.spark.diagnosis import Kind, diagnose
from vision_assets.steps import image_index
from vision_assets.steps.sources.listing import SPLITS_PER_CORE
from vision_assets.tables.per_image import StoredParts, worth_keeping

_TIMES_A_FIRST_RUN = 8


@dataclass(frozen=True)
class ImagePlan:
    """What is taken over, and what is to be read.

    Parameters
    ----------
    parts : list of list of str
        For each of the stored folders the part files that are taken over.
    unread : ndarray of shape (images of the source,), dtype bool
        Which images are to be read.
    dropped : int
        Images of the first folder that the source does not have any more.
    """

    parts: list[list[str]]
    unread: NDArray[np.bool_]
    dropped: int

    @property
    def reused(self) -> int:
        """Number of images taken over."""
        return int(np.count_nonzero(~self.unread))


def plan_images(spark: SparkSession, stamps: pa.Table, stored: Sequence[StoredParts]) -> ImagePlan:
    """Compare the images of a source with what is stored.

    Parameters
    ----------
    spark : SparkSession
    stamps : pyarrow.Table
        Columns ``fileName``, ``stamp``: the images of the source.
    stored : sequence of StoredParts
        Folders of images from the same source, with their index or, of a run that died, with their stamps.

    Returns
    -------
    ImagePlan
    """
    wanted = stamps.to_pandas()
    # A name that two images have is of none that is stored; that there are such is found out later.
    unread = wanted.drop_duplicates("fileName", keep=False).set_index("fileName")["stamp"]
    reused: set[str] = set()
    parts: list[list[str]] = []
    dropped = 0
    # To read the images again gives as many parts as a first run.
    many = _TIMES_A_FIRST_RUN * SPLITS_PER_CORE * spark.sparkContext.defaultParallelism
    for rank, folder in enumerate(stored):
        images = _images(spark, folder)
        if not rank:
            dropped = int((~images["fileName"].isin(wanted["fileName"])).sum())
        parts.append(_unchanged_parts(images, unread, folder.sizes, many))
        taken = images.loc[images["part"].isin(parts[-1]), "fileName"]
        reused.update(taken)
        unread = unread.drop(taken)
    return ImagePlan(parts, ~wanted["fileName"].isin(reused).to_numpy(), dropped)


def _images(spark: SparkSession, folder: StoredParts) -> pd.DataFrame:
    """File name, part and stamp of the images in a folder."""
    stamps = image_index.read_stamps(spark, folder.uri)
    try:
        if stamps is None:
            found = image_index.read(spark, folder.uri)
        else:
            scanned = image_index.scan(spark, [f"{folder.uri}/{name}" for name in folder.sizes])
            found = scanned.join(stamps, "fileName", "left")
        # Not toPandas, which would warn of a damaged file that is no obstacle.
        return found.select("fileName", "part", "stamp").toArrow().to_pandas()
    except (Py4JJavaError, PySparkException) as error:
        if diagnose(error, source=folder.uri).kind is not Kind.DAMAGE:
            raise
        if stamps is not None and len(folder.sizes) > 1:  # one that an upload has not finished
            parts = [StoredParts(folder.uri, {name: size}) for name, size in folder.sizes.items()]
            return pd.concat([_images(spark, part) for part in parts])
        return pd.DataFrame(columns=["fileName", "part", "stamp"])  # a file is damaged: none is taken over


def _unchanged_parts(
    images: pd.DataFrame, unread: pd.Series, sizes: Mapping[str, int], many: int
) -> list[str]:
    unchanged = images["stamp"].notna() & (images["stamp"] == images["fileName"].map(unread))
    whole = unchanged.groupby(images["part"]).all()
    return worth_keeping([name for name in whole.index[whole] if name in sizes], sizes, many)
