"""What a kind of source has to say: how it is recognized, and how it is opened."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Protocol

from pyspark import RDD, SparkContext

from vision_assets.steps.sources.image_files import ImageFiles, Pair
from vision_assets.steps.sources.place import Place


class Source(Protocol):
    """A kind of source.

    Attributes
    ----------
    formats : tuple of str
        What it is called in messages.
    """

    @property
    def formats(self) -> tuple[str, ...]:
        """What it is called in messages."""

    def recognizes(self, place: Place) -> bool:
        """Tell, by content and not by name, whether a place has this kind of source."""

    def open(self, place: Place) -> ImageFiles:
        """Choose the images of a place that this source recognizes; see `vision_assets.steps.sources`."""


class Split(Protocol):
    """What one task reads."""

    def read(self) -> Iterator[Pair]:
        """Yield key and bytes of each image."""


def read_splits(images: ImageFiles, splits: Sequence[Split], *, by_driver: bool) -> ImageFiles:
    """Return images that are read from splits.

    Parameters
    ----------
    images : ImageFiles
        Which images they are.
    splits : sequence of Split
        They can be pickled.
    by_driver : bool
        Whether the driver reads them; else the workers, one task each.

    Returns
    -------
    ImageFiles
    """
    if by_driver:
        return replace(images, by_driver=partial(_splits_by_driver, splits))
    return replace(images, by_workers=partial(_splits_by_workers, splits))


def _splits_by_driver(splits: Sequence[Split]) -> Iterator[Pair]:
    return chain.from_iterable(map(_read_split, splits))


def _splits_by_workers(splits: Sequence[Split], context: SparkContext) -> "RDD[Pair]":
    return context.parallelize(splits, len(splits)).flatMap(_read_split)


def _read_split(split: Split) -> Iterator[Pair]:
    return split.read()
