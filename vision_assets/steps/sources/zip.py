"""A zip, read in place. The driver reads its directory; readers seek to the bytes."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from vision_assets.errors import UserError
from vision_assets.steps.sources.archive import ArchiveSource
from vision_assets.steps.sources.image_files import ENCRYPTED, LINK, SPECIAL, Pair, Patterns, Skipped
from vision_assets.steps.sources.listing import ArchiveListing, Entries, ExpansionLimit, Listing
from vision_assets.steps.sources.tar import archive_unreadable
from vision_assets.steps.sources.zip_methods import METHODS, PACKED_START, unpack, unpack_start
from vision_assets.vision.io.headers import START_BYTES

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_END, _END_HEADER_BYTES = b"PK\5\6", 22
_END_BYTES = _END_HEADER_BYTES + (1 << 16) - 1  # with the longest comment
_ENCRYPTED = 0x1
_UTF8_NAME = 0x800
_MADE_ON_UNIX = 3
_LONGEST_PATH = 4096
_EXTRA_FIELD = struct.Struct("<HH")
_UNICODE_NAME = 0x7075
_UNICODE_NAME_HEADER = 5  # a version and the checksum of the name that this one stands for


@dataclass(frozen=True)
class ZipSplit:
    """Some members of a zip; the first `prefix` bytes of their names, a top folder, are left out."""

    path: str
    prefix: int
    entries: Entries

    def read(self) -> Iterator[Pair]:
        """Yield each member's key and bytes.

        Raises
        ------
        UserError
            If a member is damaged, or the archive can no longer be read.
        """
        try:
            with open(self.path, "rb") as file:  # noqa: PTH123 - as in the other sources
                for name, (size, offset, packed, method, crc) in self.entries:
                    data = unpack(_stored(file, offset, packed), method, size)
                    if data is None or zlib.crc32(data) != crc:
                        raise UserError(
                            f"member {name.decode()!r} of the archive {self.path!r} is damaged. "
                            "Copy or create the archive again, then retry."
                        )
                    yield name[self.prefix :].decode(), data
        except OSError as error:
            raise archive_unreadable(self.path, error) from error


class ZipSource(ArchiveSource):
    """A zip on a local disk."""

    formats = ("zip",)

    def has_format(self, head: bytes) -> bool:
        """Tell whether a file begins like a zip."""
        # A tar may begin with a name such as `PKLot/`.
        return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))

    def list_members(self, source: str, path: str, patterns: Patterns) -> tuple[Listing, int, Skipped]:
        """Read a zip's directory; see `list_zip`."""
        return list_zip(source, path, patterns)

    def splits(self, path: str, prefix: int, chosen: Listing, parallelism: int) -> Sequence[ZipSplit]:
        """Return consecutive members, of about equally many bytes."""
        return [ZipSplit(path, prefix, entries) for entries in chosen.cut(parallelism)]


def list_zip(source: str, path: str, patterns: Patterns) -> tuple[Listing, int, Skipped]:
    """Read a zip's directory.

    Returns
    -------
    Listing
        The images with size, offset of the header, packed size, compression method and checksum.
    int
        How many bytes of each name are left out.
    Skipped

    Raises
    ------
    UserError
        If the archive is damaged or incomplete, would unpack to far more than its size, or two images have
        the same key.
    """
    found = ArchiveListing(source, patterns, further_numbers=4, read_head=partial(_read_head, path))
    try:
        with zipfile.ZipFile(path) as archive:
            members, directory = archive.infolist(), archive.start_dir
        _require_alone(path, members, directory)
    except (zipfile.BadZipFile, NotImplementedError, struct.error, OSError, ValueError) as error:
        raise UserError(
            f"the archive {source!r} is damaged or incomplete: {error}.\nCopy or create it again, then retry."
        ) from error
    _check_places(source, members, directory)
    limit = ExpansionLimit(source, Path(path).stat().st_size)
    for member in members:
        if not member.filename.endswith("/"):
            _add(found, member, partial(_link_target, path))
            limit.check(found.size, member.filename)
    listing, prefix = found.finish()
    limit.check(found.size, "the last link")
    return listing, prefix, found.skipped


