"""What did not change is not done again, and the tables are those of a run that does everything."""

import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.errors import UserError
from vision_assets.snapshots.versions import version_of
from vision_assets.steps import image_reuse, image_writer
from vision_assets.steps.features import extract
from vision_assets.tables import per_image as row_wise
from vision_assets.vision.features.sift import SiftOptions
from vision_assets_tests.pipeline import UP_TO_ENCODINGS, WORDS, Runner
from vision_assets_tests.vision import images

VERBS = {"image_seqfile": "read", "sift_features": "extracted", "bow_encodings": "encoded"}


@pytest.fixture
def source(image_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(image_folder, tmp_path / "source")
    return tmp_path / "source"


def done(
    pipeline: Runner, source: Path | str | None, *assets: str, **config: Any
) -> dict[str, tuple[int, ...]]:
    """Run and return reused, computed and dropped rows of each asset."""
    result = pipeline.run(source, *assets, **config)
    found = {asset: pipeline.metadata(result, asset) for asset in assets or UP_TO_ENCODINGS}
    return {
        asset: (found[asset]["reused"], found[asset][verb], found[asset]["dropped"])
        for asset, verb in VERBS.items()
        if asset in found
    }


def require_same_tables(pipeline: Runner, other: Runner) -> None:
    for asset in UP_TO_ENCODINGS[1:]:
        pd.testing.assert_frame_equal(pipeline.table(asset), other.table(asset), check_exact=True)
        assert pipeline.current(asset).counts == other.current(asset).counts


def full_run(source: Path, beside: Runner) -> Runner:
    full = Runner(beside.data.with_name("full"))
    full.run(source)
    return full


def test_only_new_and_changed_images_are_extracted(filled_copy: Runner, filled: Runner, source: Path) -> None:
    (source / "cats" / "new.jpg").write_bytes(images.jpeg(images.colored(seed=99)))
    (source / "dogs" / "image 00.jpg").write_bytes(images.jpeg(images.colored(seed=98)))
    (source / "dogs" / "image 02.jpg").unlink()
    assert done(filled_copy, source) == {
        "image_seqfile": (0, 12, 0),  # of another source
        "sift_features": (10, 2, 1),
        "bow_encodings": (0, 12, 0),  # with another dictionary
    }
    full = full_run(source, filled_copy)
    require_same_tables(filled_copy, full)
    for asset in UP_TO_ENCODINGS:
        version = filled_copy.current(asset).version
        assert version != filled.current(asset).version
        assert version == full.current(asset).version


def test_nothing_is_done_where_nothing_changed(filled_copy: Runner, filled: Runner, source: Path) -> None:
    filled_copy.run(source, "image_seqfile")  # of another source
    images = filled_copy.current("image_seqfile")
    assert images.name != filled.current("image_seqfile").name
    assert images.version == filled.current("image_seqfile").version
    assert set(done(filled_copy, source).values()) == {(12, 0, 0)}
    assert filled_copy.current("image_seqfile") == images
    for asset in UP_TO_ENCODINGS[1:]:
        assert filled_copy.current(asset).name == filled.current(asset).name


def test_rows_are_reused_where_a_setting_of_the_table_alone_has_changed(
    filled_copy: Runner, filled: Runner
) -> None:
    """The share of failures that a check allows is stored, but no row depends on it."""
    config = {"max_failed_share": 0.5}
    assert done(filled_copy, None, "sift_features", sift_features=config) == {"sift_features": (12, 0, 0)}
    before, after = filled.current("sift_features"), filled_copy.current("sift_features")
    assert after.name != before.name
    assert (after.version, after.counts, after.rows) == (before.version, before.counts, before.rows)


def test_rows_of_an_earlier_release_are_reused_where_grey_values_have_not_changed(
    filled_copy: Runner, source: Path
) -> None:
    """The content decides, not the name: version 1 decoded a JPEG as this one, but a PNG otherwise."""
    for name, kind in (("new.png", "PNG"), ("png.jpg", "PNG"), ("jpeg.png", "JPEG")):
        (source / "cats" / name).write_bytes(images.encoded(images.colored(seed=7), kind))
    assets = "image_seqfile", "sift_features"
    done(filled_copy, source, *assets)
    expected = filled_copy.table("sift_features")

    snapshot = filled_copy.current("sift_features")
    settings = {"extractor": "sift", "opencv": "5.0.0", **asdict(SiftOptions())}
    del settings["value_range"]
    (manifest,) = filled_copy.data.glob(f"sift_features/_snapshots/{snapshot.manifest}")
    stored = json.loads(manifest.read_text())
    assert stored.pop("checksum"), "the first releases stored none"
    row_version = version_of("1", settings, {"image_seqfile": ""})
    manifest.write_text(json.dumps(stored | {"row_version": row_version, "fingerprint": ""}))

    assert done(filled_copy, source, *assets)["sift_features"] == (13, 2, 0)
    pd.testing.assert_frame_equal(filled_copy.table("sift_features"), expected, check_exact=True)


def test_words_stay_while_images_come_and_go(
    filled_copy: Runner, source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = filled_copy.current("kmeans_dictionary")
    centers = filled_copy.table("kmeans_dictionary")

    def encoded() -> tuple[int, ...]:
        config = {"k": 2 * WORDS, "retrain": "never"}
        return done(filled_copy, source, keep=1, kmeans_dictionary=config)["bow_encodings"]

    (source / "cats" / "new.jpg").write_bytes(images.jpeg(images.colored(seed=99)))
    assert encoded() == (12, 1, 0)
    for name in ("new.jpg", "image 01.jpg"):
        (source / "cats" / name).unlink()
    (source / "dogs" / "new.jpg").write_bytes(images.jpeg(images.colored(seed=98)))
    assert encoded() == (11, 1, 2)
    assert filled_copy.current("kmeans_dictionary") == words
    pd.testing.assert_frame_equal(filled_copy.table("kmeans_dictionary"), centers, check_exact=True)
    log = capfd.readouterr().err
    assert log.count("kmeans_dictionary is kept (`retrain: never`)") == 2
    assert " - WARNING - " not in log, "the features that the words were trained on are still there"


@pytest.mark.whole
def test_new_images_are_added_beside_files_that_are_not_read(filled_copy: Runner, source: Path) -> None:
    """Descriptors in them may even be damaged: it shows only when they are read."""
    before = {asset: filled_copy.current(asset) for asset in UP_TO_ENCODINGS}
    (part, *_) = Path(before["sift_features"].uri).glob("part-*")
    chunk = pq.ParquetFile(part).metadata.row_group(0).column(7)
    assert chunk.path_in_schema == "descriptors"
    data = bytearray(part.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0xFF
    part.write_bytes(data)
    (source / "cats" / "new.jpg").write_bytes(images.jpeg(images.colored(seed=99)))
    assert done(filled_copy, source, "image_seqfile", "sift_features")["sift_features"] == (12, 1, 0)
    assert done(filled_copy, None, "bow_encodings") == {"bow_encodings": (12, 1, 0)}
    assert (
        filled_copy.current("bow_encodings").inputs["kmeans_dictionary"] == before["kmeans_dictionary"].name
    )
    for asset in ("sift_features", "bow_encodings"):
        inodes = {file.stat().st_ino for file in Path(filled_copy.current(asset).uri).glob("part-*")}
        assert {file.stat().st_ino for file in Path(before[asset].uri).glob("part-*")} < inodes
    assert filled_copy.current("bow_encodings").counts["images"] == 13
    assert part.name in filled_copy.error(filled_copy.run(None, "kmeans_dictionary", fail=True))


def test_other_settings_make_everything_again(filled_copy: Runner) -> None:
    words = filled_copy.current("kmeans_dictionary")
    downstream = ("kmeans_dictionary", "bow_encodings")
    assert done(filled_copy, None, *downstream, bow_encodings={"pooling": "max"}) == {
        "bow_encodings": (0, 12, 0)
    }
    assert filled_copy.current("kmeans_dictionary") == words
    other = {"nfeatures": 50}
    assert done(filled_copy, None, "sift_features", sift_features=other) == {"sift_features": (0, 12, 0)}
    assert done(filled_copy, None, "sift_features", sift_features=other | {"partitions": 3}) == {
        "sift_features": (12, 0, 0)
    }
    assert done(filled_copy, None, "bow_encodings") == {"bow_encodings": (0, 12, 0)}


def test_a_full_refresh_makes_everything_again(
    filled_copy: Runner, filled: Runner, image_folder: Path
) -> None:
    full = {"full_refresh": True}
    found = done(filled_copy, image_folder, image_seqfile=full, sift_features=full, bow_encodings=full)
    assert set(found.values()) == {(0, 12, 0)}
    require_same_tables(filled_copy, filled)


def test_of_a_folder_only_parts_with_changes_are_read(filled_copy: Runner, source: Path) -> None:
    def read() -> tuple[int, ...]:
        return done(filled_copy, source, "image_seqfile")["image_seqfile"]

    assert read() == (0, 12, 0)
    first = filled_copy.current("image_seqfile")
    assert read() == (12, 0, 0)
    assert filled_copy.current("image_seqfile") == first, "nothing is written"
    patterns = {"patterns": ["*.jpg"]}
    assert done(filled_copy, source, "image_seqfile", image_seqfile=patterns) == {"image_seqfile": (12, 0, 0)}
    assert filled_copy.current("image_seqfile").config["patterns"] == ["*.jpg"], "the manifest says so"
    (source / "cats" / "new.jpg").write_bytes(images.jpeg(images.colored(seed=99)))
    assert read() == (12, 1, 0)
    before = filled_copy.current("image_seqfile").version
    file = source / "cats" / "image 01.jpg"
    status, data = file.stat(), bytearray(file.read_bytes())
    data[-10] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # as rsync or cp -p leave it
    reused, again, _ = read()
    assert reused + again == 13
    assert 0 < again < 13
    assert filled_copy.current("image_seqfile").version != before


def upload_that_fails_at_its_end(pipeline: Runner, source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which the images are, with no index."""

    def changed(*_: object) -> None:
        raise UserError("it changed while it was read")

    with monkeypatch.context() as at_the_end:
        at_the_end.setattr(image_writer, "_check", changed)
        assert pipeline.error(pipeline.run(source, "image_seqfile", fail=True)).startswith("it changed")
    (folder,) = (path for path in (pipeline.data / "image_seqfile").iterdir() if path.name[0] != "_")
    return folder


def test_what_was_read_of_a_folder_before_it_changed_is_not_read_again(
    pipeline: Runner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = upload_that_fails_at_its_end(pipeline, source, monkeypatch)
    assert done(pipeline, source, "image_seqfile") == {"image_seqfile": (12, 0, 0)}
    assert not left.exists()
    assert Path(pipeline.current("image_seqfile").uri).exists()


@pytest.mark.whole
def test_intact_parts_beside_a_damaged_one_are_not_read_again(
    pipeline: Runner, filled: Runner, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = upload_that_fails_at_its_end(pipeline, source, monkeypatch)
    parts = sorted(left.glob("part-*"), key=lambda path: path.stat().st_size)
    assert len(parts) > 2
    os.truncate(parts[-1], parts[-1].stat().st_size - 7)
    reused, read, dropped = done(pipeline, source, "image_seqfile")["image_seqfile"]
    assert (reused + read, dropped) == (12, 0)
    assert 0 < read < 12
    pipeline.run(None, "sift_features")
    for asset in ("image_seqfile", "sift_features"):
        pd.testing.assert_frame_equal(pipeline.table(asset), filled.table(asset), check_exact=True)
        assert pipeline.current(asset).counts == filled.current(asset).counts


def test_two_names_that_become_one_key_are_named_at_the_next_run_too(pipeline: Runner, source: Path) -> None:
    """A key has an escape for each byte that is not UTF-8; another file can have that escape in its name."""
    pipeline.run(source, "image_seqfile")
    image = (source / "cats" / "image 01.jpg").read_bytes()
    for name in (b"\xff.jpg", rb"\xff.jpg"):
        Path(os.fsdecode(bytes(source) + b"/" + name)).write_bytes(image)
    error = pipeline.error(pipeline.run(source, "image_seqfile", fail=True))
    assert f"more than once: {chr(92) + 'xff.jpg'!r}" in error


@pytest.mark.parametrize(
    "kind", ["tar", *(pytest.param(kind, marks=pytest.mark.whole) for kind in ("gztar", "zip"))]
)
def test_an_archive_that_did_not_change_is_not_read(
    pipeline: Runner, source: Path, tmp_path: Path, kind: str
) -> None:
    archive = shutil.make_archive(str(tmp_path / "archive"), kind, source)
    assert done(pipeline, archive, "image_seqfile") == {"image_seqfile": (0, 12, 0)}
    assert done(pipeline, archive, "image_seqfile") == {"image_seqfile": (12, 0, 0)}
    (source / "dogs" / "image 00.jpg").unlink()
    shutil.make_archive(str(tmp_path / "archive"), kind, source)
    assert done(pipeline, archive, "image_seqfile") == {"image_seqfile": (0, 11, 1)}


def test_small_files_are_put_together_when_they_are_many(
    filled_copy: Runner, filled: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_wise, "_MANY_SMALL_FILES", 1)
    assert filled.current("sift_features").files > 2
    config = {"max_failed_share": 0.5}
    assert done(filled_copy, None, "sift_features", sift_features=config) == {"sift_features": (12, 0, 0)}
    assert filled_copy.current("sift_features").files == 1
    require_same_tables(filled_copy, filled)


@pytest.mark.parametrize(("times_a_first_run", "read"), [(8, 0), (0, 12)])
def test_small_files_of_images_are_read_again_when_they_are_many_times_those_of_a_first_run(
    pipeline: Runner, source: Path, monkeypatch: pytest.MonkeyPatch, times_a_first_run: int, read: int
) -> None:
    """As many as a first run writes are no reason: there would be as many again."""
    monkeypatch.setattr(row_wise, "_MANY_SMALL_FILES", 1)
    monkeypatch.setattr(image_reuse, "_TIMES_A_FIRST_RUN", times_a_first_run)
    pipeline.run(source, "image_seqfile")
    assert done(pipeline, source, "image_seqfile") == {"image_seqfile": (12 - read, read, 0)}


@pytest.mark.parametrize("sound", [True, False])
def test_what_a_run_left_that_did_not_end_is_verified(
    filled_copy: Runner, filled: Runner, sound: bool
) -> None:
    """Its rows are unverified: what its tasks had found out about them is lost with the run."""
    store, made = filled_copy.store, filled_copy.current("sift_features")
    left = store.begin(("sift_features",), "another", made.inputs, made.row_version)
    shutil.move(made.uri, left.uri)
    (filled_copy.data / "sift_features" / "_snapshots" / made.manifest).unlink()
    store.abandon(left)
    if sound:
        assert done(filled_copy, None, "sift_features") == {"sift_features": (12, 0, 0)}
        require_same_tables(filled_copy, filled)
        assert not Path(left.uri).exists()
    else:
        (part, *_) = Path(left.uri).glob("part-*")
        rows = pq.read_table(part)
        number = rows.schema.get_field_index("keypointCount")
        more = pc.add(rows["keypointCount"], pa.scalar(1, pa.int32()))
        pq.write_table(rows.set_column(number, rows.schema.field(number), more), part)
        error = filled_copy.error(filled_copy.run(None, "sift_features", fail=True))
        assert "not stored because it violates sizes_match" in error


@pytest.mark.whole
def test_what_is_made_of_features_that_were_repaired_is_not_taken_over(
    filled_copy: Runner, filled: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image, the settings and the code are the same; an extraction had too little memory."""

    def starved(images: DataFrame, options: SiftOptions) -> DataFrame:
        poor = F.col("fileName") == "cats/image 01.jpg"
        rows = extract(images, options).to_frame().withColumn("error", F.when(poor, "SIFT failed: no memory"))
        for column, nothing in {
            "keypointCount": F.lit(0),
            "keypoints": F.lit(b""),
            "descriptors": F.lit(b""),
        }.items():
            rows = rows.withColumn(column, F.when(poor, nothing).otherwise(F.col(column)))
        return rows

    pipeline = filled_copy
    with monkeypatch.context() as short_of_memory:
        short_of_memory.setattr(sys.modules["vision_assets.defs.assets.features"], "extract", starved)
        pipeline.run(None, *UP_TO_ENCODINGS[1:], sift_features={"full_refresh": True})
    before = {asset: pipeline.current(asset) for asset in UP_TO_ENCODINGS}
    assert before["sift_features"].counts["failures"] == 1
    pipeline.run(None, "sift_features", sift_features={"full_refresh": True})
    assert done(pipeline, None, "bow_encodings") == {"bow_encodings": (11, 1, 0)}
    pipeline.run(None, "kmeans_dictionary")
    assert done(pipeline, None, "bow_encodings") == {"bow_encodings": (0, 12, 0)}
    for asset in UP_TO_ENCODINGS[1:]:
        assert pipeline.current(asset).version != before[asset].version
    require_same_tables(pipeline, filled)


def test_the_dictionary_of_the_encodings_is_named(filled_copy: Runner) -> None:
    pipeline = filled_copy
    words = pipeline.current("kmeans_dictionary")
    pipeline.run(None, "kmeans_dictionary", kmeans_dictionary={"seed": 1})
    assert pipeline.current("kmeans_dictionary").version != words.version
    assert pipeline.current("bow_encodings").inputs["kmeans_dictionary"] == words.name
    assert done(pipeline, None, "bow_encodings") == {"bow_encodings": (0, 12, 0)}
    encodings = pipeline.current("bow_encodings")
    assert encodings.inputs["kmeans_dictionary"] == pipeline.current("kmeans_dictionary").name
    pipeline.run(None, "kmeans_dictionary", kmeans_dictionary={"seed": 1, "retrain": "always"})
    assert pipeline.current("kmeans_dictionary").name != encodings.inputs["kmeans_dictionary"]
    assert done(pipeline, None, "bow_encodings") == {"bow_encodings": (12, 0, 0)}, "the same words again"
    assert pipeline.current("bow_encodings") == encodings


def test_words_trained_again_on_almost_the_same_images_may_be_the_same(
    filled_copy: Runner, filled: Runner, source: Path
) -> None:
    (source / "cats" / "flat.png").write_bytes(images.encoded(images.flat(20, 20), "PNG"))
    assert done(filled_copy, source)["bow_encodings"] == (12, 1, 0)
    before, after = filled.current("kmeans_dictionary"), filled_copy.current("kmeans_dictionary")
    assert after.name != before.name
    assert after.version == before.version
