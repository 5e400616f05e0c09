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
from vision_assets.steps.sources.image_files import SPECIAL, Pair, Patterns, Skipped
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
                for name, (size, offset, header) in self.entries:
                    file.seek(offset)
                    data = _read_sparse(file, header - 1) if header else file.read(size)
                    if len(data) < size:
                        raise archive_unreadable(self.path, f"it ends inside {name.decode()!r}")
                    yield name[self.prefix :].decode(), data
        except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
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


def _read_sparse(file: Any, header: int) -> bytes:
    """Read a member that has holes; `header` is where its first header begins."""
    file.seek(header)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        member = tar.next()
        content = tar.extractfile(member) if member else None
        return content.read() if content else b""


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


def list_tar(
    source: str, file: Any, patterns: Patterns, *, with_sparse: bool = True
) -> tuple[Listing, int, Skipped]:
    """Walk a tar's headers.

    Parameters
    ----------
    source : str
        The archive, as the user gave it.
    file : file object
    patterns : Patterns
    with_sparse : bool
        Whether members with holes can be read.

    Returns
    -------
    Listing
        The images with size and offset, in bytes; last, for a member with holes, where its header begins,
        plus 1, otherwise 0.
    int
        How many bytes of each name are left out.
    Skipped

    Raises
    ------
    UserError
        If the archive is damaged or incomplete, would unpack to far more than its size, or two images have
        the same key.
    """
    found = ArchiveListing(source, patterns, further_numbers=2)
    limit = _expansion_limit(source, file) if with_sparse else None
    try:
        for member, end in _members(file):
            _add(found, member, with_sparse=with_sparse)
            if limit:
                limit.check(max(end, found.size), member.name)
        if limit and isinstance(file, gzip.GzipFile):
            _read_to_end(file, limit)
    except _BROKEN as error:
        raise UserError(
            f"the archive {source!r} is damaged or incomplete: {error}.\nCopy or create it again, then retry."
        ) from error
    listing, prefix = found.finish()
    if limit:
        limit.check(found.size, "the last link")
    return listing, prefix, found.skipped


def _expansion_limit(source: str, file: Any) -> ExpansionLimit:
    packed = cast(Any, file.fileobj) if isinstance(file, gzip.GzipFile) else file
    size = packed.seek(0, os.SEEK_END)
    packed.seek(0)
    return ExpansionLimit(source, size)


def _read_to_end(file: gzip.GzipFile, limit: ExpansionLimit) -> None:
    """Read the rest, so that gzip verifies the checksum at the end."""
    while file.read(_CHUNK):
        limit.check(file.tell(), "the last")


def _add(found: ArchiveListing, member: tarfile.TarInfo, *, with_sparse: bool) -> None:
    if member.isdir():
        return
    if member.islnk():
        found.add_link(member.name, member.linkname)
    elif member.issym():
        found.add_symbolic_link(member.name, member.linkname)
    elif not member.isreg():
        found.skip(member.name, SPECIAL)
    elif member.issparse() and not with_sparse:
        found.skip(member.name, "sparse file")
    else:
        header = member.offset + 1 if member.issparse() else 0
        found.add(member.name, member.size, member.offset_data, header)


def _members(file: Any) -> Iterator[tuple[tarfile.TarInfo, int]]:
    """Yield each member and the offset of its end, of all archives that follow each other in a file."""
    start: int | None = 0
    end = 0
    while start is not None:
        file.seek(start)
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_StrictTarInfo) as tar:
            while member := tar.next():
                # A negative size leads back to an earlier member, in an endless loop.
                if tar.offset <= end:
                    raise tarfile.ReadError(f"member {member.name!r} has a negative size")
                end = tar.offset
                yield member, end
                # Otherwise the list of millions of members stays in memory.
                cast(Any, tar).members = []
            end = tar.offset
        start = _next_archive(file, end)


def _next_archive(file: Any, end: int) -> int | None:
    """Return where, after an archive's end mark of zeros, another one begins; None at the end of the file."""
    file.seek(end)
    while chunk := file.read(_CHUNK):
        if rest := chunk.lstrip(b"\0"):
            return end + (len(chunk) - len(rest)) // BLOCK * BLOCK
        end += len(chunk)
    return None


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
