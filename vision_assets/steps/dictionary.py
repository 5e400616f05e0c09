"""The dictionary of visual words: features in, the table `kmeans_dictionary` out."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import RDD, Broadcast, StorageLevel
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.errors import UserError
from vision_assets.spark.arrow import binary_values
from vision_assets.tables.table import KMEANS_DICTIONARY
from vision_assets.vision.features.codecs import descriptor_matrix
from vision_assets.vision.vocabulary.assignment import Vocabulary, round_centers
from vision_assets.vision.vocabulary.fixed_point import UINT8, Descriptors
from vision_assets.vision.vocabulary.kmeans import (
    KMeansState,
    WordStatistics,
    assign_statistics,
    farthest_descriptors,
    initial_centers,
    lloyd,
    seeding_candidates,
    state_from_npz,
    state_to_npz,
)
from vision_assets.vision.vocabulary.sampling import descriptor_hashes, lowest_distinct, sample_indices

BLOCK_ROWS = 2**15
_BLOCKS_PER_TASK = 16
_LEAST_ROWS = 2**12  # of a task
_TASKS_PER_CORE = 4  # at least, of a large sample: files of features are not equally large
_PIECE_ROWS = 2**9  # so small that the shares of the cores differ little
_CANDIDATE_BYTES = 2**10  # at most about: a descriptor and what it is ranked by
_DRIVER_BYTES = 2**28  # partial sums beyond this are added up by the workers first


@dataclass(frozen=True)
class KMeansOptions:
    """Options of the training of a dictionary.

    Parameters
    ----------
    k : int
        Number of visual words.
    max_iter : int
        Largest number of updates of the centres.
    tol : float
        Stop when no centre moves by more than this distance.
    init_mode : {"random", "k-means++"}
    seed : int
    descriptors_per_word : int, optional
        Size of the sample that is trained on, per word; None trains on all descriptors.
    """

    k: int = 1000
    max_iter: int = 10
    tol: float = 1e-4
    init_mode: str = "random"
    seed: int = 0
    descriptors_per_word: int | None = 256


@dataclass(frozen=True)
class KMeansCheckpoint:
    """How far a training has come.

    Parameters
    ----------
    state : KMeansState
    inertia : list of float
        Of the initial centres and after each update.
    seconds : list of float
        Of the passes that gave these figures.
    """

    state: KMeansState
    inertia: list[float]
    seconds: list[float]

    def to_bytes(self) -> bytes:
        """Write it down, to go on from there."""
        history = json.dumps({"inertia": self.inertia, "seconds": self.seconds}).encode()
        saved = history + b"\n" + state_to_npz(self.state)
        return hashlib.sha256(saved).digest() + saved

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` has written; a `ValueError` if it is damaged."""
        size = hashlib.sha256().digest_size
        checksum, saved = data[:size], data[size:]
        if hashlib.sha256(saved).digest() != checksum:
            raise ValueError("its checksum is another")
        history, _, state = saved.partition(b"\n")
        return cls(state_from_npz(state), **json.loads(history))


@dataclass(frozen=True)
class TrainingResult:
    """A trained dictionary and how it came about.

    Parameters
    ----------
    final : KMeansState
    total : int
        Number of descriptors in the features.
    trained : int
        Number of descriptors in the sample.
    inertia : list of float
        Of the initial centres and after each update.
    seconds : list of float
        Of the passes that gave these figures.
    """

    final: KMeansState
    total: int
    trained: int
    inertia: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def train(
    features: DataFrame,
    options: KMeansOptions,
    log: Callable[[str], None] = lambda _: None,
    block_rows: int = BLOCK_ROWS,
    dtype: np.dtype = UINT8,
    start: KMeansCheckpoint | None = None,
    save: Callable[[KMeansCheckpoint], None] = lambda _: None,
) -> TrainingResult:
    """Train a dictionary by Lloyd's k-means on a sample of the descriptors.

    The result is a function of the features and the options: neither the partitions nor `block_rows`
    change a bit of it.

    Parameters
    ----------
    features : DataFrame
        Columns ``fileName``, ``keypointCount``, ``descriptors``.
    options : KMeansOptions
    log : callable
        Takes a line after each pass.
    block_rows : int
        Descriptors that a worker handles at once.
    dtype : dtype
        Of the descriptors: uint8 or float32.
    start : KMeansCheckpoint, optional
        Where an earlier training with the same features and options has ended before its end.
    save : callable
        Called after each pass.

    Returns
    -------
    TrainingResult

    Raises
    ------
    UserError
        If there are fewer distinct descriptors than words.
    """
    total = features.agg(F.sum("keypointCount")).head()[0]  # type: ignore[index]
    if not total:
        raise UserError(
            "No image has descriptors. See the errors in the table of features, or have it drop fewer."
        )
    wanted = total if options.descriptors_per_word is None else options.k * options.descriptors_per_word
    rate = min(1.0, wanted / total)
    sample = SampledDescriptors(
        features, rate, options.seed, block_rows, dtype, rows=math.ceil(rate * total), words=options.k
    )
    try:
        return _train_on(sample, options, total, log, start, save)
    finally:
        sample.release()


