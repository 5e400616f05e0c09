"""Faults of the storage: each is named with its file and a remedy, and what was stored stays."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from vision_assets import settings
from vision_assets.cli import main
from vision_assets.errors import UserError
from vision_assets.snapshots.store import Snapshot, SnapshotStore
from vision_assets_tests.pipeline import CLASSIFICATION, UP_TO_ENCODINGS, WORDS, Runner
from vision_assets_tests.small_disks import read_only, require_root, resize, small_disk
from vision_assets_tests.torture.kills import table
from vision_assets_tests.vision import images

CONFIG: dict[str, Any] = {"image_classifier": {"train_per_class": 3, "splits": 2, "max_iter": 3}}
FULL_REFRESH: dict[str, Any] = {asset: {"full_refresh": True} for asset in UP_TO_ENCODINGS}


@dataclass(frozen=True)
class World:
    """A pipeline that has run twice up to the encodings; no two snapshots share a file."""

    pipeline: Runner
    source: Path


@pytest.fixture(scope="module")
def world(filled: Runner, image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("storage faults")
    source = shutil.copytree(image_folder, folder / "source")
    pipeline = Runner(shutil.copytree(filled.data, folder / "data"))
    (source / "cats" / "another.jpg").write_bytes(images.jpeg(images.colored(seed=99)))
    pipeline.run(source, "image_labels", *UP_TO_ENCODINGS, **FULL_REFRESH)
    return World(pipeline, source)


@pytest.fixture
def copy(world: World, tmp_path: Path) -> Runner:
    return Runner(shutil.copytree(world.pipeline.data, tmp_path / "data"))


def one_part(snapshot: Snapshot) -> Path:
    return min(file for file in Path(snapshot.uri).iterdir() if file.name[0] not in "._")


def index_part(snapshot: Snapshot) -> Path:
    return min(Path(snapshot.uri, "_index").glob("part-*"))


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 0xFF
    file.write_bytes(content)


def flip_end(file: Path) -> None:
    flip(file, -1)


def flip_middle(file: Path) -> None:
    flip(file, file.stat().st_size // 2)


def flip_page(file: Path) -> None:
    """Flip a bit in the widest column."""
    group = pq.ParquetFile(file).metadata.row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    chunk = max(chunks, key=lambda chunk: chunk.total_compressed_size)
    flip(file, chunk.data_page_offset + chunk.total_compressed_size // 2)


def manifest(pipeline: Runner, snapshot: Snapshot) -> Path:
    (found,) = (pipeline.data / snapshot.asset / "_snapshots").glob(f"*-{snapshot.name}.json")
    return found


def require_clear(error: str, *named: object) -> None:
    lines = error.splitlines()
    assert 1 <= len(lines) <= 2, error
    assert "\tat " not in error
    assert "Error:" not in lines[0]
    for name in named:
        assert str(name) in error


in_whole = partial(pytest.param, marks=pytest.mark.whole)


@pytest.mark.parametrize(
    ("asset", "file", "damage", "downstream", "back"),
    [
        ("image_seqfile", one_part, truncate, "sift_features", False),
        in_whole("image_seqfile", one_part, flip_middle, "sift_features", False),
        in_whole("image_seqfile", index_part, Path.unlink, "sift_features", True),
        in_whole("image_seqfile", index_part, flip_page, "sift_features", False),
        in_whole("sift_features", one_part, truncate, "kmeans_dictionary", True),
        ("sift_features", one_part, Path.unlink, "kmeans_dictionary", False),
        in_whole("sift_features", one_part, flip_page, "kmeans_dictionary", True),
        in_whole("sift_features", one_part, flip_end, "kmeans_dictionary", False),
        ("kmeans_dictionary", one_part, flip_page, "bow_encodings", True),
        in_whole("bow_encodings", one_part, flip_page, "image_classifier", False),
    ],
)
def test_a_damaged_file_is_named_and_the_advice_repairs_it(
    world: World,
    copy: Runner,
    asset: str,
    file: Callable[[Snapshot], Path],
    damage: Callable[[Path], None],
    downstream: str,
    back: bool,
) -> None:
    *older, current = copy.store.snapshots((asset,))
    before = [as_frame(table(snapshot)) for snapshot in older]
    damaged = file(current)
    damage(damaged)
    # All is done already: tables are read only for a full refresh, the index only for another setting.
    changed = {"full_refresh": True} if file is one_part else {"max_failed_share": 0.5}
    config = CONFIG | {downstream: CONFIG.get(downstream, {}) | changed}
    error = copy.error(copy.run(None, downstream, fail=True, **config))
    pointer = manifest(copy, current)
    require_clear(error, damaged, f"Materialize {asset} again with `full_refresh: true`")
    assert all(as_frame(table(one)).equals(rows) for one, rows in zip(older, before, strict=True))
    if back:
        pointer.unlink()
        assert copy.current(asset) == older[-1]
    else:
        copy.run(world.source, asset, **CONFIG | FULL_REFRESH)
        assert as_frame(table(copy.current(asset))).equals(as_frame(table(world.pipeline.current(asset))))
    copy.run(None, downstream, **config)


@pytest.mark.whole
def test_a_damaged_classifier_is_named_and_the_advice_repairs_it(world: World, copy: Runner) -> None:
    copy.run(None, *CLASSIFICATION, **CONFIG)
    before = table(copy.current("classification_report"))
    damaged = one_part(copy.current("image_classifier"))
    flip_middle(damaged)
    refresh: dict[str, Any] = {
        "image_classifier": CONFIG["image_classifier"] | {"full_refresh": True},
        "image_predictions": {"full_refresh": True},
        "classification_report": {"full_refresh": True},
    }
    error = copy.error(copy.run(None, "classification_report", fail=True, **refresh))
    require_clear(error, damaged, "Materialize image_classifier again with `full_refresh: true`")
    copy.run(None, *CLASSIFICATION, **refresh)
    assert table(copy.current("classification_report")).equals(before)


def as_frame(content: pd.DataFrame | bytes) -> pd.DataFrame:
    return pd.DataFrame({"content": [content]}) if isinstance(content, bytes) else content


@pytest.mark.parametrize(
    ("asset", "file", "damage"),
    [
        ("image_seqfile", one_part, truncate),
        ("image_seqfile", index_part, Path.unlink),
        ("sift_features", one_part, truncate),
        ("sift_features", one_part, Path.unlink),
    ],
)
def test_what_is_known_to_be_damaged_is_not_taken_over(
    world: World,
    copy: Runner,
    asset: str,
    file: Callable[[Snapshot], Path],
    damage: Callable[[Path], None],
) -> None:
    damage(file(copy.current(asset)))
    copy.run(world.source, asset)
    made, wanted = copy.current(asset), world.pipeline.current(asset)
    assert table(made).equals(table(wanted))
    assert (made.counts, made.keys, made.version) == (wanted.counts, wanted.keys, wanted.version)


def test_a_damaged_manifest_is_named_and_without_it_the_snapshot_before_is_there(
    copy: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(settings.DATA, str(copy.data))
    older, current = copy.store.snapshots(("sift_features",))
    damaged = manifest(copy, current)
    flip_middle(damaged)
    for asset in ("kmeans_dictionary", "sift_features"):
        error = copy.error(copy.run(None, asset, fail=True))
        require_clear(error, f"{damaged} is damaged", "Remove it to go back to the snapshot before it")
    capsys.readouterr()
    assert main(["path", "sift_features"]) == main(["snapshots", "sift_features"]) == 1
    assert capsys.readouterr().err.count(str(damaged)) == 2
    damaged.unlink()
    assert main(["path", "sift_features"]) == 0
    assert capsys.readouterr().out.strip() == older.uri
    copy.run(None, "kmeans_dictionary")
    copy.run(None, "sift_features", keep=1)
    assert not Path(current.uri).exists(), "what nothing points to is removed"


def test_a_damaged_checkpoint_is_no_obstacle(
    world: World, copy: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends before its commit leaves its checkpoint."""
    with monkeypatch.context() as ended:
        ended.setattr(SnapshotStore, "commit", refuse)
        copy.run(None, "kmeans_dictionary", fail=True, kmeans_dictionary={"retrain": "always"})
    (checkpoint,) = (copy.data / "kmeans_dictionary" / "_checkpoints").iterdir()
    flip_middle(checkpoint)
    copy.run(None, "kmeans_dictionary", kmeans_dictionary={"full_refresh": True})
    wanted = table(world.pipeline.current("kmeans_dictionary"))
    assert table(copy.current("kmeans_dictionary")).equals(wanted)
    assert not checkpoint.parent.exists()


