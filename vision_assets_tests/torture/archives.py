"""Archives of every kind that is read: intact ones to be mutated, and parts to make traps of."""

import gzip
import io
import random
import tarfile
import zipfile
from functools import cache
from pathlib import Path

from vision_assets.steps.sources.archive import ArchiveSource
from vision_assets.steps.sources.image_files import Patterns, Skipped
from vision_assets.steps.sources.listing import Listing
from vision_assets.steps.sources.tar import CompressedTarSource, TarSource
from vision_assets.steps.sources.zip import ZipSource
from vision_assets_tests.torture.mutations import mutate

_SIZES = (600, 300)
_NAMES = ("a.jpg", "d/é.jpg", "x" * 150 + ".jpg", "notes.txt")


def list_archive(path: Path) -> tuple[Listing, Skipped]:
    """List an archive without Spark."""
    listing, _, skipped = _list(path)
    return listing, skipped


def read_archive(path: Path) -> dict[str, bytes]:
    """List and read an archive without Spark, as the driver and then a worker do."""
    listing, prefix, _ = _list(path)
    splits = _source(path).splits(str(path), prefix, listing, 1) if len(listing) else []
    return {name: data for split in splits for name, data in split.read()}


def _list(path: Path) -> tuple[Listing, int, Skipped]:
    return _source(path).list_members(path.name, str(path), Patterns(["*.jpg"]))


def _source(path: Path) -> ArchiveSource:
    if path.suffix == ".zip":
        return ZipSource()
    return TarSource() if path.suffix == ".tar" else CompressedTarSource()


def mutated_archive(suffix: str, number: int) -> bytes:
    """Return one of the mutations of a kind of archive; half of the tars have right checksums again."""
    data = mutate(_intact()[suffix], [b"\xff\xd8\xff" * 200], _SIZES, f"{suffix} {number}")
    return with_new_checksums(data) if suffix == ".tar" and number % 2 else data


def with_new_checksums(tar: bytes) -> bytes:
    """Correct the checksums of all headers."""
    blocks = bytearray(tar)
    for start in range(0, len(blocks) - 511, 512):
        if blocks[start + 257 : start + 262] == b"ustar":
            blocks[start + 148 : start + 156] = b" " * 8
            blocks[start + 148 : start + 156] = b"%06o\0 " % sum(blocks[start : start + 512])
    return bytes(blocks)


@cache
def _intact() -> dict[str, tuple[bytes, ...]]:
    tars = [_tar(kind) for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
    return {
        ".tar": tuple(tars),
        ".gz": tuple(gzip.compress(tar, mtime=0) for tar in tars),
        ".zip": tuple(_zip(method) for method in methods),
    }


def _tar(kind: int) -> bytes:
    rng = random.Random(1)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        for name in _NAMES:
            member = tarfile.TarInfo(name)
            member.size = _SIZES[0]
            member.pax_headers = {"comment": "comment"}
            tar.addfile(member, io.BytesIO(rng.randbytes(member.size)))
        end = tar.offset
    return buffer.getvalue()[:end] + sparse_header(900) + bytes(1024)


def _zip(method: int) -> bytes:
    rng = random.Random(1)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in _NAMES:
            archive.writestr(zipfile.ZipInfo(name), 3 * rng.randbytes(_SIZES[1]), method)
    return buffer.getvalue()


def header(name: str, kind: bytes, size: int) -> bytes:
    """Return the header of a tar's member."""
    member = tarfile.TarInfo(name)
    member.type = kind
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


def sparse_header(size: int, *, extended: bool = False) -> bytes:
    """Return the header of an old GNU sparse file without bytes that claims some size."""
    block = bytearray(header("sparse.jpg", tarfile.GNUTYPE_SPARSE, 0))
    block[482] = extended
    block[483:495] = size.to_bytes(12, "big")
    block[483] |= 0x80
    return with_new_checksums(bytes(block))
