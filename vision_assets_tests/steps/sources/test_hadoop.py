"""Sources behind Hadoop's file systems, with `viewfs:` standing for storage that Python cannot reach."""

import gzip
import io
import os
import random
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.spark import sequence_file
from vision_assets.spark.diagnosis import diagnose
from vision_assets.spark.hadoop import describe, list_status
from vision_assets.steps import image_writer
from vision_assets.steps.sources import open_source
from vision_assets.steps.sources.compression import zstd
from vision_assets.steps.sources.hadoop_folder import hadoop_glob
from vision_assets.steps.sources.hadoop_tar import find_headers, open_tar_blocks, pieces
from vision_assets.steps.sources.image_files import ImageFiles, Patterns
from vision_assets.steps.sources.listing import Listing
from vision_assets_tests.steps.sources.test_sources import (
    BY_CONTENT,
    JPEG,
    NOT_BY_CONTENT,
    SKIPPED_OF_TARS,
    tar_of_tars,
)

Files = dict[str, bytes]

FILES: Files = {
    "a/same.jpg": bytes(range(256)) * 40,
    "b/same.JPG": b"other",
    "b/with space %41 é😀 'q\",{c}[d]*.jpg": b"strange",
    "b/line\nbreak.png": b"\r\n",
    "empty.jpg": b"",
    "_DSC1234.JPG": b"camera",
    "_x/_y/z.jpg": b"hidden folders",
}