def _train_on(
    sample: "SampledDescriptors",
    options: KMeansOptions,
    total: int,
    log: Callable[[str], None],
    start: KMeansCheckpoint | None,
    save: Callable[[KMeansCheckpoint], None],
) -> TrainingResult:
    trained = sample.count()
    initial = start.state if start else _initial_centers(sample, options, trained, total)
    log(
        f"training on {trained:,} of {total:,} descriptors"
        + (f", going on after iteration {start.state.index}" if start else "")
    )
    inertia = list(start.inertia) if start else []
    seconds = list(start.seconds) if start else []
    started = time.monotonic()

    def report(state: KMeansState) -> None:
        nonlocal started
        inertia.append(math.fsum(state.inertia))
        seconds.append(time.monotonic() - started)
        left = max(0, options.max_iter - state.index) * seconds[-1]
        log(
            (f"iteration {state.index} of {options.max_iter}" if state.index else "initial centres")
            + f": inertia {inertia[-1]:.6g}, {_short(inertia[-1] / trained)} per descriptor"
            + f", {seconds[-1]:.1f} s"
            + (f", at most {left:.0f} s left" if left else "")
        )
        save(KMeansCheckpoint(state, inertia, seconds))
        started = time.monotonic()

    final = lloyd(sample, initial, max_iter=options.max_iter, tol=options.tol, report=report)
    return TrainingResult(final, total, trained, inertia, seconds)


