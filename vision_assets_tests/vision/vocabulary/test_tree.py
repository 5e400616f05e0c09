from dataclasses import replace

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vision_assets.vision.vocabulary.tree import VocabularyTree
from vision_assets.vision.vocabulary.tree_training import TreeOptions, round_to_bytes, split_node

VALUES = st.one_of(st.sampled_from([0, 1, 255]), st.integers(0, 255))


def tree_of(rng: np.random.Generator, branching: int, levels: int, length: int = 128) -> VocabularyTree:
    """A tree some of whose nodes lack children; the first child of each node exists."""
    centers, children = [], []
    exists = np.ones(1, bool)
    for level in range(1, levels + 1):
        numbers = rng.integers(1, branching + 1, branching ** (level - 1)) * exists
        centers.append(rng.integers(0, 256, (branching**level, length), dtype=np.uint8))
        children.append(numbers.astype(np.int32))
        exists = (np.arange(branching) < numbers[:, None]).ravel()
    return VocabularyTree(branching, tuple(centers), tuple(children))


def naive_word(descriptor: NDArray[np.uint8], tree: VocabularyTree) -> int:
    node = 0
    for centers, children in zip(tree.centers, tree.children, strict=True):
        below = [node * tree.branching + child for child in range(children[node])]
        distances = [
            sum((int(x) - int(c)) ** 2 for x, c in zip(descriptor, centers[i], strict=True)) for i in below
        ]
        node = below[distances.index(min(distances))]
    return node


@given(hnp.arrays(np.uint8, st.tuples(st.integers(0, 9), st.just(5)), elements=VALUES), st.data())
def test_a_word_is_the_path_to_the_nearest_child_and_the_first_one_on_ties(
    descriptors: NDArray[np.uint8], data: st.DataObject
) -> None:
    centers = tuple(data.draw(hnp.arrays(np.uint8, (3**level, 5), elements=VALUES)) for level in (1, 2))
    children = tuple(
        data.draw(hnp.arrays(np.int32, 3 ** (level - 1), elements=st.integers(1, 3))) for level in (1, 2)
    )
    tree = VocabularyTree(3, centers, children)
    assert tree.assign(descriptors).tolist() == [naive_word(each, tree) for each in descriptors]


@pytest.mark.parametrize(("branching", "levels"), [(1, 1), (7, 1), (4, 3)])
def test_long_descriptors_on_trees_of_any_depth(
    rng: np.random.Generator, branching: int, levels: int
) -> None:
    tree = tree_of(rng, branching, levels)
    descriptors = rng.integers(0, 256, (60, 128), dtype=np.uint8)
    words = tree.assign(descriptors)
    assert words.tolist() == [naive_word(each, tree) for each in descriptors]
    assert (tree.levels, tree.words, words.dtype) == (levels, branching**levels, np.int32)


def test_words_do_not_depend_on_the_batch(rng: np.random.Generator) -> None:
    tree = tree_of(rng, 16, 2)
    descriptors = rng.integers(0, 256, (5000, 128), dtype=np.uint8)
    words = tree.assign(descriptors)
    alone = [tree.assign(descriptors[row : row + 1])[0] for row in range(0, 5000, 50)]
    assert words[::50].tolist() == alone


def test_scores_are_exact_where_float32_ends(rng: np.random.Generator) -> None:
    """Two centres of the largest norm, whose scores differ by the smallest step, one half."""
    brightest = np.full((1, 128), 255, np.uint8)
    centers = np.repeat(brightest, 2, axis=0)
    centers[0, 0] = 254
    descriptors = rng.integers(250, 256, (200, 128), dtype=np.uint8)
    tree = VocabularyTree(2, (centers,), (np.array([2], np.int32),))
    assert tree.assign(descriptors).tolist() == [naive_word(each, tree) for each in descriptors]


def test_no_descriptors_have_no_words(rng: np.random.Generator) -> None:
    assert tree_of(rng, 4, 2).assign(np.empty((0, 128), np.uint8)).shape == (0,)


def test_a_node_is_split_the_same_way_in_any_order(rng: np.random.Generator) -> None:
    descriptors = rng.integers(0, 256, (3000, 128), dtype=np.uint8)
    options = TreeOptions(branching=8, max_iter=5, seed=3)
    centers, counts = split_node(descriptors, options)
    again, _ = split_node(rng.permutation(descriptors), options)
    np.testing.assert_array_equal(centers, again)
    assert centers.shape == (8, 128)
    assert (split_node(descriptors, replace(options, seed=4))[0] != centers).any()
    tree = VocabularyTree(8, (centers,), (np.array([8], np.int32),))
    assert counts.tolist() == np.bincount(tree.assign(descriptors), minlength=8).tolist()


def test_children_are_the_groups_of_what_is_far_apart(rng: np.random.Generator) -> None:
    middles = rng.integers(20, 236, (2, 128))
    descriptors = (np.repeat(middles, 400, axis=0) + rng.integers(-5, 6, (800, 128))).astype(np.uint8)
    found = {
        tuple(each) for each in split_node(descriptors, TreeOptions(branching=2, max_iter=10))[0].tolist()
    }
    assert all(min(np.abs(np.array(each) - middle).max() for each in found) <= 1 for middle in middles)


def test_few_distinct_descriptors_are_children_themselves(rng: np.random.Generator) -> None:
    distinct = rng.integers(0, 256, (3, 128), dtype=np.uint8)
    options = TreeOptions(branching=8)
    centers, counts = split_node(np.repeat(distinct, 5, axis=0), options)
    assert counts.tolist() == [5, 5, 5]
    assert sorted(centers.tolist()) == sorted(distinct.tolist())
    assert split_node(distinct[:0], options)[0].shape == (0, 128)


def test_centres_are_rounded_half_up() -> None:
    assert round_to_bytes(np.array([[0.0, 0.49, 0.5, 1.5, 254.5, 255.0]])).tolist() == [
        [0, 0, 1, 2, 255, 255]
    ]
