"""A tar, plain or compressed, read in place. The driver walks the headers; readers seek to the bytes."""

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Self, cast

from vision_assets.errors import UserError
from vision_assets.steps.sources.archive import ArchiveSource
from vision_assets.steps.sources.compression import COMPRESSIONS, compression_of, open_unpacked
from vision_assets.steps.sources.image_files import ARCHIVE, SPECIAL, Pair, Patterns, Skipped
from vision_assets.steps.sources.listing import ArchiveListing, Entries, ExpansionLimit, Listing, below
from vision_assets.vision.io.headers import START_BYTES

BLOCK = tarfile.BLOCKSIZE

MAX_LONG_NAME_BYTES = 1 << 20
"""Largest header with the name or attributes of a member, because it is read into memory."""

_DEEPEST = 3
"""How many tars may be in one another, because each level takes a place on Python's stack."""

_LONG_NAMES = {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}
# The last two come from headers that end early, and from headers that follow each other without a member.
_BROKEN = (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, IndexError, RecursionError)


@dataclass(frozen=True)
class TarSplit:
    """Some members of a tar; the first `prefix` bytes of their names, a top folder, are left out."""

    path: str
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
            with open_unpacked(self.path) as file:
                # Links have the place of what they name, and a compressed file is not read twice.
                for (size, offset, header), same in groupby(self.entries, itemgetter(1)):
                    file.seek(offset)
                    data = _read_sparse(file, header - 1) if header else file.read(size)
                    for name, _ in same:
                        if len(data) < size:
                            raise archive_unreadable(self.path, f"it ends inside {name.decode()!r}")
                        yield name[self.prefix :].decode(), data
        except (OSError, EOFError, tarfile.TarError) as error:
            raise archive_unreadable(self.path, error) from error


class TarSource(ArchiveSource):
    """A tar on a local disk."""

    formats = ("tar",)

    def has_format(self, head: bytes) -> bool:
        """Tell whether a file begins like a tar."""
        return is_tar(head)

    def list_members(self, source: str, path: str, patterns: Patterns) -> tuple[Listing, int, Skipped]:
        """Walk a tar's headers; see `list_tar`."""
        return _list_file(source, path, patterns)

    def splits(self, path: str, prefix: int, chosen: Listing, parallelism: int) -> Sequence[TarSplit]:
        """Return consecutive members, of about equally many bytes."""
        return [TarSplit(path, prefix, entries) for entries in chosen.cut(parallelism)]


class CompressedTarSource(ArchiveSource):
    """A compressed tar on a local disk."""

    formats = tuple(f"tar.{known.suffix}" for known in COMPRESSIONS)

    def has_format(self, head: bytes) -> bool:
        """Tell whether a file begins like a compressed one."""
        return compression_of(head) is not None

    def list_members(self, source: str, path: str, patterns: Patterns) -> tuple[Listing, int, Skipped]:
        """Walk a tar's headers; see `list_tar`."""
        return _list_file(source, path, patterns)

    def splits(self, path: str, prefix: int, chosen: Listing, parallelism: int) -> Sequence[TarSplit]:
        """Return all members as one: a compressed file can only be read from its beginning."""
        return [TarSplit(path, prefix, chosen.all_rows())]


def _list_file(source: str, path: str, patterns: Patterns) -> tuple[Listing, int, Skipped]:
    with open_unpacked(path) as file:
        return list_tar(source, file, patterns, Path(path).stat().st_size)


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


def archive_unreadable(path: str, problem: object) -> UserError:
    """Return the error about an archive that can no longer be read. Errors of tasks have one line."""
    return UserError(
        f"cannot read the archive {path!r}: {problem}. It was readable when it was listed. "
        "Every worker has to reach it, or set the reader to 'driver'."
    )


def list_tar(
    source: str, file: Any, patterns: Patterns, size: int, *, with_sparse: bool = True
) -> tuple[Listing, int, Skipped]:
    """Walk a tar's headers.

    Parameters
    ----------
    source : str
        The archive, as the user gave it.
    file : file object
        The archive, unpacked. It is read in order.
    patterns : Patterns
    size : int
        Bytes of the archive, packed.
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
        If the archive is damaged or incomplete, is no tar, would unpack to far more than its size, or two
        images have the same key.
    """
    found = ArchiveListing(source, patterns, further_numbers=2, read_head=partial(_read_head, file))
    limit = ExpansionLimit(source, size)
    try:
        part = _Part(file)
        if not is_tar(head := part.peek()):
            raise UserError(
                f"the content of {source!r} is no tar, or is damaged: it begins with {head[:8]!r}.\n"
                "If it is a compressed image, unpack it, and name its folder as the source."
            )
        _Walk(found, limit, with_sparse).follow(part)
    except _BROKEN as error:
        raise UserError(
            f"the archive {source!r} is damaged or incomplete: {error}.\nCopy or create it again, then retry."
        ) from error
    listing, prefix = found.finish()
    limit.check(found.size, "the last link")
    return listing, prefix, found.skipped


