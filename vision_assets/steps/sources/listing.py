"""Names and places of millions of files, held compactly, and cut into what one task reads."""

import posixpath
import re
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vision_assets.errors import UserError
from vision_assets.steps.sources.image_files import MACOS_METADATA, ImageFiles, Listed, Patterns, Skipped

SPLIT_BYTES = 128 << 20
"""A task streams its split, so this bounds no memory: it is a size of part files that HDFS and S3 like."""

SPLITS_PER_CORE = 4

BYTES_PER_FILE = 4096
"""The effort of opening a file, as bytes that are read in the same time."""

_MOST_EXPANSION = 200
_ALWAYS_ALLOWED_BYTES = 1 << 30

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_key(name: str) -> str:
    r"""Turn the name of a file or an archive's member into a key that stays inside the source.

    A leading '/', '.' and '..' are resolved as if the source were the root of the file system. Bytes
    that are not UTF-8, which Python keeps as lone surrogates, become ``\xNN``.

    Returns
    -------
    The key; empty when the name names no file.
    """
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return _SURROGATE.sub(_escape, "/".join(parts).replace("\0", "\\x00"))


def _escape(surrogate: re.Match[str]) -> str:
    code = ord(surrogate[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


class ExpansionLimit:
    """Refuses an archive that would unpack to far more than its own size.

    Some kilobytes can hold members of terabytes, which would fill the disk.

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
        """Raise a `UserError` when the members up to `name` come to too many bytes."""
        if unpacked > _MOST_EXPANSION * self._packed + _ALWAYS_ALLOWED_BYTES:
            raise UserError(
                f"the archive {self._source!r} of {self._packed:,} bytes would unpack to more than "
                f"{_MOST_EXPANSION} times that, {unpacked:,} bytes up to member {name!r}.\n"
                "If that is no trap, unpack it yourself and give the folder."
            )


@dataclass(frozen=True)
class Entries:
    """Some rows of a `Listing`, small when pickled."""

    packed_names: bytes
    numbers: "tuple[array[int], ...]"

    def __iter__(self) -> Iterator[tuple[bytes, tuple[int, ...]]]:
        names = zlib.decompress(self.packed_names).split(b"\0")
        return zip(names, zip(*self.numbers, strict=True), strict=False)


class Listing:
    """Rows of (name, size in bytes, further numbers), about 8 bytes per number and a name's own bytes."""

    def __init__(self, further_numbers: int = 0) -> None:
        self._names = bytearray()
        self._ends = array("Q")
        self._numbers = tuple(array("Q") for _ in range(1 + further_numbers))

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, name: bytes, *numbers: int) -> None:
        """Add a row. The name holds no NUL."""
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

    def only(self, chosen: NDArray[np.bool_]) -> "Listing":
        """Return some of the rows."""
        listing = Listing(len(self._numbers) - 1)
        for (name, numbers), is_chosen in zip(self.rows(), chosen.tolist(), strict=True):
            if is_chosen:
                listing.add(name, *numbers)
        return listing

    def whole(self) -> Entries:
        """Return all rows as one."""
        return self._rows(0, len(self))

    def cut(self, parallelism: int) -> list[Entries]:
        """Return consecutive rows, about equally many bytes each, at most `SPLIT_BYTES` or one file."""
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
        """Raise a `UserError` that shows some of the names that are there more than once."""
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
                f"{len(doubles)} images in {source!r} have the same key as another, such as {shown}.\n"
                "Each path has to be there once (a leading '/', './' and '../' are left out of keys)."
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
        Makes the images of some of its rows.

    Returns
    -------
    Listed
    """

    def table() -> pa.Table:
        keys, values = zip(*stamps(), strict=True)
        return pa.table({"fileName": pa.array(keys, pa.string()), "stamp": pa.array(values, pa.string())})

    return Listed(table, lambda chosen: read(listing.only(chosen)))


def archive_stamps(listing: Listing, prefix: int, state: str | None) -> Iterator[tuple[str, str | None]]:
    """Yield key and stamp of each member of an archive: that of the archive as a whole."""
    for name in listing.names():
        yield name[prefix:].decode(), state


class ArchiveListing:
    """The images among an archive's members, by key, and what is not one of them.

    Attributes
    ----------
    skipped : Skipped
        What is no image.
    size : int
        Of all images, in bytes.
    """

    def __init__(self, source: str, patterns: Patterns, further_numbers: int) -> None:
        self._source = source
        self._patterns = patterns
        self._listing = Listing(further_numbers)
        self._tops: set[str] = set()
        self.skipped = Skipped()
        self.size = 0

    def skip(self, name: str, reason: str) -> None:
        """Count a member that is no regular file or cannot be read."""
        self.skipped.add(clean_key(name) or repr(name), reason)

    def add(self, name: str, *numbers: int) -> None:
        """Take a regular member with its size and further numbers, or count it as skipped."""
        key = clean_key(name)
        if not key or _is_macos_metadata(key):
            self.skip(name, MACOS_METADATA if key else "no file name")
            return
        if len(self._tops) < 2:
            self._tops.add(key.partition("/")[0] if "/" in key else "")
        reason = self._patterns.reason_to_skip(key, numbers[0])
        if reason:
            self.skip(name, reason)
        else:
            self._listing.add(key.encode(), *numbers)
            self.size += numbers[0]

    def finish(self) -> tuple[Listing, int]:
        """Return the images, and how many bytes of each name are the single top folder's.

        Raises
        ------
        UserError
            When two images have the same key.
        """
        self._listing.raise_if_duplicates(self._source)
        top = self._tops.pop() if len(self._tops) == 1 else ""
        return self._listing, len(f"{top}/".encode()) if top else 0


def _is_macos_metadata(key: str) -> bool:
    name = posixpath.basename(key)
    return key.startswith("__MACOSX/") or name.startswith("._") or name == ".DS_Store"
