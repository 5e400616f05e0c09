"""Vectors of new images: from Python, and by the command `encode`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vision_assets import settings
from vision_assets.cli import main
from vision_assets.encoding import encode, load_encoder
from vision_assets.errors import UserError
from vision_assets_tests.pipeline import WORDS, Runner
from vision_assets_tests.vision import images

ABSENT = "the file cannot be read: No such file or directory"


@pytest.fixture
def on_filled(filled: Runner, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """A pipeline with encodings, named by the environment."""
    monkeypatch.setenv(settings.DATA, str(filled.data))
    return filled


@pytest.fixture
def files(image_folder: Path, filled: Runner) -> list[Path]:
    """The images of the pipeline, in the order of its table of encodings."""
    return [image_folder / name for name in filled.table("bow_encodings")["fileName"]]


@pytest.fixture
def stored(filled: Runner) -> np.ndarray:
    return np.stack(filled.table("bow_encodings")["bow"].to_list())


def test_vectors_equal_the_tables_to_the_bit(filled: Runner, files: list[Path], stored: np.ndarray) -> None:
    found = list(encode(files, data_folder=filled.data))
    np.testing.assert_array_equal([one.vector for one in found], stored)
    assert [one.keypoints for one in found] == filled.table("bow_encodings")["descriptorCount"].to_list()
    encoder = load_encoder(data_folder=filled.data)
    assert encoder.length == WORDS
    np.testing.assert_array_equal(encoder.encode(files[0].read_bytes()), stored[0])


def test_an_image_that_cannot_be_read_has_an_error(filled: Runner, files: list[Path]) -> None:
    one, flat, broken = encode([files[0], images.flat(), images.jpeg()[:-700]], data_folder=str(filled.data))
    assert one.error is flat.error is None
    assert (flat.keypoints, flat.vector is not None and not flat.vector.any()) == (0, True)
    assert (broken.vector, broken.keypoints) == (None, 0)
    assert broken.error


def test_settings_are_those_of_the_encodings(filled_copy: Runner, files: list[Path]) -> None:
    """Not those of a newer table of features, from which no encodings were made."""
    store, features = filled_copy.store, filled_copy.current("sift_features")
    expected = [one.vector for one in encode(files[0], data_folder=filled_copy.data)]
    pending = store.begin(("sift_features",), "newer", features.inputs)
    Path(pending.uri).mkdir()
    unknown = {"code_version": "", "counts": {}, "check_results": {}, "keys": "", "rows": 0, "seconds": 0.0}
    store.commit(pending, run_id="newer", config={"nfeatures": 3}, **unknown)
    (found,) = encode(files[0], data_folder=filled_copy.data)
    np.testing.assert_array_equal(found.vector, expected[0])


def test_without_encodings_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Materialize bow_encodings first"):
        load_encoder(data_folder=tmp_path)
    with pytest.raises(UserError, match="Did you mean sift"):
        load_encoder("sifft", data_folder=tmp_path)


def run(arguments: list[Any], capsys: pytest.CaptureFixture[str], status: int = 0) -> list[str]:
    """Run the command; return the lines that it prints."""
    assert main(["encode", *map(str, arguments)]) == status
    return capsys.readouterr().out.splitlines()


def test_the_command_prints_vectors(
    on_filled: Runner, files: list[Path], stored: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run([*files[:2], "no such file.jpg"], capsys, 1)
    for line, file, vector in zip(lines, files[:2], stored, strict=False):
        name, _, values = line.rpartition(": ")
        assert name == str(file)
        np.testing.assert_array_equal(np.array(values.split(), np.float32), vector)
    assert lines[2] == f"no such file.jpg: {ABSENT}"


def test_the_command_prints_json(
    on_filled: Runner, files: list[Path], stored: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    found, absent = map(json.loads, run(["--json", files[3], "no such file.jpg"], capsys, 1))
    np.testing.assert_array_equal(np.array(found.pop("vector"), np.float32), stored[3])
    keypoints = on_filled.table("bow_encodings")["descriptorCount"][3]
    assert found == {"image": str(files[3]), "keypoints": keypoints, "error": None}
    assert absent == {"image": "no such file.jpg", "vector": None, "keypoints": 0, "error": ABSENT}


@pytest.mark.parametrize("suffix", ["npy", "npz", "parquet"])
def test_the_command_writes_files(
    suffix: str,
    on_filled: Runner,
    image_folder: Path,
    stored: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The images of a folder in the order of their paths; one that is missing has no vector."""
    file = tmp_path / f"vectors.{suffix}"
    assert run([image_folder, "absent.jpg", "--output", file], capsys, 1) == [f"{file}: 12 vectors"]
    names = [*sorted(image_folder.rglob("*.jpg")), Path("absent.jpg")]
    expected = [*stored, np.full(WORDS, np.nan)]
    if suffix == "npy":
        np.testing.assert_array_equal(np.load(file), expected)
    elif suffix == "npz":
        with np.load(file) as found:
            assert found["images"].tolist() == [*map(str, names)]
            np.testing.assert_array_equal(found["vectors"], expected)
            assert found["errors"].tolist() == [""] * 12 + [ABSENT]
            assert (found["keypoints"] > 0).tolist() == [True] * 12 + [False]
    else:
        found = pd.read_parquet(file)
        assert found["image"].to_list() == [*map(str, names)]
        np.testing.assert_array_equal(np.stack(found["vector"][:12].to_list()), stored)
        assert (found["vector"][12], found["error"].to_list()) == (None, [None] * 12 + [ABSENT])
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize(
    ("name", "said"), [("vectors.csv", "has to end in .npy"), ("none/vectors.npy", "does not exist")]
)
def test_a_file_that_cannot_be_written_is_named_before_any_work(
    name: str, said: str, on_filled: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encode", "a.jpg", "--output", str(tmp_path / name)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_the_command_needs_neither_spark_nor_dagster(on_filled: Runner, files: list[Path]) -> None:
    code = """
import sys
from vision_assets.cli import main
status = main(["encode", "--json", *sys.argv[1:]])
print(sorted({"dagster", "pyspark", "py4j", "matplotlib"} & set(sys.modules)))
raise SystemExit(status)
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, files[0]],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {settings.DATA: str(on_filled.data)},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1] == "[]"