def _read_head(file: Any, size: int, offset: int, _header: int) -> bytes:
    file.seek(offset)
    return bytes(file.read(min(size, START_BYTES)))


class _Part:
    """Part of a file that is a tar, or several that follow each other. It is read in order.

    Parameters
    ----------
    file : file object
        Positions are those in this file.
    stop : int, optional
        Where the part ends; None for the end of the file.
    """

    def __init__(self, file: Any, stop: int | None = None) -> None:
        self._file = file
        self._stop = stop
        self._ahead = b""

    def tell(self) -> int:
        return int(self._file.tell()) - len(self._ahead)

    def seek(self, offset: int) -> int:
        self._ahead = b""
        return int(self._file.seek(offset))

    def read(self, size: int) -> bytes:
        if self._ahead:
            block, self._ahead = self._ahead, b""
            return block
        if self._stop is not None:
            size = max(0, min(size, self._stop - self._file.tell()))
        return bytes(self._file.read(size))

    def peek(self) -> bytes:
        """Return the next block, which stays the next one."""
        self._ahead = self.read(BLOCK)
        return self._ahead


@dataclass(frozen=True)
class _Walk:
    """Goes along the headers of tars, and adds their members to a listing.

    Attributes
    ----------
    folder : str
        The folder that stands for a tar inside the archive; empty for the archive itself.
    depth : int
        How many tars this one is in.
    """

    found: ArchiveListing
    limit: ExpansionLimit
    with_sparse: bool
    folder: str = ""
    depth: int = 0

    def follow(self, part: _Part) -> None:
        """Add the members of all archives that follow each other, each after the end mark of zeros."""
        while block := part.peek():
            if block.strip(b"\0"):
                self._follow_one(part)
            else:
                part.read(BLOCK)
                self.limit.check(part.tell(), "the last")

    def _follow_one(self, part: _Part) -> None:
        end = part.tell()
        with tarfile.open(fileobj=cast(Any, part), mode="r:", tarinfo=_StrictTarInfo) as tar:
            while member := tar.next():
                # A negative size leads back to an earlier member, in an endless loop.
                if tar.offset <= end:
                    raise tarfile.ReadError(f"member {member.name!r} has a negative size")
                end = tar.offset
                self._add(part, member)
                self.limit.check(max(end, self.found.size), member.name)
                # Otherwise the list of millions of members stays in memory.
                cast(Any, tar).members = []

    def _add(self, part: _Part, member: tarfile.TarInfo) -> None:
        found, name = self.found, below(self.folder, member.name)
        if member.isdir():
            return
        if member.islnk():
            found.add_link(name, below(self.folder, member.linkname))
        elif member.issym():
            found.add_symbolic_link(member.name, member.linkname, self.folder)
        elif not member.isreg():
            found.skip(name, SPECIAL)
        elif member.issparse() and not self.with_sparse:
            found.skip(name, "sparse file")
        elif (folder := found.folder_of(name, member.size)) and self.depth < _DEEPEST and not member.sparse:
            self._follow_inner(part, member, folder)
        else:
            header = member.offset + 1 if member.issparse() else 0
            found.add(name, member.size, member.offset_data, header)

    def _follow_inner(self, part: _Part, member: tarfile.TarInfo, folder: str) -> None:
        """Add the members of a tar inside the archive, at their places in the archive."""
        part.seek(member.offset_data)
        inner = _Part(part, member.offset_data + member.size)
        head = inner.peek()
        # A tar consists of blocks: what does not is something else by that name.
        if compression_of(head) or not head or (not is_tar(head) and member.size % BLOCK):
            self.found.skip(below(self.folder, member.name), ARCHIVE)
            return
        try:
            if not is_tar(head):
                raise tarfile.ReadError("it is no tar")
            replace(self, folder=folder, depth=self.depth + 1).follow(inner)
        except _BROKEN as error:
            raise tarfile.ReadError(f"{error}, in its member {member.name!r}") from error


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
