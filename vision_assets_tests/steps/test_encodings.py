import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from vision_assets.errors import UserError
from vision_assets.steps import encodings
from vision_assets.steps.encodings import encode_features
from vision_assets.tables.table import BOW_ENCODINGS
from vision_assets.vision.encoding.bag_of_words import BagOfWords, Pooling
from vision_assets.vision.encoding.base import FeatureBatch
from vision_assets.vision.vocabulary.assignment import Vocabulary, assign, round_centers
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT, Descriptors, quantize


def features(spark: SparkSession, matrices: dict[str, Descriptors], partitions: int = 2) -> DataFrame:
    rows = [(name, None, bytes(32), len(matrix), matrix.tobytes()) for name, matrix in matrices.items()]
    schema = "fileName string, label string, digest binary, keypointCount int, descriptors binary"
    return spark.createDataFrame(rows, schema).repartition(partitions)


def dictionary(spark: SparkSession, centers: NDArray[np.float64]) -> DataFrame:
    rows = [(index, center.tolist()) for index, center in enumerate(centers)]
    return spark.createDataFrame(rows[::-1], "wordId int, center array<float>")


def encode(matrix: Descriptors, vocabulary: Vocabulary, encoding: BagOfWords) -> NDArray[np.float32]:
    batch = FeatureBatch(matrix, np.array([len(matrix)]))
    return encoding.encode(batch, assign(matrix, vocabulary), vocabulary)[0]


@pytest.fixture
def matrices(rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    return {f"{i}.jpg": rng.integers(0, 256, (i % 7 * 9, 128), dtype=np.uint8) for i in range(30)}


@pytest.mark.parametrize("pooling", ["sum", "max", "count"])
@pytest.mark.parametrize("pooled_values", [1, 2**22], ids=["image by image", "whole batches"])
def test_the_table_holds_each_images_encoding(
    spark: SparkSession,
    matrices: dict[str, NDArray[np.uint8]],
    pooling: Pooling,
    pooled_values: int,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encodings, "_POOLED_VALUES", pooled_values)
    centers = round_centers(rng.random((11, 128)) * 255)
    table = encode_features(features(spark, matrices), dictionary(spark, centers), pooling, "l2")
    assert table.schema == BOW_ENCODINGS.schema
    rows = {row.fileName: row for row in table.collect()}
    assert rows.keys() == matrices.keys()
    for name, matrix in matrices.items():
        expected = encode(matrix, Vocabulary(centers), BagOfWords(pooling, "l2"))
        np.testing.assert_array_equal(np.array(rows[name].bow, np.float32), expected)
        assert rows[name].descriptorCount == len(matrix)


def test_fractions_are_encoded_as_they_are(
    spark: SparkSession, matrices: dict[str, NDArray[np.uint8]], rng: np.random.Generator
) -> None:
    fractions = {name: quantize(matrix / 2048) for name, matrix in matrices.items()}
    centers = Vocabulary(round_centers(rng.random((11, 128)) / 8, FIXED_POINT), FIXED_POINT)
    words = dictionary(spark, centers.centers)
    for partitions in (1, 5):
        table = encode_features(features(spark, fractions, partitions), words, "sum", "none", FIXED_POINT)
        for row in table.collect():
            matrix = fractions[row.fileName]
            expected = encode(matrix, centers, BagOfWords())
            np.testing.assert_array_equal(np.array(row.bow, np.float32), expected)


def test_partitions_do_not_change_a_bit(
    spark: SparkSession, matrices: dict[str, NDArray[np.uint8]], rng: np.random.Generator
) -> None:
    words = dictionary(spark, round_centers(rng.random((11, 128)) * 255))
    tables = [
        encode_features(features(spark, matrices, partitions), words, "sum", "none").collect()
        for partitions in (1, 3, 16)
    ]
    assert sorted(tables[0]) == sorted(tables[1]) == sorted(tables[2])


def test_a_dictionary_of_other_descriptors_is_an_error_that_names_both(
    spark: SparkSession, matrices: dict[str, NDArray[np.uint8]], tmp_path: object
) -> None:
    dictionary(spark, np.zeros((3, 64))).write.parquet(f"{tmp_path}/words")
    features(spark, matrices).write.parquet(f"{tmp_path}/features")
    stored, words = (spark.read.parquet(f"{tmp_path}/{name}") for name in ("features", "words"))
    with pytest.raises(UserError) as error:
        encode_features(stored, words, "sum", "none")
    for part in ("length 64", "length 128", f"{tmp_path}/words", f"{tmp_path}/features"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
