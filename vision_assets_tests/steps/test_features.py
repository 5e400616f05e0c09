import hashlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from pyspark.sql import Row, SparkSession

from vision_assets.steps.features import extract, features_table
from vision_assets.steps.image_table import IMAGE_SCHEMA
from vision_assets.tables.verification import summarize
from vision_assets.vision.features.codecs import descriptor_matrix, keypoint_matrix
from vision_assets.vision.features.sift import SiftOptions
from vision_assets_tests.vision import images

Extract = Callable[..., dict[str, Row]]


@pytest.fixture
def extracted(spark: SparkSession) -> Extract:
    def run(files: dict[str, bytes], partitions: int = 2, **options: object) -> dict[str, Row]:
        table = spark.createDataFrame(list(files.items()), IMAGE_SCHEMA).repartition(partitions)
        table = extract(table, SiftOptions(**options)).to_frame()  # type: ignore[arg-type]
        assert table.schema == features_table(SiftOptions).schema
        return {row.fileName: row for row in table.collect()}

    return run


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({}, {}),
        (
            {
                "nfeatures": 50,
                "n_octave_layers": 4,
                "contrast_threshold": 0.02,
                "edge_threshold": 8.0,
                "sigma": 1.4,
            },
            {
                "nfeatures": 50,
                "nOctaveLayers": 4,
                "contrastThreshold": 0.02,
                "edgeThreshold": 8.0,
                "sigma": 1.4,
            },
        ),
        ({"enable_precise_upscale": True}, {"enable_precise_upscale": True}),
    ],
    ids=["defaults", "options", "precise upscale"],
)
def test_features_are_exactly_opencvs(extracted: Extract, options: dict, arguments: dict) -> None:
    data = images.jpeg(images.colored(200, 300))
    row = extracted({"a/b.jpg": data}, **options)["a/b.jpg"]
    gray = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    keypoints, descriptors = cv2.SIFT_create(**arguments).detectAndCompute(gray, None)  # type: ignore[attr-defined]
    assert len(keypoints) > 40
    np.testing.assert_array_equal(descriptor_matrix(row.descriptors), descriptors)
    expected = [[*k.pt, k.size, k.angle, k.response] for k in keypoints]
    np.testing.assert_array_equal(keypoint_matrix(row.keypoints), np.array(expected, np.float32))
    assert (row.keypointCount, row.width, row.height, row.error) == (len(keypoints), 300, 200, None)
    assert (row.label, bytes(row.digest)) == ("a", hashlib.sha256(data).digest())


def test_every_image_has_one_row(extracted: Extract, spark: SparkSession) -> None:
    files = {
        "fine.jpg": images.jpeg(),
        "empty.jpg": b"",
        "text.jpg": b"no image at all",
        "flat.png": images.encoded(images.flat(), "PNG"),
        "dot.png": images.encoded(images.flat(1, 1), "PNG"),
        "huge.png": images.png_claiming(60_000, 60_000),
        "impossible.png": images.png_claiming(0xFFFFFFFF, 1),
        "color.pfm": images.cv_encoded(images.colored().astype(np.float32), ".pfm"),
    }
    rows = extracted(files, partitions=3)
    assert set(rows) == set(files)
    broken = {"empty.jpg", "text.jpg", "huge.png", "impossible.png"}
    assert {name for name, row in rows.items() if row.error} == broken
    assert rows["flat.png"].keypointCount == rows["dot.png"].keypointCount == 0
    assert "60000" in rows["huge.png"].error.replace(",", "")
    assert "max_pixels" in rows["huge.png"].error
    assert all(
        summarize(
            features_table(SiftOptions),
            spark.createDataFrame(list(rows.values()), features_table(SiftOptions).schema),
        ).check_results.values()
    )


def test_rows_do_not_depend_on_partitions(extracted: Extract) -> None:
    files = {f"{i}.jpg": images.jpeg(images.textured(seed=i)) for i in range(6)}
    assert extracted(files, partitions=1) == extracted(files, partitions=5)
