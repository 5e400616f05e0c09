"""The scripts in examples/ and the Python snippet of the README run as they stand."""

import os
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from vision_assets import settings
from vision_assets.prediction import predict
from vision_assets.vision.classification.linear import (
    CLASSIFIER_FILE,
    Classifier,
    classifier_to_npz,
    round_weights,
)
from vision_assets_tests.pipeline import WORDS, Runner
from vision_assets_tests.vision import images

PROJECT = Path(__file__).parents[1]
EXAMPLES = PROJECT / "examples"


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], example: str, *arguments: object
) -> list[str]:
    """Run an example as a program, and return the lines that it prints."""
    monkeypatch.setattr(sys, "argv", [example, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / example), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_every_example_is_run_here() -> None:
    tests = Path(__file__).read_text()
    examples = [file.name for file in EXAMPLES.glob("*.py")]
    assert examples
    assert [name for name in examples if f'"{name}"' not in tests] == []


def test_tables_are_read(
    filled: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(settings.DATA, str(filled.data))
    features = filled.table("sift_features")
    lines = run(monkeypatch, capsys, "read_tables.py")
    counted = {label: [int(rows), int(points)] for label, rows, points in map(str.split, lines[2:4])}
    assert counted == {
        label: [len(rows), rows["keypointCount"].sum()] for label, rows in features.groupby("label")
    }
    assert f"Encodings (pandas): a matrix of 12 x {WORDS} float32." in lines
    chosen = features.iloc[-1]
    lines = run(monkeypatch, capsys, "read_tables.py", "--image", chosen["fileName"])
    heading = f"{chosen['fileName']}: {chosen['keypointCount']:,} keypoints. The largest five:"
    sizes = np.frombuffer(chosen["keypoints"], "<f4").reshape(-1, 5)[:, 2]
    after = lines[lines.index(heading) + 1 :]
    assert after[0].split() == ["x", "y", "size", "angle", "response"]
    assert [float(line.split()[2]) for line in after[1:]] == pytest.approx(sorted(sizes)[:-6:-1], abs=1e-3)
    with pytest.raises(SystemExit, match="has no image missing"):
        run(monkeypatch, capsys, "read_tables.py", "--image", "missing")


@pytest.fixture
def with_classifier(filled_copy: Runner, rng: np.random.Generator) -> Runner:
    """A pipeline with an untrained classifier, which takes no time to make."""
    store, encodings = filled_copy.store, filled_copy.current("bow_encodings")
    pending = store.begin(("image_classifier",), "example", {"bow_encodings": encodings.name})
    weights = round_weights(rng.normal(size=(2, WORDS)))[None]
    classifier = Classifier(("cats", "dogs"), weights, np.zeros((1, 2)), "hellinger")
    Path(pending.uri).mkdir(parents=True)
    Path(pending.uri, CLASSIFIER_FILE).write_bytes(classifier_to_npz(classifier))
    unknown = {"code_version": "", "config": {}, "counts": {}, "check_results": {}, "keys": ""}
    store.commit(pending, run_id="example", rows=2, seconds=0.0, **unknown)
    return filled_copy


def test_a_folder_is_classified(
    with_classifier: Runner,
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "images"
    for file in sorted(image_folder.rglob("*.jpg"))[::3]:
        copy = folder / file.relative_to(image_folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    (folder / "broken.jpg").write_bytes(images.jpeg()[:-700])
    (folder / "notes.txt").write_text("not an image")
    files = [folder / "broken.jpg", *sorted(folder.glob("*/*.jpg"))]
    expected = list(predict(files, data_folder=with_classifier.data))
    lines = run(monkeypatch, capsys, "classify_folder.py", folder, "--data", with_classifier.data)
    assert lines[0] == f"broken.jpg: {expected[0].error}"
    for line, file, found in zip(lines[1:], files[1:], expected[1:], strict=False):
        name = file.relative_to(folder)
        assert line == f"{name}: {found.labels[0]} {found.scores[0]:.3f}, {found.keypoints:,} keypoints"
    correct = sum(f.parent.name == p.labels[0] for f, p in zip(files[1:], expected[1:], strict=True))
    assert lines[-1].startswith(f"{correct} of {len(files) - 1} images have the label")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="has no images"):
        run(monkeypatch, capsys, "classify_folder.py", tmp_path / "empty")


def test_similar_images_are_found(
    filled: Runner, image_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = np.stack(filled.table("bow_encodings")["bow"].to_list()).astype(float)
    names = filled.table("bow_encodings")["fileName"]
    cosines = vectors @ vectors[3] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[3])
    image = image_folder / names[3]
    first, *lines = run(monkeypatch, capsys, "encode_images.py", image, image_folder, "--data", filled.data)
    assert first == f"{image}: {np.count_nonzero(vectors[3])} of {WORDS} visual words"
    best = np.argsort(-cosines)[:5]
    assert lines == [f"{cosines[index]:.3f} {image_folder / names[index]}" for index in best]
    with pytest.raises(SystemExit, match="No such file"):
        run(monkeypatch, capsys, "encode_images.py", "missing.jpg", image_folder, "--data", filled.data)
    with pytest.raises(SystemExit, match="has no images"):
        run(monkeypatch, capsys, "encode_images.py", image, image_folder / "none", "--data", filled.data)


@pytest.mark.parametrize(
    ("example", "missing"),
    [
        ("read_tables.py", "sift_features has no snapshot in"),
        ("classify_folder.py", "image_classifier has no"),
        ("encode_images.py", "bow_encodings has no snapshot in"),
    ],
)
def test_a_data_folder_without_tables_is_one_line(
    example: str,
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "1.jpg").write_bytes(images.jpeg())
    image = tmp_path / "cats" / "1.jpg"
    folder = {"classify_folder.py": [tmp_path], "encode_images.py": [image, tmp_path]}.get(example, [])
    for data in (tmp_path, tmp_path / "missing"):
        with pytest.raises(SystemExit, match=missing):
            run(monkeypatch, capsys, example, *folder, "--data", data)


def test_a_folder_that_does_not_exist_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="missing is not a folder, or does not exist"):
        run(monkeypatch, capsys, "classify_folder.py", tmp_path / "missing")


def test_the_snippet_of_the_readme_runs(
    filled: Runner, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    monkeypatch.setenv(settings.DATA, str(filled.data))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    names: dict[str, Any] = {}
    exec(snippet, names)
    assert np.shape(names["X"]) == (12, WORDS)
    assert sorted(names["labels"].fetchall()) == [("cats", 6), ("dogs", 6)]
    assert isinstance(names["words"], DataFrame)
    assert names["words"].count() == WORDS
    descriptors, keypoints = names["descriptors"], names["keypoints"]
    assert isinstance(descriptors, np.ndarray)
    assert isinstance(keypoints, np.ndarray)
    assert descriptors.shape == (len(keypoints), 128)
    assert keypoints.shape[1] == 5
