"""Archives made to harm: each is refused in a line or two, or its members are counted as skipped."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from types import ModuleType

import pytest
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.spark import sequence_file
from vision_assets.steps import image_writer
from vision_assets.steps.features import extract
from vision_assets.steps.image_index import read_images
from vision_assets.steps.sources import open_source
from vision_assets.steps.sources.compression import zstd
from vision_assets.vision.features.sift import SiftOptions
from vision_assets_tests.torture.archives import (
    header,
    list_archive,
    mutated_archive,
    read_archive,
    sparse_header,
    with_new_checksums,
)

SUFFIXES = (".tar", ".gz", ".zip")
END = bytes(1024)
ONE_IMAGE = header("a.jpg", tarfile.REGTYPE, 0)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("numbers", [range(300), pytest.param(range(300, 10_000), marks=pytest.mark.torture)])
def test_mutated_archives_are_read_or_refused(tmp_path: Path, suffix: str, numbers: range) -> None:
    path = tmp_path / f"x{suffix}"
    refused = 0
    for number in numbers:
        path.write_bytes(mutated_archive(suffix, number))
        refused += is_refused(path)
    assert len(numbers) // 10 < refused < len(numbers)


def is_refused(path: Path) -> bool:
    try:
        read_archive(path)
    except UserError as error:
        return len(str(error).splitlines()) <= 2
    return False


# --------------------------------------------------------------------------------------------------- tar


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header("n", tarfile.GNUTYPE_LONGNAME, 1 << 40), "claims that a name has 1,099,511,627,776 bytes"),
        (header("n", tarfile.XHDTYPE, 1 << 33), "claims that a name has 8,589,934,592 bytes"),
        (header("n", tarfile.XGLTYPE, -512), "claims that a name has -512 bytes"),
        (ONE_IMAGE + header("b.jpg", tarfile.REGTYPE, -1024), "member 'b.jpg' has a negative size"),
        (ONE_IMAGE + header("b.jpg", tarfile.REGTYPE, 1 << 42), "unexpected end"),
        (2000 * (header("n", tarfile.GNUTYPE_LONGNAME, 4) + b"name".ljust(512, b"\0")), "recursion"),
        (sparse_header(9, extended=True), "index out of range"),
    ],
    ids=["long name", "pax", "global pax", "below zero", "beyond the end", "name after name", "sparse map"],
)
@pytest.mark.parametrize("suffix", [".tar", ".gz"])
def test_headers_of_a_tar_that_lie(tmp_path: Path, suffix: str, data: bytes, message: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(gzip.compress(data) if suffix == ".gz" else data)

    with pytest.raises(UserError, match=r"^the archive 'x\.") as caught:
        list_archive(path)

    assert message in str(caught.value) or "would unpack to more than 200 times" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("suffix", [".tar", ".gz"])
def test_a_sparse_member_of_terabytes_is_skipped(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    data = sparse_header(1 << 43) + ONE_IMAGE + END
    path.write_bytes(gzip.compress(data) if suffix == ".gz" else data)

    listing, skipped = list_archive(path)

    assert list(listing.names()) == [b"a.jpg"]
    assert skipped.counts == {"larger than 1 GiB": 1}


def test_very_many_links_to_one_member_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("a.jpg")
        member.size = 1 << 20
        tar.addfile(member, io.BytesIO(bytes(1 << 20)))
        for number in range(3000):
            link = tarfile.TarInfo(f"{number}.jpg")
            link.type, link.linkname = tarfile.LNKTYPE, "a.jpg"
            tar.addfile(link)

    with pytest.raises(UserError, match="would unpack to more than 200 times that"):
        list_archive(path)


@pytest.mark.torture
@pytest.mark.parametrize("module", [gzip, bz2, lzma, zstd])
@pytest.mark.parametrize("head", [ONE_IMAGE + END, header("a.jpg", tarfile.REGTYPE, 3 << 30)])
def test_compressed_zeros(tmp_path: Path, module: ModuleType, head: bytes) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(module.compress(head) + module.compress(bytes(1 << 26)) * 48)

    with pytest.raises(UserError, match="would unpack to more than 200 times that"):
        list_archive(path)


# --------------------------------------------------------------------------------------------------- zip


def zip_of(*members: tuple[list[str], int, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Make a zip of packed members with the sizes that they claim, of which one may have many names."""
    data, directory = b"", b""
    for names, size, packed in members:
        for name in names:
            fixed = struct.pack("<HHHHIIIHH", 0x800, method, 0, 0, 0, len(packed), size, len(name), 0)
            directory += b"PK\x01\x02\x14\x03\x14\0" + fixed + struct.pack("<HHHII", 0, 0, 0, 0, len(data))
            directory += name.encode()
        data += b"PK\x03\x04\x14\0" + fixed + name.encode() + packed
    count = sum(len(names) for names, _, _ in members)
    return (
        data
        + directory
        + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(directory), len(data), 0)
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_member_that_is_larger_than_it_says(tmp_path: Path, method: int) -> None:
    zeros = bytes(50 << 20)
    packed = zlib.compress(zeros)[2:-4] if method == zipfile.ZIP_DEFLATED else bz2.compress(zeros)
    del zeros
    (tmp_path / "x.zip").write_bytes(zip_of((["0.jpg"], 1000, packed), method=method))

    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"member '0\.jpg' of the archive .*x\.zip' is damaged"):
            read_archive(tmp_path / "x.zip")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_members_that_share_their_bytes(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(1 << 20))[2:-4]
    data = zip_of(([f"{copy:02}.jpg" for copy in range(50)], 1 << 20, packed), method=zipfile.ZIP_DEFLATED)
    (tmp_path / "x.zip").write_bytes(data)

    with pytest.raises(UserError, match=r"'x\.zip' is .* member '01\.jpg' shares bytes with another"):
        list_archive(tmp_path / "x.zip")


