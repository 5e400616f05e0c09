"""A tar, plain or gzipped, read in place. The driver walks the headers; readers seek to the bytes."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Self, cast

from vision_assets.errors import UserError
from vision_assets.steps.sources.archive import ArchiveSource
from vision_assets.steps.sources.image_files import LINK, SPECIAL, Pair, Patterns, Skipped
from vision_assets.steps.sources.listing import ArchiveListing, Entries, ExpansionLimit, Listing

BLOCK = tarfile.BLOCKSIZE

MAX_LONG_NAME_BYTES = 1 << 20
"""Largest header with the name or attributes of a member, because it is read into memory."""

_CHUNK = 1 << 20
_LONG_NAMES = {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}
# The last two come from headers that end early, and from headers that follow each other without a member.
_BROKEN = (
    *(tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError),
    *(IndexError, RecursionError),
)


@dataclass(frozen=True)
class TarSplit:
    """Some members of a tar; the first `prefix` bytes of their names, a top folder, are left out."""

    path: str
    gzipped: bool
    prefix: int
    entries: Entries

    def read(self) -> Iterator[Pair]:
        """Yield each member's key and bytes.

        Raises
        ------
        UserError
            If the archive can no longer be read or has changed.
        """
        try:
            with open_tar(self.path, gzipped=self.gzipped) as file:
                for name, (size, offset) in self.entries:
                    file.seek(offset)
                    data = file.read(size)
                    if len(data) < size:
                        raise archive_unreadable(self.path, f"it ends inside {name.decode()!r}")
                    yield name[self.prefix :].decode(), data
        except (OSError, EOFError, zlib.error) as error:
            raise archive_unreadable(self.path, error) from error


class TarSource(ArchiveSource):
    """A tar on a local disk."""

    formats = ("tar",)

    def has_format(self, head: bytes) -> bool:
        """Tell whether a file begins like a tar."""
        return is_tar(head)

    def list_members(self, source: str, path: str, patterns: Patterns) -> tuple[Listing, int, Skipped]:
        """Walk a tar's headers; see `list_tar`."""
        with open_tar(path, gzipped=False) as file:
            return list_tar(source, file, patterns)

    def splits(self, path: str, prefix: int, chosen: Listing, parallelism: int) -> Sequence[TarSplit]:
        """Return consecutive members, of about equally many bytes."""
        return [TarSplit(path, False, prefix, entries) for entries in chosen.cut(parallelism)]


class GzippedTarSource(ArchiveSource):
    """A tar.gz on a local disk."""

    formats = ("tar.gz",)

    def has_format(self, head: bytes) -> bool:
        """Tell whether a file begins like gzip."""
        return head.startswith(b"\x1f\x8b")

    def list_members(self, source: str, path: str, patterns: Patterns) -> tuple[Listing, int, Skipped]:
        """Walk a tar's headers; see `list_tar`."""
        with open_tar(path, gzipped=True) as file:
            return list_tar(source, file, patterns)

    def splits(self, path: str, prefix: int, chosen: Listing, parallelism: int) -> Sequence[TarSplit]:
        """Return all members as one: a gzip can only be read from its beginning."""
        return [TarSplit(path, True, prefix, chosen.all_rows())]


def is_tar(head: bytes) -> bool:
    """Tell whether a file that begins with this block, or is shorter, is a tar; an empty tar is all zeros."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return len(head) == BLOCK and not any(head)
    return True


def open_tar(path: str, *, gzipped: bool) -> gzip.GzipFile | BinaryIO:
    """Open a tar so that positions are those in the unpacked tar."""
    # Seeking forward in a gzip reads on, so reading in order is one pass.
    return gzip.open(path) if gzipped else open(path, "rb")  # noqa: PTH123


def archive_unreadable(path: str, problem: object) -> UserError:
    """Return the error about an archive that can no longer be read. Errors of tasks have one line."""
    return UserError(
        f"cannot read the archive {path!r}: {problem}. It was readable when it was listed. "
        "Every worker has to reach it, or set the reader to 'driver'."
    )


def list_tar(source: str, file: Any, patterns: Patterns) -> tuple[Listing, int, Skipped]:
    """Walk a tar's headers.

    Returns
    -------
    Listing
        The images with size and offset, in bytes.
    int
        How many bytes of each name are left out.
    Skipped

    Raises
    ------
    UserError
        If the archive is damaged or incomplete, would unpack to far more than its size, or two images have
        the same key.
    """
    found = ArchiveListing(source, patterns, further_numbers=1)
    limit = _expansion_limit(source, file)
    try:
        for member, end in _members(file):
            _add(found, member)
            if limit:
                limit.check(end, member.name)
        if limit:
            _read_to_end(file, limit)
    except _BROKEN as error:
        raise UserError(
            f"the archive {source!r} is damaged or incomplete: {error}.\nCopy or create it again, then retry."
        ) from error
    listing, prefix = found.finish()
    return listing, prefix, found.skipped


def _expansion_limit(source: str, file: Any) -> ExpansionLimit | None:
    if not isinstance(file, gzip.GzipFile):
        return None
    packed = cast(Any, file.fileobj)
    size = packed.seek(0, os.SEEK_END)
    packed.seek(0)
    return ExpansionLimit(source, size)


def _read_to_end(file: gzip.GzipFile, limit: ExpansionLimit) -> None:
    """Read the rest, so that gzip verifies the checksum at the end."""
    while file.read(_CHUNK):
        limit.check(file.tell(), "the last")


def _add(found: ArchiveListing, member: tarfile.TarInfo) -> None:
    if member.isdir():
        return
    if member.issym() or member.islnk():
        found.skip(member.name, LINK)
    elif not member.isreg():
        found.skip(member.name, SPECIAL)
    elif member.issparse():
        found.skip(member.name, "sparse file")
    else:
        found.add(member.name, member.size, member.offset_data)


def _members(file: Any) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Yield each member and the offset of its end."""
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_StrictTarInfo) as tar:
        end = 0
        while member := tar.next():
            # A negative size leads back to an earlier member, in an endless loop.
            if tar.offset <= end:
                raise tarfile.ReadError(f"member {member.name!r} has a negative size")
            end = tar.offset
            yield member, end
            # Otherwise the list of millions of members stays in memory.
            cast(Any, tar).members = []


class _StrictTarInfo(tarfile.TarInfo):
    """Raises where `tarfile` takes a damaged or missing header for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if len(buf) == BLOCK and not any(buf):
                raise
            problem = "it ends before its end mark" if len(buf) < BLOCK else f"bad header ({error})"
            raise tarfile.ReadError(problem) from error
        if header.type in _LONG_NAMES and not 0 <= header.size <= MAX_LONG_NAME_BYTES:
            raise tarfile.ReadError(f"a header claims that a name has {header.size:,} bytes")
        return header
