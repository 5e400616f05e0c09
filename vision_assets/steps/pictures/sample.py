"""A bounded sample of stored images for pictures; its cost does not grow with the collection."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property, partial
from itertools import chain, zip_longest
from typing import TypeVar

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.spark.crash_guard import Crash, run_guarded
from vision_assets.spark.hadoop import part_files, size_of
from vision_assets.steps.descriptor_sample import choose_images
from vision_assets.steps.image_index import read_images
from vision_assets.vision.features.opencv import use_one_thread
from vision_assets.vision.io.decoding import ImageError
from vision_assets.vision.io.labels import label_of

_FILES = 16
_ROWS = 5000
_PIECES = 16
_PIECE_BYTES = 2**23
_NAMES: dict[str, list[str]] = {}
_T = TypeVar("_T")


class ImageSample:
    """Images of at most 16 evenly spaced pieces, of about 8 MB each, of a stored SequenceFile.

    Parameters
    ----------
    spark : SparkSession
    uri : str
        Folder of the SequenceFile.
    """

    def __init__(self, spark: SparkSession, uri: str) -> None:
        self._spark = spark
        self.uri = uri

    @cached_property
    def _table(self) -> DataFrame:
        files = evenly_spaced(part_files(self._spark, self.uri), _FILES)
        size = sum(size_of(self._spark, file) for file in files)
        return read_images(self._spark, files, max(1, size // _PIECE_BYTES))

    @property
    def names(self) -> list[str]:
        """File names, in the order of the pieces."""
        # The names of a snapshot never change, and every asset of a run asks for them.
        if self.uri not in _NAMES:
            rows = self._run(self._table.select("fileName"), _all)
            _NAMES.clear()
            _NAMES[self.uri] = [row.fileName for row in rows]
        return _NAMES[self.uri]

    def compute(self, names: Iterable[str], function: Callable[[str, bytes], _T]) -> dict[str, _T]:
        """Call a function with some of the images, in Spark's workers.

        Parameters
        ----------
        names : iterable of str
            File names of images.
        function : callable
            Takes a file name and the content of the file.

        Returns
        -------
        dict
            File name to result, without the images that cannot be decoded, or that crash the decoder.
        """
        chosen = self._table.where(F.col("fileName").isin(*names))
        return dict(self._run(chosen, partial(_results, function)))

    def _run(self, table: DataFrame, function: Callable[[Iterable[Row]], Iterable[_T]]) -> list[_T]:
        """Call a function with the rows of each piece."""
        rows = table.rdd
        pieces = evenly_spaced(range(rows.getNumPartitions()), _PIECES)
        return list(rows.context.runJob(rows, function, pieces))


def _all(rows: Iterable[Row]) -> Iterable[Row]:
    return rows


def _results(function: Callable[[str, bytes], _T], rows: Iterable[Row]) -> Iterator[tuple[str, _T]]:
    def result_of(row: Row) -> _T | None:
        with suppress(ImageError):
            return function(row.fileName, bytes(row.content))
        return None

    # A process forked for an image would wait for OpenCV's threads, which it does not have.
    use_one_thread()
    images = list(rows)
    for row, result in zip(images, run_guarded(result_of, images), strict=True):
        if result is not None and not isinstance(result, Crash):
            yield row.fileName, result


def evenly_spaced(values: Sequence[_T], count: int) -> list[_T]:
    """Choose evenly spaced values, all of them if there are no more."""
    wanted = min(count, len(values))
    return [values[(2 * index + 1) * len(values) // (2 * wanted)] for index in range(wanted)]


def evenly_over_labels(names: Iterable[str], count: int) -> list[str]:
    """Choose file names of as many labels as possible, in the order of the labels.

    Parameters
    ----------
    names : iterable of str
    count : int

    Returns
    -------
    list of str
    """
    by_label: dict[str, list[str]] = {}
    for name in names:
        by_label.setdefault(label_of(name) or "", []).append(name)
    labels = evenly_spaced(sorted(by_label), count)
    # The first image of each label, then the second of each, ...
    turns = chain.from_iterable(zip_longest(*(by_label[label] for label in labels)))
    chosen = [name for name in turns if name is not None][:count]
    return sorted(chosen, key=lambda name: (label_of(name) or "", name))


def some_rows(table: DataFrame, images: float) -> DataFrame:
    """Return about 5,000 rows of a stored table, or all if there are fewer.

    Parameters
    ----------
    table : DataFrame
        With a column ``digest``.
    images : number
        Number of its rows.
    """
    return choose_images(table, 0, _ROWS / max(1, images))
