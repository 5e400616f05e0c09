"""The compression methods of zips, which unpack one member in memory."""

import bz2
import lzma
import zipfile
import zlib
from collections.abc import Callable, Mapping

from vision_assets.steps.sources.compression import zstd

PACKED_START = 1 << 20
"""Packed bytes that hold the first block of a member, whatever the method; those of bzip2 are the largest."""

_CHUNK = 1 << 16
_DAMAGED = (
    *(zlib.error, lzma.LZMAError, zstd.ZstdError),
    *(OSError, EOFError, ValueError, IndexError, RuntimeError),
)


def unpack(data: bytes, method: int, size: int) -> bytes | None:
    """Unpack a member.

    Parameters
    ----------
    data : bytes
    method : int
        One of `METHODS`.
    size : int
        What the member claims to unpack to, in bytes.

    Returns
    -------
    bytes or None
        None if the member is damaged, or would unpack to another size.
    """
    # One byte more than declared reveals a bomb without unpacking it.
    unpacked = unpack_start(data, method, size + 1)
    return unpacked if unpacked is not None and len(unpacked) == size else None


def unpack_start(data: bytes, method: int, most: int) -> bytes | None:
    """Unpack at most some first bytes of a member that is all here or begins here; None if it is damaged."""
    try:
        return METHODS[method](data, most)[:most]
    except _DAMAGED:
        return None


def _inflate64(data: bytes, most: int) -> bytes:
    """Unpack Deflate64, which Windows' Explorer uses for large members."""
    import inflate64  # noqa: PLC0415 - it takes long, and is seldom needed

    inflater, unpacked = inflate64.Inflater(), bytearray()
    for start in range(0, len(data), _CHUNK):
        unpacked += inflater.inflate(data[start : start + _CHUNK])
        if inflater.eof or len(unpacked) >= most:
            break
    return bytes(unpacked)


def _lzma(data: bytes, most: int) -> bytes:
    """Unpack LZMA: a version, the length of the properties, the properties (APPNOTE 5.8), a raw stream."""
    length = int.from_bytes(data[2:4], "little")
    packed, sizes = data[4], data[5 : 4 + length]
    options = {
        "id": lzma.FILTER_LZMA1,
        "lc": packed % 9,
        "lp": packed // 9 % 5,
        "pb": packed // 45,
        "dict_size": int.from_bytes(sizes[:4], "little"),
    }
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options]).decompress(data[4 + length :], most)


METHODS: Mapping[int, Callable[[bytes, int], bytes]] = {
    zipfile.ZIP_STORED: lambda data, _: data,
    zipfile.ZIP_DEFLATED: lambda data, most: zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most),
    9: _inflate64,
    zipfile.ZIP_BZIP2: lambda data, most: bz2.BZ2Decompressor().decompress(data, most),
    zipfile.ZIP_LZMA: _lzma,
    93: lambda data, most: zstd.ZstdDecompressor().decompress(data, most),
    95: lambda data, most: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data, most),
}
"""Number of a method (APPNOTE 4.4.5) to the function that unpacks at most some bytes."""
