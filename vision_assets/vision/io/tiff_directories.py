"""The directories of a TIFF as they are stored, and copies of single pages without decoding them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_PAGES = 100_000
"""More directories are not read: a broken file may have millions."""

# As tifffile has them.
_MOST_TAGS = 4096
_FIRST_PLACE = 8

_KIND_BYTES = {
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
"""Number of a type to the bytes of a value."""

_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_LONG, _LONG8 = 4, 16

_NEW_SUBFILE_TYPE, _SUBFILE_TYPE = 254, 255
_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2
_COMPRESSION, _NOT_COMPRESSED, _OLD_JPEG = 259, 1, 6
_PIXEL_TAGS = (256, 257, 258, 277)
"""Width, height, bits of a value, values of a pixel."""

_SUB_DIRECTORIES = 330
_OLD_JPEG_STREAM = 513
_SEGMENTS = ((324, 325), (273, 279))
"""Tags of the places of tiles and strips, each with that of their lengths."""

_LEFT_OUT = {
    *(288, 289),  # unused bytes
    _SUB_DIRECTORIES,
    *(
        400,
        34665,
        34853,
        40965,
    ),  # directories of other things: global parameters, Exif, GPS, interoperability
}


class _Tag(NamedTuple):
    """A tag: how many values of which type it has, and these or the place of these."""

    code: int
    kind: int
    number: int
    field: bytes


@dataclass(frozen=True)
class Directory:
    """The directory of a page.

    Parameters
    ----------
    offset : int
        Where it is in the file.
    tags : tuple of _Tag
    next_field : int
        Where the offset of the next one is.
    """

    offset: int
    tags: tuple[_Tag, ...]
    next_field: int

    @cached_property
    def by_code(self) -> dict[int, _Tag]:
        """Tags by their codes; the first of several with one code."""
        return {tag.code: tag for tag in reversed(self.tags)}


class Page(NamedTuple):
    """A page of a TIFF.

    Attributes
    ----------
    offset : int
        Where its directory is.
    directory : Directory or None
        None if it cannot be read.
    """

    offset: int
    directory: Directory | None


class TiffDirectories:
    """The directories of a TIFF or BigTIFF.

    Parameters
    ----------
    data : bytes
        A file that begins as a TIFF does.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data)
        self._order = order = "<" if data[:2] == b"II" else ">"
        self._is_big = (data[2] or data[3]) == 43
        self._pointer = struct.Struct(order + ("Q" if self._is_big else "I"))
        self._count = struct.Struct(order + ("Q" if self._is_big else "H"))
        self._entry = struct.Struct(order + ("HHQ8s" if self._is_big else "HHI4s"))
        self._first_field = 8 if self._is_big else 4

    def full_pages(self) -> list[Page]:
        """Return the pages that are images: no reduced ones, and no masks of others.

        Below a reduced page are those that it is a preview of. A directory that cannot be read counts. The
        list is empty if all pages are reduced ones.
        """
        full = [page for page in self._pages() if not self._flags(page) & _REDUCED]
        return full[:1] + [page for page in full[1:] if not self._flags(page) & _MASK]

    def copy(self, page: Page) -> bytes:
        """Return a file of one page alone: its tags and its strips or tiles, as they are stored.

        Where what a page refers to cannot be moved, that is a copy of the file which begins with the page.
        """
        if page.directory is None:
            return self._header(page.offset)
        return self._moved(page.directory) or self._with_first(page.directory)

    def error_page(self) -> bytes:
        """Return a file that cannot be decoded, because it ends before its first page."""
        return self._header(len(self._data))

    def _header(self, first: int) -> bytes:
        return self._data[: self._first_field] + self._pointer.pack(first)

    def _pages(self) -> Iterator[Page]:
        """Yield pages in their order, up to one that cannot be read; those below a reduced page after it."""
        seen: set[int] = set()
        (offset,) = self._pointer.unpack_from(self._data, self._first_field)
        while offset and offset not in seen:
            page = self._page(offset) if len(seen) < MOST_PAGES else Page(offset, None)
            seen.add(offset)
            yield page
            if page.directory is None:
                return
            if self._flags(page) & _REDUCED:
                for below in self._sub_directories(page.directory):
                    if below not in seen and len(seen) < MOST_PAGES:
                        seen.add(below)
                        if (page_below := self._page(below)).directory:
                            yield page_below
            (offset,) = self._pointer.unpack_from(self._data, page.directory.next_field)

    def _page(self, offset: int) -> Page:
        start, data = offset + self._count.size, self._data
        if start > len(data):
            return Page(offset, None)
        (count,) = self._count.unpack_from(data, offset)
        end = start + count * self._entry.size
        if count > _MOST_TAGS or end + self._pointer.size > len(data):
            return Page(offset, None)
        tags = tuple(map(_Tag._make, self._entry.iter_unpack(data[start:end])))
        return Page(offset, Directory(offset, tags, end))

    def _sub_directories(self, directory: Directory) -> list[int]:
        tag = directory.by_code.get(_SUB_DIRECTORIES)
        return [] if tag is None else [int(offset) for offset in self._integers(tag)[:_MOST_TAGS]]

    def _flags(self, page: Page) -> int:
        directory = page.directory
        if directory is None:
            return 0
        flags = self._integer(directory, _NEW_SUBFILE_TYPE)
        return flags or (_REDUCED if self._integer(directory, _SUBFILE_TYPE) == _OLD_REDUCED else 0)

    def _integer(self, directory: Directory, code: int) -> int:
        tag = directory.by_code.get(code)
        return 0 if tag is None else int(next(iter(self._integers(tag)), 0))

    def _integers(self, tag: _Tag) -> NDArray[Any]:
        value = self._value(tag) if tag.kind in _INTEGERS else None
        return np.frombuffer(value or b"", self._order + _INTEGERS.get(tag.kind, "u1"))

    def _value(self, tag: _Tag) -> bytes | memoryview | None:
        """Return the bytes of a value; None if its type is unknown or they are not in the file."""
        size = tag.number * _KIND_BYTES.get(tag.kind, 0)
        if size <= self._pointer.size:
            return tag.field[:size] or None
        (offset,) = self._pointer.unpack(tag.field)
        is_inside = _FIRST_PLACE <= offset <= len(self._data) - size
        return self._view[offset : offset + size] if is_inside else None

    def _moved(self, directory: Directory) -> bytes | None:
        """Return the page in a file of its own; None if that is more than its tags and segments."""
        tags, compression = directory.by_code, self._integer(directory, _COMPRESSION)
        if compression == _OLD_JPEG or _OLD_JPEG_STREAM in tags:
            return None
        places, lengths = next((codes for codes in _SEGMENTS if codes[0] in tags), (0, 0))
        if places not in tags or lengths not in tags:
            return None
        bits = self._integers(tags[lengths]).sum(dtype=float) * 8
        if compression in (0, _NOT_COMPRESSED) and bits < self._bits(directory):
            return None
        segments = _Segments.of(self._integers(tags[places]), self._integers(tags[lengths]), len(self._data))
        values = {
            tag: value
            for tag in directory.tags
            if tag.code not in _LEFT_OUT
            and (tag.code != places or tag is tags[places])
            and (value := self._value(tag)) is not None
        }
        if segments is None or sum(map(len, values.values())) > len(self._data):
            return None
        return self._written(values, places, segments)

    def _bits(self, directory: Directory) -> int:
        """Return how many bits the values of a page have that is not compressed."""
        width, height, bits, samples = (self._integer(directory, code) for code in _PIXEL_TAGS)
        return width * height * (bits or 1) * (samples or 1)

    def _written(self, values: dict[_Tag, bytes | memoryview], places: int, segments: "_Segments") -> bytes:
        width, entry = self._pointer.size, self._entry
        start = self._first_field + width
        beyond = start + self._count.size + len(values) * entry.size + width  # values too long for their tag
        sizes = {
            tag: len(segments.places) * width if tag.code == places else len(value)
            for tag, value in values.items()
        }
        first_segment = beyond + sum(size + size % 2 for size in sizes.values() if size > width)
        moved = segments.moved_to(first_segment).astype(f"{self._order}u{width}").tobytes()
        entries: list[bytes] = []
        long_values: list[bytes | memoryview] = []
        for tag, value in values.items():
            kind, field = tag.kind, value
            if tag.code == places:
                kind, field = _LONG8 if self._is_big else _LONG, moved
            if len(field) > width:
                padding = bytes(len(field) % 2)
                long_values += [field, padding]
                field, beyond = self._pointer.pack(beyond), beyond + len(field) + len(padding)
            entries.append(entry.pack(tag.code, kind, tag.number, field))
        return b"".join(
            [
                self._header(start),
                self._count.pack(len(entries)),
                *entries,
                bytes(width),
                *long_values,
                *segments.stored_in(self._view),
            ]
        )

    def _with_first(self, directory: Directory) -> bytes:
        """Return the file with another first page, which no other one follows."""
        copy = bytearray(self._data)
        copy[directory.next_field : directory.next_field + self._pointer.size] = bytes(self._pointer.size)
        self._pointer.pack_into(copy, self._first_field, directory.offset)
        return bytes(copy)


