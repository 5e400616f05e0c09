"""`vision-assets compare`: what it prints."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from vision_assets import settings
from vision_assets.cli import main
from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.snapshots.store import SnapshotStore
from vision_assets.steps.comparison import find_results, rank
from vision_assets_tests.reports import make_report, prune_all

STD = "std_of_mean_per_class_accuracy"


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time would go there; what a loss of power leaves is tested with the store."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SnapshotStore:
    monkeypatch.setenv(settings.DATA, str(tmp_path))
    return SnapshotStore(LocalFiles(tmp_path))


def fill(store: SnapshotStore) -> None:
    """Make reports of two extractors, five dictionaries and two encodings, and prune most tables."""
    for number, k in enumerate((100, 200, 400)):
        counts = {"mean_per_class_accuracy": 0.8 + number / 100, STD: 0.0123}
        make_report(store, counts=counts, kmeans_dictionary={"k": k}, run_id=f"{number}abcdefgh")
        counts = {"mean_per_class_accuracy": 0.7 + number / 100, STD: 0.02}
        pooled = {"pooling": "count"}
        make_report(store, counts=counts, kmeans_dictionary={"k": k}, bow_encodings=pooled)
    make_report(store, "kaze", counts={"mean_per_class_accuracy": 0.75}, features={"upright": True})
    prune_all(store)


def compare(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["compare", *arguments]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def test_the_table_has_a_line_per_report(store: SnapshotStore, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    title, *rows, empty, note, unknown = compare(capsys).splitlines()
    shown = ["extractor", "k", "pooling", "images", "classes", "accuracy", "training", "run", "date", "(UTC)"]
    assert title.split() == shown
    cells = [row.split() for row in rows]
    assert cells[0][:10] == ["*", "sift", "400", "sum", "240", "10", "82.0%", "±", "1.2", "7.0"]
    assert cells[0][11] == "2abcdefg"
    assert [line[0] for line in rows] == ["*", *" " * 6]
    assert [line[line.index("%") - 4 : line.index("%")] for line in rows] == [
        *("82.0", "81.0", "80.0"),
        *("75.0", "72.0", "71.0", "70.0"),
    ]
    kaze = cells[3]
    assert kaze[:8] == ["kaze", "1000", "sum", "240", "10", "75.0%", "±", "?"]
    assert max(map(len, [title, *rows])) <= 120
    assert empty == ""
    assert note.startswith("* marks the best")
    assert unknown.startswith("? is unknown"), "no standard deviation of KAZE's is stored"


def test_names_of_settings_are_long_where_they_would_be_ambiguous(
    store: SnapshotStore, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        make_report(store, kmeans_dictionary={"seed": number, "tol": number / 10})
    title = compare(capsys).splitlines()[0].split()
    assert title[:3] == ["extractor", "tol", "kmeans_dictionary.seed"], "the classifier has a seed, too"


def test_protocols_are_told_apart(store: SnapshotStore, capsys: pytest.CaptureFixture[str]) -> None:
    make_report(store, counts={"mean_per_class_accuracy": 0.9})
    make_report(store, counts={"mean_per_class_accuracy": 0.95}, image_classifier={"train_per_class": 50})
    title, *rows, _, note, unknown = compare(capsys).splitlines()
    assert title.split()[:3] == ["protocol", "extractor", "train_per_class"]
    assert [row.split()[:4] for row in rows] == [["*", "1", "sift", "50"], ["*", "2", "sift", "30"]]
    assert "within a protocol only" in note
    assert unknown.startswith("? is unknown"), "no standard deviation is stored"


def test_a_single_split_has_no_deviation(store: SnapshotStore, capsys: pytest.CaptureFixture[str]) -> None:
    make_report(store, counts={"splits": 1})
    printed = compare(capsys)
    assert "80.0%" in printed
    assert "±" not in printed
    assert "?" not in printed


def test_a_long_source_is_shortened_at_its_beginning(
    store: SnapshotStore, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        make_report(store, image_seqfile={"source": f"/a/very/long/path/to/a/folder/of/images/{name}"})
    rows = compare(capsys).splitlines()[1:3]
    assert {row.split()[2] for row in rows} == {
        "…/a/folder/of/images/one",
        "…/a/folder/of/images/two",
    } or all(len(row.split()[2]) == 28 and row.split()[2].startswith("…") for row in rows)


def test_csv_has_all_figures_and_settings(store: SnapshotStore, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    rows = list(csv.DictReader(io.StringIO(compare(capsys, "--csv"))))
    expected = rank(find_results([("", store)]))
    assert len(rows) == len(expected) == 7
    names = {name for each in expected for name in each.result.settings}
    for row, each in zip(rows, expected, strict=True):
        found = each.result
        assert row["best"] == str(each.is_best)
        assert int(row["protocol"]) == each.protocol
        for name in ("mean_per_class_accuracy", "accuracy", "training_seconds", "dictionary_seconds"):
            assert float(row[name]) == getattr(found, name)
        assert row[STD] == ("" if getattr(found, STD) is None else str(getattr(found, STD)))
        for name in ("images", "classes", "splits", "test_images"):
            assert int(row[name]) == getattr(found, name)
        for name in ("extractor", "report", "snapshot", "committed_at", "collection"):
            assert row[name] == getattr(found, name)
        assert row["run"] == found.run_id
        for name in names:
            value = found.settings.get(name, "")
            assert row[name] == value or json.loads(row[name]) == value


def test_json_has_an_object_per_report(store: SnapshotStore, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    objects: list[dict[str, Any]] = [json.loads(line) for line in compare(capsys, "--json").splitlines()]
    expected = rank(find_results([("", store)]))
    assert [each["settings"] for each in objects] == [each.result.settings for each in expected]
    assert [each["snapshot"] for each in objects] == [each.result.snapshot for each in expected]
    assert [each[STD] for each in objects] == [getattr(each.result, STD) for each in expected]
    assert [each["unknown_settings"] for each in objects] == [[]] * 7
    (header, *_) = csv.reader(io.StringIO(compare(capsys, "--csv")))
    assert {name for name in header if "." not in name} == objects[0].keys() - {
        "settings",
        "unknown_settings",
    }


def test_what_is_unknown_is_a_question_mark(store: SnapshotStore, capsys: pytest.CaptureFixture[str]) -> None:
    for k in (1, 2):
        make_report(store, kmeans_dictionary={"k": k})
    store._files.delete("bow_encodings/_snapshots")
    make_report(store, kmeans_dictionary={"k": 3})
    make_report(store, kmeans_dictionary={"k": 4})
    rows = list(csv.DictReader(io.StringIO(compare(capsys, "--csv"))))
    assert sorted(row["kmeans_dictionary.k"] for row in rows) == ["3", "4", "?", "?"]
    assert sorted(row["training_seconds"] for row in rows) == ["", "", "7.0", "7.0"]
    objects = [json.loads(line) for line in compare(capsys, "--json").splitlines()]
    assert sorted("kmeans_dictionary.k" in each["unknown_settings"] for each in objects) == [
        *(False, False),
        *(True, True),
    ]
    assert compare(capsys).splitlines()[-1].startswith("? is unknown")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of two collections, which have no report yet."""
    monkeypatch.setenv(settings.DATA, str(tmp_path / "data"))
    (tmp_path / "collections").mkdir()
    for name in ("birds", "flowers"):
        (tmp_path / "collections" / f"{name}.yaml").touch()
    return tmp_path / "data"


