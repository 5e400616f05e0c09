from collections.abc import Callable
from hashlib import sha256

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from vision_assets.errors import UserError
from vision_assets.steps.vocabulary_tree import (
    VOCABULARY_TREE,
    TreeCheckpoint,
    train_tree,
    tree_of,
    tree_rows,
)
from vision_assets.tables.verification import summarize
from vision_assets.vision.retrieval.root_sift import root_sift
from vision_assets.vision.vocabulary.tree import Children, VocabularyTree
from vision_assets.vision.vocabulary.tree_training import TreeOptions, split_node

Features = Callable[..., DataFrame]
OPTIONS = TreeOptions(branching=6, levels=3, max_iter=4, seed=5, descriptors_per_word=None)


@pytest.fixture(scope="module")
def matrices() -> dict[str, NDArray[np.uint8]]:
    rng = np.random.default_rng(9)
    middles = rng.integers(0, 160, (30, 128))
    return {
        f"{i % 3}/{i}.jpg": (middles[rng.integers(0, 30, count)] + rng.integers(0, 40, (count, 128))).astype(
            np.uint8
        )
        for i, count in enumerate(rng.integers(0, 300, 40).tolist())
    }


@pytest.fixture
def table(spark: SparkSession) -> Features:
    def make(matrices: dict[str, NDArray[np.uint8]], partitions: int = 2) -> DataFrame:
        rows = [
            (name, sha256(name.encode()).digest(), len(matrix), matrix.tobytes(), None)
            for name, matrix in matrices.items()
        ]
        schema = "fileName string, digest binary, keypointCount int, descriptors binary, error string"
        return spark.createDataFrame(rows, schema).repartition(partitions)

    return make


def naive_levels(descriptors: NDArray[np.uint8], options: TreeOptions) -> list[Children]:
    """The same tree, node by node in memory."""
    levels: list[Children] = []
    for _ in range(options.levels):
        nodes = VocabularyTree.of(options.branching, levels).assign(descriptors)
        parents = np.unique(nodes)
        split = [split_node(descriptors[nodes == node], options) for node in parents]
        levels.append(
            Children(
                parents,
                np.array([len(centers) for centers, _ in split], np.int32),
                np.concatenate([centers for centers, _ in split]),
                np.concatenate([counts for _, counts in split]),
            )
        )
        assert levels[-1].counts.sum() == len(descriptors)
    return levels


@pytest.mark.parametrize("partitions", [1, 7])
def test_each_node_is_split_as_if_it_were_alone(
    table: Features, matrices: dict[str, NDArray[np.uint8]], partitions: int
) -> None:
    trained = train_tree(table(matrices, partitions), OPTIONS)
    everything = root_sift(np.concatenate(list(matrices.values())))
    for found, expected in zip(trained.levels, naive_levels(everything, OPTIONS), strict=True):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (trained.trained, trained.total) == (len(everything), len(everything))


def test_images_with_each_word_are_counted(table: Features, matrices: dict[str, NDArray[np.uint8]]) -> None:
    trained = train_tree(table(matrices), OPTIONS)
    tree = VocabularyTree.of(OPTIONS.branching, trained.levels)
    expected = np.zeros(tree.words, int)
    for matrix in matrices.values():
        expected[np.unique(tree.assign(root_sift(matrix)))] += 1
    np.testing.assert_array_equal(trained.image_counts, expected)
    assert trained.images == sum(len(matrix) > 0 for matrix in matrices.values())


def test_a_training_that_goes_on_gives_the_same_bits(
    table: Features, matrices: dict[str, NDArray[np.uint8]]
) -> None:
    saved: list[bytes] = []
    expected = train_tree(table(matrices), OPTIONS, save=lambda state: saved.append(state.to_bytes()))
    assert len(saved) == 1 + 6 + 8
    for state in saved[:: len(saved) // 4]:
        again: list[bytes] = []
        resumed = train_tree(
            table(matrices, 5),
            OPTIONS,
            start=TreeCheckpoint.from_bytes(state),
            save=lambda state: again.append(state.to_bytes()),  # noqa: B023
        )
        assert again[-1] == saved[-1]
        np.testing.assert_array_equal(resumed.image_counts, expected.image_counts)


def test_damaged_checkpoints_are_refused(table: Features, matrices: dict[str, NDArray[np.uint8]]) -> None:
    saved: list[bytes] = []
    train_tree(table(matrices), OPTIONS, save=lambda state: saved.append(state.to_bytes()))
    data = saved[0]
    for damaged in (b"", data[:-1], data[:40] + bytes([data[40] ^ 1]) + data[41:]):
        with pytest.raises(ValueError, match="checksum"):
            TreeCheckpoint.from_bytes(damaged)


def test_a_part_of_the_descriptors_is_trained_on(
    table: Features, matrices: dict[str, NDArray[np.uint8]]
) -> None:
    options = TreeOptions(branching=10, levels=2, seed=5, descriptors_per_word=20)
    trained = [train_tree(table(matrices, partitions), options) for partitions in (1, 3)]
    assert trained[0].trained == pytest.approx(2000, rel=0.1)
    assert trained[0].levels[1].counts.sum() == trained[0].levels[0].counts.sum() == trained[0].trained
    for a, b in zip(trained[0].levels, trained[1].levels, strict=True):
        np.testing.assert_array_equal(a.centers, b.centers)


def test_a_stored_tree_is_the_trained_one(
    spark: SparkSession, table: Features, matrices: dict[str, NDArray[np.uint8]]
) -> None:
    trained = train_tree(table(matrices), OPTIONS)
    rows = tree_rows(spark, trained, OPTIONS.branching)
    assert [column.name for column in rows.schema] == VOCABULARY_TREE.schema.names
    tree, weights = tree_of(rows.toArrow(), OPTIONS.branching)
    expected = VocabularyTree.of(OPTIONS.branching, trained.levels)
    for ours, theirs in ((tree.centers, expected.centers), (tree.children, expected.children)):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    idf = np.log((trained.images + 1) / (trained.image_counts + 1))
    exists = trained.levels[-1].numbers(OPTIONS.branching)
    np.testing.assert_allclose(weights[exists], 1024 * idf[exists] ** 2, atol=0.51)
    summary = summarize(VOCABULARY_TREE, rows, None, {}, None)
    assert all(summary.check_results.values())
    assert summary.counts["words"] == len(exists)
    assert summary.counts["training_descriptors"] == trained.trained


def test_no_descriptors_are_an_error(table: Features) -> None:
    with pytest.raises(UserError, match="No image has descriptors: 0 of 1 image"):
        train_tree(table({"a.jpg": np.empty((0, 128), np.uint8)}), OPTIONS)


def test_too_many_words_are_refused() -> None:
    with pytest.raises(ValueError, match="branching 1024 and levels 3 make 1,073,741,824 words"):
        TreeOptions(branching=1024, levels=3)
    assert TreeOptions(branching=1024, levels=2).words == 2**20