def _short(value: float) -> str:
    """Write an inertia of bytes, thousands, or one of fractions, which is below 1."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"


def _initial_centers(
    sample: "SampledDescriptors", options: KMeansOptions, trained: int, total: int
) -> Vocabulary:
    wanted = seeding_candidates(options.k, options.init_mode)
    candidates: Descriptors = sample.distinct(wanted) if trained else np.empty((0, 0), np.uint8)
    if len(candidates) < options.k:
        raise UserError(
            f"k = {options.k:,} words need as many distinct descriptors, but there are only "
            f"{len(candidates):,} among the {trained:,} trained on ({total:,} in all). "
            "Lower k, add images, or set descriptors_per_word to null."
        )
    chosen = initial_centers(candidates, options.k, options.init_mode, options.seed)
    return Vocabulary(round_centers(chosen, chosen.dtype), chosen.dtype)


def dictionary_table(spark: SparkSession, final: KMeansState) -> DataFrame:
    """Make the table of a trained dictionary.

    Parameters
    ----------
    spark : SparkSession
    final : KMeansState

    Returns
    -------
    DataFrame
        Of the schema of `vision_assets.tables.table.KMEANS_DICTIONARY`, one row per word.
    """
    words = pd.DataFrame(
        {
            "wordId": np.arange(len(final.centers), dtype=np.int32),
            "center": list(final.centers.matrix.astype(np.float32)),
            "descriptorCount": final.statistics.counts,
            "inertia": final.inertia,
        }
    )
    return spark.createDataFrame(words, KMEANS_DICTIONARY.schema).coalesce(1)


class SampledDescriptors:
    """The training descriptors in Spark's cache: a `vision_assets.vision.vocabulary.kmeans.DescriptorSet`.

    Parameters
    ----------
    features : DataFrame
        Columns ``fileName``, ``keypointCount``, ``descriptors``.
    rate : float
        Share of the descriptors to take, in 0..1.
    seed : int
    block_rows : int
        Descriptors that a worker handles at once.
    dtype : dtype
        Of the descriptors: uint8 or float32.
    rows : int
        About how many descriptors the sample has.
    words : int
        Number of centres that they will be compared with.
    """

    def __init__(
        self,
        features: DataFrame,
        rate: float,
        seed: int,
        block_rows: int,
        dtype: np.dtype = UINT8,
        *,
        rows: int,
        words: int,
    ) -> None:
        self._seed = seed
        self._context = features.sparkSession.sparkContext
        cores = self._context.defaultParallelism
        # With fewer descriptors than words the partial sums of a task would be more than what it adds up.
        most = -(-rows // max(words, _LEAST_ROWS))
        images = features.where("keypointCount > 0").select("fileName", "keypointCount", "descriptors")
        is_large = rows > cores * _BLOCKS_PER_TASK * BLOCK_ROWS
        if is_large:
            images = images.coalesce(min(most, _equal_shares(rows // (_BLOCKS_PER_TASK * BLOCK_ROWS), cores)))
        # Rows would cross to Python in pickled form, which is many times slower than Arrow's.
        pieces = images.mapInArrow(partial(_sample_partition, rate, seed, dtype), "length int, block binary")
        if not is_large:
            # Each core gets an equal share of a small sample, whatever the files of the features are like.
            pieces = pieces.repartition(min(cores, most))
        blocks = pieces.rdd.mapPartitions(partial(_join_pieces, block_rows, dtype))
        self._blocks: RDD[Descriptors] = blocks.persist(StorageLevel.MEMORY_AND_DISK)

    def count(self) -> int:
        """Return the number of descriptors."""
        return int(self._blocks.map(len).sum())

    def statistics(self, centers: Vocabulary) -> WordStatistics:
        """Assign every descriptor to its nearest centre and return the words' statistics."""
        shared = self._context.broadcast(centers)
        try:
            parts = self._blocks.mapPartitions(partial(_statistics_of_partition, shared))
            return parts.treeReduce(
                WordStatistics.merge, reduce_depth(parts.getNumPartitions(), centers.matrix.size * 8)
            )
        finally:
            shared.destroy()

    def farthest(self, centers: Vocabulary, count: int) -> Descriptors:
        """Return the distinct descriptors farthest from their nearest centre."""
        shared = self._context.broadcast(centers)
        try:
            return self._lowest(partial(_farthest_of_block, shared, count, self._seed), count)
        finally:
            shared.destroy()

    def distinct(self, count: int) -> Descriptors:
        """Return distinct descriptors in random order: shape (min(count, distinct), d)."""
        return self._lowest(partial(_distinct_of_block, count, self._seed), count)

    def _lowest(self, choose: Callable[[Descriptors], tuple[NDArray, NDArray]], count: int) -> NDArray:
        chosen = self._blocks.map(choose)
        depth = reduce_depth(chosen.getNumPartitions(), count * _CANDIDATE_BYTES)
        return chosen.treeReduce(partial(_merge_lowest, self._seed, count), depth)[0]

    def release(self) -> None:
        """Remove the descriptors from Spark's cache."""
        self._blocks.unpersist()


def _equal_shares(tasks: int, cores: int) -> int:
    """Return a number of tasks, about as large, that leaves no core idle at the end of a pass."""
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
    rate: float, seed: int, dtype: np.dtype, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Descriptors of the sample in pieces of at most `_PIECE_ROWS`."""
    for batch in batches:
        sample = _sample(rate, seed, dtype, batch)
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
            whole = np.concatenate(waiting)
            full = rows - rows % block_rows
            for start in range(0, full, block_rows):
                yield whole[start : start + block_rows]
            waiting, rows = [whole[full:]], rows - full
    if rows:
        yield np.concatenate(waiting)


def _statistics_of_partition(
    centers: "Broadcast[Vocabulary]", blocks: Iterable[Descriptors]
) -> Iterator[WordStatistics]:
    total: WordStatistics | None = None
    for block in blocks:
        part = assign_statistics(block, centers.value)
        total = part if total is None else total.merge(part)
    if total is not None:
        yield total


def _farthest_of_block(
    centers: "Broadcast[Vocabulary]", count: int, seed: int, block: Descriptors
) -> tuple[Descriptors, NDArray[np.float64]]:
    return farthest_descriptors(block, centers.value, count, seed)


def _distinct_of_block(count: int, seed: int, block: Descriptors) -> tuple[Descriptors, NDArray[np.uint64]]:
    return lowest_distinct(block, descriptor_hashes(block, seed), seed, count)


def _merge_lowest(
    seed: int, count: int, left: tuple[NDArray, NDArray], right: tuple[NDArray, NDArray]
) -> tuple[NDArray, NDArray]:
    both = np.concatenate([left[0], right[0]]), np.concatenate([left[1], right[1]])
    return lowest_distinct(*both, seed, count)
