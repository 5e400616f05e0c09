"""The training descriptors of a dictionary: a sample of the stored descriptors in Spark's cache."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce
from operator import or_

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import RDD, Broadcast, StorageLevel
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.errors import UserError
from vision_assets.spark.arrow import binary_values
from vision_assets.vision.features.codecs import descriptor_matrix
from vision_assets.vision.vocabulary.assignment import Vocabulary
from vision_assets.vision.vocabulary.fixed_point import UINT8, Descriptors
from vision_assets.vision.vocabulary.kmeans import WordStatistics, assign_statistics, farthest_descriptors
from vision_assets.vision.vocabulary.sampling import (
    descriptor_hashes,
    digest_ranges,
    lowest_distinct,
    sample_indices,
)
from vision_assets.wording import counted

BLOCK_ROWS = 2**15
_BLOCKS_PER_TASK = 16
_LEAST_ROWS = 2**12  # of a task
_TASKS_PER_CORE = 4  # at least, for a large sample: files of features differ in size
_PIECE_ROWS = 2**9  # small, so that the shares of the cores differ little
_CANDIDATE_BYTES = 2**10  # about, at most: a descriptor and its rank
_DRIVER_BYTES = 2**28  # the workers add up partial sums beyond this first
_LEAST_IMAGES = 1000
_LARGEST_SHARE = 0.25  # of the descriptors of an image, where images are chosen


def share_of_images(rate: float, images: int) -> float:
    """Return the share of the images that a sample of descriptors is drawn from.

    A quarter of the descriptors of an image is taken, so that images are read in proportion to the sample.
    If these are fewer than 1,000 images, less is taken of more images: some words would hardly be seen.

    Parameters
    ----------
    rate : float
        Share of the descriptors to take, in 0..1.
    images : int
        Number of images with descriptors.

    Returns
    -------
    float
        At least `rate`, at most 1.

    Examples
    --------
    >>> share_of_images(0.01, 1_000_000), share_of_images(0.01, 10_000), share_of_images(0.01, 500)
    (0.04, 0.1, 1.0)
    """
    return min(1.0, max(rate / _LARGEST_SHARE, _LEAST_IMAGES / max(1, images)))


def count_descriptors(features: DataFrame) -> tuple[int, int]:
    """Return the number of descriptors, and of images that have any.

    Parameters
    ----------
    features : DataFrame
        Columns ``keypointCount``, ``error``.

    Raises
    ------
    UserError
        If there are no descriptors.
    """
    with_descriptors = F.count_if(F.col("keypointCount") > 0)
    total, images = features.agg(F.sum("keypointCount"), with_descriptors).head() or (0, 0)
    if not total:
        raise _no_descriptors(features)
    return total, images


def _no_descriptors(features: DataFrame) -> UserError:
    images, failed = features.agg(F.count("*"), F.count("error")).head() or (0, 0)
    return UserError(
        f"No image has descriptors: {failed:,} of {counted(images, 'image')} could not be read, "
        f"{images - failed:,} have no keypoints.\n"
        "See the column `error` of the features, or let the extractor drop fewer features."
    )


class SampledDescriptors:
    """The training descriptors in Spark's cache: a `vision_assets.vision.vocabulary.kmeans.DescriptorSet`.

    Parameters
    ----------
    features : DataFrame
        Columns ``fileName``, ``digest``, ``keypointCount``, ``descriptors``.
    rate : float
        Share of the descriptors to take, in 0..1.
    image_rate : float
        Share of the images to take them from, from `share_of_images`.
    seed : int
    block_rows : int
        Descriptors that a worker handles at once.
    dtype : dtype
        dtype of the descriptors: uint8 or float32.
    rows : int
        Approximate number of descriptors in the sample.
    words : int
        Number of centres that the descriptors will be compared with.
    transform : callable, optional
        What training descriptors are made of stored ones, row by row. None takes them as they are.

    Attributes
    ----------
    blocks : RDD of ndarray of shape (N, d), dtype uint8 or float32
        The training descriptors.
    """

    def __init__(
        self,
        features: DataFrame,
        rate: float,
        image_rate: float,
        seed: int,
        block_rows: int,
        dtype: np.dtype = UINT8,
        *,
        rows: int,
        words: int,
        transform: Callable[[Descriptors], Descriptors] | None = None,
    ) -> None:
        self._seed = seed
        self._context = features.sparkSession.sparkContext
        cores = self._context.defaultParallelism
        # With fewer descriptors than words, the partial sums of a task would be larger than its input.
        most = -(-rows // max(words, _LEAST_ROWS))
        chosen = choose_images(features, seed, image_rate)
        images = chosen.where("keypointCount > 0").select("fileName", "keypointCount", "descriptors")
        is_large = rows > cores * _BLOCKS_PER_TASK * BLOCK_ROWS
        if is_large:
            images = images.coalesce(min(most, _equal_shares(rows // (_BLOCKS_PER_TASK * BLOCK_ROWS), cores)))
        # Rows would cross to Python as pickles, many times slower than Arrow.
        pieces = images.mapInArrow(
            partial(_sample_partition, rate / image_rate, seed, dtype, transform), "length int, block binary"
        )
        if not is_large:
            # Each core gets an equal share of a small sample, however the files of the features are cut.
            pieces = pieces.repartition(min(cores, most))
        blocks = pieces.rdd.mapPartitions(partial(_join_pieces, block_rows, dtype))
        self.blocks: RDD[Descriptors] = blocks.persist(StorageLevel.MEMORY_AND_DISK)

    def count(self) -> int:
        """Return the number of descriptors."""
        return int(self.blocks.map(len).sum())

    def statistics(self, vocabulary: Vocabulary) -> WordStatistics:
        """Assign every descriptor to its nearest centre and return the words' statistics."""
        shared = self._context.broadcast(vocabulary)
        try:
            parts = self.blocks.mapPartitions(partial(_statistics_of_partition, shared))
            return parts.treeReduce(
                WordStatistics.merge, reduce_depth(parts.getNumPartitions(), vocabulary.centers.size * 8)
            )
        finally:
            shared.destroy()

    def farthest(self, vocabulary: Vocabulary, count: int) -> Descriptors:
        """Return the distinct descriptors farthest from their nearest centre."""
        shared = self._context.broadcast(vocabulary)
        try:
            return self._lowest(partial(_farthest_of_block, shared, count, self._seed), count)
        finally:
            shared.destroy()

    def distinct(self, count: int) -> Descriptors:
        """Return distinct descriptors in random order: shape (min(count, distinct), d)."""
        return self._lowest(partial(_distinct_of_block, count, self._seed), count)

    def _lowest(self, choose: Callable[[Descriptors], tuple[NDArray, NDArray]], count: int) -> NDArray:
        chosen = self.blocks.map(choose)
        depth = reduce_depth(chosen.getNumPartitions(), count * _CANDIDATE_BYTES)
        return chosen.treeReduce(partial(_merge_lowest, self._seed, count), depth)[0]

    def release(self) -> None:
        """Remove the descriptors from Spark's cache."""
        self.blocks.unpersist()


