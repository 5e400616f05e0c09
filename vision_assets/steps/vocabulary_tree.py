"""The vocabulary tree: a hierarchy of visual words for search, one row per node."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from operator import itemgetter
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark import Broadcast, SparkContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, DoubleType, IntegerType, LongType, StructType

from vision_assets.snapshots.checkpoints import seal, unseal
from vision_assets.spark.arrow import binary_column, binary_values
from vision_assets.steps.descriptor_sample import (
    BLOCK_ROWS,
    SampledDescriptors,
    choose_images,
    count_descriptors,
    share_of_images,
)
from vision_assets.tables.columns import column
from vision_assets.tables.table import Count, Invariant, Table
from vision_assets.vision.retrieval.root_sift import root_sift
from vision_assets.vision.retrieval.votes import inverse_document_frequencies, word_weights
from vision_assets.vision.vocabulary.fixed_point import UINT8
from vision_assets.vision.vocabulary.sampling import descriptor_hashes
from vision_assets.vision.vocabulary.tree import Children, VocabularyTree, group_by_node
from vision_assets.vision.vocabulary.tree_training import TreeOptions, split_node

_LENGTH = 128
_COUNTED_IMAGES = 5000
_MOST_PER_CHILD = 2000  # training descriptors of the root
_PARTITION_ROWS = 2**18
_ROUNDS = 8  # of a level, between which the state is saved

VOCABULARY_TREE = Table(
    schema=StructType(
        [
            column("level", IntegerType(), "1 for the children of the root; the words are the last level"),
            column("wordId", IntegerType(), "number in its level: child j of node i is i * branching + j"),
            column("parent", IntegerType(), "wordId of the parent, in the level above; 0 for the root"),
            column("center", BinaryType(), "128 bytes: mean of the node's RootSIFT descriptors"),
            column("descriptorCount", LongType(), "training descriptors of the node"),
            column(
                "imageCount", LongType(), "of N images, those with the word; null if no word", nullable=True
            ),
            column("idf", DoubleType(), "ln((N + 1) / (imageCount + 1)); null if no word", nullable=True),
        ]
    ),
    key="struct(level, wordId)",
    row_noun="nodes",
    counts={
        "nodes": Count("count(*)"),
        "words": Count("count(imageCount)"),
        "training_descriptors": Count("sum(if(level = 1, descriptorCount, 0))"),
        "largest_word_size": Count("max(if(imageCount is null, 0, descriptorCount))", merge=max),
    },
    invariants={
        "centers_of_128_bytes": Invariant(
            "min(octet_length(center)) = 128 and max(octet_length(center)) = 128",
            "Every centre has 128 bytes.",
        ),
        "words_are_leaves": Invariant(
            "bool_and((imageCount is null) = (idf is null))", "Every word has an idf, and no other node."
        ),
    },
    content="struct(level, wordId, center, descriptorCount, imageCount, idf)",
    content_is_all=True,
)
"""The table of the nodes of a vocabulary tree."""


@dataclass(frozen=True)
class TreeCheckpoint:
    """The state of a training that can be resumed.

    Parameters
    ----------
    levels : tuple of Children
        The levels that are finished, and perhaps some nodes of the next one.
    """

    levels: tuple[Children, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the bytes to store."""
        buffer = io.BytesIO()
        arrays = {
            f"{name}{level}": values
            for level, children in enumerate(self.levels)
            for name, values in children._asdict().items()
        }
        np.savez(buffer, **arrays)
        return seal(buffer.getvalue())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` returned; raise a `ValueError` if it is corrupt."""
        with np.load(io.BytesIO(unseal(data)), allow_pickle=False) as file:
            count = len(file.files) // len(Children._fields)
            return cls(
                tuple(
                    Children(*(file[f"{name}{level}"] for name in Children._fields)) for level in range(count)
                )
            )


@dataclass(frozen=True)
class TrainedTree:
    """A trained vocabulary tree.

    Parameters
    ----------
    levels : tuple of Children
    image_counts : ndarray of shape (words,), dtype int64
        How many of the counted images have each word.
    images : int
        Number of images counted.
    trained, total : int
        Number of descriptors in the sample, and in the features.
    """

    levels: tuple[Children, ...]
    image_counts: NDArray[np.int64]
    images: int
    trained: int
    total: int


def train_tree(
    features: DataFrame,
    options: TreeOptions,
    log: Callable[[str], None] = lambda _: None,
    start: TreeCheckpoint | None = None,
    save: Callable[[TreeCheckpoint], None] = lambda _: None,
) -> TrainedTree:
    """Train a vocabulary tree on the RootSIFT bytes of a sample of the descriptors.

    The result depends on the features and the options alone, to the bit.

    Parameters
    ----------
    features : DataFrame
        Columns ``fileName``, ``digest``, ``keypointCount``, ``descriptors``, ``error``.
    options : TreeOptions
    log : callable
        Takes a line after each part of a level.
    start : TreeCheckpoint, optional
        Where an interrupted training with the same features and options stopped.
    save : callable
        Called after each part of a level.

    Returns
    -------
    TrainedTree

    Raises
    ------
    UserError
        If there are no descriptors.
    """
    total, images = count_descriptors(features)
    wanted = total if options.descriptors_per_word is None else options.words * options.descriptors_per_word
    rate = min(1.0, wanted / total)
    sample = SampledDescriptors(
        features,
        rate,
        share_of_images(rate, images),
        options.seed,
        BLOCK_ROWS,
        rows=int(rate * total),
        words=options.branching,
        transform=root_sift,
    )
    try:
        trained = sample.count()
        log(f"training on {trained:,} of {total:,} descriptors")
        levels = list(start.levels) if start else []
        for level in range(options.levels):
            _split_level(sample, options, levels, level, trained, log, save)
    finally:
        sample.release()
    counted_levels = _counts_from_below(levels, options.branching)
    tree = VocabularyTree.of(options.branching, counted_levels)
    rate = min(1.0, _COUNTED_IMAGES / images)
    chosen = choose_images(features.where("keypointCount > 0"), options.seed, rate)
    image_counts, counted = _count_images(chosen, tree)
    return TrainedTree(counted_levels, image_counts, counted, trained, total)


def _split_level(
    sample: SampledDescriptors,
    options: TreeOptions,
    levels: list[Children],
    level: int,
    trained: int,
    log: Callable[[str], None],
    save: Callable[[TreeCheckpoint], None],
) -> None:
    """Append a level to those that are finished, or the nodes that an interrupted training lacks."""
    if level < len(levels) - 1:
        return
    context = sample.blocks.context
    share = 1.0 if level else min(1.0, _MOST_PER_CHILD * options.branching / trained)
    finished = levels[level].parents if level < len(levels) else np.empty(0, np.int32)
    above = context.broadcast((VocabularyTree.of(options.branching, levels[:level]), finished))
    parts = _number_of_parts(context, options.branching**level, trained)
    pieces = sample.blocks.flatMap(partial(_pieces_of_nodes, above, options.seed, share))
    nodes = pieces.partitionBy(parts, int).mapPartitions(partial(_split_nodes, options))
    try:
        for chosen in np.array_split(np.arange(parts), min(parts, _ROUNDS)):
            found = context.runJob(nodes, list, chosen.tolist())
            levels[level:] = [_join([*_nodes_of(levels[level:]), *found])]
            save(TreeCheckpoint(tuple(levels)))
            log(f"level {level + 1} of {options.levels}: {len(levels[level].centers):,} nodes")
    finally:
        above.destroy()


def _number_of_parts(context: SparkContext, nodes: int, rows: int) -> int:
    return min(nodes, max(_ROUNDS * context.defaultParallelism, -(-rows // _PARTITION_ROWS)))


def _pieces_of_nodes(
    above: "Broadcast[tuple[VocabularyTree, NDArray[np.int32]]]",
    seed: int,
    share: float,
    block: NDArray[np.uint8],
) -> Iterator[tuple[int, bytes]]:
    """Yield each node that a block has descriptors of, and these, unless the node is finished."""
    tree, finished = above.value
    if share < 1:
        block = block[descriptor_hashes(block, seed) < np.uint64(int(share * 2**64))]
    for node, rows in group_by_node(tree.assign(block)):
        if node not in finished:
            yield node, block[rows].tobytes()


_Node = tuple[int, NDArray[np.uint8], NDArray[np.int64]]
"""Number of a node, and centres and descriptor counts of its children."""


def _split_nodes(options: TreeOptions, pieces: Iterable[tuple[int, bytes]]) -> Iterator[_Node]:
    by_node: dict[int, list[bytes]] = {}
    for node, piece in pieces:
        by_node.setdefault(node, []).append(piece)
    for node in sorted(by_node):
        descriptors = np.frombuffer(b"".join(by_node.pop(node)), np.uint8)
        yield node, *split_node(descriptors.reshape(-1, _LENGTH), options)


def _nodes_of(levels: Sequence[Children]) -> Iterator[_Node]:
    for children in levels:
        bounds = np.cumsum(children.sizes)[:-1]
        centers, counts = np.split(children.centers, bounds), np.split(children.counts, bounds)
        yield from zip(children.parents.tolist(), centers, counts, strict=True)


def _join(nodes: Sequence[_Node]) -> Children:
    in_order = sorted(nodes, key=itemgetter(0))
    empty = np.empty((0, _LENGTH), np.uint8)
    return Children(
        parents=np.array([node for node, _, _ in in_order], np.int32),
        sizes=np.array([len(centers) for _, centers, _ in in_order], np.int32),
        centers=np.concatenate([empty, *(centers for _, centers, _ in in_order)]),
        counts=np.concatenate([np.empty(0, np.int64), *(counts for _, _, counts in in_order)]),
    )


def _counts_from_below(levels: Sequence[Children], branching: int) -> tuple[Children, ...]:
    """Count all training descriptors of each node: the root was split by a part of them."""
    counted = [levels[-1]]
    for children in reversed(levels[:-1]):
        below = counted[0]
        of_parents = np.zeros(children.numbers(branching).max() + 1, np.int64)
        np.add.at(of_parents, np.repeat(below.parents, below.sizes), below.counts)
        counted.insert(0, children._replace(counts=of_parents[children.numbers(branching)]))
    return tuple(counted)


def _count_images(images: DataFrame, tree: VocabularyTree) -> tuple[NDArray[np.int64], int]:
    """Return how many of the images have each word, and how many images there are."""
    shared = images.sparkSession.sparkContext.broadcast(tree)
    words = images.select("keypointCount", "descriptors").mapInArrow(
        partial(_words_of_images, shared), "word int"
    )
    found = words.groupBy("word").agg(F.count("*").alias("images")).toArrow()
    counts = np.zeros(tree.words, np.int64)
    counts[found["word"].to_numpy()] = found["images"].to_numpy()
    return counts, images.count()


def _words_of_images(
    tree: "Broadcast[VocabularyTree]", batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield the distinct words of each image."""
    for batch in batches:
        descriptors = binary_values(batch["descriptors"], UINT8).reshape(-1, _LENGTH)
        words = tree.value.assign(root_sift(descriptors))
        images = np.repeat(np.arange(batch.num_rows), batch["keypointCount"].to_numpy())
        distinct = np.unique(images * tree.value.words + words) % tree.value.words
        yield pa.record_batch({"word": distinct.astype(np.int32)})


def tree_rows(spark: SparkSession, trained: TrainedTree, branching: int) -> DataFrame:
    """Make the table of a trained tree.

    Parameters
    ----------
    spark : SparkSession
    trained : TrainedTree
    branching : int

    Returns
    -------
    DataFrame
        With the schema of `VOCABULARY_TREE`.
    """
    columns = to_arrow_schema(VOCABULARY_TREE.schema)
    tables = []
    for level, children in enumerate(trained.levels):
        numbers = children.numbers(branching)
        image_counts = idf = pa.nulls(len(numbers))
        if level == len(trained.levels) - 1:
            image_counts = trained.image_counts[numbers]
            idf = inverse_document_frequencies(image_counts, trained.images)
        values = [
            np.full(len(numbers), level + 1, np.int32),
            numbers,
            np.repeat(children.parents, children.sizes),
            binary_column(children.centers),
            children.counts,
            image_counts,
            idf,
        ]
        tables.append(pa.table(dict(zip(columns.names, values, strict=True))).cast(columns))
    return spark.createDataFrame(pa.concat_tables(tables), VOCABULARY_TREE.schema).coalesce(1)


def tree_of(nodes: pa.Table, branching: int) -> tuple[VocabularyTree, NDArray[np.int64]]:
    """Return the tree in a table of its nodes, and the weights of its words.

    Parameters
    ----------
    nodes : pyarrow.Table
        With the columns of `VOCABULARY_TREE`, in any order of the rows.
    branching : int

    Returns
    -------
    VocabularyTree
    ndarray of shape (words,), dtype int64
        Of `vision_assets.vision.retrieval.votes.word_weights`; 0 for a missing word.
    """
    ordered = nodes.sort_by([("level", "ascending"), ("wordId", "ascending")])
    level = ordered["level"].to_numpy()
    levels = []
    for start, stop in pairwise(np.searchsorted(level, np.arange(1, level.max(initial=0) + 2)).tolist()):
        rows = ordered.slice(start, stop - start)
        parents, sizes = np.unique(rows["parent"].to_numpy(), return_counts=True)
        centers = binary_values(rows["center"].combine_chunks(), UINT8).reshape(-1, _LENGTH)
        counts = rows["descriptorCount"].to_numpy()
        levels.append(Children(parents, sizes.astype(np.int32), centers, counts))
    tree = VocabularyTree.of(branching, levels)
    weights = np.zeros(tree.words, np.int64)
    words = ordered.filter(pc.is_valid(ordered["idf"]))
    weights[words["wordId"].to_numpy()] = word_weights(words["idf"].to_numpy())
    return tree, weights
