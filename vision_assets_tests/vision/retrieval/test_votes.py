import math
from itertools import groupby

import numpy as np
import pytest

from vision_assets.vision.retrieval.indexed_features import IndexedFeatures
from vision_assets.vision.retrieval.shard import build_shard
from vision_assets.vision.retrieval.votes import (
    MATCH_DISTANCE,
    SCORE_ONE,
    VOTE_DISTANCE,
    inverse_document_frequencies,
    score,
    visit,
    word_weights,
)
from vision_assets_tests.vision.retrieval.features import some_features

WORDS = 20


def naive_score(query: IndexedFeatures, image: IndexedFeatures, weights: np.ndarray) -> float:
    """A loop over all pairs of features, in floating point."""
    total = 0.0
    for word, signature in zip(query.words, query.signatures, strict=True):
        distances = [
            int(signature ^ other).bit_count()
            for other_word, other in zip(image.words, image.signatures, strict=True)
            if other_word == word
        ]
        votes = [math.exp(-(h**2) / 64) for h in distances if h <= VOTE_DISTANCE]
        if votes:
            total += sum(votes) * weights[word] / 1024 / math.sqrt(len(votes))
    return total


def test_scores_are_those_of_a_loop_over_all_pairs(rng: np.random.Generator) -> None:
    images = [some_features(rng, count) for count in (80, 0, 40, 60)]
    query = some_features(rng, 50)
    weights = word_weights(rng.uniform(0, 4, WORDS))
    shard = build_shard(images, WORDS)
    scores = score(query, visit(query, shard), weights, len(images)) / SCORE_ONE
    np.testing.assert_allclose(scores, [naive_score(query, each, weights) for each in images], rtol=1e-2)
    assert scores[0] > 0
    assert scores[1] == 0


def test_a_score_does_not_depend_on_the_shard(rng: np.random.Generator) -> None:
    images = [some_features(rng, 60) for _ in range(12)]
    query = some_features(rng, 100)
    weights = word_weights(rng.uniform(0, 4, WORDS))

    def scores(parts: list[list[IndexedFeatures]]) -> list[int]:
        shards = [build_shard(part, WORDS) for part in parts]
        found = (score(query, visit(query, shard), weights, len(shard.sizes)) for shard in shards)
        return np.concatenate(list(found)).tolist()

    assert scores([images]) == scores([images[:5], images[5:6], images[6:]]) == scores([[i] for i in images])


def test_similar_features_of_one_word_are_visited(rng: np.random.Generator) -> None:
    images = [some_features(rng, 40) for _ in range(3)]
    query = some_features(rng, 30)
    shard = build_shard(images, WORDS)
    visited = visit(query, shard)
    of_word = np.repeat(np.arange(WORDS), np.diff(shard.offsets.astype(int)))
    expected = [
        (feature, posting, shard.images[posting], distance)
        for feature in range(30)
        for posting in range(120)
        if of_word[posting] == query.words[feature]
        and (distance := int(query.signatures[feature] ^ shard.signatures[posting]).bit_count())
        <= MATCH_DISTANCE
    ]
    assert list(zip(*(values.tolist() for values in visited), strict=True)) == expected
    assert {key for key, _ in groupby(sorted(visited.distances.tolist()))} > {VOTE_DISTANCE + 1}


@pytest.mark.parametrize("counts", [(0, 0), (0, 5), (5, 0)])
def test_nothing_votes_for_nothing(rng: np.random.Generator, counts: tuple[int, int]) -> None:
    query, image = (some_features(rng, count) for count in counts)
    shard = build_shard([image], WORDS)
    weights = np.ones(WORDS, np.int64)
    assert score(query, visit(query, shard), weights, 1).tolist() == [0]


def test_rare_words_weigh_more() -> None:
    counts = np.array([9, 0, 100, 99])
    frequencies = inverse_document_frequencies(counts, 100)
    assert frequencies.tolist() == [math.log(101 / (count + 1)) for count in (9, 0, 100, 99)]
    np.testing.assert_allclose(word_weights(frequencies), frequencies**2 * 1024, atol=0.5)
    assert word_weights(frequencies)[2] == 0
