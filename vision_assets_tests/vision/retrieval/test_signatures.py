import numpy as np
from scipy.linalg import hadamard

from vision_assets.vision.retrieval.signatures import BITS, SignatureEncoder, project
from vision_assets.vision.vocabulary.tree import VocabularyTree
from vision_assets_tests.vision.vocabulary.test_tree import tree_of


def test_projections_are_orthogonal_sums_and_differences_of_all_values() -> None:
    ones = np.eye(128, dtype=np.uint8)
    signs = project(ones).astype(int)
    assert set(np.unique(signs)) == {-1, 1}
    np.testing.assert_array_equal(signs.T @ signs, 128 * np.eye(BITS))
    # The product of two columns of a Hadamard matrix is a third; the random signs cancel.
    columns = {tuple(each) for each in (signs * signs[:, :1]).T.tolist()}
    assert len(columns) == BITS
    assert columns <= {tuple(each) for each in hadamard(128).T.tolist()}


def test_projections_reach_their_limits_exactly() -> None:
    signs = project(np.eye(128, dtype=np.uint8)).astype(int)
    positive = (255 * (signs[:, 0] > 0)).astype(np.uint8)[None]
    negative = (255 * (signs[:, 0] < 0)).astype(np.uint8)[None]
    for descriptor in (positive, negative):
        np.testing.assert_array_equal(project(descriptor)[0], descriptor[0].astype(int) @ signs)


def test_bits_tell_on_which_side_of_the_centre_a_descriptor_is(rng: np.random.Generator) -> None:
    tree = tree_of(rng, 4, 2)
    descriptors = rng.integers(0, 256, (5000, 128), dtype=np.uint8)
    words = tree.assign(descriptors)
    signatures = SignatureEncoder(tree).encode(descriptors, words)
    signs = project(np.eye(128, dtype=np.uint8)).astype(int)
    for row in (0, 1, 4095, 4096, 4999):
        above = descriptors[row].astype(int) @ signs > tree.centers[-1][words[row]].astype(int) @ signs
        assert int(signatures[row]) == sum(1 << bit for bit in range(BITS) if above[bit])


def test_a_descriptor_that_is_its_centre_has_no_bit(rng: np.random.Generator) -> None:
    tree = tree_of(rng, 4, 1)
    words = np.arange(4, dtype=np.int32)
    assert SignatureEncoder(tree).encode(tree.centers[0], words).tolist() == [0] * 4


def test_similar_descriptors_have_similar_signatures(rng: np.random.Generator) -> None:
    tree = tree_of(rng, 4, 1)
    one = rng.integers(40, 216, (1000, 128), dtype=np.uint8)
    near = (one + rng.integers(-5, 6, one.shape)).astype(np.uint8)
    other = rng.integers(40, 216, (1000, 128), dtype=np.uint8)
    words = np.zeros(1000, np.int32)
    a, b, c = (SignatureEncoder(tree).encode(each, words) for each in (one, near, other))
    assert np.bitwise_count(a ^ b).mean() < 8
    assert np.bitwise_count(a ^ c).mean() > 16


def test_signatures_never_change() -> None:
    """They are stored: those of an earlier release must be comparable with those of this one."""
    centers = (np.arange(512) * 37 % 256).astype(np.uint8).reshape(4, 128)
    tree = VocabularyTree(4, (centers,), (np.array([4], np.int32),))
    descriptors = np.arange(256, dtype=np.uint8).reshape(2, 128)
    signatures = SignatureEncoder(tree).encode(descriptors, np.array([0, 3], np.int32))
    assert [f"{each:016x}" for each in signatures.tolist()] == ["7f4ecb0765e24ed1", "d014357f073dd42a"]