def refuse(*_: object, **__: object) -> None:
    raise UserError("the disk is full")


@pytest.mark.whole
@pytest.mark.parametrize(("kilobytes", "fails"), [(40, "image_seqfile"), (280, "sift_features")])
def test_a_full_disk(filled: Runner, image_folder: Path, tmp_path: Path, kilobytes: int, fails: str) -> None:
    require_root()
    assets = UP_TO_ENCODINGS[: UP_TO_ENCODINGS.index(fails) + 1]
    disk = tmp_path / "disk"
    with small_disk(disk, kilobytes):
        pipeline = Runner(disk / "data")
        result = pipeline.run(image_folder, *assets, fail=True)
        require_clear(pipeline.error(result), "No space left on device", "Make room there, then run again")
        assert [event.step_key for event in result.all_events if event.is_step_failure] == [fails]
        resize(disk, 10_000)
        reused = pipeline.metadata(pipeline.run(image_folder, *assets), fails)["reused"]
        assert 0 < reused < 12, "what the run before has finished"
        for asset in assets:
            assert table(pipeline.current(asset)).equals(table(filled.current(asset)))
        assert left(pipeline, assets) == []


def left(pipeline: Runner, assets: Sequence[str]) -> list[Path]:
    """What the data folder contains besides snapshots."""
    folders = [path for asset in assets for path in (pipeline.data / asset).iterdir()]
    of_notes = {"_snapshots", "_history"}
    notes = [path for folder in folders if folder.name in of_notes for path in folder.iterdir()]
    kept = {snapshot.name for asset in assets for snapshot in pipeline.store.snapshots((asset,))}
    others = [path for path in folders if path.name not in of_notes | kept]
    return others + [path for path in notes if path.suffix != ".json"]


