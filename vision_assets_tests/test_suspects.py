"""Label errors that were planted in a collection, and copies, as the console command lists them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from pyspark.sql import SparkSession

from vision_assets import settings
from vision_assets.cli import main
from vision_assets.errors import UserError
from vision_assets.steps.label_errors import N_FOLDS
from vision_assets.suspects import LabelReport, inspect_labels
from vision_assets_tests.pipeline import UP_TO_ENCODINGS, Runner
from vision_assets_tests.vision import images

SHAPES = ("crosses", "dots", "stars")
PER_CLASS = 10
COPIES = 5


def drawn(shape: str, seed: int) -> bytes:
    """A JPEG with a dozen shapes of one kind at random places, of random sizes and shades."""
    rng = np.random.default_rng(seed)
    image = np.full((120, 160), 90, np.uint8)
    for x, y in rng.integers(10, [150, 110], (12, 2)).tolist():
        size, shade = int(rng.integers(4, 9)), int(rng.integers(150, 256))
        if shape == "dots":
            cv2.circle(image, (x, y), size, shade, -1, cv2.LINE_AA)
        elif shape == "crosses":
            cv2.drawMarker(image, (x, y), shade, cv2.MARKER_CROSS, 3 * size, 2)
        else:
            for angle in np.arange(5) * 2 * np.pi / 5:
                end = (int(x + 3 * size * np.cos(angle)), int(y + 3 * size * np.sin(angle)))
                cv2.line(image, (x, y), end, shade, 1, cv2.LINE_AA)
    return images.jpeg(image)


class Planted(NamedTuple):
    """A pipeline on images some of which are in a wrong folder.

    Attributes
    ----------
    pipeline : Runner
    wrong : dict
        File name of an image to the label that it deserves.
    same : list of str
        Images with the same bytes and label; some are trained on, the others would be tested.
    differing : list of str
        Images with the same bytes and different labels.
    """

    pipeline: Runner
    wrong: dict[str, str]
    same: list[str]
    differing: list[str]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Planted:
    """Only for reading."""
    folder = tmp_path_factory.mktemp("planted")
    source = folder / "images"
    wrong: dict[str, str] = {}
    for shape in SHAPES:
        (source / shape).mkdir(parents=True)
    for number, shape in enumerate(SHAPES):
        for index in range(PER_CLASS):
            is_wrong = index == number
            label = SHAPES[number - 1] if is_wrong else shape
            name = f"{label}/{shape} {index}.jpg"
            (source / name).write_bytes(drawn(shape, 100 * number + index))
            wrong |= {name: shape} if is_wrong else {}
    same = [f"dots/copy {index}.jpg" for index in range(COPIES)]
    differing = ["crosses/one.jpg", "stars/two.jpg"]
    for names, copied in ((same, drawn("dots", 900)), (differing, drawn("stars", 901))):
        for name in names:
            (source / name).write_bytes(copied)
    pipeline = Runner(folder / "data")
    pipeline.run(
        source,
        *UP_TO_ENCODINGS,
        "image_labels",
        "image_classifier",
        kmeans_dictionary={"k": 30},
        bow_encodings={"pooling": "count"},
        # With this seed, one of the equal images is trained on and the others are not.
        image_classifier={"splits": 1, "seed": 4, "train_per_class": 8, "max_iter": 10},
    )
    return Planted(pipeline, wrong, same, differing)


@pytest.fixture(scope="module")
def report(planted: Planted) -> LabelReport:
    return inspect_labels(data_folder=planted.pipeline.data)


@pytest.fixture
def on_planted(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> Planted:
    monkeypatch.setenv(settings.DATA, str(planted.pipeline.data))
    return planted


def test_planted_errors_come_first(planted: Planted, report: LabelReport) -> None:
    first = report.suspects[: len(planted.wrong)]
    assert {suspect.file_name: suspect.suggested for suspect in first} == planted.wrong
    assert report.usable == len(SHAPES) * PER_CLASS + COPIES + 2
    assert report.judged == report.usable - len(planted.differing)
    assert report.is_current


def test_copies_are_grouped(planted: Planted, report: LabelReport) -> None:
    groups = {tuple(copy.file_name for copy in group): group for group in report.copies}
    assert set(groups) == {tuple(planted.same), tuple(planted.differing)}
    assert len({copy.label for copy in groups[tuple(planted.differing)]}) == 2
    left_out = [copy.left_out for copy in groups[tuple(planted.same)]]
    assert any(left_out)
    assert not all(left_out)


def test_nothing_is_left_leased(planted: Planted, report: LabelReport) -> None:
    assert not [*planted.pipeline.data.rglob("*.pending"), *planted.pipeline.data.rglob("*.beat")]


def test_the_command_prints_tables(
    planted: Planted,
    report: LabelReport,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    older = replace(report, is_current=False)
    monkeypatch.setattr("vision_assets.suspects.inspect_labels", lambda **_: older)
    assert main(["suspects", "--top", "2"]) == 0
    printed, warned = capsys.readouterr()
    assert "materialize the classifier again" in warned
    title, *rows = printed.splitlines()
    assert title.split() == ["label", "suggested", "margin", "file"]
    for row, suspect in zip(rows[:2], report.suspects, strict=False):
        assert row.split()[:3] == [suspect.label, suspect.suggested, f"{suspect.margin:.3f}"]
        assert row.endswith(suspect.file_name)
    sentence = f"{len(report.suspects)} of {report.judged} images are likely to have a wrong label"
    assert f"{sentence}; the first 2 are shown." in rows
    assert "2 images were not judged" in printed
    for name in (*planted.same, *planted.differing):
        assert f"{name}\n" in printed


def test_the_command_prints_json(
    on_planted: Planted, report: LabelReport, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suspects", "--json"]) == 0
    printed = capsys.readouterr()
    assert len(printed.err.splitlines()) == N_FOLDS
    found: list[dict[str, Any]] = [json.loads(line) for line in printed.out.splitlines()]
    suspects = [each for each in found if each.pop("kind") == "suspect"]
    assert suspects == [
        {
            "file": suspect.file_name,
            "label": suspect.label,
            "suggested": suspect.suggested,
            "margin": suspect.margin,
            "label_probability": suspect.label_probability,
            "suggested_probability": suspect.suggested_probability,
        }
        for suspect in report.suspects[:20]
    ], "the same bits in every run"
    copies = found[len(suspects) :]
    assert [[copy["file"] for copy in group["files"]] for group in copies] == [
        [copy.file_name for copy in group] for group in report.copies
    ]
    assert [group["labels_differ"] for group in copies] == [
        len({copy.label for copy in group}) > 1 for group in report.copies
    ]


def test_the_command_wants_one_suspect_or_more(
    on_planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["suspects", "--top", "0"]) == 1
    assert capsys.readouterr().err == "top=0: ask for 1 suspect or more\n"


def test_without_a_classifier_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Materialize image_classifier first") as error:
        inspect_labels(data_folder=tmp_path)
    assert str(tmp_path) in str(error.value)


def test_encodings_that_are_gone_are_named(planted: Planted, tmp_path: Path) -> None:
    shutil.copytree(planted.pipeline.data, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "bow_encodings")
    with pytest.raises(UserError, match="The snapshot of bow_encodings that"):
        inspect_labels(data_folder=tmp_path / "data")