def test_collections_are_compared(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, images in (("birds", "5:1"), ("flowers", "6:1")):
        counts = {"mean_per_class_accuracy": 0.9 if name == "flowers" else 0.8}
        make_report(SnapshotStore(LocalFiles(data / "collections" / name)), images=images, counts=counts)
    for named in ([], ["birds", "flowers"]):
        title, *rows = compare(capsys, *named).splitlines()[:3]
        assert title.split()[:3] == ["protocol", "collection", "extractor"]
        assert [row.split()[2] for row in rows] == ["flowers", "birds"]
    assert "collection" not in compare(capsys, "birds").splitlines()[0]
    assert main(["compare"]) == 0
    (data.parent / "collections" / "birds.yaml").write_text("- broken")
    assert compare(capsys, "birds"), "the tables are there, whatever the file says"
    found = [json.loads(line)["collection"] for line in compare(capsys, "birds", "--json").splitlines()]
    assert found == ["birds"]


def test_a_collection_without_a_report_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_report(SnapshotStore(LocalFiles(data / "collections" / "flowers")))
    for named in (["birds"], ["flowers", "birds"]):
        assert main(["compare", *named]) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        missing = f"There is no report in {data / 'collections' / 'birds'} yet."
        assert printed.err == f"{missing} Materialize classification_report first.\n"
    assert main(["compare", "trees"]) == 2
    assert "There is no collection 'trees'" in capsys.readouterr().err


def test_no_report_at_all_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare"]) == 1
    assert str(data) in capsys.readouterr().err


def test_one_format_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "--csv", "--json"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err