@dataclass(frozen=True)
class _Segments:
    """The strips or tiles of a page. Equal ones may be stored once.

    Parameters
    ----------
    places : ndarray of shape (segments,), dtype uint64
        Number of each segment in `stored`; beyond them for one that is not in the file.
    stored : ndarray of shape (stored segments, 2), dtype uint64
        Places and lengths of segments in the file.
    """

    places: NDArray[np.intp]
    stored: NDArray[np.uint64]

    @classmethod
    def of(cls, offsets: NDArray[Any], lengths: NDArray[Any], size: int) -> "_Segments | None":
        """Return the segments of a page in a file of `size` bytes; None if their places are not clear."""
        if not len(offsets) or len(offsets) != len(lengths) or (len(lengths) == 1 and not lengths[0]):
            return None
        pairs = np.stack([offsets, lengths], axis=1).astype(np.uint64)
        left = np.uint64(size) - np.minimum(pairs[:, 0], np.uint64(size))
        is_inside = (pairs[:, 0] <= size) & (pairs[:, 1] <= left)
        stored, inverse = np.unique(pairs[is_inside], axis=0, return_inverse=True)
        if stored[:, 1].sum(dtype=float) > size:
            return None
        places = np.full(len(pairs), len(stored))
        places[is_inside] = inverse.reshape(-1)
        return cls(places, stored)

    def moved_to(self, start: int) -> NDArray[np.int64]:
        """Return the places of all segments in a file that begins with `start` other bytes."""
        ends = start + np.cumsum(self.stored[:, 1], dtype=np.int64)
        beyond = (ends[-1] if len(ends) else start) + 1
        return np.append(ends - self.stored[:, 1].astype(np.int64), beyond)[self.places]

    def stored_in(self, data: memoryview) -> Iterator[memoryview]:
        """Yield the bytes of the stored segments."""
        for offset, length in self.stored.tolist():
            yield data[offset : offset + length]
