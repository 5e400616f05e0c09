from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from vision_assets.snapshots.files import Files, open_files
from vision_assets.snapshots.hadoop_files import HadoopFiles
from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.spark.jvm import hadoop_of


@pytest.fixture(params=["local", "hadoop"])
def files(request: pytest.FixtureRequest, tmp_path: Path, spark: SparkSession) -> Files:
    if request.param == "local":
        return LocalFiles(tmp_path / "data folder")
    return HadoopFiles(f"{tmp_path.as_uri()}/data folder".replace("%20", " "), lambda: hadoop_of(spark))


def test_what_is_created_can_be_listed_and_read(files: Files) -> None:
    files.create("a/b/two", b"\x00\xff" * 1000)
    files.create("a/b/one", b"")
    assert files.names("a/b") == ["one", "two"]
    assert files.names("a") == ["b"]
    assert files.read("a/b/two") == b"\x00\xff" * 1000
    assert files.read("a/b/one") == b""
    assert files.sizes("a/b") == {"one": 0, "two": 2000}


def test_a_folder_that_is_not_there_has_no_names(files: Files) -> None:
    assert files.names("nothing/here") == []


def test_a_file_that_is_not_there_is_an_error(files: Files) -> None:
    with pytest.raises(FileNotFoundError):
        files.read("nothing/here")


def test_delete_removes_files_and_folders_and_ignores_missing_ones(files: Files) -> None:
    files.create("a/one", b"1")
    files.create("a/deep/two", b"2")
    files.delete("a/deep")
    assert files.names("a") == ["one"]
    files.delete("a/one")
    assert files.names("a") == []
    files.delete("a/one")
    files.delete("nothing")


def test_a_reader_of_a_folder_that_is_removed_gets_all_of_it_or_nothing(tmp_path: Path) -> None:
    """A reader that has opened the folder just before may list a part of it but cannot open those files."""
    files, folder, count = LocalFiles(tmp_path), tmp_path / "a", 300
    seen = set()
    for _ in range(5):
        folder.mkdir()
        for number in range(count):
            (folder / str(number)).touch()
        with ThreadPoolExecutor(1) as pool:
            removal = pool.submit(files.delete, "a")
            while not removal.done():
                with suppress(FileNotFoundError):
                    seen.add(len([file.read_bytes() for file in folder.iterdir()]))
        removal.result()
    assert seen <= {count, 0}


def test_a_file_is_created_in_a_folder_that_another_removes(tmp_path: Path) -> None:
    """A training run writes its checkpoints like this while another run prunes them."""
    files = LocalFiles(tmp_path)

    def remove() -> None:
        for _ in range(9):
            files.delete("a")

    with ThreadPoolExecutor(1) as pool:
        for _ in range(30):
            removal = pool.submit(remove)
            files.create("a/1", b"")
            removal.result()
    files.delete("a")
    assert list(tmp_path.iterdir()) == []


def test_hidden_files_have_no_size(files: Files) -> None:
    for name in ("_SUCCESS", ".part.crc", "part-0"):
        files.create(f"a/{name}", b"1234")
    assert files.sizes("a") == {"part-0": 4}


def test_both_see_the_same(tmp_path: Path, spark: SparkSession) -> None:
    local, hadoop = LocalFiles(tmp_path), HadoopFiles(tmp_path.as_uri(), lambda: hadoop_of(spark))
    hadoop.create("a/one", b"from hadoop")
    local.create("a/two", b"from here")
    assert local.names("a") == hadoop.names("a") == ["one", "two"]
    assert (local.read("a/one"), hadoop.read("a/two")) == (b"from hadoop", b"from here")


def test_hadoop_is_not_asked_for_local_files(tmp_path: Path) -> None:
    def refuse() -> tuple[Any, Any]:
        raise AssertionError("Hadoop was asked")

    open_files(str(tmp_path), refuse).create("a", b"1")
    open_files("hdfs://host/data", refuse)


def test_copies_ask_for_hadoop_once(tmp_path: Path, spark: SparkSession) -> None:
    """If the JVM dies meanwhile, no copy starts another one."""
    asked = []

    def hadoop() -> tuple[Any, Any]:
        asked.append(1)
        return hadoop_of(spark)

    files = HadoopFiles(tmp_path.as_uri(), hadoop)
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"%d" % number)
    files.share({str(number): f"copies/{number}" for number in range(20)})
    assert len(asked) == 1
    assert (tmp_path / "copies" / "19").read_bytes() == b"19"
