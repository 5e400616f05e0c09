"""A tar, plain or gzipped, read in place: the driver walks the headers, readers seek to the bytes."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Self, cast

from vision_assets.errors import UserError
from vision_assets.steps.sources.image_files import LINK, SPECIAL, Pair, Patterns, Skipped
from vision_assets.steps.sources.listing import ArchiveListing, Entries, ExpansionLimit, Listing

BLOCK = tarfile.BLOCKSIZE

MAX_LONG_NAME_BYTES = 1 << 20
"""Of a header that holds a member's name or attributes, which is read into memory."""

_CHUNK = 1 << 20
_LONG_NAMES = {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}
# The last two from headers that end early, and from headers that follow each other without a member.
_BROKEN = (
    *(tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError),
    *(IndexError, RecursionError),
)


@dataclass(frozen=True)
class TarSplit:
    """Some members of a tar; `prefix` bytes of their names are the top folder, which is left out."""

    path: str
    gzipped: bool
    prefix: int
    entries: Entries

    def read(self) -> Iterator[Pair]:
        """Yield each member's key and bytes.

        Raises
        ------
        UserError
            When the archive cannot be read any more or has changed.
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


def open_tar(path: str, *, gzipped: bool) -> gzip.GzipFile | BinaryIO:
    """Open a tar so that seeking gives the places in the tar itself."""
    # For gzip a seek forward reads on, so going through in order is one pass.
    return gzip.open(path) if gzipped else open(path, "rb")  # noqa: PTH123


def archive_unreadable(path: str, problem: object) -> UserError:
    """Make the error for an archive that cannot be read any more, of one line as tasks' errors have to be."""
    return UserError(
        f"cannot read the archive {path!r}: {problem}. It could be read when it was listed; "
        "every worker has to reach it, or set the reader to 'driver'."
    )


def list_tar(source: str, file: Any, patterns: Patterns) -> tuple[Listing, int, Skipped]:
    """Walk a tar's headers.

    Returns
    -------
    The images with their size and offset, how many bytes of each name to leave out, and what was skipped.

    Raises
    ------
    UserError
        When the archive is damaged or incomplete, would unpack to far more than its size, or two images have
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
            f"the archive {source!r} is damaged or incomplete: {error}.\nCopy or make it again, then retry."
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
    """Have the checksum verified, which is at the end."""
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
    """Yield each member and where it ends."""
    with tarfile.open(fileobj=file, mode="r:", tarinfo=_StrictTarInfo) as tar:
        end = 0
        while member := tar.next():
            # A size below zero leads back, and so round and round.
            if tar.offset <= end:
                raise tarfile.ReadError(f"member {member.name!r} has a size below zero")
            end = tar.offset
            yield member, end
            # Else the list of millions of members stays in memory.
            cast(Any, tar).members = []


class _StrictTarInfo(tarfile.TarInfo):
    """Raises where `tarfile` takes a damaged header, or none at all, for the end of the archive."""

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