def test_a_member_beyond_the_end(tmp_path: Path) -> None:
    data = bytearray(zip_of((["0.jpg"], 3, b"abc")))
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 20, 0xFFFFFFF0)
    (tmp_path / "x.zip").write_bytes(data)

    with pytest.raises(UserError, match=r"member '0\.jpg' is outside of it"):
        list_archive(tmp_path / "x.zip")


def test_a_zip_that_would_fill_the_disk(tmp_path: Path) -> None:
    members = [([f"{number}.jpg"], 1 << 30, bytes(500)) for number in range(3)]
    (tmp_path / "x.zip").write_bytes(zip_of(*members, method=zipfile.ZIP_BZIP2))

    with pytest.raises(
        UserError, match=r"'x\.zip' .* would unpack to more than 200 times that, .*member '"
    ) as e:
        list_archive(tmp_path / "x.zip")

    assert len(str(e.value).splitlines()) == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_zips_in_archives_are_not_opened(tmp_path: Path, suffix: str) -> None:
    inner = zip_of((["0.jpg"], 3, b"abc"))
    path = archive_of(tmp_path / f"x{suffix}", {"inner.zip": inner, "inner.jpg": inner})

    assert read_archive(path) == {"inner.jpg": inner}
    assert list_archive(path)[1].counts == {"archive inside an archive": 1}


# ------------------------------------------------------------------------------------------- many, names


def archive_of(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name), data)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [5000, pytest.param(1_000_000, marks=pytest.mark.torture)])
def test_very_many_empty_members(tmp_path: Path, suffix: str, count: int) -> None:
    path = archive_of(tmp_path / f"x{suffix}", {f"{index}.jpg": b"" for index in range(count)})

    listing, _ = list_archive(path)
    path.unlink()  # half a gigabyte

    assert len(listing) == count
    assert sum(1 for entries in listing.cut(2) for _ in entries) == count


STRANGE = {
    "n" * 3996 + ".jpg": "n" * 3996 + ".jpg",
    "../../../up.jpg": "up.jpg",
    "/etc/absolute.jpg": "etc/absolute.jpg",
    "a/../../../b/./c//over.jpg": "b/c/over.jpg",
    "file:///etc/uri.jpg": "file:/etc/uri.jpg",
    "hdfs://host:9000/x.jpg": "hdfs:/host:9000/x.jpg",
    "line\nbreak\r.jpg": "line\nbreak\r.jpg",
    "C:\\Windows\\back.jpg": "C:\\Windows\\back.jpg",
    'a<b>c:d"e|f?g*h.jpg': 'a<b>c:d"e|f?g*h.jpg',
    "CON.jpg": "CON.jpg",
    "con.jpg": "con.jpg",
    "case/A.jpg": "case/A.jpg",
    "Case/a.jpg": "Case/a.jpg",
    "_SUCCESS/_temporary/.hidden.jpg": "_SUCCESS/_temporary/.hidden.jpg",
    "label=null/x=%2F.jpg": "label=null/x=%2F.jpg",
    "__HIVE_DEFAULT_PARTITION__/part-00000.jpg": "__HIVE_DEFAULT_PARTITION__/part-00000.jpg",
    "{a,b}[c]${d}`e`.jpg": "{a,b}[c]${d}`e`.jpg",
    "\u202egpj.exe\u0000.jpg": "\u202egpj.exe\\x00.jpg",
    "-rf *.jpg": "-rf *.jpg",
    " .jpg": " .jpg",
}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_strange_names_are_keys_and_nothing_else(spark: SparkSession, tmp_path: Path, suffix: str) -> None:
    # A zip's names end at a NUL.
    names = {name: key for name, key in STRANGE.items() if suffix != ".zip" or "\0" not in name}
    source = archive_of(tmp_path / f"x{suffix}", {name: key.encode() for name, key in names.items()})
    out = tmp_path / "deep" / "in" / "data" / "out"

    image_writer.write(spark, open_source(spark, str(source)), str(out))
    rows = extract(read_images(spark, [str(out)], 2), SiftOptions()).to_frame().collect()

    assert dict(sequence_file.read(spark, str(out)).collect()) == {
        key: key.encode() for key in names.values()
    }
    assert {row.fileName for row in rows} == set(names.values())
    assert all(row.error for row in rows)
    assert {path.name for path in tmp_path.iterdir()} == {source.name, "deep"}
    assert all("part-" in path.name for path in out.iterdir())


def test_a_zip_made_on_windows_has_folders(tmp_path: Path) -> None:
    path = archive_of(tmp_path / "x.zip", {"C:\\cats\\a.jpg": b"1", "..\\..\\b.jpg": b"2"})
    data = path.read_bytes().replace(b"PK\x01\x02\x14\x03", b"PK\x01\x02\x14\x00")
    path.write_bytes(data)

    assert read_archive(path) == {"C:/cats/a.jpg": b"1", "b.jpg": b"2"}


def test_a_tar_s_name_that_is_no_utf8(tmp_path: Path) -> None:
    data = header("??.jpg", tarfile.REGTYPE, 0).replace(b"??", b"\xff\xfe") + END
    (tmp_path / "x.tar").write_bytes(with_new_checksums(data))

    assert read_archive(tmp_path / "x.tar") == {"\\xff\\xfe.jpg": b""}