def _require_alone(path: str, members: list[zipfile.ZipInfo], directory: int) -> None:
    """Refuse a zip with another archive before or after it in the file: its members would be lost."""
    first = min((member.header_offset for member in members), default=directory)
    with open(path, "rb") as file:  # noqa: PTH123 - as in the other sources
        file.seek(max(0, first - _END_BYTES))
        before = file.read(min(first, _END_BYTES))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(directory, size - _END_BYTES))  # zipfile has found the end mark there
        end = file.read()
    # A gap alone may be of a member that was removed.
    if _END in before:
        raise zipfile.BadZipFile(f"another zip comes before it, in the first {first:,} bytes")
    at = end.rfind(_END)
    (comment,) = struct.unpack_from("<H", end, at + _END_HEADER_BYTES - 2)
    if rest := end[at + _END_HEADER_BYTES + comment :].strip(b"\0"):
        raise zipfile.BadZipFile(f"{len(rest):,} other bytes follow it, perhaps another archive")


def _check_places(source: str, members: list[zipfile.ZipInfo], directory: int) -> None:
    """Check that members do not share bytes: a few bytes shared by many would unpack to petabytes."""
    free_from = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        name, start = member.filename, member.header_offset
        end = start + _LOCAL_HEADER.size + member.compress_size
        if start < free_from or end > directory:
            problem = "is outside of it" if start < 0 or end > directory else "shares bytes with another"
            raise UserError(
                f"the archive {source!r} is damaged or malicious: member {name!r} {problem}.\n"
                "Copy or create it again, then retry."
            )
        free_from = end


def _add(
    found: ArchiveListing, member: zipfile.ZipInfo, link_target: Callable[[zipfile.ZipInfo], str | None]
) -> None:
    name = _name(member)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.flag_bits & _ENCRYPTED:
        found.skip(name, ENCRYPTED)
    elif kind == stat.S_IFLNK:
        target = link_target(member)
        if target is None:
            found.skip(name, f"damaged {LINK}")
        else:
            found.add_symbolic_link(name, target)
    elif kind not in (0, stat.S_IFREG):
        found.skip(name, SPECIAL)
    elif member.compress_type not in METHODS:
        found.skip(name, f"zip compression method {member.compress_type}")
    else:
        numbers = member.header_offset, member.compress_size, member.compress_type, member.CRC
        found.add(name, member.file_size, *numbers)


def _read_head(path: str, size: int, offset: int, packed: int, method: int, _crc: int) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 - as in the other sources
        start = _stored(file, offset, min(packed, PACKED_START))
    return unpack_start(start, method, min(size, START_BYTES)) or b""


def _link_target(path: str, member: zipfile.ZipInfo) -> str | None:
    """Read what a symbolic link names: the content of its member; None if it is damaged."""
    if member.file_size > _LONGEST_PATH:
        return None
    with open(path, "rb") as file:  # noqa: PTH123 - as in the other sources
        stored = _stored(file, member.header_offset, member.compress_size)
    content = unpack(stored, member.compress_type, member.file_size)
    return None if content is None else content.decode("utf-8", "surrogateescape")


def _name(member: zipfile.ZipInfo) -> str:
    """Return a member's name.

    It may stand in UTF-8 in a field of its own. Many tools write UTF-8 without saying so, which is read as
    code page 437.
    """
    name = _unicode_name(member) or member.filename
    if not member.flag_bits & _UTF8_NAME:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name if member.create_system == _MADE_ON_UNIX else name.replace("\\", "/")


def _unicode_name(member: zipfile.ZipInfo) -> str | None:
    """Return the name in Info-ZIP's extra field; None if there is none, or the name was changed later."""
    extra = member.extra
    while len(extra) >= _EXTRA_FIELD.size:
        kind, length = _EXTRA_FIELD.unpack_from(extra)
        content = extra[_EXTRA_FIELD.size :][:length]
        extra = extra[_EXTRA_FIELD.size + length :]
        if kind == _UNICODE_NAME and length > _UNICODE_NAME_HEADER:
            (checksum,) = struct.unpack_from("<xI", content)
            with suppress(UnicodeError):
                if checksum == zlib.crc32(member.orig_filename.encode("cp437")):
                    return content[_UNICODE_NAME_HEADER:].decode()
    return None


def _stored(file: IO[bytes], offset: int, packed: int) -> bytes:
    # zipfile would read the directory of all members before it returns one.
    file.seek(offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size:
        return b""
    magic, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    file.seek(name_length + extra_length, 1)
    return file.read(packed) if magic == b"PK\x03\x04" else b""
