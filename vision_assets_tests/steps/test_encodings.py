from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from vision_assets.errors import UserError
from vision_assets.steps import encodings
from vision_assets.steps.encodings import BOW_ENCODINGS, encode_features
from vision_assets.vision.encoding.bag_of_words import BagOfWords
from vision_assets.vision.encoding.base import Encoding, FeatureBatch
from vision_assets.vision.encoding.image_encoder import ImageEncoder
from vision_assets.vision.features.daisy import DaisyOptions
from vision_assets.vision.features.sift import SiftOptions
from vision_assets.vision.options import option
from vision_assets.vision.vocabulary.assignment import Vocabulary, round_centers
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT, Descriptors, quantize


def features(spark: SparkSession, matrices: dict[str, Descriptors], partitions: int = 2) -> DataFrame:
    rows = [
        (
            name,
            None,
            bytes(32),
            len(matrix),
            matrix.tobytes(),
            100,
            50 + index,
            keypoints(len(matrix)).tobytes(),
        )
        for index, (name, matrix) in enumerate(matrices.items())
    ]
    schema = (
        "fileName string, label string, digest binary, keypointCount int, descriptors binary, "
        "width int, height int, keypoints binary"
    )
    return spark.createDataFrame(rows, schema).repartition(partitions)


def keypoints(count: int) -> NDArray[np.float32]:
    return np.arange(5 * count, dtype=np.float32).reshape(count, 5)


@pytest.fixture
def matrices(rng: np.random.Generator) -> dict[str, NDArray[np.uint8]]:
    return {f"{i}.jpg": rng.integers(0, 256, (i % 7 * 9, 128), dtype=np.uint8) for i in range(30)}


@pytest.fixture
def vocabulary(rng: np.random.Generator) -> Vocabulary:
    return Vocabulary(round_centers(rng.random((11, 128)) * 255))


@pytest.mark.parametrize("encoded_values", [1, 2**22], ids=["image by image", "entire batches"])
def test_the_table_has_the_encoding_of_each_image(
    spark: SparkSession,
    matrices: dict[str, NDArray[np.uint8]],
    vocabulary: Vocabulary,
    encoded_values: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encodings, "_ENCODED_VALUES", encoded_values)
    encoder = ImageEncoder(SiftOptions(), vocabulary, BagOfWords(pooling="max", normalization="l2"))
    table = encode_features(features(spark, matrices), encoder).to_frame()
    assert table.schema == BOW_ENCODINGS.schema
    rows = {row.fileName: row for row in table.collect()}
    assert rows.keys() == matrices.keys()
    for name, matrix in matrices.items():
        expected = encoder.encode_batch(FeatureBatch(matrix, np.array([len(matrix)])))
        np.testing.assert_array_equal(np.array(rows[name].bow, np.float32), expected[0])
        assert rows[name].descriptorCount == len(matrix)


def test_fixed_point_descriptors_are_encoded_as_they_are(
    spark: SparkSession, matrices: dict[str, NDArray[np.uint8]], rng: np.random.Generator
) -> None:
    quantized = {name: quantize(matrix / 2048) for name, matrix in matrices.items()}
    vocabulary = Vocabulary(round_centers(rng.random((11, 128)) / 8, FIXED_POINT), FIXED_POINT)
    encoder = ImageEncoder(DaisyOptions(), vocabulary, BagOfWords())
    for partitions in (1, 5):
        for row in encode_features(features(spark, quantized, partitions), encoder).to_frame().collect():
            matrix = quantized[row.fileName]
            expected = encoder.encode_batch(FeatureBatch(matrix, np.array([len(matrix)])))
            np.testing.assert_array_equal(np.array(row.bow, np.float32), expected[0])


def test_partitions_do_not_change_a_bit(
    spark: SparkSession, matrices: dict[str, NDArray[np.uint8]], vocabulary: Vocabulary
) -> None:
    encoder = ImageEncoder(SiftOptions(), vocabulary, BagOfWords())
    tables = [
        encode_features(features(spark, matrices, partitions), encoder).to_frame().collect()
        for partitions in (1, 3, 16)
    ]
    assert sorted(tables[0]) == sorted(tables[1]) == sorted(tables[2])


@dataclass(frozen=True)
class Places(Encoding):
    """Sums of what an encoding may know of an image: positions and size beside words."""

    column: ClassVar = "places"
    uses_positions: ClassVar = True

    scale: float = option(1.0, "Multiplies all values.", gt=0)

    def length(self, vocabulary: Vocabulary) -> int:
        return 4 + len(vocabulary)

    def encode(
        self, batch: FeatureBatch, words: NDArray[np.int64], vocabulary: Vocabulary
    ) -> NDArray[np.float32]:
        assert batch.keypoints is not None
        assert batch.sizes is not None
        encoded = np.zeros((len(batch.counts), self.length(vocabulary)))
        encoded[:, :2] = batch.sizes
        images = batch.image_indices()
        np.add.at(encoded, images, np.pad(batch.keypoints[:, :2], ((0, 0), (2, len(vocabulary)))))
        np.add.at(encoded, (images, 4 + words), 1)
        return (self.scale * encoded).astype(np.float32)


def test_positions_and_sizes_reach_an_encoding_that_uses_them(
    spark: SparkSession, matrices: dict[str, NDArray[np.uint8]], vocabulary: Vocabulary
) -> None:
    encoder = ImageEncoder(SiftOptions(), vocabulary, Places(scale=2.0))
    encoded = encode_features(features(spark, matrices), encoder).to_frame()
    rows = {row.fileName: row.places for row in encoded.collect()}
    for index, (name, matrix) in enumerate(matrices.items()):
        x, y = keypoints(len(matrix))[:, :2].sum(axis=0)
        assert rows[name][:4] == [200, 2 * (50 + index), 2 * x, 2 * y]
        assert sum(rows[name][4:]) == 2 * len(matrix)


def test_a_dictionary_of_other_descriptors_is_an_error_that_names_both(
    spark: SparkSession, matrices: dict[str, NDArray[np.uint8]], tmp_path: object
) -> None:
    features(spark, matrices).write.parquet(f"{tmp_path}/features")
    stored = spark.read.parquet(f"{tmp_path}/features")
    encoder = ImageEncoder(SiftOptions(), Vocabulary(np.zeros((3, 64))), BagOfWords())
    with pytest.raises(UserError) as error:
        encode_features(stored, encoder, "the dictionary in some/folder")
    for part in ("have 64 values", "descriptors of 128", "some/folder", f"{tmp_path}/features"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
