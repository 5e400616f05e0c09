from hashlib import sha256

import numpy as np
import pytest

from vision_assets.vision.vocabulary.sampling import (
    descriptor_hashes,
    digest_ranges,
    lowest_distinct,
    sample_indices,
)


def test_a_rate_of_one_takes_all() -> None:
    np.testing.assert_array_equal(sample_indices(0, "a.jpg", 5, 1.0), np.arange(5))


def test_the_share_chosen_is_the_rate() -> None:
    chosen = sum(len(sample_indices(3, f"{i}.jpg", 1000, 0.2)) for i in range(200))
    assert chosen == pytest.approx(40_000, rel=0.02)


def test_the_choice_depends_on_seed_and_file_name_alone() -> None:
    first = sample_indices(1, "a/b.jpg", 1000, 0.5)
    np.testing.assert_array_equal(first, sample_indices(1, "a/b.jpg", 1000, 0.5))
    assert not np.array_equal(first, sample_indices(2, "a/b.jpg", 1000, 0.5))
    assert not np.array_equal(first, sample_indices(1, "a/c.jpg", 1000, 0.5))


def test_a_longer_image_keeps_the_choice_among_its_first_descriptors() -> None:
    longer = sample_indices(1, "a.jpg", 2000, 0.5)
    np.testing.assert_array_equal(longer[longer < 1000], sample_indices(1, "a.jpg", 1000, 0.5))


def is_chosen(digest: bytes, seed: int, rate: float) -> bool:
    """By the distance from the first one on a circle of all digests."""
    first = int.from_bytes(digest_ranges(seed, 1e-9)[0][0])
    return (int.from_bytes(digest[:8]) - first) % 2**64 < int(rate * 2**64)


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_ranges_of_digests_hold_the_share_of_images_that_is_asked_for(seed: int, rate: float) -> None:
    digests = [sha256(f"{i}".encode()).digest() for i in range(4000)]
    ranges = digest_ranges(seed, rate)
    chosen = [
        any(first <= digest and (last is None or digest < last) for first, last in ranges)
        for digest in digests
    ]
    assert chosen == [is_chosen(digest, seed, rate) for digest in digests]
    assert sum(chosen) == pytest.approx(4000 * rate, abs=4 * (4000 * rate * (1 - rate)) ** 0.5)


def test_seeds_choose_other_images() -> None:
    assert len({tuple(digest_ranges(seed, 0.1)) for seed in range(100)}) == 100


def test_equal_descriptors_have_equal_hashes_and_others_differ(rng: np.random.Generator) -> None:
    descriptors = np.repeat(rng.integers(0, 256, (2000, 128), dtype=np.uint8), 2, axis=0)
    hashes = descriptor_hashes(descriptors, 0)
    np.testing.assert_array_equal(hashes[::2], hashes[1::2])
    assert len(np.unique(hashes)) == 2000
    assert not np.array_equal(hashes, descriptor_hashes(descriptors, 1))


@pytest.mark.parametrize("length", [1, 8, 13, 64])
def test_hashes_of_any_length_see_the_last_value(length: int) -> None:
    descriptors = np.zeros((2, length), np.uint8)
    descriptors[1, -1] = 1
    assert len(np.unique(descriptor_hashes(descriptors, 0))) == 2


def test_choosing_from_the_choices_of_parts_is_choosing_from_all(rng: np.random.Generator) -> None:
    descriptors = rng.integers(0, 3, (500, 4), dtype=np.uint8)
    keys = descriptors.sum(axis=1).astype(float)
    whole = lowest_distinct(descriptors, keys, 7, 30)
    parts = [lowest_distinct(descriptors[i : i + 90], keys[i : i + 90], 7, 30) for i in range(0, 500, 90)]
    merged = lowest_distinct(
        np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]), 7, 30
    )
    np.testing.assert_array_equal(whole[0], merged[0])
    np.testing.assert_array_equal(whole[1], merged[1])
    assert len(np.unique(whole[0], axis=0)) == 30
    assert (np.diff(whole[1]) >= 0).all()
