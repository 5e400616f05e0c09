"""A zip, read in place: the driver reads its directory, readers seek to the bytes."""

import bz2
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vision_assets.errors import UserError
from vision_assets.steps.sources.image_files import LINK, SPECIAL, Pair, Patterns, Skipped
from vision_assets.steps.sources.listing import ArchiveListing, Entries, ExpansionLimit, Listing
from vision_assets.steps.sources.tar import archive_unreadable

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 0x1
_UTF8_NAME = 0x800
_MADE_ON_UNIX = 3


@dataclass(frozen=True)
class ZipSplit:
    """Some members of a zip; `prefix` bytes of their names are the top folder, which is left out."""

    path: str
    prefix: int
    entries: Entries

    def read(self) -> Iterator[Pair]:
        """Yield each member's key and bytes.

        Raises
        ------
        UserError
            When a member is damaged, or the archive cannot be read any more.
        """
        try:
            with open(self.path, "rb") as file:  # noqa: PTH123 - as in the other sources
                for name, (size, offset, packed, method, crc) in self.entries:
                    data = _unpack(_stored(file, offset, packed), method, size)
                    if data is None or zlib.crc32(data) != crc:
                        raise UserError(
                            f"member {name.decode()!r} of the archive {self.path!r} is damaged. "
                            "Copy or make the archive again, then retry."
                        )
                    yield name[self.prefix :].decode(), data
        except OSError as error:
            raise archive_unreadable(self.path, error) from error


def list_zip(source: str, path: str, patterns: Patterns) -> tuple[Listing, int, Skipped]:
    """Read a zip's directory.

    Returns
    -------
    The images with their size, offset of the header, packed size, method and checksum; how many bytes of
    each name to leave out; and what was skipped.

    Raises
    ------
    UserError
        When the archive is damaged, incomplete or encrypted, would unpack to far more than its size, or two
        images have the same key.
    """
    found = ArchiveListing(source, patterns, further_numbers=4)
    try:
        with zipfile.ZipFile(path) as archive:
            members, directory = archive.infolist(), archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, struct.error, OSError, ValueError) as error:
        raise UserError(
            f"the archive {source!r} is damaged or incomplete: {error}.\nCopy or make it again, then retry."
        ) from error
    _check_places(source, members, directory)
    limit = ExpansionLimit(source, Path(path).stat().st_size)
    for member in members:
        if not member.filename.endswith("/"):
            _add(found, member, source)
            limit.check(found.size, member.filename)
    listing, prefix = found.finish()
    return listing, prefix, found.skipped


def _check_places(source: str, members: list[zipfile.ZipInfo], directory: int) -> None:
    """See that each member has bytes of its own: a few shared by many would unpack to petabytes."""
    free_from = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        name, start = member.filename, member.header_offset
        end = start + _LOCAL_HEADER.size + member.compress_size
        if start < free_from or end > directory:
            problem = "lies outside of it" if start < 0 or end > directory else "shares bytes with another"
            raise UserError(
                f"the archive {source!r} is damaged or a trap: member {name!r} {problem}.\n"
                "Copy or make it again, then retry."
            )
        free_from = end


def _add(found: ArchiveListing, member: zipfile.ZipInfo, source: str) -> None:
    name = _name(member)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.flag_bits & _ENCRYPTED:
        raise UserError(
            f"member {name!r} of the archive {source!r} is encrypted.\n"
            "There is no way to give a password here: make the archive again without one."
        )
    if kind not in (0, stat.S_IFREG):
        found.skip(name, LINK if kind == stat.S_IFLNK else SPECIAL)
    elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        found.skip(name, f"zip compression method {member.compress_type}")
    else:
        numbers = member.header_offset, member.compress_size, member.compress_type, member.CRC
        found.add(name, member.file_size, *numbers)


def _name(member: zipfile.ZipInfo) -> str:
    """Undo the code page 437 of names that are UTF-8 and do not say so, as many tools write them."""
    name = member.filename
    if not member.flag_bits & _UTF8_NAME:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name if member.create_system == _MADE_ON_UNIX else name.replace("\\", "/")


def _stored(file: IO[bytes], offset: int, packed: int) -> bytes:
    # Not with zipfile, which reads the directory of all members before it gives one.
    file.seek(offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size:
        return b""
    magic, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    file.seek(name_length + extra_length, 1)
    return file.read(packed) if magic == b"PK\x03\x04" else b""


def _unpack(data: bytes, method: int, size: int) -> bytes | None:
    try:
        if method == zipfile.ZIP_DEFLATED:
            # One byte more than promised shows a bomb without unpacking it.
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
        elif method == zipfile.ZIP_BZIP2:
            data = bz2.BZ2Decompressor().decompress(data, size + 1)
    except (zlib.error, OSError, EOFError):
        return None
    return data if len(data) == size else None
