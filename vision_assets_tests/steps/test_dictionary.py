import math
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.ml.clustering import KMeans
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.errors import UserError
from vision_assets.steps.descriptor_sample import reduce_depth, share_of_images
from vision_assets.steps.dictionary import KMEANS_DICTIONARY, KMeansCheckpoint, train, word_rows
from vision_assets.steps.vocabulary import load_vocabulary
from vision_assets.tables.verification import summarize
from vision_assets.vision.vocabulary.assignment import Vocabulary, round_centers
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT, UINT8, Descriptors, quantize
from vision_assets.vision.vocabulary.kmeans import DescriptorMatrix, KMeansOptions, initial_centers, lloyd
from vision_assets.vision.vocabulary.sampling import (
    descriptor_hashes,
    digest_ranges,
    lowest_distinct,
    sample_indices,
)

Features = Callable[..., DataFrame]


def sift_like(rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Descriptors in clusters, sparse and of a norm of about 512, as SIFT's are."""
    prototypes = rng.exponential(1, (60, 128)) * (rng.random((60, 128)) < 0.5)
    raw = prototypes[rng.integers(0, 60, count)] + rng.exponential(0.4, (count, 128))
    return np.minimum(512 * raw / np.linalg.norm(raw, axis=1, keepdims=True), 255).astype(np.uint8)


@pytest.fixture(scope="module")
def matrices() -> dict[str, NDArray[np.uint8]]:
    rng = np.random.default_rng(9)
    return {f"{i % 3}/{i}.jpg": sift_like(rng, int(rng.integers(0, 300))) for i in range(40)}


@pytest.fixture(params=[UINT8, FIXED_POINT], ids=str)
def either(request: pytest.FixtureRequest, matrices: dict[str, NDArray[np.uint8]]) -> dict[str, Descriptors]:
    """Descriptors of bytes, and the same as fractions."""
    if request.param == UINT8:
        return matrices
    return {name: quantize(matrix / 512) for name, matrix in matrices.items()}


def dtype_of(matrices: dict[str, Descriptors]) -> np.dtype:
    return next(iter(matrices.values())).dtype


def digest_of(name: str) -> bytes:
    return sha256(name.encode()).digest()


@pytest.fixture
def table(spark: SparkSession) -> Features:
    def make(matrices: dict[str, Descriptors], partitions: int = 2) -> DataFrame:
        rows = [
            (name, digest_of(name), len(matrix), matrix.tobytes(), None) for name, matrix in matrices.items()
        ]
        schema = "fileName string, digest binary, keypointCount int, descriptors binary, error string"
        return spark.createDataFrame(rows, schema).repartition(partitions)

    return make


@pytest.mark.parametrize("parts", [0, 1, 2, 16, 391, 10_000])
@pytest.mark.parametrize("words", [8, 1000, 50_000])
def test_the_driver_adds_up_less_than_sparks_largest_result(parts: int, words: int) -> None:
    size = words * 128 * 8
    depth = reduce_depth(parts, size)
    scale = max(math.ceil(parts ** (1 / depth)), 2)
    left = parts
    while left > scale + math.ceil(left / scale):  # as Spark's treeAggregate does
        left = left // scale
    assert left * size < 2**30
    assert depth == 1 or parts * size > 2**28


def test_it_is_lloyds_algorithm_on_the_sample(
    table: Features, matrices: dict[str, NDArray[np.uint8]]
) -> None:
    options = KMeansOptions(k=30, max_iter=6, seed=4, descriptors_per_word=50)
    training = train(table(matrices), options)
    rate = 30 * 50 / sum(len(m) for m in matrices.values())
    sample = np.concatenate([m[sample_indices(4, name, len(m), rate)] for name, m in matrices.items()])
    candidates, _ = lowest_distinct(sample, descriptor_hashes(sample, 4), 4, 30)
    initial = Vocabulary(round_centers(initial_centers(candidates, 30, "random", 4)))
    expected = lloyd(DescriptorMatrix(sample, 4), initial, max_iter=6, tol=1e-4)
    assert training.trained == len(sample)
    np.testing.assert_array_equal(training.final.vocabulary.centers, expected.vocabulary.centers)
    np.testing.assert_array_equal(training.final.statistics.counts, expected.statistics.counts)
    np.testing.assert_array_equal(training.final.inertia, expected.inertia)


def test_of_many_images_some_are_read(table: Features, rng: np.random.Generator) -> None:
    """About 1,000 of 2,500 images are read, and each gives 2.5 times as many descriptors as if all were."""
    many = {f"{i}.jpg": sift_like(rng, int(rng.integers(0, 30))) for i in range(2500)}
    total = sum(map(len, many.values()))
    options = KMeansOptions(k=20, max_iter=2, seed=4, descriptors_per_word=100)
    rate = 2000 / total
    image_rate = share_of_images(rate, sum(len(m) > 0 for m in many.values()))
    assert rate < image_rate / 2 < 0.25
    ranges = digest_ranges(4, image_rate)
    chosen = {
        name: matrix
        for name, matrix in many.items()
        if any(first <= digest_of(name) and (not last or digest_of(name) < last) for first, last in ranges)
    }
    sample = np.concatenate(
        [m[sample_indices(4, name, len(m), rate / image_rate)] for name, m in chosen.items()]
    )
    assert len(sample) == pytest.approx(2000, rel=0.1)
    candidates, _ = lowest_distinct(sample, descriptor_hashes(sample, 4), 4, 20)
    initial = Vocabulary(round_centers(initial_centers(candidates, 20, "random", 4)))
    expected = lloyd(DescriptorMatrix(sample, 4), initial, max_iter=2, tol=1e-4)
    for partitions in (1, 7):
        training = train(table(many, partitions), options)
        assert (training.trained, training.total) == (len(sample), total)
        np.testing.assert_array_equal(training.final.vocabulary.centers, expected.vocabulary.centers)
        np.testing.assert_array_equal(training.final.inertia, expected.inertia)


def test_a_training_that_goes_on_gives_the_same_bits(table: Features, either: dict[str, Descriptors]) -> None:
    options = KMeansOptions(k=30, max_iter=6, tol=0, seed=4, descriptors_per_word=50)
    saved: list[bytes] = []
    whole = train(
        table(either),
        options,
        save=lambda progress: saved.append(progress.to_bytes()),
        dtype=dtype_of(either),
    )
    assert len(saved) == 7
    lines: list[str] = []
    for step in (0, 3, 6):
        start = KMeansCheckpoint.from_bytes(saved[step])
        rest = train(table(either), options, lines.append, start=start, dtype=dtype_of(either))
        assert rest.inertia == whole.inertia
        assert rest.seconds[: step + 1] == whole.seconds[: step + 1]
        assert (rest.trained, rest.total) == (whole.trained, whole.total)
        assert (rest.final.index, rest.final.moved) == (whole.final.index, whole.final.moved)
        np.testing.assert_array_equal(rest.final.vocabulary.centers, whole.final.vocabulary.centers)
        np.testing.assert_array_equal(rest.final.statistics.counts, whole.final.statistics.counts)
        np.testing.assert_array_equal(rest.final.inertia, whole.final.inertia)
    assert sum(line.startswith("iteration") for line in lines) == 6 + 3 + 0
    assert any("resumed after iteration 3" in line for line in lines)


@pytest.mark.parametrize("damage", [b"", b"{}", b"{}\n", b"[1]\nx"])
def test_saved_progress_that_is_damaged_is_a_value_error(damage: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        KMeansCheckpoint.from_bytes(damage)


@pytest.mark.parametrize("init_mode", ["random", "k-means++"])
def test_partitions_and_batches_do_not_change_a_bit(
    table: Features, either: dict[str, Descriptors], init_mode: Any
) -> None:
    options = KMeansOptions(k=25, max_iter=2, init_mode=init_mode, descriptors_per_word=40)
    results = [
        train(table(either, partitions), options, block_rows=block_rows, dtype=dtype_of(either))
        for partitions, block_rows in ((1, 4096), (5, 3))
    ]
    for result in results[1:]:
        np.testing.assert_array_equal(result.final.vocabulary.centers, results[0].final.vocabulary.centers)
        np.testing.assert_array_equal(result.final.inertia, results[0].final.inertia)
        assert result.inertia == results[0].inertia


@pytest.mark.whole
def test_inertia_is_within_one_percent_of_mllibs(
    spark: SparkSession, table: Features, matrices: dict[str, NDArray[np.uint8]]
) -> None:
    training = train(table(matrices), KMeansOptions(k=50, max_iter=10, descriptors_per_word=None))
    rows = [(Vectors.dense(row),) for row in np.concatenate(list(matrices.values())).astype(float)]
    model = KMeans(k=50, maxIter=10, initMode="random", seed=1).fit(spark.createDataFrame(rows, ["features"]))
    distances = np.concatenate(list(matrices.values()))[:, None] - np.array(model.clusterCenters())
    mllib = np.square(distances).sum(axis=2).min(axis=1).sum()
    assert training.inertia[-1] <= 1.01 * mllib
    assert training.inertia == sorted(training.inertia, reverse=True)


def test_all_descriptors_are_used_without_a_sample(
    table: Features, matrices: dict[str, NDArray[np.uint8]]
) -> None:
    training = train(table(matrices), KMeansOptions(k=5, max_iter=1, descriptors_per_word=None))
    assert training.trained == training.total == sum(len(m) for m in matrices.values())
    assert training.final.statistics.counts.sum() == training.total


def test_the_sample_has_about_the_wanted_size(
    table: Features, matrices: dict[str, NDArray[np.uint8]]
) -> None:
    training = train(table(matrices), KMeansOptions(k=10, max_iter=0, descriptors_per_word=100))
    assert training.trained == pytest.approx(1000, rel=0.15)


def test_another_seed_gives_another_dictionary(
    table: Features, matrices: dict[str, NDArray[np.uint8]]
) -> None:
    first, second = (train(table(matrices), KMeansOptions(k=10, max_iter=1, seed=seed)) for seed in (0, 1))
    assert not np.array_equal(first.final.vocabulary.centers, second.final.vocabulary.centers)


def test_fewer_distinct_descriptors_than_words_is_an_error(table: Features) -> None:
    repeated = np.repeat(np.arange(12, dtype=np.uint8)[:, None], 128, axis=1)
    features = table({"a.jpg": repeated, "b.jpg": repeated})
    with pytest.raises(UserError, match=r"k = 13 words .* only 12 among the 24 trained on") as error:
        train(features, KMeansOptions(k=13))
    assert "\n" not in str(error.value)
    assert train(features, KMeansOptions(k=12)).inertia[-1] == 0


def test_a_sample_that_took_nothing_is_an_error(table: Features) -> None:
    """At a rate of 1 in 1,000,000 descriptors are rarely chosen; with this seed, none of these."""
    features = table({"a.jpg": np.zeros((1_000_000, 1), np.uint8)})
    with pytest.raises(UserError, match=r"only 0 among the 0 trained on \(1,000,000 in all\)"):
        train(features, KMeansOptions(k=1, descriptors_per_word=1, seed=0))


def test_no_descriptor_at_all_is_an_error(table: Features) -> None:
    features = table({"flat.png": np.empty((0, 128), np.uint8), "broken.png": np.empty((0, 128), np.uint8)})
    error = F.when(F.col("fileName") == "broken.png", "it is truncated")
    with pytest.raises(UserError, match="1 of 2 images could not be read, 1 have no keypoints"):
        train(features.withColumn("error", error), KMeansOptions(k=2))


def test_the_table_holds_the_dictionary(
    table: Features, matrices: dict[str, NDArray[np.uint8]], spark: SparkSession
) -> None:
    final = train(table(matrices), KMeansOptions(k=15, max_iter=2)).final
    stored = word_rows(spark, final)
    assert stored.schema == KMEANS_DICTIONARY.schema
    assert all(summarize(KMEANS_DICTIONARY, stored).check_results.values())
    np.testing.assert_array_equal(load_vocabulary(stored.repartition(4)).centers, final.vocabulary.centers)
    rows = stored.orderBy("wordId").collect()
    assert [row.descriptorCount for row in rows] == final.statistics.counts.tolist()
    assert math.fsum(row.inertia for row in rows) == math.fsum(final.inertia)
