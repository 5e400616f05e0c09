"""Compressed files, unpacked while they are read: gzip, bzip2, xz and Zstandard."""

import bz2
import io
import lzma
import re
import sys
import zlib
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, Protocol, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CHUNK = 1 << 17


class _Stream(Protocol):
    """One compressed stream, as the decompressors of bz2, lzma and Zstandard are."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _GzipStream:
    """Gives zlib's decompressor the methods of the others."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, max_length)


class Compression(NamedTuple):
    """A format of compressed files.

    Attributes
    ----------
    suffix : str
        How names of such files end, without the dot.
    magic : re.Pattern
        How such files begin.
    new_stream : callable
        Returns what unpacks one stream.
    """

    suffix: str
    magic: re.Pattern[bytes]
    new_stream: Callable[[], _Stream]


COMPRESSIONS: tuple[Compression, ...] = (
    Compression("gz", re.compile(rb"\x1f\x8b\x08"), _GzipStream),
    Compression("bz2", re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), bz2.BZ2Decompressor),
    Compression("xz", re.compile(rb"\xfd7zXZ\0"), lzma.LZMADecompressor),
    # Files of pzstd begin with a frame that is to be skipped.
    Compression("zst", re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"), zstd.ZstdDecompressor),
)


def compression_of(head: bytes) -> Compression | None:
    """Return the format of a compressed file that begins with these bytes; None if it has none of these."""
    return next((known for known in COMPRESSIONS if known.magic.match(head)), None)


def open_unpacked(path: str) -> BinaryIO:
    """Open a file so that it reads as unpacked, if it is compressed.

    Raises
    ------
    OSError
        If it cannot be read; while it is read, if a stream is damaged.
    EOFError
        While it is read, if it ends inside a stream.
    """
    file = open(path, "rb")  # noqa: PTH123, SIM115 - as in the other sources; the caller closes it
    compression = compression_of(file.read(16))
    file.seek(0)
    return io.BufferedReader(_Unpacked(file, compression.new_stream), _CHUNK) if compression else file


class _Unpacked(io.RawIOBase):
    """The bytes of compressed streams that follow each other, with zeros between them.

    The classes of the standard library take a second stream that is damaged for padding, and end there.
    Seeking forward reads on, so reading in order is one pass.
    """

    def __init__(self, file: BinaryIO, new_stream: Callable[[], _Stream]) -> None:
        self._file = file
        self._new_stream = new_stream
        self._stream = new_stream()
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        if offset < self._position:
            self._file.seek(0)
            self._stream, self._position = self._new_stream(), 0
        while self._position < offset and self._read(min(_CHUNK, offset - self._position)):
            pass
        return self._position

    def close(self) -> None:
        self._file.close()
        super().close()

    def _read(self, most: int) -> bytes:
        try:
            data = self._unpack(most)
        except (zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
            raise OSError(str(error)) from error
        self._position += len(data)
        return data

    def _unpack(self, most: int) -> bytes:
        """Return at least one byte, unless the last stream has ended."""
        while True:
            packed, at_end = b"", False
            if self._stream.eof:
                packed = self._after_stream()
                if not packed:
                    return b""
                self._stream = self._new_stream()
            elif self._stream.needs_input:
                packed = self._file.read(_CHUNK)
                at_end = not packed
            data = self._stream.decompress(packed, most)
            if data:
                return data
            if at_end and not self._stream.eof:
                raise EOFError("it ends inside its compressed content")

    def _after_stream(self) -> bytes:
        """Return what follows a stream and its padding."""
        packed = self._stream.unused_data.lstrip(b"\0")
        while not packed and (chunk := self._file.read(_CHUNK)):
            packed = chunk.lstrip(b"\0")
        return packed
