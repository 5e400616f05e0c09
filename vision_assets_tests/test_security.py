"""No code comes in from the data folder, no path from a key. Sockets, secrets: `cli.test_command_line`."""

import ast
import io
import os
import pickle
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import vision_assets
from vision_assets import prediction
from vision_assets.errors import UserError
from vision_assets.snapshots.versions import version_of
from vision_assets.steps import image_writer
from vision_assets.steps.sources.image_files import ImageFiles, Patterns, Skipped
from vision_assets.vision.vocabulary.kmeans import KMeansOptions
from vision_assets_tests.pipeline import ITERATIONS, UP_TO_ENCODINGS, WORDS, Runner
from vision_assets_tests.vision import images

ROOT = Path(__file__).parents[1]

# ------------------------------------------------------------------------------------------------ pickles


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._folder),)


def npz_of(bomb: Bomb, names: list[str]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: np.array([bomb], dtype=object) for name in names})  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory, filled: Runner) -> Runner:
    data = tmp_path_factory.mktemp("classified") / "data"
    shutil.copytree(filled.data, data)
    pipeline = Runner(data)
    pipeline.run(None, "image_classifier", image_classifier={"splits": 1, "max_iter": 5})
    return pipeline


@pytest.fixture
def copy(classified: Runner, tmp_path: Path) -> Runner:
    shutil.copytree(classified.data, tmp_path / "data")
    return Runner(tmp_path / "data")


def test_the_bomb_is_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert (tmp_path / "exploded").exists()
    np.load(io.BytesIO(npz_of(Bomb(tmp_path / "again"), ["x"])), allow_pickle=True)["x"]
    assert (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("asset", "reader"),
    [
        ("image_seqfile", "sift_features"),
        ("sift_features", "kmeans_dictionary"),
        ("kmeans_dictionary", "bow_encodings"),
        ("bow_encodings", "image_classifier"),
        ("image_classifier", "image_predictions"),
    ],
)
def test_no_table_is_unpickled(copy: Runner, tmp_path: Path, asset: str, reader: str) -> None:
    bomb = Bomb(tmp_path / "exploded")
    files = [path for path in Path(copy.current(asset).uri).rglob("*") if path.is_file()]
    assert files
    for file in files:
        names = np.load(file).files if file.suffix == ".npz" else []
        file.write_bytes(npz_of(bomb, names) if names else pickle.dumps(bomb))

    config: dict[str, Any] = {reader: {"full_refresh": True}}
    copy.run(None, reader, fail=True, **config)
    if asset in {"kmeans_dictionary", "image_classifier"}:
        with pytest.raises(UserError, match="cannot be read"):
            prediction.predict([], data_folder=copy.data)
    assert not (tmp_path / "exploded").exists()


def test_no_images_are_unpickled(copy: Runner, tmp_path: Path) -> None:
    for part in Path(copy.current("image_seqfile").uri).glob("part-*"):
        part.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    copy.run(None, "sift_features", fail=True, sift_features={"full_refresh": True})
    assert not (tmp_path / "exploded").exists()


def test_no_manifest_is_unpickled(copy: Runner, tmp_path: Path) -> None:
    for manifest in copy.data.rglob("_snapshots/*.json"):
        manifest.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(UserError, match="damaged"):
        prediction.predict([], data_folder=copy.data)
    assert not (tmp_path / "exploded").exists()


def test_no_checkpoint_is_unpickled(copy: Runner, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    current, options = (
        copy.current("kmeans_dictionary"),
        asdict(KMeansOptions(k=WORDS, max_iter=ITERATIONS)),
    )
    features = {"sift_features": copy.current("sift_features").version}
    name = version_of(current.code_version, options, features)
    names = ["index", "centers", "counts", "sums", "squareSums", "moved"]
    checkpoint = copy.store.checkpoint(("kmeans_dictionary",), name)
    checkpoint.save(1, npz_of(Bomb(tmp_path / "exploded"), names))

    copy.run(None, "kmeans_dictionary", kmeans_dictionary={"retrain": "always"})

    assert "training restarts from the beginning" in capfd.readouterr().err
    assert copy.current("kmeans_dictionary").version == current.version
    assert not (tmp_path / "exploded").exists()


def test_no_extension_type_is_unpickled(copy: Runner, tmp_path: Path) -> None:
    """PyArrow made its own from pickles up to version 14."""
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    metadata = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": bomb}
    for file in Path(copy.current("kmeans_dictionary").uri).iterdir():
        table = pq.read_table(file)
        schema = pa.schema([field.with_metadata(metadata) for field in table.schema])
        pq.write_table(table.cast(schema), file)
    prediction.predict([], data_folder=copy.data)
    pd.read_parquet(copy.current("kmeans_dictionary").uri)
    assert not (tmp_path / "exploded").exists()


RUN_CODE = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "pickleFile", "read_pickle", "saveAsPickleFile", "unsafe_load", "objectFile"}


@pytest.mark.parametrize(
    "file", sorted(Path(vision_assets.__file__).parent.rglob("*.py")), ids=lambda f: f.name
)
def test_no_module_reads_what_can_run_code(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
            assert not RUN_CODE & {str(name).split(".")[0] for name in names}
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            assert called not in CALLS
            if ast.unparse(node.func) in {"np.load", "numpy.load"}:
                assert "allow_pickle=False" in ast.unparse(node)


# --------------------------------------------------------------------------------------------------- keys


def test_keys_are_no_paths(spark: SparkSession, tmp_path: Path) -> None:
    """Keys of a SequenceFile from elsewhere. `vision_assets_tests.torture.test_archives` tests archives."""
    inside = tmp_path / "deep" / "in"
    keys = [
        "../../up.jpg",
        "../../../../../../../../tmp/up.jpg",
        f"{tmp_path}/absolute.jpg",
        f"file://{tmp_path}/uri.jpg",
        "nul\0../../x.jpg",
        "..",
        "../",
        "c:\\..\\..\\back.jpg",
        "a/" * 300 + "long.jpg",
    ]
    pairs = [(key, images.jpeg(images.colored(seed=number))) for number, key in enumerate(keys)]
    source = ImageFiles("test", Patterns(["*"]), len(pairs), Skipped(), by_driver=lambda: iter(pairs))
    image_writer.write(spark, source, str(inside / "source"))
    pipeline = Runner(inside / "data")

    pipeline.run(inside / "source", pictures=True, image_seqfile={"patterns": ["*"]})

    assert set(pipeline.table("bow_encodings")["fileName"]) == set(keys)
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert {path.name for path in inside.parent.iterdir()} == {"in"}
    assert {path.name for path in inside.iterdir()} == {"source", "data"}
    assert {path.name for path in (inside / "data").iterdir()} == set(UP_TO_ENCODINGS)
    for asset in UP_TO_ENCODINGS:
        folder = Path(pipeline.current(asset).uri)
        assert {path.name for path in folder.parent.iterdir()} == {folder.name, "_snapshots"}
        assert all(path.name.startswith(("part-", "_index", "stamps")) for path in folder.iterdir())
