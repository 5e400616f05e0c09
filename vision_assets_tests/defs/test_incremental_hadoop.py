"""A source behind Hadoop's file systems: only part files with changes are read again."""

import os
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from vision_assets.spark import sequence_file
from vision_assets.steps import image_index
from vision_assets_tests.pipeline import Runner

AWKWARD = (
    "plain.jpg",
    "a[b.jpg",
    "{a,b}*.jpg",
    "what?#1.jpg",
    "per%20cent %41.jpg",
    " space .JPG",
    "back\\slash\\[.jpg",
    "line\nbreak.jpg",
    "12:30/x.jpg",
    "12:30 [y]/x*.jpg",
    "日本/é😀.jpg",
    "_DSC1234.JPG",
    ".hidden.jpg",
    "_x/_y/z.jpg",
    "d=1/_x=1/z.jpg",
    "empty.jpg",
)
MILLISECOND = 10**6  # Hadoop has no finer time
PAST = 1_700_000_000_123 * MILLISECOND

pytestmark = pytest.mark.whole


class Source:
    """A folder of files of which the test says when they were changed."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.uri = folder, uri

    def write(self, name: str, data: bytes, modified: int = PAST) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        os.utime(file, ns=(modified, modified))

    def write_all(self, folder: str) -> None:
        for name in AWKWARD:
            self.write(f"{folder}/{name}", b"" if name == "empty.jpg" else f"{folder} {name}".encode())

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}


@pytest.fixture
def source(remote: tuple[Path, str], tmp_path: Path) -> Source:
    name = f"incremental {tmp_path.name} [x]"
    return Source(remote[0] / name, f"{remote[1]}/{name}")


def done(pipeline: Runner, source: str, **config: object) -> tuple[int, int, int]:
    """Run and return how many images were reused, read and dropped."""
    result = pipeline.run(source, "image_seqfile", image_seqfile=config)
    found = pipeline.metadata(result, "image_seqfile")
    return found["reused"], found["read"], found["dropped"]


def stored(spark: SparkSession, pipeline: Runner) -> dict[str, bytes]:
    pairs = sequence_file.read(spark, pipeline.current("image_seqfile").uri).collect()
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def index(spark: SparkSession, pipeline: Runner) -> pd.DataFrame:
    table = image_index.read(spark, pipeline.current("image_seqfile").uri).drop("part").toPandas()
    return table.sort_values("fileName", ignore_index=True)


def require_as_if_read_anew(spark: SparkSession, pipeline: Runner, full: Runner, source: str) -> None:
    assert done(full, source) == (0, pipeline.current("image_seqfile").rows, 0)
    assert stored(spark, pipeline) == stored(spark, full)
    pd.testing.assert_frame_equal(index(spark, pipeline), index(spark, full))
    assert pipeline.current("image_seqfile").version == full.current("image_seqfile").version


def test_of_a_remote_folder_only_parts_with_changes_are_read(
    spark: SparkSession, pipeline: Runner, source: Source, tmp_path: Path
) -> None:
    count = len(AWKWARD)
    source.write_all("old")
    assert done(pipeline, source.uri) == (0, count, 0)
    assert done(pipeline, source.uri) == (count, 0, 0)
    source.write_all("new")
    assert done(pipeline, source.uri) == (count, count, 0)
    assert stored(spark, pipeline) == source.files()
    source.write("old/{a,b}*.jpg", b"old {a,b}#.jpg", PAST + MILLISECOND)
    (source.folder / "new" / "_DSC1234.JPG").unlink()
    reused, read, dropped = done(pipeline, source.uri)
    assert (reused + read, dropped) == (2 * count - 1, 1)
    assert 0 < read < count
    assert stored(spark, pipeline) == source.files()
    require_as_if_read_anew(spark, pipeline, Runner(tmp_path / "full"), source.uri)


def test_other_patterns_read_only_what_they_add(
    spark: SparkSession, pipeline: Runner, source: Source
) -> None:
    for name in ("a.jpg", "b.JPG", "c.png", "_d.png"):
        source.write(name, name.encode())
    assert done(pipeline, source.uri, patterns=["*.jpg"]) == (0, 2, 0)
    assert done(pipeline, source.uri, patterns=["*.jpg", "*.png"]) == (2, 2, 0)
    source.write("e[1].jpg", b"e")
    reused, read, dropped = done(pipeline, source.uri, patterns=["[!b]*.JPG", "*.png"])
    assert (reused + read, dropped) == (4, 1)
    assert stored(spark, pipeline) == {name: data for name, data in source.files().items() if name != "b.JPG"}


def test_a_remote_tar_that_did_not_change_is_not_read(
    spark: SparkSession, pipeline: Runner, source: Source
) -> None:
    def pack(modified: int) -> None:
        with tarfile.open(archive, "w") as tar:
            tar.add(source.folder / "in", "in")
        os.utime(archive, ns=(modified, modified))

    archive, count = source.folder / "in.tar", len(AWKWARD)
    source.write_all("in")
    pack(PAST)
    assert done(pipeline, f"{source.uri}/in.tar") == (0, count, 0)
    assert done(pipeline, f"{source.uri}/in.tar") == (count, 0, 0)
    source.write("in/plain.jpg", b"IN plain.jpg")
    pack(PAST + MILLISECOND)
    assert done(pipeline, f"{source.uri}/in.tar") == (0, count, 0)
    archive.unlink()
    assert stored(spark, pipeline) == {
        name.removeprefix("in/"): data for name, data in source.files().items()
    }
