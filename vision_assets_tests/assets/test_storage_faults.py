"""Faults of the storage: each is named with its file and with what mends it, and what was stored stays."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from vision_assets.storage.snapshots import Snapshot
from vision_assets_tests.pipeline import ALL_ASSETS, Pipeline
from vision_assets_tests.torture.kills import table
from vision_assets_tests.vision import images

ROW_WISE = ("image_seqfile", "sift_features", "bow_encodings")
CONFIG = {"image_classifier": {"train_per_class": 3, "splits": 2, "max_iter": 3}}
FULL_REFRESH = {asset: {"full_refresh": True} for asset in ROW_WISE}


@dataclass(frozen=True)
class World:
    """A pipeline that has run twice up to the encodings; no two snapshots share a file."""

    pipeline: Pipeline
    source: Path


@pytest.fixture(scope="module")
def world(filled: Pipeline, image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("storage faults")
    source = shutil.copytree(image_folder, folder / "source")
    pipeline = Pipeline(shutil.copytree(filled.data, folder / "data"))
    (source / "cats" / "another.jpg").write_bytes(images.jpeg(images.colored(seed=99)))
    pipeline.run(source, *ALL_ASSETS, **CONFIG | FULL_REFRESH)
    return World(pipeline, source)


@pytest.fixture
def copy(world: World, tmp_path: Path) -> Pipeline:
    return Pipeline(shutil.copytree(world.pipeline.data, tmp_path / "data"))


def one_part(snapshot: Snapshot) -> Path:
    return sorted(file for file in Path(snapshot.uri).iterdir() if file.name[0] not in "._")[0]


def index_part(snapshot: Snapshot) -> Path:
    return sorted(Path(snapshot.uri, "_index").glob("part-*"))[0]


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


def manifest(pipeline: Pipeline, snapshot: Snapshot) -> Path:
    (found,) = (pipeline.data / snapshot.asset / "_snapshots").glob(f"*-{snapshot.name}.json")
    return found


def require_clear(error: str, *named: object) -> None:
    lines = error.splitlines()
    assert 1 <= len(lines) <= 2, error
    assert "\tat " not in error
    assert "Error:" not in lines[0]
    for name in named:
        assert str(name) in error


@pytest.mark.parametrize(
    ("asset", "file", "damage", "downstream"),
    [
        ("image_seqfile", one_part, truncate, "sift_features"),
        ("image_seqfile", index_part, Path.unlink, "sift_features"),
        ("image_seqfile", index_part, flip_page, "sift_features"),
        ("sift_features", one_part, truncate, "kmeans_dictionary"),
        ("sift_features", one_part, Path.unlink, "kmeans_dictionary"),
        ("sift_features", one_part, flip_page, "kmeans_dictionary"),
        ("sift_features", one_part, flip_end, "kmeans_dictionary"),
        ("kmeans_dictionary", one_part, flip_page, "bow_encodings"),
        ("bow_encodings", one_part, flip_page, "image_classifier"),
        ("image_classifier", one_part, truncate, "classification_report"),
        ("image_classifier", one_part, flip_middle, "classification_report"),
    ],
)
def test_a_damaged_file_is_named_and_both_ways_out_lead_out(
    world: World,
    copy: Pipeline,
    asset: str,
    file: Callable[[Snapshot], Path],
    damage: Callable[[Path], None],
    downstream: str,
) -> None:
    *older, current = copy.store.snapshots((asset,))
    before = [as_frame(table(snapshot)) for snapshot in older]
    damaged = file(current)
    damage(damaged)
    config = CONFIG | ({downstream: {"full_refresh": True}} if downstream in ROW_WISE else {})
    error = copy.error(copy.run(None, downstream, fail=True, **config))
    advice = "again with `full_refresh: true`" if asset in ROW_WISE else "again,"
    require_clear(error, damaged, f"Materialize {asset} {advice}", f"*-{current.name}.json")
    assert all(as_frame(table(one)).equals(rows) for one, rows in zip(older, before, strict=True))
    copy_of_data = shutil.copytree(copy.data, copy.data.with_name("other way"))
    copy.run(world.source, asset, **CONFIG | FULL_REFRESH)
    copy.run(None, downstream, **config)
    assert as_frame(table(copy.current(asset))).equals(as_frame(table(world.pipeline.current(asset))))
    other_way = Pipeline(copy_of_data)
    manifest(other_way, current).unlink()
    if older:
        assert other_way.current(asset).name == older[-1].name
        other_way.run(None, downstream, **config)


def as_frame(content: pd.DataFrame | bytes) -> pd.DataFrame:
    return pd.DataFrame({"content": [content]}) if isinstance(content, bytes) else content
