"""Files with several pages: counted by default, images of their own if the option says so."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision_assets import settings
from vision_assets.cli import main
from vision_assets_tests.pipeline import Runner
from vision_assets_tests.vision import images
from vision_assets_tests.vision.paged_files import paged_files

ASSETS = ("image_seqfile", "sift_features")
ALL: Any = {"image_seqfile": {"pages": "all"}}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source" / "cats").mkdir(parents=True)
    for name, data in {
        "scan.tif": paged_files()["tiff"],
        "film.gif": paged_files()["gif"],
        "photo.jpg": images.jpeg(images.textured()),
    }.items():
        write(tmp_path / "source" / "cats" / name, data)
    return tmp_path / "source"


def write(file: Path, data: bytes) -> None:
    """Write a file as of an hour ago: one that has just been written could change again unnoticed."""
    file.write_bytes(data)
    then = file.stat().st_mtime - 3600
    os.utime(file, (then, then))


def test_unused_pages_are_told(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pipeline = Runner(tmp_path / "data")
    result = pipeline.run(source, *ASSETS)
    sentence = "4 pages or frames after the first of their file are not used; `pages: all` takes them."
    assert sentence in " ".join(capfd.readouterr().err.split())
    assert pipeline.current("image_seqfile").counts["unused_pages"] == 4
    metadata = pipeline.metadata(result, "image_seqfile")
    assert metadata["unused_pages"] == 4
    assert metadata["files_with_pages_first"] == [
        {"name": "cats/film.gif", "pages": 3},
        {"name": "cats/scan.tif", "pages": 3},
    ]
    (check,) = (
        one for one in result.get_asset_check_evaluations() if one.check_name == "everything_was_read"
    )
    assert not check.passed
    assert check.description == sentence
    assert {"unused_pages", "files_with_pages_first"} == check.metadata.keys()
    monkeypatch.setenv(settings.DATA, str(pipeline.data))
    assert main(["summary"]) == 0
    assert sentence in " ".join(capfd.readouterr().out.split())


def test_every_page_is_an_image(tmp_path: Path, source: Path) -> None:
    pipeline = Runner(tmp_path / "data")
    pipeline.run(source, *ASSETS)
    before = pipeline.table("sift_features").set_index("fileName")
    made = pipeline.metadata(pipeline.run(source, *ASSETS, **ALL), "image_seqfile")
    assert (made["reused"], made["read"], made["unused_pages"]) == (0, 3, 0), "files"
    rows = pipeline.table("sift_features").set_index("fileName")
    names = ["cats/film.gif", "cats/film.gif#2", "cats/film.gif#3", "cats/photo.jpg"]
    names += ["cats/scan.tif", "cats/scan.tif#2", "cats/scan.tif#3"]
    assert list(rows.index) == names
    assert set(rows["label"]) == {"cats"}
    assert rows["error"].isna().all()
    assert (rows["keypointCount"] > 0).all()
    for name in before.index:
        assert rows.loc[name, "descriptors"] == before.loc[name, "descriptors"]
    assert len(set(rows["descriptors"])) == len(rows)

    again = pipeline.metadata(pipeline.run(source, *ASSETS, **ALL), "image_seqfile")
    assert (again["reused"], again["read"], again["dropped"]) == (3, 0, 0)
    assert pipeline.current("image_seqfile").sequence == 2, "kept"
    assert pipeline.current("sift_features").sequence == 2

    np.testing.assert_array_equal(pipeline.table("sift_features")["fileName"], names)


def test_a_changed_file_is_read_again_with_all_its_pages(tmp_path: Path, source: Path) -> None:
    pipeline = Runner(tmp_path / "data")
    pipeline.run(source, *ASSETS, **ALL)
    write(source / "cats" / "scan.tif", paged_files()["pyramids"])
    (source / "cats" / "film.gif").unlink()
    pipeline.run(source, *ASSETS, **ALL)
    names = ["cats/photo.jpg", "cats/scan.tif", "cats/scan.tif#2", "cats/scan.tif#3"]
    assert list(pipeline.table("sift_features")["fileName"]) == names
    pipeline.run(source, *ASSETS)
    assert list(pipeline.table("sift_features")["fileName"]) == names[:2]
    assert pipeline.current("image_seqfile").counts["unused_pages"] == 2


def test_a_broken_page_is_a_row_with_an_error(tmp_path: Path, source: Path) -> None:
    write(source / "cats" / "scan.tif", paged_files()["big-endian tiff"][:-9])
    pipeline = Runner(tmp_path / "data")
    pipeline.run(source, *ASSETS, **ALL)
    rows = pipeline.table("sift_features").set_index("fileName")
    assert rows.index[rows["error"].notna()].to_list() == ["cats/scan.tif#3"]
    assert "truncated" in str(rows.loc["cats/scan.tif#3", "error"])


def test_a_file_with_the_name_of_a_page_is_an_error(tmp_path: Path, source: Path) -> None:
    write(source / "cats" / "scan.tif#2", images.jpeg())
    pipeline = Runner(tmp_path / "data")
    config: dict[str, Any] = {"pages": "all", "patterns": ["*"]}
    message = pipeline.error(pipeline.run(source, "image_seqfile", fail=True, image_seqfile=config))
    assert "(more than once: 'cats/scan.tif#2'; rename them in the source)" in message