def make_folder(folder: Path, files: Files) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def tar_of(files: Files, format_: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def stored(spark: SparkSession, images: ImageFiles, out: Path) -> Files:
    written = image_writer.write(spark, images, str(out))
    assert images.count in (None, written.count)
    pairs = sequence_file.read(spark, str(out)).collect()
    assert len(pairs) == written.count
    return dict(pairs)


def test_a_folder_and_what_spark_hides(spark: SparkSession, remote: tuple[Path, str], tmp_path: Path) -> None:
    folder, uri = remote
    make_folder(folder / "in,1 [x]", FILES | {"notes.txt": b"", "._a.jpg": b""})
    images = open_source(spark, f"{uri}/in,1 [x]")
    assert stored(spark, images, tmp_path / "out") == FILES
    assert images.skipped.counts == {"name matches no pattern": 1, "macOS metadata": 1}


def test_a_folder_read_with_patterns_of_any_kind(
    spark: SparkSession, remote: tuple[Path, str], tmp_path: Path
) -> None:
    folder, uri = remote
    make_folder(folder / "p", {"a1.jpg": b"1", "b1.JPG": b"2", "c1.png": b"3"})
    for number, pattern in enumerate(("[!b]*.jpg", "A*.JPG")):
        images = open_source(spark, f"{uri}/p/", [pattern])
        assert stored(spark, images, tmp_path / f"out{number}") == {"a1.jpg": b"1"}


@pytest.mark.parametrize("kind", ["folder", "tar", "tar.gz"])
def test_content_decides_where_names_do_not(
    spark: SparkSession, remote: tuple[Path, str], tmp_path: Path, kind: str
) -> None:
    folder, uri = remote
    files = BY_CONTENT | {"_DSC1": JPEG, "12:30/1": JPEG}
    source = folder / f"content, {kind}"
    if kind == "folder":
        make_folder(source, files | NOT_BY_CONTENT)
    else:
        data = tar_of(files | NOT_BY_CONTENT)
        source.write_bytes(gzip.compress(data) if kind == "tar.gz" else data)
    with open_source(spark, f"{uri}/{source.name}", by_content=True) as images:
        assert stored(spark, images, tmp_path / "out") == files
        assert images.skipped.counts["name matches no pattern"] == 3


def test_many_files_are_listed_alike(spark: SparkSession, tmp_path: Path) -> None:
    make_folder(tmp_path, {f"strange; isDirectory=true; {index}.jpg": bytes(index) for index in range(200)})
    (tmp_path / "sub").mkdir()
    found = list_status(spark, f"file://{tmp_path}")
    root = f"file:{tmp_path}/"
    expected = [(f"{root}strange; isDirectory=true; {index}.jpg", False, index) for index in range(200)]
    assert [status[:3] for status in found if not status.is_folder] == sorted(expected)
    assert [status.path for status in found if status.is_folder] == [f"{root}sub"]
    times = {status.path: status.modified for status in found}
    assert times == {path: Path(path[5:]).stat().st_mtime_ns // 1_000_000 for path in times}


def test_a_large_folder_of_a_file_system_that_hides_its_files_status(
    spark: SparkSession, remote: tuple[Path, str]
) -> None:
    folder, uri = remote
    make_folder(folder / "many", {f"{index:03}.jpg": b"x" * index for index in range(160)})
    found = [status[:3] for status in list_status(spark, f"{uri}/many")]
    assert found == [(f"{uri}/many/{i:03}.jpg", False, i) for i in range(160)]


@pytest.mark.parametrize("count", [3, 200])
def test_files_of_hdfs_have_an_identity(spark: SparkSession, count: int) -> None:
    """A rename changes nothing that HDFS reports about a file but its path."""
    jvm, gateway = spark.sparkContext._jvm, spark.sparkContext._gateway
    assert jvm
    assert gateway
    hadoop: Any = jvm.org.apache.hadoop

    def look(first: int) -> dict[str, int]:
        statuses = gateway.new_array(hadoop.fs.FileStatus, count)
        for number in range(count):
            builder = getattr(hadoop.hdfs.protocol, "HdfsFileStatus$Builder")().fileId(first + number)
            builder.path(bytearray(f"{number}.jpg", "ascii")).length(5).mtime(1_700_000_000_000)
            root = hadoop.fs.Path("hdfs://host/images")
            statuses[number] = builder.build().makeQualified(root.toUri(), root)
        found = describe(gateway, statuses)
        assert {status[1:4] for status, _ in found} == {(False, 5, 1_700_000_000_000)}
        assert len({text for _, text in found}) == count
        return {status.path: status.identity for status, _ in found}

    before = look(1)
    assert len(set(before.values()) - {0}) == count
    assert before == look(1)
    moved = look(2)
    assert moved.keys() == before.keys()
    assert all(moved[path] != identity for path, identity in before.items())


@pytest.mark.parametrize("kind", ["tar", "gnu tar", "comma,.tar", "tar.gz", "tar.zst", "zip", "seq"])
def test_archives(spark: SparkSession, remote: tuple[Path, str], tmp_path: Path, kind: str) -> None:
    import zipfile

    folder, uri = remote
    long = {"/".join(["lang\u00e9" * 16] * 4) + ".jpg": b"long"}
    files = FILES | long
    if kind == "zip":
        with zipfile.ZipFile(folder / kind, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    elif kind == "seq":
        make_folder(tmp_path / "in", files)
        stored(spark, open_source(spark, str(tmp_path / "in")), folder / kind)
    else:
        data = tar_of(files, tarfile.GNU_FORMAT if kind == "gnu tar" else tarfile.PAX_FORMAT)
        compress: dict[str, Callable[[bytes], bytes]]
        compress = {"tar.gz": gzip.compress, "tar.zst": zstd.compress}
        (folder / kind).write_bytes(compress.get(kind, bytes)(data))
    with open_source(spark, f"{uri}/{kind}") as images:
        assert stored(spark, images, tmp_path / "out") == files


def test_a_copy_is_removed(
    spark: SparkSession, remote: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    folder, uri = remote
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (folder / "comma,x.tar").write_bytes(tar_of(FILES))
    images = open_source(spark, f"{uri}/comma,x.tar")
    assert list(tmp_path.iterdir())
    with images:
        pass
    assert not list(tmp_path.iterdir())
    images = open_source(spark, f"{uri}/comma,x.tar")
    del images
    assert not list(tmp_path.iterdir())
    for patterns in (["*.none"], []):
        with pytest.raises(UserError):
            open_source(spark, f"{uri}/comma,x.tar", patterns)
        assert not list(tmp_path.iterdir())


def test_a_tar_is_read_in_ranges_that_members_cross(spark: SparkSession, tmp_path: Path) -> None:
    generator = random.Random(5)
    files = {
        f"{index:03}.jpg": generator.randbytes(generator.choice([0, 100, 5000, 60_000]))
        for index in range(60)
    }
    inner = tar_of({"inside.jpg": b"i" * 3000, "more.jpg": b"m" * 30_000})
    files |= {"tar in tar.jpg": inner * 3, "x" * 300 + ".jpg": b"long"}
    (tmp_path / "x.tar").write_bytes(tar_of(files))
    images = open_tar_blocks(spark, "x", f"file://{tmp_path}/x.tar", Patterns(["*.jpg"]), split_bytes=150_000)
    assert images.by_workers is not None
    assert images.by_workers(spark.sparkContext).getNumPartitions() > 8
    assert stored(spark, images, tmp_path / "out") == files


def test_tars_in_a_tar_are_read_in_ranges(spark: SparkSession, tmp_path: Path) -> None:
    data, expected = tar_of_tars(tmp_path)
    (tmp_path / "x.tar").write_bytes(data)
    uri, patterns = f"file://{tmp_path}/x.tar", Patterns(["*.jpg", "*.jpeg"])
    images = open_tar_blocks(spark, "x", uri, patterns, split_bytes=4096)
    assert images.by_workers is not None
    assert images.by_workers(spark.sparkContext).getNumPartitions() > 16
    assert stored(spark, images, tmp_path / "out") == expected
    assert images.skipped.counts == SKIPPED_OF_TARS


@settings(max_examples=60)
@given(
    sizes=st.lists(st.sampled_from([0, 1, 511, 512, 513, 1024, 5000]), min_size=1, max_size=8),
    per_range=st.integers(1, 9),
    per_record=st.integers(1, 3),
    links=st.integers(0, 4),
    parallelism=st.integers(1, 9),
)
def test_every_cut_into_ranges_gives_the_same_members(
    sizes: list[int], per_range: int, per_record: int, links: int, parallelism: int
) -> None:
    files = {f"{index}": bytes([index + 1]) * size for index, size in enumerate(sizes)}
    data = tar_of(files)
    listing = Listing(further_numbers=1)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            for link in ["", *range(links)]:
                listing.add(f"{member.name}{link}".encode(), member.size, member.offset_data)
    files = {f"{name}{link}": content for name, content in files.items() for link in ["", *range(links)]}
    tables = [(next(iter(entries))[1][1], entries) for entries in listing.cut(parallelism)]
    record, found = per_record * 512, {name: bytearray(len(content)) for name, content in files.items()}
    times = dict.fromkeys(files, 0)
    for start in range(0, len(data), per_range * record):
        part = data[start : start + per_range * record]
        records = [part[at : at + record] for at in range(0, len(part), record)]
        for piece in pieces(records, start, tables):
            found[piece.key][piece.start : piece.start + len(piece.data)] = piece.data
            times[piece.key] += len(piece.data) or 1
    assert found == files
    assert times == {name: len(content) or 1 for name, content in files.items()}


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_workers_find_all_headers(format_: int) -> None:
    files = {f"{'n' * 90}{index}.jpg": random.Random(index).randbytes(3000) for index in range(9)}
    if format_ != tarfile.USTAR_FORMAT:
        files["é" * 400] = b""
    data = tar_of(files, format_)
    (found,) = find_headers([data[:5120], data[5120:]])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        wanted = {block for member in tar for block in range(member.offset, member.offset_data, 512)}
    assert wanted <= set(found.offsets.tolist())
    assert len(found.offsets) < len(wanted) + 3
    assert found.length == len(data)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_tar_cut_short(spark: SparkSession, remote: tuple[Path, str], share: float) -> None:
    folder, uri = remote
    data = tar_of({f"{index}.jpg": bytes(3000) + b"x" for index in range(9)})
    size = int(len(data.rstrip(b"\0")) * share)
    for cut in (size, size // 512 * 512):
        (folder / f"cut{cut}.tar").write_bytes(data[:cut])
        with pytest.raises(UserError, match="damaged or incomplete"):
            open_source(spark, f"{uri}/cut{cut}.tar")


def test_what_is_known_of_files_before_they_are_read(spark: SparkSession, remote: tuple[Path, str]) -> None:
    folder, uri = remote
    times = {"past.jpg": 1_700_000_000_123_000_000, "future.jpg": time.time_ns() + 3600 * 10**9}
    make_folder(folder / "times", dict.fromkeys(times, b"four"))
    for name, modified in times.items():
        os.utime(folder / "times" / name, ns=(modified, modified))
    listed = open_source(spark, f"{uri}/times").listed
    assert listed
    assert {row["fileName"]: row["stamp"] for row in listed.stamps().to_pylist()} == {
        "past.jpg": "4.1700000000123000000",
        "future.jpg": None,
    }


@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_some_of_the_images_are_read(
    spark: SparkSession, remote: tuple[Path, str], tmp_path: Path, kind: str
) -> None:
    folder, uri = remote
    files = FILES | {f"12:30/{number}.jpg": bytes(1000 * number) for number in range(9)}
    (folder / "some").mkdir(exist_ok=True)
    if kind == "folder":
        make_folder(folder / "some" / kind, files)
    else:
        (folder / "some" / kind).write_bytes(tar_of(files))
    listed = open_source(spark, f"{uri}/some/{kind}").listed
    assert listed
    names = listed.stamps()["fileName"].to_pylist()
    for first in (0, 1):
        chosen = np.arange(len(names)) % 2 == first
        some = stored(spark, listed.select(chosen), tmp_path / f"out{first}")
        assert some == {name: files[name] for name in names[first::2]}


def test_a_file_that_vanishes_is_named(spark: SparkSession, remote: tuple[Path, str], tmp_path: Path) -> None:
    folder, uri = remote
    make_folder(folder / "gone", {f"{index} [x] é.jpg": b"x" for index in range(9)})
    images = open_source(spark, f"{uri}/gone")
    assert images.listed
    some = images.listed.select(np.arange(9) > 0)
    assert some.by_workers
    found_by_spark = some.by_workers(spark.sparkContext)
    (folder / "gone" / "4 [x] é.jpg").unlink()
    named = rf"cannot read '{uri}/gone/4 \[x\] é\.jpg', which was listed before"
    for number, (source, message) in enumerate(
        [
            (images, "changed while it was read: 9 images were listed and 8 read"),
            (some, named),
            (replace(some, by_workers=lambda _: found_by_spark), named),
        ]
    ):
        with pytest.raises(UserError, match=message):
            image_writer.write(spark, source, str(tmp_path / f"out{number}"))


def test_a_hidden_file_that_vanishes_is_named(
    spark: SparkSession, remote: tuple[Path, str], tmp_path: Path
) -> None:
    folder, uri = remote
    make_folder(folder / "gone too", {"_1.jpg": b"x", "_2.jpg": b"x"})
    images = open_source(spark, f"{uri}/gone too")
    (folder / "gone too" / "_2.jpg").unlink()
    with pytest.raises(Py4JJavaError) as error:
        image_writer.write(spark, images, str(tmp_path / "out"))
    cause = diagnose(error.value)
    assert cause.may_pass
    assert "gone too/_2.jpg does not exist" in cause.text


def test_a_path_without_scheme_follows_hadoops_default(
    spark: SparkSession, remote: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = remote
    make_folder(folder / "plain", {"a.jpg": b"far"})
    make_folder(tmp_path / "plain", {"a.jpg": b"near"})
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    before = configuration.get("fs.defaultFS")
    configuration.set("fs.defaultFS", "viewfs://store/")
    try:
        far = open_source(spark, "/data/plain")
        near = open_source(spark, str(tmp_path / "plain"))
        with pytest.raises(UserError, match="'/data/none' does not exist"):
            open_source(spark, "/data/none")
        with pytest.raises(UserError, match="does not exist"):
            open_source(spark, f"file://{tmp_path}/none")
    finally:
        configuration.set("fs.defaultFS", before)
    assert stored(spark, near, tmp_path / "near") == {"a.jpg": b"near"}
    assert far.count == 1


def test_nothing_there(spark: SparkSession, remote: tuple[Path, str]) -> None:
    folder, uri = remote
    (folder / "none").mkdir()
    (folder / "zero").touch()
    for source, message in [
        (f"{uri}/missing", "does not exist"),
        (f"{uri}/none", "is empty"),
        (f"{uri}/zero", "is empty"),
        ("nosuchfs://host/x", "cannot read 'nosuchfs://host/x': .*No FileSystem for scheme"),
    ]:
        with pytest.raises(UserError, match=message):
            open_source(spark, source)


def test_patterns_as_hadoop_writes_them() -> None:
    assert hadoop_glob(("*.jpg", "x-1.*")) == "{*.[jJ][pP][gG],[xX]-1.*}"
    assert hadoop_glob(("*.jp?",)) is None
    assert hadoop_glob(("[ab].jpg",)) is None
