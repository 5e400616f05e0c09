from pathlib import Path

import pytest

from vision_assets import settings
from vision_assets.cli import main
from vision_assets_tests.pipeline import Runner


@pytest.fixture
def on_filled(filled: Runner, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setenv(settings.DATA, str(filled.data))
    return filled


def test_path_prints_the_current_folder(on_filled: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["path", "bow_encodings"]) == 0
    assert capsys.readouterr().out == on_filled.current("bow_encodings").uri + "\n"


def test_snapshots_lists_them(on_filled: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["snapshots", "sift_features"]) == 0
    snapshot = on_filled.current("sift_features")
    title, row = capsys.readouterr().out.splitlines()
    assert title.split() == ["snapshot", "committed", "rows", "size", "run"]
    assert row.split()[:3] == [snapshot.name, snapshot.committed_at, "12"]
    assert row.split()[-1] == snapshot.run_id


def test_summary_says_what_was_made(on_filled: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary"]) == 0
    printed = capsys.readouterr().out
    descriptors = on_filled.current("sift_features").counts["descriptors"]
    for part in ("12 images", f"{descriptors:,} descriptors", "0 of which could not be read", "20 words"):
        assert part in printed
    for asset in ("image_seqfile", "sift_features", "kmeans_dictionary", "bow_encodings"):
        assert on_filled.current(asset).uri in printed


@pytest.mark.parametrize("command", [["path", "bow_encodings"], ["snapshots", "bow_encodings"], ["summary"]])
def test_nothing_materialized_is_one_clear_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(settings.DATA, str(tmp_path))
    assert main(command) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Materialize" in printed.err
    assert len(printed.err.splitlines()) == 1


def test_a_uri_of_hadoop_is_read_through_spark(
    on_filled: Runner,
    spark: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The scheme viewfs is Hadoop's own; here it maps to the local folder."""
    spark.sparkContext._jsc.hadoopConfiguration().set(  # type: ignore[attr-defined]
        "fs.viewfs.mounttable.test.link./data", on_filled.data.as_uri()
    )
    monkeypatch.setenv(settings.DATA, "viewfs://test/data")
    assert main(["path", "kmeans_dictionary"]) == 0
    name = on_filled.current("kmeans_dictionary").name
    assert capsys.readouterr().out == f"viewfs://test/data/kmeans_dictionary/{name}\n"


def test_sample_makes_images_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sample", str(tmp_path / "sample"), "--images-per-class", "1"]
    assert main(arguments) == 0
    assert "10 sample images made" in capsys.readouterr().out
    assert main(arguments) == 0
    assert len(list((tmp_path / "sample").glob("*/*.jpg"))) == 10


def test_sample_refuses_a_folder_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["sample", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "mine"
