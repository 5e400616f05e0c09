"""Local sources: what is chosen, under which keys, and that the bytes arrive."""

import bz2
import gzip
import io
import lzma
import os
import random
import shutil
import stat
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import inflate64
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.spark import sequence_file
from vision_assets.steps import image_writer, sources
from vision_assets.steps.sources import ImageFiles, Reader, open_source
from vision_assets.steps.sources.folder import FolderSplit, list_folder
from vision_assets.steps.sources.image_files import Patterns, Skipped
from vision_assets.steps.sources.place import Place
from vision_assets.steps.sources.tar import CompressedTarSource, TarSplit, list_tar
from vision_assets.steps.sources.watch import look_at
from vision_assets.steps.sources.zip import ZipSplit, list_zip
from vision_assets.vision.io.formats import DEFAULT_PATTERNS
from vision_assets_tests.torture.archives import with_new_checksums

Files = dict[str, bytes]

STRANGE: Files = {
    "a/same.jpg": bytes(range(256)) * 40,
    "b/same.JPG": b"other",
    "b/with space.png": b"\0" * 3000,
    "b/per%20cent.jpg": b"%",
    "b/quote'\".jpg": b"quotes",
    "b/line\nbreak.jpg": b"\r\n",
    "日本/é😀.jpeg": b"unicode",
    "_DSC1234.JPG": b"camera",
    ".hidden.jpg": b"hidden",
    "_x/_y/z.jpg": b"hidden folders",
    "empty.jpg": b"",
    "a,b{c}[d]*?.jpg": b"glob",
    "back\\slash.jpg": b"backslash",
}


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.zst": lambda data: bytes(imagecodecs.zstd_encode(data)),
}


