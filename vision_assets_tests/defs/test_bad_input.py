"""What a user gets for bad input: a clear error of one or two lines, or rows with errors; never lost data."""

import io
import tarfile
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from vision_assets_tests.pipeline import Runner
from vision_assets_tests.vision import images


def assert_clear(message: str, *parts: str) -> None:
    assert 0 < len(message.splitlines()) <= 2, message
    assert "Traceback" not in message
    assert "java" not in message
    for part in parts:
        assert part in message


def test_a_missing_source(pipeline: Runner, tmp_path: Path) -> None:
    missing = tmp_path / "no such folder"
    assert_clear(pipeline.error(pipeline.run(missing, "image_seqfile", fail=True)), str(missing))


def test_no_source_named(pipeline: Runner) -> None:
    message = pipeline.error(pipeline.run(None, "image_seqfile", fail=True))
    assert_clear(message, "VISION_ASSETS_SOURCE", "vision-assets sample")


def test_an_empty_source(pipeline: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert_clear(pipeline.error(pipeline.run(folder, "image_seqfile", fail=True)), str(folder))


def test_a_source_without_images_names_what_is_there(pipeline: Runner, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    message = pipeline.error(pipeline.run(tmp_path, "image_seqfile", fail=True))
    assert_clear(message, str(tmp_path), "notes.txt", "*.jpg")


ODD_IMAGES = {
    "fine.jpg": images.jpeg(),
    "gray.jpg": images.jpeg(images.textured()),
    "color.png": images.encoded(images.colored(), "PNG"),
    "alpha.png": images.encoded(np.dstack([images.colored(), images.textured()]), "PNG"),
    "deep.png": images.cv_encoded(images.textured().astype(np.uint16) * 257, ".png"),
    "cmyk.jpg": images.encoded(Image.fromarray(images.colored()).convert("CMYK"), "JPEG"),
    "rotated.jpg": images.rotated(6),
    "animated.gif": images.animated("GIF"),
    "flat.png": images.encoded(images.flat(), "PNG"),
    "dot.png": images.encoded(images.flat(1, 1), "PNG"),
    "wide.png": images.encoded(images.textured(3, 4000), "PNG"),
    "large.jpg": images.jpeg(images.textured(1500, 2000)),
}
BROKEN_IMAGES = {
    "text.jpg": b"this is no image",
    "empty.jpg": b"",
    "truncated.jpg": images.jpeg()[:-700],
    "claims.png": images.png_claiming(60_000, 60_000),
    "claims.jpg": images.jpeg_claiming(60_000, 60_000),
}


def test_odd_and_broken_images_each_have_a_row_everywhere(pipeline: Runner, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name, data in (ODD_IMAGES | BROKEN_IMAGES).items():
        (folder / name).write_bytes(data)
    result = pipeline.run(folder)
    features = pipeline.table("sift_features").set_index("fileName")
    encodings = pipeline.table("bow_encodings").set_index("fileName")
    assert set(features.index) == set(encodings.index) == set(ODD_IMAGES | BROKEN_IMAGES)
    assert set(features.index[features["error"].notna()]) == set(BROKEN_IMAGES)
    assert not features.loc[list(BROKEN_IMAGES), "keypointCount"].any()
    assert not features.loc[["flat.png", "dot.png"], "keypointCount"].any()
    assert (features.loc["rotated.jpg", "width"], features.loc["rotated.jpg", "height"]) == (120, 160)
    for name in (*BROKEN_IMAGES, "flat.png"):
        assert not np.array(encodings.loc[name, "bow"]).any()
    (check,) = [e for e in result.get_asset_check_evaluations() if e.check_name == "readable_images"]
    assert not check.passed
    named = check.metadata["first_failures"]
    assert isinstance(named, dg.TableMetadataValue)
    assert {record.data["fileName"] for record in named.records} == set(BROKEN_IMAGES)


def test_few_unreadable_images_are_no_warning(pipeline: Runner, tmp_path: Path) -> None:
    (tmp_path / "fine.jpg").write_bytes(images.jpeg())
    (tmp_path / "text.jpg").write_bytes(b"no image")
    assets = ("image_seqfile", "sift_features")
    result = pipeline.run(tmp_path, *assets, sift_features={"max_failed_share": 0.5})
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())


def test_more_words_than_descriptors(filled_copy: Runner) -> None:
    before = filled_copy.current("kmeans_dictionary")
    result = filled_copy.run(None, "kmeans_dictionary", kmeans_dictionary={"k": 1_000_000}, fail=True)
    assert_clear(filled_copy.error(result), "k = 1,000,000", "Lower k")
    assert filled_copy.current("kmeans_dictionary") == before
    assert not list(filled_copy.data.rglob("*.pending")), "a failed run ends its leases"
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


@pytest.mark.parametrize(
    ("asset", "config", "named"),
    [
        ("bow_encodings", {"pooling": "mean"}, "pooling"),
        ("bow_encodings", {"normalization": "l3"}, "normalization"),
        ("kmeans_dictionary", {"init_mode": "best"}, "init_mode"),
    ],
)
def test_settings_that_do_not_exist_are_named(filled: Runner, asset: str, config: Any, named: str) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=named):
        filled.run(None, asset, **{asset: config})


@pytest.mark.parametrize(
    ("asset", "config", "named"),
    [
        ("kmeans_dictionary", {"k": 0}, "k = 0: Input should be greater than or equal to 1"),
        ("sift_features", {"sigma": -1.0}, "sigma = -1.0: Input should be greater than 0"),
    ],
)
def test_settings_out_of_range_are_named_at_once(filled: Runner, asset: str, config: Any, named: str) -> None:
    result = filled.run(None, asset, fail=True, **{asset: config})
    assert named in filled.error(result)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]


@pytest.mark.parametrize(
    ("asset", "missing"),
    [
        ("sift_features", "image_seqfile"),
        ("kmeans_dictionary", "sift_features"),
        ("bow_encodings", "kmeans_dictionary"),
    ],
)
def test_an_upstream_that_was_never_materialized_is_named(pipeline: Runner, asset: str, missing: str) -> None:
    message = pipeline.error(pipeline.run(None, asset, fail=True))
    assert_clear(message, f"Materialize {missing} first", str(pipeline.data))


def test_a_data_folder_that_cannot_be_written(tmp_path: Path, image_folder: Path, spark: object) -> None:
    (tmp_path / "file").write_text("in the way")
    pipeline = Runner(tmp_path / "file" / "data")
    message = pipeline.error(pipeline.run(image_folder, "image_seqfile", fail=True))
    assert_clear(message, str(pipeline.data), "VISION_ASSETS_DATA")


def test_duplicate_keys_are_named_and_not_stored(pipeline: Runner, tmp_path: Path) -> None:
    archive = tmp_path / "twice.tar"
    with tarfile.open(archive, "w") as tar:
        for seed in (0, 1):
            data = images.jpeg(images.textured(seed=seed))
            member = tarfile.TarInfo("cats/same.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert_clear(pipeline.error(pipeline.run(archive, "image_seqfile", fail=True)), "same.jpg")
    assert pipeline.store.current(("image_seqfile",)) is None