def choose_images(images: DataFrame, seed: int, rate: float) -> DataFrame:
    """Choose images by their digests; Parquet's reader skips row groups without any.

    Parameters
    ----------
    images : DataFrame
        With a column ``digest``.
    seed : int
    rate : float
        Share of the images to choose; 1 or more chooses all.
    """
    return images if rate >= 1 else images.where(_is_chosen(seed, rate))


def _is_chosen(seed: int, rate: float) -> Column:
    digest = F.col("digest")
    ranges = [
        digest >= F.lit(first) if last is None else (digest >= F.lit(first)) & (digest < F.lit(last))
        for first, last in digest_ranges(seed, rate)
    ]
    return reduce(or_, ranges)


def _equal_shares(tasks: int, cores: int) -> int:
    """Return a similar number of tasks that leaves no core idle at the end of a pass."""
    return cores * max(_TASKS_PER_CORE, -(-tasks // cores))


def reduce_depth(parts: int, size: int) -> int:
    """Return the depth of a tree reduction, so that the driver does not receive too much at once.

    Parameters
    ----------
    parts : int
        Number of partial results.
    size : int
        Bytes of each.

    Returns
    -------
    int
        1 if the driver may receive them all.
    """
    at_once = max(2, _DRIVER_BYTES // size)
    return max(1, math.ceil(math.log(parts, at_once))) if parts else 1


def _sample_partition(
    rate: float,
    seed: int,
    dtype: np.dtype,
    transform: Callable[[Descriptors], Descriptors] | None,
    batches: Iterator[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """Descriptors of the sample in pieces of at most `_PIECE_ROWS`."""
    for batch in batches:
        sample = _sample(rate, seed, dtype, batch)
        if transform:
            sample = transform(sample)
        pieces = [sample[start : start + _PIECE_ROWS] for start in range(0, len(sample), _PIECE_ROWS)]
        if pieces:
            lengths = pa.array([sample.shape[1]] * len(pieces), pa.int32())
            yield pa.record_batch({"length": lengths, "block": [piece.tobytes() for piece in pieces]})


def _sample(rate: float, seed: int, dtype: np.dtype, images: pa.RecordBatch) -> Descriptors:
    counts = images["keypointCount"].to_numpy()
    descriptors = binary_values(images["descriptors"], dtype).reshape(counts.sum(), -1)
    if rate >= 1:
        return descriptors
    starts = np.cumsum(counts) - counts
    chosen = [
        start + sample_indices(seed, name.as_py(), count, rate)
        for name, count, start in zip(images["fileName"], counts, starts, strict=True)
    ]
    return descriptors[np.concatenate(chosen)]


def _join_pieces(block_rows: int, dtype: np.dtype, pieces: Iterator[Row]) -> Iterator[Descriptors]:
    """Join pieces to blocks of `block_rows`, the last one smaller."""
    waiting: list[Descriptors] = []
    rows = 0
    for piece in pieces:
        waiting.append(descriptor_matrix(piece.block, piece.length, dtype))
        rows += len(waiting[-1])
        if rows >= block_rows:
            joined = np.concatenate(waiting)
            full = rows - rows % block_rows
            for start in range(0, full, block_rows):
                yield joined[start : start + block_rows]
            waiting, rows = [joined[full:]], rows - full
    if rows:
        yield np.concatenate(waiting)


def _statistics_of_partition(
    vocabulary: "Broadcast[Vocabulary]", blocks: Iterable[Descriptors]
) -> Iterator[WordStatistics]:
    total: WordStatistics | None = None
    for block in blocks:
        part = assign_statistics(block, vocabulary.value)
        total = part if total is None else total.merge(part)
    if total is not None:
        yield total


def _farthest_of_block(
    vocabulary: "Broadcast[Vocabulary]", count: int, seed: int, block: Descriptors
) -> tuple[Descriptors, NDArray[np.float64]]:
    return farthest_descriptors(block, vocabulary.value, count, seed)


def _distinct_of_block(count: int, seed: int, block: Descriptors) -> tuple[Descriptors, NDArray[np.uint64]]:
    return lowest_distinct(block, descriptor_hashes(block, seed), seed, count)


def _merge_lowest(
    seed: int, count: int, left: tuple[NDArray, NDArray], right: tuple[NDArray, NDArray]
) -> tuple[NDArray, NDArray]:
    both = np.concatenate([left[0], right[0]]), np.concatenate([left[1], right[1]])
    return lowest_distinct(*both, seed, count)
