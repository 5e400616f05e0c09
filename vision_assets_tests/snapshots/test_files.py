from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from vision_assets.snapshots.files import Files, HadoopFiles, LocalFiles, hadoop_uri, local_path, open_files


@pytest.fixture(params=["local", "hadoop"])
def files(request: pytest.FixtureRequest, tmp_path: Path, spark: SparkSession) -> Files:
    if request.param == "local":
        return LocalFiles(tmp_path / "data folder")
    return HadoopFiles(f"{tmp_path.as_uri()}/data folder".replace("%20", " "), lambda: spark)


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


def test_delete_removes_files_and_folders_and_minds_nothing_missing(files: Files) -> None:
    files.create("a/one", b"1")
    files.create("a/deep/two", b"2")
    files.delete("a/deep")
    assert files.names("a") == ["one"]
    files.delete("a/one")
    assert files.names("a") == []
    files.delete("a/one")
    files.delete("nothing")


def test_who_reads_a_folder_that_goes_gets_all_of_it_or_nothing(tmp_path: Path) -> None:
    """Who has opened it just before may list a part, but opens none of that: the path leads nowhere."""
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
    """So do a training with its checkpoints, and the clean-up of another run."""
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
    local, hadoop = LocalFiles(tmp_path), HadoopFiles(tmp_path.as_uri(), lambda: spark)
    hadoop.create("a/one", b"from hadoop")
    local.create("a/two", b"from here")
    assert local.names("a") == hadoop.names("a") == ["one", "two"]
    assert (local.read("a/one"), hadoop.read("a/two")) == (b"from hadoop", b"from here")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/data", Path("/data")),
        ("file:///my%20data", Path("/my%20data")),
        ("file:///my #1 data?", Path("/my #1 data?")),
        ("file:/data", Path("/data")),
        ("hdfs://host:8020/data", None),
        ("s3a://bucket/data", None),
        ("hdfs:/data", None),
        ("data", Path.cwd() / "data"),
    ],
)
def test_local_paths_are_recognised(uri: str, path: Path | None) -> None:
    assert local_path(uri) == path


@pytest.mark.parametrize("uri", ["/data", "file:///data", "file:/data"])
def test_a_local_path_stays_local_for_hadoop(uri: str) -> None:
    assert hadoop_uri(uri) == "file:///data"


def test_other_uris_stay_as_they_are() -> None:
    assert hadoop_uri("s3a://bucket/data") == "s3a://bucket/data"


def test_spark_is_not_asked_for_local_files(tmp_path: Path) -> None:
    def refuse() -> SparkSession:
        raise AssertionError("Spark was started")

    open_files(str(tmp_path), refuse).create("a", b"1")
    open_files("hdfs://host/data", refuse)
