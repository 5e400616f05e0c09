import numpy as np
import pytest
from numpy.typing import NDArray

from vision_assets.vision.retrieval.geometry import Correspondences, fit
from vision_assets.vision.retrieval.indexed_features import IndexedFeatures
from vision_assets.vision.retrieval.shard import build_shard
from vision_assets.vision.retrieval.verification import Verified, verify
from vision_assets.vision.retrieval.votes import visit
from vision_assets_tests.vision.retrieval.features import some_features, view_of

UNCHANGED = np.array([[1.0, 0, 0], [0, 1, 0]])


def similarity(factor: float, degrees: float, right: float, down: float) -> NDArray[np.float64]:
    cosine, sine = factor * np.cos(np.radians(degrees)), factor * np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, right], [sine, cosine, down]])


def some_points(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return np.column_stack(
        [
            rng.uniform(1000, 2000, (count, 2)),
            rng.uniform(3, 30, count),
            rng.uniform(0, 360, count),
        ]
    )


def verified(query: IndexedFeatures, *images: IndexedFeatures, words: int = 200) -> list[Verified]:
    shard = build_shard(images, words)
    return verify(query, visit(query, shard), shard, np.arange(len(images)))


@pytest.mark.parametrize(
    "change",
    [
        UNCHANGED,
        similarity(1, 90, 3900, -50),
        similarity(0.5, 17, 300, 100),
        similarity(1.4, -130, 1900, 4900),
    ],
)
def test_a_change_of_view_is_found_among_wrong_matches(
    rng: np.random.Generator, change: NDArray[np.float64]
) -> None:
    points = some_points(rng, 100)
    signatures = rng.integers(0, 2**64, 100, dtype=np.uint64)
    query = view_of(points, UNCHANGED, signatures)
    wrong = some_points(rng, 60)
    image = view_of(points, change, signatures)
    image.keypoints[40:] = view_of(wrong, UNCHANGED, signatures[40:]).keypoints
    [found] = verified(query, image)
    assert 40 <= found.inliers <= 44
    assert found.weight == pytest.approx(found.inliers)
    corners = np.array([[1000, 1000, 1], [2000, 1000, 1], [1000, 2000, 1], [2000, 2000, 1]])
    np.testing.assert_allclose(corners @ found.transform.T, corners @ change.T, atol=8)


def test_an_affinity_is_found(rng: np.random.Generator) -> None:
    points = some_points(rng, 80)
    signatures = rng.integers(0, 2**64, 80, dtype=np.uint64)
    change = np.array([[1.1, 0.1, -200], [-0.05, 0.9, 300]])
    image = view_of(points, UNCHANGED, signatures)
    mapped = np.column_stack([points[:, :2] @ change[:, :2].T + change[:, 2], points[:, 2:]])
    image = view_of(mapped, UNCHANGED, signatures)
    [found] = verified(view_of(points, UNCHANGED, signatures), image)
    assert found.inliers == 80
    np.testing.assert_allclose(found.transform, change, atol=0.01 * 200)


def test_what_is_verified_depends_on_the_query_and_the_image_alone(rng: np.random.Generator) -> None:
    query = some_features(rng, 200)
    images = [*(some_features(rng, count) for count in (80, 0, 300, 60)), query]
    together = verified(query, *images, words=20)
    shard = build_shard(images, 20)
    some = verify(query, visit(query, shard), shard, np.array([4, 0]))
    for one, image in zip([*together, some[0], some[1]], [*images, images[4], images[0]], strict=True):
        [alone] = verified(query, image, words=20)
        assert one[:2] == alone[:2]
        np.testing.assert_array_equal(one.transform, alone.transform)
    assert together[4].inliers > 20


def test_ambiguous_matches_weigh_less(rng: np.random.Generator) -> None:
    """Four equal features on both sides: of 16 matches, four agree, each of weight 1/4."""
    points = some_points(rng, 4)
    signatures = np.full(4, 7, np.uint64)
    query = view_of(points, UNCHANGED, signatures)
    query = query._replace(words=np.zeros(4, np.int32))
    [found] = verified(query, query)
    assert found.inliers == 4
    assert found.weight == pytest.approx(4 / 4)


def test_no_feature_counts_twice(rng: np.random.Generator) -> None:
    """The query has each feature twice, as SIFT has where a keypoint has two angles."""
    points = some_points(rng, 30)
    signatures = rng.integers(0, 2**64, 30, dtype=np.uint64)
    image = view_of(points, UNCHANGED, signatures)
    twice = IndexedFeatures(
        image.width,
        image.height,
        np.repeat(image.words, 2),
        np.repeat(image.signatures, 2),
        np.repeat(image.keypoints, 2),
    )
    [found] = verified(twice, image)
    assert found.inliers == 30
    assert found.weight == pytest.approx(30 / np.sqrt(2))


def test_nothing_matches_nothing(rng: np.random.Generator) -> None:
    empty, full = some_features(rng, 0), some_features(rng, 20)
    for query, image in ((empty, full), (full, empty), (empty, empty)):
        [found] = verified(query, image, words=20)
        assert found[:2] == (0.0, 0)
        assert not found.transform.any()


def test_least_squares_are_those_of_numpy(rng: np.random.Generator) -> None:
    sources = rng.uniform(0, 1000, (90, 2))
    targets = sources @ np.array([[0.9, 0.2], [-0.3, 1.2]]) + rng.normal(0, 3, (90, 2))
    images = np.repeat([0, 2, 3], [60, 27, 3])
    pairs = Correspondences(
        images, sources, targets, np.zeros(90, np.int64), np.zeros(90, np.uint8), np.ones(4)
    )
    kept = rng.random((4, 2, 3))
    fitted = fit(pairs, np.arange(90), kept)
    for image in (0, 2):
        rows = images == image
        design = np.column_stack([sources[rows], np.ones(rows.sum())])
        expected = np.linalg.lstsq(design, targets[rows], rcond=None)[0].T
        np.testing.assert_allclose(fitted[image], expected, rtol=1e-9)
    np.testing.assert_array_equal(fitted[1], kept[1])
    # Three points: a similarity, whose residuals are orthogonal to its derivatives.
    x, y = sources[87:].T
    (a, b, c), (d, e, f) = fitted[3]
    assert (a, b) == (e, -d)
    missed = np.concatenate([a * x + b * y + c - targets[87:, 0], d * x + e * y + f - targets[87:, 1]])
    assert abs(missed @ np.concatenate([x, y])) < 1e-6
    assert abs(missed @ np.concatenate([-y, x])) < 1e-6
    assert abs(missed[:3].sum()) + abs(missed[3:].sum()) < 1e-9
