"""What did not change is not done again, and the tables are those of a run that does everything."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from vision_assets_tests.pipeline import UP_TO_ENCODINGS, Pipeline
from vision_assets_tests.vision import images

VERBS = {"image_seqfile": "read", "sift_features": "extracted", "bow_encodings": "encoded"}


@pytest.fixture
def source(image_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(image_folder, tmp_path / "source")
    return tmp_path / "source"


def done(
    pipeline: Pipeline, source: Path | str | None, *assets: str, **config: Any
) -> dict[str, tuple[int, ...]]:
    """Run and return reused, computed and dropped rows of each asset."""
    result = pipeline.run(source, *assets, **config)
    found = {asset: pipeline.metadata(result, asset) for asset in assets or UP_TO_ENCODINGS}
    return {
        asset: (found[asset]["reused"], found[asset][verb], found[asset]["dropped"])
        for asset, verb in VERBS.items()
        if asset in found
    }


def require_same_tables(pipeline: Pipeline, other: Pipeline) -> None:
    for asset in UP_TO_ENCODINGS[1:]:
        pd.testing.assert_frame_equal(pipeline.table(asset), other.table(asset), check_exact=True)
        assert pipeline.current(asset).counts == other.current(asset).counts


def test_only_new_and_changed_images_are_extracted(pipeline: Pipeline, source: Path, tmp_path: Path) -> None:
    assert done(pipeline, source)["sift_features"] == (0, 12, 0)
    first = {asset: pipeline.current(asset).version for asset in UP_TO_ENCODINGS}
    (source / "cats" / "new.jpg").write_bytes(images.jpeg(images.colored(seed=99)))
    (source / "dogs" / "image 00.jpg").write_bytes(images.jpeg(images.colored(seed=98)))
    (source / "dogs" / "image 02.jpg").unlink()
    found = done(pipeline, source)
    assert found["image_seqfile"][2] == 1
    assert found["image_seqfile"][0] + found["image_seqfile"][1] == 12
    assert found["sift_features"] == (10, 2, 1)
    assert found["bow_encodings"] == (0, 12, 0), "the dictionary has changed"
    assert all(pipeline.current(asset).version != first[asset] for asset in UP_TO_ENCODINGS)
    full = Pipeline(tmp_path / "full")
    full.run(source)
    require_same_tables(pipeline, full)
    assert pipeline.current("image_seqfile").version == full.current("image_seqfile").version
    assert pipeline.current("sift_features").version == full.current("sift_features").version


def test_new_images_are_added_beside_the_files_that_are_there(
    pipeline: Pipeline, source: Path, tmp_path: Path
) -> None:
    pipeline.run(source)
    before = {asset: Path(pipeline.current(asset).uri) for asset in UP_TO_ENCODINGS}
    words = pipeline.current("kmeans_dictionary")
    (source / "cats" / "new.jpg").write_bytes(images.jpeg(images.colored(seed=99)))
    assert done(pipeline, source, "image_seqfile", "sift_features") == {
        "image_seqfile": (12, 1, 0),
        "sift_features": (12, 1, 0),
    }
    assert done(pipeline, None, "bow_encodings") == {"bow_encodings": (12, 1, 0)}
    assert pipeline.current("bow_encodings").inputs["kmeans_dictionary"] == words.name
    for asset in VERBS:
        inodes = {file.stat().st_ino for file in Path(pipeline.current(asset).uri).glob("part-*")}
        assert {file.stat().st_ino for file in before[asset].glob("part-*")} < inodes
    full = Pipeline(tmp_path / "full")
    full.run(source, "image_seqfile", "sift_features")
    pd.testing.assert_frame_equal(
        pipeline.table("sift_features"), full.table("sift_features"), check_exact=True
    )
    evaluations = pipeline.run(None, "sift_features").get_asset_check_evaluations()
    assert all(evaluation.passed for evaluation in evaluations)


def test_nothing_is_done_where_nothing_changed(pipeline: Pipeline, source: Path) -> None:
    pipeline.run(source)
    before = {asset: pipeline.current(asset) for asset in UP_TO_ENCODINGS}
    assert set(done(pipeline, source).values()) == {(12, 0, 0)}
    for asset in UP_TO_ENCODINGS:
        after = pipeline.current(asset)
        assert after.sequence == before[asset].sequence + 1
        assert (after.version, after.counts, after.rows) == (
            before[asset].version,
            before[asset].counts,
            before[asset].rows,
        )


def test_rows_that_are_kept_are_not_read(pipeline: Pipeline, source: Path) -> None:
    """Their descriptors may be damaged: it shows only when somebody wants them."""
    pipeline.run(source)
    (part, *_) = Path(pipeline.current("sift_features").uri).glob("part-*")
    chunk = pq.ParquetFile(part).metadata.row_group(0).column(7)
    assert chunk.path_in_schema == "descriptors"
    data = bytearray(part.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0xFF
    part.write_bytes(data)
    (source / "cats" / "new.jpg").write_bytes(images.jpeg(images.colored(seed=99)))
    assert done(pipeline, source, "image_seqfile", "sift_features")["sift_features"] == (12, 1, 0)
    assert part.name in pipeline.error(pipeline.run(None, "kmeans_dictionary", fail=True))


def test_other_settings_make_everything_anew(pipeline: Pipeline, source: Path) -> None:
    pipeline.run(source)
    other = {"nfeatures": 50}
    assert done(pipeline, source, sift_features=other) == {
        "image_seqfile": (12, 0, 0),
        "sift_features": (0, 12, 0),
        "bow_encodings": (0, 12, 0),
    }
    assert done(pipeline, None, "sift_features", sift_features=other | {"partitions": 3}) == {
        "sift_features": (12, 0, 0)
    }
    pooled = done(pipeline, None, "bow_encodings", bow_encodings={"pooling": "max"})
    assert pooled == {"bow_encodings": (0, 12, 0)}


def test_a_full_refresh_makes_everything_anew(pipeline: Pipeline, source: Path, filled: Pipeline) -> None:
    pipeline.run(source)
    full = {"full_refresh": True}
    found = done(pipeline, source, image_seqfile=full, sift_features=full, bow_encodings=full)
    assert set(found.values()) == {(0, 12, 0)}
    require_same_tables(pipeline, filled)


def test_another_source_is_read_whole(pipeline: Pipeline, source: Path, tmp_path: Path) -> None:
    pipeline.run(source, "image_seqfile")
    shutil.copytree(source, tmp_path / "another")
    assert done(pipeline, tmp_path / "another", "image_seqfile") == {"image_seqfile": (0, 12, 0)}


@pytest.mark.parametrize("kind", ["tar", "gztar", "zip"])
def test_an_archive_that_did_not_change_is_not_read(
    pipeline: Pipeline, source: Path, tmp_path: Path, kind: str
) -> None:
    archive = shutil.make_archive(str(tmp_path / "archive"), kind, source)
    assert done(pipeline, archive, "image_seqfile") == {"image_seqfile": (0, 12, 0)}
    assert done(pipeline, archive, "image_seqfile") == {"image_seqfile": (12, 0, 0)}
    (source / "dogs" / "image 00.jpg").unlink()
    shutil.make_archive(str(tmp_path / "archive"), kind, source)
    assert done(pipeline, archive, "image_seqfile") == {"image_seqfile": (0, 11, 1)}


def test_a_file_with_the_size_and_time_of_the_one_before_is_read(pipeline: Pipeline, source: Path) -> None:
    """As rsync or cp -p leave it."""
    import os

    file = source / "cats" / "image 01.jpg"
    pipeline.run(source, "image_seqfile")
    before = pipeline.current("image_seqfile").version
    status = file.stat()
    data = bytearray(file.read_bytes())
    data[-10] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert done(pipeline, source, "image_seqfile")["image_seqfile"][1] > 0
    assert pipeline.current("image_seqfile").version != before


def test_small_files_are_put_together_when_they_are_many(
    pipeline: Pipeline, source: Path, filled: Pipeline
) -> None:
    pipeline.run(source, "image_seqfile", "sift_features")
    folder = Path(pipeline.current("sift_features").uri)
    table = pd.read_parquet(folder)
    schema = pq.read_schema(next(folder.glob("part-*")))
    for file in folder.glob("part-*"):
        file.unlink()
    for index in range(12):
        import pyarrow as pa

        rows = pa.Table.from_pandas(table.iloc[index : index + 1], schema, preserve_index=False)
        pq.write_table(rows, folder / f"part-{index:03}.parquet")
        for more in range(5):
            pq.write_table(rows.slice(1), folder / f"part-{index:03}-{more}.parquet")
    assert done(pipeline, None, "sift_features") == {"sift_features": (12, 0, 0)}
    pd.testing.assert_frame_equal(
        pipeline.table("sift_features"), filled.table("sift_features"), check_exact=True
    )


def test_the_dictionary_of_the_encodings_is_named(pipeline: Pipeline, source: Path) -> None:
    pipeline.run(source)
    words = pipeline.current("kmeans_dictionary")
    pipeline.run(None, "kmeans_dictionary", kmeans_dictionary={"seed": 1})
    assert pipeline.current("kmeans_dictionary").version != words.version
    assert pipeline.current("bow_encodings").inputs["kmeans_dictionary"] == words.name
    assert done(pipeline, None, "bow_encodings") == {"bow_encodings": (0, 12, 0)}
    pipeline.run(None, "kmeans_dictionary", kmeans_dictionary={"seed": 1})
    assert done(pipeline, None, "bow_encodings") == {"bow_encodings": (12, 0, 0)}, "the same words again"
    assert (
        pipeline.current("bow_encodings").inputs["kmeans_dictionary"]
        == pipeline.current("kmeans_dictionary").name
    )
