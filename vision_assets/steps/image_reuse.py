"""Which part files of stored images can be reused: those whose images are unchanged in the source."""

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
from vision_assets.steps.image_pages import file_of
from vision_assets.steps.sources.listing import SPLITS_PER_CORE
from vision_assets.tables.per_image import StoredParts, worth_keeping

_TIMES_A_FIRST_RUN = 8


@dataclass(frozen=True)
class ImagePlan:
    """Which part files are reused, and which images are read.

    Parameters
    ----------
    parts : list of list of str
        For each stored folder the part files that are reused.
    unread : ndarray of shape (images of the source,), dtype bool
        Which files have to be read.
    dropped : int
        Number of files with images in the first folder that the source no longer has.
    """

    parts: list[list[str]]
    unread: NDArray[np.bool_]
    dropped: int

    @property
    def reused(self) -> int:
        """Number of reused files."""
        return int(np.count_nonzero(~self.unread))


def plan_images(
    spark: SparkSession, stamps: pa.Table, stored: Sequence[StoredParts], *, every_page: bool = False
) -> ImagePlan:
    """Compare the images of a source with what is stored.

    Parameters
    ----------
    spark : SparkSession
    stamps : pyarrow.Table
        Columns ``fileName``, ``stamp``: the images of the source.
    stored : sequence of StoredParts
        Folders of images from the same source, with an index, or with stamps if their run died.
    every_page : bool
        Whether pages of files are images of their own. They are in the part file of the first one.

    Returns
    -------
    ImagePlan
    """
    if not stored:
        return ImagePlan([], np.ones(stamps.num_rows, np.bool_), 0)
    wanted = stamps.to_pandas()
    # A name that occurs twice in the source matches no stored image; a later check reports it.
    unread = wanted.drop_duplicates("fileName", keep=False).set_index("fileName")["stamp"]
    reused: set[str] = set()
    parts: list[list[str]] = []
    dropped = 0
    # Reading all images again gives as few parts as a first run, so too many small parts are not reused.
    many = _TIMES_A_FIRST_RUN * SPLITS_PER_CORE * spark.sparkContext.defaultParallelism
    for rank, folder in enumerate(stored):
        images = _images(spark, folder, every_page=every_page)
        if every_page:
            is_page = ~images["fileName"].isin(wanted["fileName"])
            images.loc[is_page, "fileName"] = images["fileName"][is_page].map(file_of)
            images = images.drop_duplicates()
        if not rank:
            dropped = int((~images["fileName"].isin(wanted["fileName"])).sum())
        parts.append(_unchanged_parts(images, unread, folder.sizes, many))
        taken = images.loc[images["part"].isin(parts[-1]), "fileName"]
        reused.update(taken)
        unread = unread.drop(taken)
    return ImagePlan(parts, ~wanted["fileName"].isin(reused).to_numpy(), dropped)


def _images(spark: SparkSession, folder: StoredParts, *, every_page: bool) -> pd.DataFrame:
    """Return file name, part and stamp of the images in a folder; none if a file is damaged."""
    stamps = image_index.read_stamps(spark, folder.uri)
    try:
        if stamps is None:
            found = image_index.read(spark, folder.uri)
        else:
            parts = [f"{folder.uri}/{name}" for name in folder.sizes]
            scanned = image_index.scan(spark, parts, has_pages=False)  # pages are counted when it is indexed
            found = image_index.with_stamps(scanned, stamps, every_page=every_page)
        # toPandas would warn about a damaged file, which is no obstacle here.
        return found.select("fileName", "part", "stamp").toArrow().to_pandas()
    except (Py4JJavaError, PySparkException) as error:
        if diagnose(error, source=folder.uri).kind is not Kind.DAMAGE:
            raise
        if stamps is not None and len(folder.sizes) > 1:  # an upload was interrupted
            single = [StoredParts(folder.uri, {name: size}) for name, size in folder.sizes.items()]
            return pd.concat([_images(spark, part, every_page=every_page) for part in single])
        return pd.DataFrame(columns=["fileName", "part", "stamp"])  # a damaged file is not reused


def _unchanged_parts(
    images: pd.DataFrame, unread: pd.Series, sizes: Mapping[str, int], many: int
) -> list[str]:
    unchanged = images["stamp"].notna() & (images["stamp"] == images["fileName"].map(unread))
    is_unchanged = unchanged.groupby(images["part"]).all()
    names = is_unchanged.index[is_unchanged]
    return worth_keeping([name for name in names if name in sizes], sizes, many)
