"""Names and positions of millions of files, stored compactly and cut into what one task reads."""

import posixpath
import re
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vision_assets.errors import UserError
from vision_assets.steps.sources.image_files import (
    ARCHIVE,
    LINK,
    MACOS_METADATA,
    NOT_MATCHED,
    ImageFiles,
    Listed,
    Patterns,
    Skipped,
)
from vision_assets.steps.sources.links import folders_above, resolved

SPLIT_BYTES = 128 << 20
"""Size of part files that suits HDFS and S3. It does not bound memory, because a task streams its split."""

SPLITS_PER_CORE = 4

BYTES_PER_FILE = 4096
"""Cost of opening a file, as bytes that are read in the same time."""

_PLACE = 1
"""Number of an archive's member: where in the archive it is."""

_MOST_EXPANSION = 200
_ALWAYS_ALLOWED_BYTES = 1 << 30

_TAR = ".tar"
_ARCHIVE = re.compile(r".*(\.(tar|tgz|tbz2?|txz|tzst|zip|7z|rar)|\.tar\.\w+)", re.IGNORECASE | re.DOTALL)

_STAMPS = pa.schema({"fileName": pa.string(), "stamp": pa.string()})
_STAMPS_AT_ONCE = 2**16

Numbers = tuple[int, ...]

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_key(name: str) -> str:
    r"""Turn the name of a file or an archive's member into a key that stays inside the source.

    A leading '/', '.' and '..' are resolved as if the source were the root of the file system. Bytes
    that are not UTF-8, which Python keeps as lone surrogates, become ``\xNN``.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
        Empty if the name does not name a file.
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return _SURROGATE.sub(_escape, "/".join(parts).replace("\0", "\\x00"))


def below(folder: str, name: str) -> str:
    """Return the name of a file that is named as seen from a folder, and stays in it; empty for the top."""
    return f"{folder}/{clean_key(name)}" if folder else name


def _escape(surrogate: re.Match[str]) -> str:
    code = ord(surrogate[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


class ExpansionLimit:
    """Refuses an archive that would unpack to far more than its own size.

    Some kilobytes can unpack to terabytes, which would fill the disk.

    Parameters
    ----------
    source : str
        The archive, as the user gave it.
    packed : int
        Its size in bytes.
    """

    def __init__(self, source: str, packed: int) -> None:
        self._source = source
        self._packed = packed

    def check(self, unpacked: int, name: str) -> None:
        """Raise a `UserError` if the members up to `name` have too many bytes in total."""
        if unpacked > _MOST_EXPANSION * self._packed + _ALWAYS_ALLOWED_BYTES:
            raise UserError(
                f"the archive {self._source!r} of {self._packed:,} bytes would unpack to more than "
                f"{_MOST_EXPANSION} times that, {unpacked:,} bytes up to member {name!r}.\n"
                "If you trust it, unpack it yourself and name the folder as the source."
            )


@dataclass(frozen=True)
class Entries:
    """Some rows of a `Listing`, compact when pickled."""

    packed_names: bytes
    numbers: "tuple[array[int], ...]"

    def __iter__(self) -> Iterator[tuple[bytes, tuple[int, ...]]]:
        names = zlib.decompress(self.packed_names).split(b"\0")
        return zip(names, zip(*self.numbers, strict=True), strict=False)


class Listing:
    """Rows of (name, size in bytes, further numbers), in about 8 bytes per number plus the bytes of the name.

    Parameters
    ----------
    further_numbers : int
        How many numbers a row has besides the size.
    """

    def __init__(self, further_numbers: int = 0) -> None:
        self._names = bytearray()
        self._ends = array("Q")
        self._numbers = tuple(array("Q") for _ in range(1 + further_numbers))

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, name: bytes, *numbers: int) -> None:
        """Add a row; the name has no NUL."""
        self._names += name + b"\0"
        self._ends.append(len(self._names))
        for column, number in zip(self._numbers, numbers, strict=True):
            column.append(number)

    def names(self) -> Iterator[bytes]:
        """Yield all names in order."""
        start = 0
        for end in self._ends:
            yield bytes(self._names[start : end - 1])
            start = end

    def rows(self) -> Iterator[tuple[bytes, tuple[int, ...]]]:
        """Yield name and numbers of each row in order."""
        return zip(self.names(), zip(*self._numbers, strict=True), strict=True)

    def select(self, chosen: NDArray[np.bool_]) -> "Listing":
        """Return the rows that a mask of shape (rows,), dtype bool, selects."""
        listing = Listing(len(self._numbers) - 1)
        for (name, numbers), is_chosen in zip(self.rows(), chosen.tolist(), strict=True):
            if is_chosen:
                listing.add(name, *numbers)
        return listing

    def in_order_of(self, column: int) -> "Listing":
        """Return all rows, sorted by one of the numbers."""
        listing, rows = Listing(len(self._numbers) - 1), list(self.rows())
        for row in np.argsort(np.array(self._numbers[column], np.uint64), kind="stable").tolist():
            name, numbers = rows[row]
            listing.add(name, *numbers)
        return listing

    def all_rows(self) -> Entries:
        """Return all rows."""
        return self._rows(0, len(self))

    def cut(self, parallelism: int) -> list[Entries]:
        """Cut the rows into what one task reads.

        Parameters
        ----------
        parallelism : int
            Number of cores.

        Returns
        -------
        list of Entries
            Consecutive rows, of about equally many bytes, at most `SPLIT_BYTES` or one file.
        """
        efforts = np.array(self._numbers[0], dtype=np.int64) + BYTES_PER_FILE
        target = min(SPLIT_BYTES, int(efforts.sum()) // (SPLITS_PER_CORE * parallelism))
        starts, filled = [], target + 1
        for row, effort in enumerate(efforts):
            filled += int(effort)
            if filled > target:
                starts.append(row)
                filled = int(effort)
        return [self._rows(*bounds) for bounds in pairwise([*starts, len(self)])]

    def raise_if_duplicates(self, source: str) -> None:
        """Raise a `UserError` if names occur more than once; it shows some of them."""
        hashes = np.fromiter((hash(name) for name in self.names()), dtype=np.int64, count=len(self))
        hashes.sort()
        twice = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        if not twice:
            return
        seen: set[bytes] = set()
        doubles: list[str] = []
        for name in self.names():
            if hash(name) in twice:
                if name in seen:
                    doubles.append(name.decode())
                seen.add(name)
        if doubles:
            shown = ", ".join(map(repr, doubles[:3]))
            raise UserError(
                f"{len(doubles)} images in {source!r} have the same key as another image, such as {shown}.\n"
                "Each path has to occur once (keys leave out a leading '/', './' and '../')."
            )

    def _rows(self, start: int, stop: int) -> Entries:
        first = self._ends[start - 1] if start else 0
        last = self._ends[stop - 1] if stop else 0
        numbers = tuple(column[start:stop] for column in self._numbers)
        return Entries(zlib.compress(bytes(self._names[first:last]), 1), numbers)


def listed(
    listing: Listing,
    stamps: Callable[[], Iterable[tuple[str, str | None]]],
    read: Callable[[Listing], ImageFiles],
) -> Listed:
    """Describe the images of a listing.

    Parameters
    ----------
    listing : Listing
    stamps : callable
        Yields key and stamp of each row.
    read : callable
        Takes some of the rows and returns their images.

    Returns
    -------
    Listed
    """
    return Listed(partial(_stamp_table, stamps), lambda chosen: read(listing.select(chosen)))


def _stamp_table(stamps: Callable[[], Iterable[tuple[str, str | None]]]) -> pa.Table:
    # In pieces, because millions of strings of Python take several times the memory of Arrow's.
    rows, tables = iter(stamps()), [_STAMPS.empty_table()]
    while piece := list(islice(rows, _STAMPS_AT_ONCE)):
        keys, values = zip(*piece, strict=True)
        tables.append(pa.table([pa.array(keys, pa.string()), pa.array(values, pa.string())], schema=_STAMPS))
    return pa.concat_tables(tables)


def archive_stamps(listing: Listing, prefix: int, state: str | None) -> Iterator[tuple[str, str | None]]:
    """Yield the key of each member of an archive, with the stamp of the archive itself."""
    for name in listing.names():
        yield name[prefix:].decode(), state


class _Found(NamedTuple):
    """What links may lead to.

    Attributes
    ----------
    files : dict
        Members by their names.
    taken : set
        Folders with images that are taken.
    left : dict
        Folders with other members: for each the rest of its name after the folder's, and its numbers.
    """

    files: dict[str, Numbers]
    taken: set[str]
    left: dict[str, list[tuple[str, Numbers]]]


class ArchiveListing:
    """Collects the images among an archive's members.

    Parameters
    ----------
    source : str
        The archive, as the user gave it.
    patterns : Patterns
    further_numbers : int
        How many numbers a member has besides its size.
    read_head : callable
        Takes the numbers of a member and returns its first bytes.

    Attributes
    ----------
    skipped : Skipped
        Members that are not chosen.
    size : int
        Bytes of all images.
    """

    def __init__(
        self, source: str, patterns: Patterns, further_numbers: int, read_head: Callable[..., bytes]
    ) -> None:
        self._read_head = read_head
        self._source = source
        self._patterns = patterns
        self._listing = Listing(further_numbers)
        self._others = Listing(further_numbers)
        self._links: list[tuple[str, str]] = []
        self._tops: set[str] = set()
        self.skipped = Skipped()
        self.size = 0

    def skip(self, name: str, reason: str) -> None:
        """Count a member that is not a regular file or cannot be read."""
        key = clean_key(name)
        self._see(key)
        self.skipped.add(key or repr(name), reason)

    def add(self, name: str, *numbers: int) -> None:
        """Add a regular member with its size and further numbers, or count it as skipped."""
        key = clean_key(name)
        if not key or _is_macos_metadata(key):
            self.skip(name, MACOS_METADATA if key else "no file name")
            return
        self._see(key)
        reason = self._reason_to_skip(key, *numbers)
        if reason:
            self.skipped.add(key, reason)
            self._others.add(key.encode(), *numbers)
        else:
            self._listing.add(key.encode(), *numbers)
            self.size += numbers[0]

    def folder_of(self, name: str, size: int) -> str | None:
        """Return the folder that a tar inside the archive stands for; None for members that are none."""
        key = clean_key(name)
        is_tar = key.lower().endswith(_TAR) and self._reason_to_skip(key, size) == ARCHIVE
        return key[: -len(_TAR)] if is_tar else None

    def add_link(self, name: str, target: str) -> None:
        """Add a member that stands for another one.

        Parameters
        ----------
        name : str
        target : str
            Name of the other member, from the top of the archive.
        """
        key = clean_key(name)
        self._see(key)
        self._links.append((key, clean_key(target)))

    def add_symbolic_link(self, name: str, target: str, top: str = "") -> None:
        """Add a member that names another one as seen from its own folder.

        Parameters
        ----------
        name : str
        target : str
        top : str
            Folder that stands for a tar inside the archive, and that links do not leave.
        """
        path = posixpath.normpath(posixpath.join(posixpath.dirname(clean_key(name)), target))
        if target.startswith("/") or path == ".." or path.startswith("../"):
            self.skip(below(top, name), f"{LINK} that leads outside the archive")
        else:
            self.add_link(below(top, name), below(top, path))

    def _reason_to_skip(self, key: str, *numbers: int) -> str | None:
        if _ARCHIVE.fullmatch(key):
            # A tar begins with the name of its first member, which may be that of a format.
            reason = self._patterns.reason_to_skip(key, numbers[0], bytes)
            return ARCHIVE if reason == NOT_MATCHED else reason
        return self._patterns.reason_to_skip(key, numbers[0], partial(self._read_head, *numbers))

    def _see(self, key: str) -> None:
        """Note the top folder of a member, whether the member can be read or not."""
        if key and not _is_macos_metadata(key) and len(self._tops) < 2:
            self._tops.add(key.partition("/")[0] if "/" in key else "")

    def _follow_links(self) -> None:
        """Add what links stand for, now that all members are known."""
        places = dict(self._links)
        links = [(key, resolved(target, places)) for key, target in self._links]
        found = self._find({target for _, target in links})
        self._check_number(links, found)
        for key, target in links:
            if target in found.files:
                self._add_linked(key, found.files[target])
            elif target in found.taken:
                # As in a folder on a disk: its images would become copies, perhaps of another class.
                self.skipped.add(key, f"{LINK} to a folder that is read anyway")
            elif target in found.left:
                for rest, numbers in found.left[target]:
                    self._add_linked(key + rest, numbers)
            else:
                self.skipped.add(key, f"{LINK} to nothing in the archive")

    def _find(self, places: set[str]) -> "_Found":
        """Find the members at some places, or in folders at them."""
        found = _Found({}, set(), {})
        for listing in (self._listing, self._others):
            for raw, numbers in listing.rows():
                name = raw.decode()
                if name in places:
                    found.files[name] = numbers
                for folder in places.intersection(folders_above(name)):
                    if listing is self._listing:
                        found.taken.add(folder)
                    else:
                        found.left.setdefault(folder, []).append((name.removeprefix(folder), numbers))
        return found

    def _check_number(self, links: Sequence[tuple[str, str]], found: "_Found") -> None:
        """Refuse an archive whose links to folders multiply its members without end."""
        allowed = _MOST_EXPANSION * (len(self._listing) + len(self._others) + len(links))
        if sum(len(found.left.get(target, ())) for _, target in links) > allowed:
            raise UserError(
                f"the archive {self._source!r} is malicious: its links stand for more than {_MOST_EXPANSION} "
                "times its members.\nIf you trust it, unpack it yourself and name the folder as the source."
            )

    def _add_linked(self, key: str, numbers: Numbers) -> None:
        if reason := self._reason_to_skip(key, *numbers):
            self.skipped.add(key, reason)
        else:
            self._listing.add(key.encode(), *numbers)
            self.size += numbers[0]

    def finish(self) -> tuple[Listing, int]:
        """Return the images, and how many bytes of each name belong to a single top folder.

        Raises
        ------
        UserError
            If two images have the same key.
        """
        if self._links:
            self._follow_links()
            # Readers go through an archive once, and a link is read where its target is.
            self._listing = self._listing.in_order_of(_PLACE)
        self._listing.raise_if_duplicates(self._source)
        top = self._tops.pop() if len(self._tops) == 1 else ""
        return self._listing, len(f"{top}/".encode()) if top else 0


def _is_macos_metadata(key: str) -> bool:
    name = posixpath.basename(key)
    return key.startswith("__MACOSX/") or name.startswith("._") or name == ".DS_Store"