def make_folder(folder: Path, files: Files) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def make_tar(path: Path, files: Files, mode: str = "w", format_: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, mode, format=format_) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def make_zip(path: Path, files: Files, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def stored(
    spark: SparkSession, images: ImageFiles, folder: Path
) -> tuple[Files, image_writer.SequenceFileReport]:
    uri = str(folder / "seq")
    written = image_writer.write(spark, images, uri)
    pairs = sequence_file.read(spark, uri).collect()
    assert len(pairs) == len(dict(pairs)) == written.count
    assert images.count in (None, written.count)
    assert {path.name[:7] for path in (folder / "seq").iterdir()} <= {
        "part-r-",
        "part-d-",
        ".part-r",
        ".part-d",
    }
    return dict(pairs), written


def make(kind: str, folder: Path, files: Files) -> Path:
    match kind:
        case "folder":
            return make_folder(folder / "source %41,é", files)
        case "tar":
            return make_tar(folder / "source %41,é.tar", files)
        case "gnu tar":
            return make_tar(folder / "source", files, format_=tarfile.GNU_FORMAT)
        case "tar.gz" | "tar.bz2" | "tar.xz" | "tar.zst":
            path = make_tar(folder / "source.tar", files)
            packed = path.with_name(f"source, {kind}")
            packed.write_bytes(COMPRESS[kind](path.read_bytes()))
            path.unlink()
            return packed
        case "zip":
            return make_zip(folder / "source.zip", files)
    raise ValueError(kind)


@pytest.mark.parametrize("reader", ["workers", "driver"])
@pytest.mark.parametrize("kind", ["folder", "tar", "gnu tar", *COMPRESS, "zip"])
def test_keys_and_bytes_arrive_as_they_are(
    spark: SparkSession, tmp_path: Path, kind: str, reader: Reader
) -> None:
    long = {"/".join(["long" * 20] * 4) + ".jpg": b"long"}
    source = make(kind, tmp_path, STRANGE | long | {"notes.txt": b"?", "movie.avi": b"?"})
    with open_source(spark, str(source), reader=reader) as images:
        files, written = stored(spark, images, tmp_path)
    assert files == STRANGE | long
    assert written.skipped.counts == {"name matches no pattern": 2}
    assert {name for name, _ in written.skipped.examples} == {"notes.txt", "movie.avi"}


@pytest.mark.parametrize("reader", ["workers", "driver"])
@pytest.mark.parametrize("part", ["", "part-r-00000"])
def test_an_existing_sequence_file(spark: SparkSession, tmp_path: Path, part: str, reader: Reader) -> None:
    source = make_folder(tmp_path / "in", {"a.jpg": b"a", "b.png": b"b"})
    stored(spark, open_source(spark, str(source), reader="driver"), tmp_path / "first")
    existing = tmp_path / "first" / "seq"
    if part:
        existing = existing / "part-d-00000"
    images = open_source(spark, str(existing), ["*.jpg"], reader=reader)
    assert images.count is None
    files, written = stored(spark, images, tmp_path)
    assert files == {"a.jpg": b"a"}
    assert written.skipped.examples == [("b.png", "name matches no pattern")]
    assert not list(tmp_path.glob("*.uploaded"))


@pytest.mark.parametrize("uri", ["file://{}", "file:{}", "file://localhost{}"])
def test_file_uris(spark: SparkSession, tmp_path: Path, uri: str) -> None:
    folder = make_folder(tmp_path / "a b%20c", {"_x.jpg": b"x"})
    assert open_source(spark, uri.format(folder)).count == 1


def test_reading_is_spread(spark: SparkSession, tmp_path: Path) -> None:
    files = {f"{index}.jpg": bytes(5000) for index in range(20)}
    for kind in ("folder", "tar", "zip"):
        images = open_source(spark, str(make(kind, tmp_path, files)))
        assert images.by_workers is not None
        assert images.by_workers(spark.sparkContext).getNumPartitions() >= 8


@pytest.mark.parametrize(
    "case",
    [
        ("local[2]", "auto", False),
        ("yarn", "auto", True),
        ("yarn", "workers", False),
        ("spark://host:7077", "auto", True),
        ("local[2]", "driver", True),
    ],
)
def test_who_reads(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: tuple[str, Reader, bool]
) -> None:
    master, reader, by_driver = case
    monkeypatch.setattr(spark.sparkContext, "master", master)
    images = open_source(spark, str(make_folder(tmp_path / "in", {"a.jpg": b""})), reader=reader)
    assert (images.by_driver is not None, images.by_workers is not None) == (by_driver, not by_driver)


# ------------------------------------------------------------------------------------------------ folder


def test_links_are_followed_but_not_in_circles(spark: SparkSession, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", {"real/a.jpg": b"a", "other/b.jpg": b"b"})
    (folder / "file.jpg").symlink_to(folder / "real" / "a.jpg")
    (folder / "linked").symlink_to(make_folder(tmp_path / "elsewhere", {"c.jpg": b"c"}))
    (folder / "again").symlink_to(folder / "other")
    (folder / "real" / "up").symlink_to(folder)
    (folder / "broken.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "self.jpg").symlink_to(folder / "self.jpg")
    os.mkfifo(folder / "pipe.jpg")
    files, written = stored(spark, open_source(spark, str(folder)), tmp_path)
    assert files == {"real/a.jpg": b"a", "other/b.jpg": b"b", "linked/c.jpg": b"c", "file.jpg": b"a"}
    assert set(written.skipped.examples) == {
        ("real/up", "link to a folder that is read anyway"),
        ("again", "link to a folder that is read anyway"),
        ("broken.jpg", "dangling link"),
        ("self.jpg", "dangling link"),
        ("pipe.jpg", "not a regular file"),
    }


def test_names_that_are_not_utf8(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (b"\xe9.jpg", b"\xe8.jpg"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(name)
    files, _ = stored(spark, open_source(spark, str(folder)), tmp_path)
    assert files == {"\\xe9.jpg": b"\xe9.jpg", "\\xe8.jpg": b"\xe8.jpg"}


def test_a_file_that_vanishes_is_named(spark: SparkSession, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", {f"{index}.jpg": b"x" for index in range(20)})
    images = open_source(spark, str(folder))
    (folder / "13.jpg").unlink()
    with pytest.raises(UserError, match=r"cannot read '.*/in/13\.jpg': No such file"):
        image_writer.write(spark, images, str(tmp_path / "out"))


@pytest.mark.parametrize("locked", ["sub", "sub/a.jpg"])
def test_what_may_not_be_read_is_named(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    folder = make_folder(tmp_path / "in", {"sub/a.jpg": b"x"})
    if os.geteuid():
        (folder / locked).chmod(0)
    else:
        # Nothing is locked to root, so the system call is made to say so.
        def denied(path: object, *_: object) -> None:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr("builtins.open" if locked.endswith("jpg") else "os.scandir", denied)
    try:
        with pytest.raises(UserError, match=r"cannot (list|read).*: Permission denied"):
            read_here(open_source(spark, str(folder), reader="driver"))
    finally:
        (folder / locked).chmod(stat.S_IRWXU)


def read_here(images: ImageFiles) -> list[tuple[str, bytes]]:
    assert images.by_driver is not None
    return list(images.by_driver())


# ---------------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_a_single_top_folder_is_left_out(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    inside = {"cats/1.jpg": b"1", "dogs/1.jpg": b"2"}
    junk = {"__MACOSX/top/._1.jpg": b"m", ".DS_Store": b"d"}
    source = make(kind, tmp_path, {f"./top/{name}": data for name, data in inside.items()} | junk)
    files, written = stored(spark, open_source(spark, str(source)), tmp_path)
    assert files == inside
    assert written.skipped.counts == {"macOS metadata": 2}


def test_members_that_are_no_files(spark: SparkSession, tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar", {"top/a.jpg": b"a"})
    with tarfile.open(path, "a") as tar:
        for name, kind in [
            ("top", tarfile.DIRTYPE),
            ("top/hard.jpg", tarfile.LNKTYPE),
            ("soft.jpg", tarfile.SYMTYPE),
            ("pipe.jpg", tarfile.FIFOTYPE),
            ("device.jpg", tarfile.CHRTYPE),
        ]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "top/a.jpg"
            tar.addfile(member)
        sparse = tarfile.TarInfo("sparse.jpg")
        sparse.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1"}
        sparse.pax_headers |= {"GNU.sparse.size": "900"}
        sparse.size = 1
        tar.addfile(sparse, io.BytesIO(b"s"))
    files, written = stored(spark, open_source(spark, str(path)), tmp_path)
    assert files == {
        "top/a.jpg": b"a",
        "top/hard.jpg": b"a",
        "soft.jpg": b"a",
        "sparse.jpg": b"s" + bytes(899),
    }
    assert written.skipped.counts == {"not a regular file": 2}


def test_links_inside_an_archive_are_read(spark: SparkSession, tmp_path: Path) -> None:
    """As the folder is that was put into it, however the links follow each other."""
    folder = tmp_path / "folder"
    make_folder(folder, {"cat/1.jpg": b"one", "cat/2.jpg": b"two", "data.bin": b"three"})
    (folder / "both").mkdir()
    (folder / "both" / "1.jpg").hardlink_to(folder / "cat" / "1.jpg")
    (folder / "both" / "2.jpg").symlink_to("../cat/2.jpg")
    (folder / "both" / "3.jpg").symlink_to("2.jpg")
    (folder / "both" / "4.jpg").symlink_to("../data.bin")
    (folder / "both" / "lost.jpg").symlink_to("nothing.jpg")
    (folder / "both" / "out.jpg").symlink_to("/etc/hostname")
    expected = {
        "cat/1.jpg": b"one",
        "cat/2.jpg": b"two",
        "both/1.jpg": b"one",
        "both/2.jpg": b"two",
        "both/3.jpg": b"two",
        "both/4.jpg": b"three",
    }
    names = sorted(path for path in folder.rglob("*") if not path.is_dir())
    with tarfile.open(tmp_path / "x.tar", "w") as tar, tarfile.open(tmp_path / "x.tgz", "w:gz") as packed:
        for name in names:
            for archive in (tar, packed):
                archive.add(name, name.relative_to(folder))
    for kind in ("x.tar", "x.tgz"):
        files, written = stored(spark, open_source(spark, str(tmp_path / kind)), tmp_path / f"of {kind}")
        assert files == expected
        counts = {"name matches no pattern": 1, "link to nothing in the archive": 1}
        assert written.skipped.counts == counts | {"link that leads outside the archive": 1}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_link_to_a_folder_inside_an_archive(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    """Its images are read unless they are read under their own names, as in a folder on a disk."""
    links = {"cat": ".store/cat", "again": "dog", "loop": "loop", "dog/2.jpg": "../cat/1.jpg"}
    files = {".store/cat/1.jpg": b"1", ".store/cat/notes.txt": b"", "dog/1.jpg": b"3"}
    path = tmp_path / f"x.{kind}"
    if kind == "tar":
        make_tar(path, files)
        with tarfile.open(path, "a") as tar:
            for name, target in links.items():
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, target
                tar.addfile(link)
    else:
        make_zip(path, files)
        with zipfile.ZipFile(path, "a") as archive:
            for name, target in links.items():
                member = zipfile.ZipInfo(name)
                member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
                archive.writestr(member, target)
    found, written = stored(spark, open_source(spark, str(path)), tmp_path)
    assert found == {"cat/1.jpg": b"1", "dog/1.jpg": b"3", "dog/2.jpg": b"1"}
    assert written.skipped.counts == {
        "in a folder .store": 2,
        "name matches no pattern": 1,
        "link to a folder that is read anyway": 1,
        "link to nothing in the archive": 1,
    }


def test_links_to_folders_that_multiply_an_archive_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    make_tar(tmp_path / "x.tar", {f".store/{number}.jpg": b"" for number in range(1000)})
    with tarfile.open(tmp_path / "x.tar", "a") as tar:
        for number in range(1000):
            link = tarfile.TarInfo(str(number))
            link.type, link.linkname = tarfile.SYMTYPE, ".store"
            tar.addfile(link)
    with pytest.raises(UserError, match="its links stand for more than 200 times its members"):
        open_source(spark, str(tmp_path / "x.tar"))


@pytest.mark.parametrize("second", ["zip", "tar"])
def test_another_archive_beside_a_zip_is_not_lost(spark: SparkSession, tmp_path: Path, second: str) -> None:
    first = make_zip(tmp_path / "1.zip", {"cat/1.jpg": b"1"}).read_bytes()
    make = make_zip if second == "zip" else make_tar
    (tmp_path / "x.zip").write_bytes(first + make(tmp_path / "2", {"dog/1.jpg": b"2"}).read_bytes())
    with pytest.raises(UserError, match=r"another zip comes before it|other bytes follow it"):
        open_source(spark, str(tmp_path / "x.zip"))
    (tmp_path / "x.zip").write_bytes(first + bytes(5000))
    assert stored(spark, open_source(spark, str(tmp_path / "x.zip")), tmp_path)[0] == {"1.jpg": b"1"}


def test_a_file_that_is_named_like_a_tar_but_is_none(spark: SparkSession, tmp_path: Path) -> None:
    make_tar(tmp_path / "x.tar", {"cat/1.jpg": b"1", "dog/notes.tar": b"text", "dog/empty.tar": b""})
    found, written = stored(spark, open_source(spark, str(tmp_path / "x.tar")), tmp_path)
    assert (found, written.skipped.counts) == ({"cat/1.jpg": b"1"}, {"archive inside an archive": 2})
    make_tar(tmp_path / "y.tar", {"cat/1.jpg": b"1", "dog.tar": b"damaged".ljust(1024)})
    with pytest.raises(UserError, match=r"is no tar, in its member 'dog\.tar'"):
        open_source(spark, str(tmp_path / "y.tar"))


def test_folders_of_programs_are_skipped(spark: SparkSession, tmp_path: Path) -> None:
    files = {
        "cat/1.jpg": b"1",
        "dog/2.jpg": b"2",
        "cat/.ipynb_checkpoints/1-checkpoint.jpg": b"1",
        "dog/@eaDir/2.jpg/SYNOPHOTO_THUMB_M.jpg": b"x",
        "$RECYCLE.BIN/$R1.jpg": b"x",
        ".git/a/b.jpg": b"x",
    }
    make_folder(tmp_path / "folder", files)
    archives = [make_tar(tmp_path / "x.tar", files), make_zip(tmp_path / "x.zip", files)]
    for source in (tmp_path / "folder", *archives):
        found, written = stored(spark, open_source(spark, str(source)), tmp_path / f"of {source.name}")
        assert found == {"cat/1.jpg": b"1", "dog/2.jpg": b"2"}
        assert written.skipped.counts == {
            f"in a folder {name}": 1 for name in (".ipynb_checkpoints", "@eaDir", "$RECYCLE.BIN", ".git")
        }


def test_the_top_folder_stays_if_another_one_is_skipped(spark: SparkSession, tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar", {"dog/1.jpg": b"1"})
    with tarfile.open(path, "a") as tar:
        member = tarfile.TarInfo("cat/1.jpg")
        member.type = tarfile.FIFOTYPE
        tar.addfile(member)
    assert stored(spark, open_source(spark, str(path)), tmp_path)[0] == {"dog/1.jpg": b"1"}


@pytest.mark.parametrize("packed", ["", *COMPRESS])
def test_archives_that_follow_each_other(spark: SparkSession, tmp_path: Path, packed: str) -> None:
    compress = COMPRESS.get(packed, bytes)
    parts = [make_tar(tmp_path / f"{name}.tar", {f"{name}/1.jpg": name.encode()}) for name in ("cat", "dog")]
    path = tmp_path / "all"
    path.write_bytes(b"".join(compress(part.read_bytes()) for part in parts))
    files, _ = stored(spark, open_source(spark, str(path)), tmp_path)
    assert files == {"cat/1.jpg": b"cat", "dog/1.jpg": b"dog"}
    path.write_bytes(parts[0].read_bytes() + b"no tar".ljust(512, b"!"))
    with pytest.raises(UserError, match="is damaged or incomplete: bad header"):
        open_source(spark, str(path))


def tar_of_tars(folder: Path) -> tuple[bytes, Files]:
    """Make a tar with tars, as ImageNet is one, and with what may be in their way; return its images too."""
    inner: Files = {
        "n1_1.JPEG": random.Random(1).randbytes(9000),
        "x" * 200 + "é.jpg": b"long",
        "../../n1_2.jpg": b"stays inside",
        "n1/n1_3.jpg": b"",
        ".git/a.jpg": b"hidden",
        "notes.txt": b"",
    }
    with tarfile.open(make_tar(folder / "n1", inner), "a") as tar:
        for name, kind, target in [
            ("hard.jpg", tarfile.LNKTYPE, "n1_1.JPEG"),
            ("n1/soft.jpg", tarfile.SYMTYPE, "../n1_1.JPEG"),
            ("out.jpg", tarfile.SYMTYPE, "../outside.jpg"),
        ]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    deep = make_tar(folder / "n2", {"n2_1.jpg": b"2"}, format_=tarfile.GNU_FORMAT).read_bytes()
    levels = [deep]
    for _ in range(3):
        levels.append(make_tar(folder / "level", {"in.tar": levels[-1]}).read_bytes())
    outer: Files = {
        "outside.jpg": b"o",
        "n1.tar": (folder / "n1").read_bytes(),
        "train/n2.TAR": deep + make_tar(folder / "n2", {"n2_2.jpg": b"another archive"}).read_bytes(),
        "deep.tar": levels[2],
        "deeper.tar": levels[3],
        "empty.tar": bytes(10240),
        "image.tar.jpg": deep,
        ".git/n.tar": deep,
        "._n1.tar": b"metadata",
        "packed.tar": gzip.compress(deep),
        "a.zip": b"PK",
        "a.tar.xz": b"",
        "read.me": b"",
        "last.jpg": b"last",
    }
    expected: Files = {
        "outside.jpg": b"o",
        "n1/n1_1.JPEG": inner["n1_1.JPEG"],
        f"n1/{'x' * 200}é.jpg": b"long",
        "n1/n1_2.jpg": b"stays inside",
        "n1/n1/n1_3.jpg": b"",
        "n1/hard.jpg": inner["n1_1.JPEG"],
        "n1/n1/soft.jpg": inner["n1_1.JPEG"],
        "train/n2/n2_1.jpg": b"2",
        "train/n2/n2_2.jpg": b"another archive",
        "deep/in/in/n2_1.jpg": b"2",
        "image.tar.jpg": deep,
        "last.jpg": b"last",
    }
    return make_tar(folder / "outer", outer).read_bytes(), expected


SKIPPED_OF_TARS = {
    "name matches no pattern": 2,
    "in a folder .git": 2,
    "archive inside an archive": 4,
    "macOS metadata": 1,
    "link that leads outside the archive": 1,
}


@pytest.mark.parametrize("packed", ["", *COMPRESS])
def test_tars_in_a_tar_are_folders(spark: SparkSession, tmp_path: Path, packed: str) -> None:
    data, expected = tar_of_tars(tmp_path)
    source = tmp_path / "source"
    source.write_bytes(COMPRESS.get(packed, bytes)(data))
    files, written = stored(spark, open_source(spark, str(source)), tmp_path)
    assert files == expected
    assert written.skipped.counts == SKIPPED_OF_TARS


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (b"blocks", "it is no tar"),
        (b"cut", "it ends before its end mark"),
        (b"header", "bad header"),
    ],
)
def test_a_damaged_tar_in_a_tar(spark: SparkSession, tmp_path: Path, inner: bytes, message: str) -> None:
    good = make_tar(tmp_path / "x", {"1.jpg": b"1", "2.jpg": b"2"}).read_bytes()
    inner = {b"cut": good[:2048], b"header": good[:1024] + b"?" * 1024, b"blocks": b"?" * 1024}[inner]
    source = make_tar(tmp_path / "x.tar", {"1.jpg": b"1", "a/cat.tar": inner, "dog.tar": good})
    with pytest.raises(UserError, match=f"damaged or incomplete: {message}.*, in its member 'a/cat.tar'"):
        open_source(spark, str(source))


class Forward(io.BytesIO):
    """A file that is unpacked again from its beginning if anybody goes back."""

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert offset >= self.tell()
        return super().seek(offset, whence)


def test_a_tar_is_listed_in_one_pass(tmp_path: Path) -> None:
    data, expected = tar_of_tars(tmp_path)
    data += make_tar(tmp_path / "x", {"another.jpg": b""}).read_bytes()
    listing, _, _ = list_tar("x", Forward(data), Patterns(["*.jpg", "*.jpeg"]), len(data))
    assert len(listing) == len(expected) + 1


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_compressed_tar_in_streams(tmp_path: Path, kind: str) -> None:
    """As parallel compressors write it: cut at any byte, and padded."""
    compress, files = (
        COMPRESS[kind],
        {f"{index}.jpg": random.Random(index).randbytes(3000) for index in range(9)},
    )
    data = make_tar(tmp_path / "x", files).read_bytes()
    packed = b"".join(compress(data[start : start + 1_111]) for start in range(0, len(data), 1_111)) + bytes(
        8
    )
    path = tmp_path / "packed"
    path.write_bytes(packed)
    assert read_compressed(path) == files
    for damaged in (packed[:-20], packed + b"more", packed.replace(compress(data[2222:3333]), b"x" * 99)):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="'packed' is damaged or incomplete"):
            read_compressed(path)


@pytest.mark.parametrize(
    ("program", "kind"), [("xz", "xz"), ("bzip2", "bz2"), ("zstd", "zst"), ("pzstd", "zst")]
)
def test_what_other_programs_have_compressed(tmp_path: Path, program: str, kind: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    files = {f"{index}.jpg": random.Random(index).randbytes(60_000) + bytes(90_000) for index in range(9)}
    path = make_tar(tmp_path / "x.tar", files)
    subprocess.run([program, "-q", path], check=True)
    assert read_compressed(path.with_suffix(f".tar.{kind}")) == files


def read_compressed(path: Path) -> Files:
    source = CompressedTarSource()
    assert source.has_format(path.read_bytes()[:512])
    listing, prefix, _ = source.list_members(path.name, str(path), Patterns(["*.jpg"]))
    (split,) = source.splits(str(path), prefix, listing, 2)
    return dict(split.read())


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_compressed_file_that_is_no_tar(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photo.jpg.gz"
    path.write_bytes(COMPRESS[kind](b"\xff\xd8\xff\xe0 a photo"))
    with pytest.raises(
        UserError, match=r"the content of '.*photo\.jpg\.gz' is no tar, .*begins with b'\\xff"
    ):
        open_source(spark, str(path))


def test_a_tar_that_begins_like_a_zip(spark: SparkSession, tmp_path: Path) -> None:
    source = make_tar(tmp_path / "x.tar", {"PKLot/1.jpg": b"1", "dog/1.jpg": b"2"})
    assert open_source(spark, str(source)).count == 2


def test_files_that_change_places_have_another_stamp(tmp_path: Path) -> None:
    """Two folders of files of one size and time are renamed, which changes no time of the files."""
    for name in ("s0", "s1"):
        make_folder(tmp_path / "x", {f"{name}/1.jpg": name.encode()})
        os.utime(tmp_path / "x" / name / "1.jpg", ns=(10**18, 10**18))
    patterns, path = Patterns(["*.jpg"]), tmp_path / "x"

    def look() -> dict[bytes, tuple[int, ...]]:
        return {
            name: (size, modified, *identity)
            for name, (size, modified, _, *identity) in list_folder("x", str(path), patterns)[0].rows()
        }

    before, seen = look(), look_at(str(path))
    for old, new in (("s0", "t"), ("s1", "s0"), ("t", "s1")):
        (path / old).rename(path / new)
    assert all(before[name] != state for name, state in look().items())
    assert look_at(str(path)) != seen


def test_archives_that_change_places_have_another_stamp(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        os.utime(make_tar(tmp_path / name / "x.tar", {"1.jpg": name.encode()}), ns=(10**18, 10**18))

    def stamps() -> list[str]:
        while True:  # a file that was changed just now has none
            listed = open_source(spark, str(tmp_path / "a" / "x.tar")).listed
            assert listed
            found = listed.stamps()["stamp"].to_pylist()
            if None not in found:
                return found

    before = stamps()
    assert before == stamps()
    for old, new in (("a", "t"), ("b", "a")):
        (tmp_path / old).rename(tmp_path / new)
    assert before != stamps()


def test_members_stay_inside(spark: SparkSession, tmp_path: Path) -> None:
    source = make_tar(tmp_path / "x.tar", {"/etc/a.jpg": b"a", "../../b.jpg": b"b", "c/../d.jpg": b"d"})
    files, _ = stored(spark, open_source(spark, str(source)), tmp_path)
    assert files == {"etc/a.jpg": b"a", "b.jpg": b"b", "d.jpg": b"d"}


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_members_of_the_same_key(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    source = make(kind, tmp_path, {"a.jpg": b"1", "../a.jpg": b"2"})
    with pytest.raises(UserError, match=r"same key as another image, such as 'a\.jpg'"):
        open_source(spark, str(source))


@pytest.mark.parametrize("twice", ["link.jpg", "a.jpg"])
def test_links_of_the_same_key(spark: SparkSession, tmp_path: Path, twice: str) -> None:
    path = make_tar(tmp_path / "x.tar", {"a.jpg": b"1", "b.jpg": b"2"})
    with tarfile.open(path, "a") as tar:
        for target, name in (("a.jpg", twice), ("b.jpg", "link.jpg")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.LNKTYPE, target
            tar.addfile(member)
    with pytest.raises(UserError, match=f"same key as another image, such as '{twice}'"):
        open_source(spark, str(path))


@pytest.mark.parametrize("kind", ["tar", "gnu tar", "zip"])
def test_archive_names_that_are_not_unicode(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    path = make(kind, tmp_path, {"AAAA.jpg": b"1", "BBBB.jpg": b"2", "CC.jpg": b"3"})
    data = path.read_bytes().replace(b"CC.jpg", b"\xc3\xa9.jpg")
    for old, new in ((b"AAAA", b"\x82\xffAA"), (b"BBBB", b"\x82\xfeBB")):
        data = data.replace(old, new)
    if kind != "zip":
        data = with_new_checksums(data)
    path.write_bytes(data)
    files, _ = stored(spark, open_source(spark, str(path)), tmp_path)
    strange = ("é\xa0AA", "é■BB") if kind == "zip" else ("\\x82\\xffAA", "\\x82\\xfeBB")
    assert files == {f"{strange[0]}.jpg": b"1", f"{strange[1]}.jpg": b"2", "é.jpg": b"3"}


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_zip_compression(spark: SparkSession, tmp_path: Path, method: int) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.jpg": bytes(9000), "b.jpg": b""}, method)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("c.jpg", b"c")
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "a.jpg")
        archive.writestr("folder/", b"")
    files, written = stored(spark, open_source(spark, str(path)), tmp_path)
    assert files == {"a.jpg": bytes(9000), "b.jpg": b"", "c.jpg": b"c", "link.jpg": bytes(9000)}
    assert written.skipped.counts == {}


@pytest.mark.parametrize(
    ("method", "compress"),
    [
        (9, lambda data: (deflater := inflate64.Deflater()).deflate(data) + deflater.flush()),
        (93, lambda data: bytes(imagecodecs.zstd_encode(data))),
        (95, lzma.compress),
    ],
)
def test_zip_methods_that_python_does_not_know(
    spark: SparkSession, tmp_path: Path, method: int, compress: Callable[[bytes], bytes]
) -> None:
    content = np.random.default_rng(0).integers(0, 9, 99_999).astype(np.uint8).tobytes()
    path = make_zip(tmp_path / "x.zip", {"a.jpg": compress(content)}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    for magic, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        start = data.index(magic) + at
        struct.pack_into("<H", data, start, method)
        struct.pack_into("<I", data, start + 6, zlib.crc32(content))
        struct.pack_into("<I", data, start + 14, len(content))
    path.write_bytes(data)
    assert stored(spark, open_source(spark, str(path)), tmp_path)[0] == {"a.jpg": content}


def test_a_zip_with_the_name_in_unicode_in_a_field_of_its_own(spark: SparkSession, tmp_path: Path) -> None:
    path, name, plain = tmp_path / "x.zip", "café/写真.jpg", "caf_/__.jpg"
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo(plain)
        field = struct.pack("<BI", 1, zlib.crc32(plain.encode())) + name.encode()
        member.extra = struct.pack("<HH", 0x7075, len(field)) + field
        archive.writestr(member, b"x")
        archive.writestr("b.jpg", b"y")
    assert stored(spark, open_source(spark, str(path)), tmp_path)[0] == {name: b"x", "b.jpg": b"y"}


def encrypt(path: Path, *names: str) -> None:
    """Mark members of a zip as encrypted."""
    data = bytearray(path.read_bytes())
    for name in names:
        in_directory = data.rindex(name.encode()) - 46
        assert data[in_directory:][:4] == b"PK\x01\x02"
        data[in_directory + 8] |= 1
        data[data.index(name.encode()) - 30 + 6] |= 1
    path.write_bytes(data)


def test_encrypted_members_are_skipped(spark: SparkSession, tmp_path: Path) -> None:
    """One class alone is left, and keeps its label."""
    path = make_zip(tmp_path / "x.zip", {"cat/1.jpg": b"secret", "dog/1.jpg": b"d"})
    encrypt(path, "cat/1.jpg")
    files, written = stored(spark, open_source(spark, str(path)), tmp_path)
    assert files == {"dog/1.jpg": b"d"}
    assert written.skipped.counts == {"encrypted": 1}


def test_an_archive_of_encrypted_members_alone(spark: SparkSession, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {f"{index}.txt": b"" for index in range(3)} | {"a.jpg": b"secret"})
    encrypt(path, "a.jpg")
    with pytest.raises(UserError, match=r"no image in .*: 4 skipped.*\nEncrypted members are not read"):
        open_source(spark, str(path))


def test_a_damaged_member_of_a_zip(spark: SparkSession, tmp_path: Path) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.jpg": b"good", "b.jpg": b"precious"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"precious", b"precioux"))
    with pytest.raises(UserError, match=r"member 'b\.jpg' of the archive .* is damaged"):
        image_writer.write(spark, open_source(spark, str(path)), str(tmp_path / "out"))


@pytest.mark.parametrize("kind", ["tar", *COMPRESS, "zip"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_archive_cut_short(spark: SparkSession, tmp_path: Path, kind: str, share: float) -> None:
    generator = random.Random(7)
    path = make(kind, tmp_path, {f"{index}.jpg": generator.randbytes(4000) for index in range(9)})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data.rstrip(b"\0")) * share)])
    with pytest.raises(UserError, match="damaged or incomplete"):
        open_source(spark, str(path))


@settings(max_examples=40)
@given(cut=st.integers(513, 6000), gzipped=st.booleans())
def test_a_tar_cut_anywhere_is_noticed(cut: int, gzipped: bool) -> None:
    files = {f"{index}.jpg": bytes([index]) * 700 for index in range(4)}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    data = plain.getvalue()[:cut]
    file = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(data))) if gzipped else io.BytesIO(data)
    with pytest.raises(UserError, match="damaged or incomplete"):
        list_tar("x.tar", file, Patterns(["*.jpg"]), len(data))


def test_a_damaged_header_is_not_the_end(spark: SparkSession, tmp_path: Path) -> None:
    path = make_tar(tmp_path / "x.tar", {"a.jpg": b"a", "b.jpg": b"b", "c.jpg": b"c"})
    data = bytearray(path.read_bytes())
    data[1024 + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged or incomplete: bad header"):
        open_source(spark, str(path))


@pytest.mark.whole
def test_an_archive_that_changes_after_it_was_listed(spark: SparkSession, tmp_path: Path) -> None:
    for kind in ("tar", *COMPRESS, "zip"):
        path = make(
            kind, tmp_path, {f"{index}.jpg": random.Random(index).randbytes(9000) for index in range(9)}
        )
        images = open_source(spark, str(path))
        path.write_bytes(path.read_bytes()[:20_000])
        with pytest.raises(UserError, match=r"cannot read the archive|is damaged"):
            image_writer.write(spark, images, str(tmp_path / kind))


def test_splits_read_without_spark(tmp_path: Path) -> None:
    """What runs in a worker needs neither Spark nor the driver's memory of the archive."""
    files = {"a.jpg": b"1", "b.jpg": b"22"}
    patterns = Patterns(["*.jpg"])
    tar = make("tar", tmp_path, files)
    with tar.open("rb") as file:
        listing, prefix, _ = list_tar("x", file, patterns, tar.stat().st_size)
    assert dict(TarSplit(str(tar), prefix, listing.all_rows()).read()) == files
    archive = make("zip", tmp_path, files)
    listing, prefix, _ = list_zip("x", str(archive), patterns)
    assert dict(ZipSplit(str(archive), prefix, listing.all_rows()).read()) == files
    folder = make("folder", tmp_path, files)
    listing = listing.__class__()
    listing.add(b"a.jpg", 1)
    assert dict(FolderSplit(bytes(folder), listing.all_rows()).read()) == {"a.jpg": b"1"}


# -------------------------------------------------------------------------------------------- by content

JPEG = b"\xff\xd8\xff\xe0" + bytes(3000)
BY_CONTENT: Files = {
    "cat/photo.jpg.1": JPEG,
    "cat/a.jpg?size=large": b"\x89PNG\r\n\x1a\n",
    "dog/IMG_1.HEIC": JPEG,
    "dog/no ending": b"GIF89a",
    "dog/a.jpg": b"by its name",
    "dog/back\\slash.jpg.1": JPEG,
}
NOT_BY_CONTENT: Files = {
    "dog/real.HEIC": bytes(4) + b"ftypheic",
    "dog/empty": b"",
    "dog/text": b"BM is no bitmap, and P6 is no image",
    "dog/.hidden": JPEG,
    "dog/._a.jpg.1": JPEG,
    "dog/.git/a.jpg.1": JPEG,
}


@pytest.mark.parametrize("kind", ["folder", "tar", "gnu tar", *COMPRESS, "zip"])
def test_content_decides_where_names_do_not(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    source = make(kind, tmp_path, BY_CONTENT | NOT_BY_CONTENT)
    files, written = stored(spark, open_source(spark, str(source), by_content=True), tmp_path)
    assert files == BY_CONTENT
    reasons = {"name matches no pattern": 3, "hidden file": 1, "macOS metadata": 1, "in a folder .git": 1}
    assert written.skipped.counts == reasons
    assert open_source(spark, str(source)).count == 1


def test_content_decides_in_a_sequence_file(spark: SparkSession, tmp_path: Path) -> None:
    source = make("folder", tmp_path, BY_CONTENT | NOT_BY_CONTENT)
    stored(spark, open_source(spark, str(source), ["*"]), tmp_path / "first")
    existing = str(tmp_path / "first" / "seq")
    assert stored(spark, open_source(spark, existing, by_content=True), tmp_path / "all")[0] == BY_CONTENT
    assert list(stored(spark, open_source(spark, existing), tmp_path / "one")[0]) == ["dog/a.jpg"]


def test_content_decides_in_inner_tars_and_for_links(spark: SparkSession, tmp_path: Path) -> None:
    """A tar whose first member has a name like the beginning of an image is a tar all the same."""
    inner = make_tar(tmp_path / "inner", {"GIF8/1": JPEG, "GIF8/2": b"text"}).read_bytes()
    path = make_tar(tmp_path / "x.tar", {"cat.tar": inner, "a.jpg": JPEG, "b.txt": b"text"})
    with tarfile.open(path, "a") as tar:
        for name, target in (("link to image", "a.jpg"), ("link to text", "b.txt")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.LNKTYPE, target
            tar.addfile(member)
    files, written = stored(spark, open_source(spark, str(path), by_content=True), tmp_path)
    assert files == {"cat/GIF8/1": JPEG, "a.jpg": JPEG, "link to image": JPEG}
    assert written.skipped.counts == {"name matches no pattern": 3}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_content_of_large_members_of_a_zip(tmp_path: Path, method: int) -> None:
    content = JPEG + random.Random(1).randbytes(5 << 18)
    path = make_zip(tmp_path / "x.zip", {"a": content, "b": content[4:]}, method)
    listing, _, _ = list_zip("x", str(path), Patterns(["*.jpg"], by_content=True))
    assert list(listing.names()) == [b"a"]


def test_a_tar_is_listed_by_content_in_one_pass(tmp_path: Path) -> None:
    files = {f"{size}": (JPEG * 2)[:size] for size in (0, 4, 63, 64, 65, 511, 512, 513, 5000)}
    data = make_tar(
        tmp_path / "x", files | {"inner.tar": make_tar(tmp_path / "x", files).read_bytes()}
    ).read_bytes()
    listing, _, _ = list_tar("x", Forward(data), Patterns(["*.jpg"], by_content=True), len(data))
    assert len(listing) == 2 * (len(files) - 1)


# ------------------------------------------------------------------------------------------ nothing there


def test_sources_that_are_not_there(spark: SparkSession, tmp_path: Path) -> None:
    for source in (str(tmp_path / "none"), f"file://{tmp_path}/none"):
        with pytest.raises(UserError, match=r"none' does not exist"):
            open_source(spark, source)
    with pytest.raises(UserError, match="no source"):
        open_source(spark, " ")


def test_sources_with_nothing_in_them(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    make_tar(tmp_path / "x.tar", {})
    make_zip(tmp_path / "x.zip", {})
    for name in ("folder", "file", "x.tar", "x.zip"):
        with pytest.raises(UserError, match=f"{name}' is empty"):
            open_source(spark, str(tmp_path / name))


def test_a_source_without_images(spark: SparkSession, tmp_path: Path) -> None:
    source = make_folder(tmp_path / "in", {"a.txt": b"", "b/c.JPG": b""})
    with pytest.raises(
        UserError, match=r"no image in .*: 2 skipped, such as 'a\.txt' .*\nPatterns: \*\.png, \*\.gif"
    ):
        open_source(spark, str(source), ["*.png", "*.gif"])


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff\xe0 a photo", b"x" * 5000, b"\x1f\x8b\x08 no gzip", b"PK no zip"]
)
def test_files_of_another_kind(spark: SparkSession, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "photo.jpg").write_bytes(data)
    with pytest.raises(UserError, match=r"photo\.jpg"):
        open_source(spark, str(tmp_path / "photo.jpg"))


def test_default_patterns_take_what_opencv_reads() -> None:
    patterns = Patterns(DEFAULT_PATTERNS)
    for name in (
        "a.jpg",
        "a.JPEG",
        "a.png",
        "a.tif",
        "a.webp",
        "a.avif",
        "a.gif",
        "a.jp2",
        "a.bmp",
        "a.pgm",
        "a.hdr",
    ):
        assert patterns.match(name)
    assert not patterns.match("a.txt")


def test_a_failed_write_leaves_no_copy(spark: SparkSession, tmp_path: Path) -> None:
    source = make_folder(tmp_path / "in", {"a.jpg": b"", "b.jpg": b""})
    images = open_source(spark, str(source), reader="driver")
    shutil.rmtree(source)
    with pytest.raises(UserError, match="cannot read"):
        image_writer.write(spark, images, str(tmp_path / "out"))
    assert not list(tmp_path.rglob("part-*"))


# -------------------------------------------------------------------------------------------- new sources


class ListOfFiles:
    """A kind of source that only this test knows: a text file that names images."""

    formats = ("list of files",)

    def recognizes(self, place: Place) -> bool:
        return place.head.startswith(b"# images")

    def open(self, place: Place) -> ImageFiles:
        names = Path(str(place.path)).read_text().splitlines()[1:]
        pairs = [(name, b"content") for name in names]
        return ImageFiles(place.source, place.patterns, len(pairs), Skipped(), by_driver=lambda: iter(pairs))


def test_a_new_kind_of_source_is_a_class_and_an_entry(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list").write_text("# images\na.jpg\nb.jpg\n")
    with pytest.raises(
        UserError,
        match=r"is not a SequenceFile, folder, zip, tar\.gz, tar\.bz2, tar\.xz, tar\.zst or tar, or",
    ):
        open_source(spark, str(tmp_path / "list"))
    monkeypatch.setattr(sources, "SOURCES", (*sources.SOURCES, ListOfFiles()))
    files, _ = stored(spark, open_source(spark, str(tmp_path / "list")), tmp_path)
    assert files == {"a.jpg": b"content", "b.jpg": b"content"}