def test_a_data_folder_that_cannot_be_written(
    copy: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require_root()
    monkeypatch.setenv(settings.DATA, str(copy.data))
    current = copy.current("sift_features")
    with read_only(copy.data):
        error = copy.error(copy.run(None, "sift_features", fail=True))
        require_clear(error, f"Cannot write to the data folder {copy.data}", "Read-only", settings.DATA)
        assert main(["path", "sift_features"]) == 0
    assert capsys.readouterr().out.strip() == current.uri
    copy.run(None, "sift_features")


def run_alone(pipeline: Runner, asset: str, *prefix: str, **environment: str) -> str:
    """Materialize an asset in a process of its own, which must fail; return the error's first line."""
    config = json.dumps({"ops": {asset: {"config": {"k": WORDS}}}})
    result = subprocess.run(
        [*prefix, sys.executable, "-m", "vision_assets_tests.torture.one_run", asset, config, "0", "SIGKILL"],
        env=os.environ | environment | {settings.DATA: str(pipeline.data), settings.PICTURES: "no"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode
    (error,) = set(re.findall(r"^Error: \S+ failed: (.*)", result.stderr, re.MULTILINE))
    return str(error)


@pytest.mark.whole
def test_no_room_for_sparks_temporary_files(world: World, copy: Runner, tmp_path: Path) -> None:
    require_root()
    before = table(copy.current("kmeans_dictionary"))
    with small_disk(tmp_path / "disk", 100):
        error = run_alone(copy, "kmeans_dictionary", SPARK_LOCAL_DIRS=str(tmp_path / "disk"))
    assert error == (
        f"No space left on device: Spark's temporary folder {tmp_path / 'disk'} is full. "
        "Make room there, then run again."
    )
    assert table(copy.current("kmeans_dictionary")).equals(before)


AS_OTHERS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
NO_PERMISSION = "permission denied. Allow this user to read and write there, then run again."


def test_a_manifest_that_this_user_may_not_read(copy: Runner) -> None:
    require_root()
    pointer = manifest(copy, copy.current("sift_features"))
    pointer.chmod(0)
    command = "import sys; from vision_assets.cli import main; sys.exit(main(['path', 'sift_features']))"
    result = subprocess.run(
        [*AS_OTHERS, sys.executable, "-c", command],
        env=os.environ | {settings.DATA: str(copy.data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (1, f"{pointer}: {NO_PERMISSION}\n")


@pytest.mark.whole
def test_a_table_that_this_user_may_not_read(copy: Runner) -> None:
    require_root()
    part = one_part(copy.current("sift_features"))
    part.chmod(0)
    assert run_alone(copy, "kmeans_dictionary", *AS_OTHERS) == f"{part}: {NO_PERMISSION}"
