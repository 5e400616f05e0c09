"""Writers of image files, from the stored values up: independent of every decoder."""

import struct
import zlib
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

Values = NDArray[Any]


# --- PNG --------------------------------------------------------------------------------------------------


def png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png(values: Values, *chunks: bytes, palette: Values | None = None, bits: int | None = None) -> bytes:
    """Write a PNG.

    Parameters
    ----------
    values : ndarray of shape (height, width) or (height, width, 2, 3 or 4)
    *chunks : bytes
        Before the palette.
    palette : ndarray of shape (n, 3), optional
        Colours, of which `values` are numbers.
    bits : int, optional
        1, 2 or 4; otherwise those of the dtype.
    """
    height, width = values.shape[:2]
    kind = 3 if palette is not None else {(): 0, (2,): 4, (3,): 2, (4,): 6}[values.shape[2:]]
    rows = pack(values, bits) if bits else values.astype(values.dtype.newbyteorder(">")).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, bits or 8 * values.dtype.itemsize, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    colors = [] if palette is None else [png_chunk(b"PLTE", palette.astype(np.uint8).tobytes())]
    parts = [png_chunk(b"IHDR", header), *chunks, *colors, png_chunk(b"IDAT", body), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def pack(values: Values, bits: int) -> NDArray[np.uint8]:
    """Put several values of a row into each byte, the first into its highest bits."""
    per_byte = 8 // bits
    width = -(-values.shape[1] // per_byte) * per_byte
    padded = np.zeros((len(values), width), np.uint8)
    padded[:, : values.shape[1]] = values
    shifts = 8 - bits * (1 + np.arange(per_byte))
    return (padded.reshape(len(values), -1, per_byte) << shifts).sum(axis=2).astype(np.uint8)


# --- Netpbm -----------------------------------------------------------------------------------------------


def netpbm(values: Values, largest: int, *, text: bool = False) -> bytes:
    """Write a PGM or PPM: binary, or as text."""
    height, width = values.shape[:2]
    number = (2 if values.ndim == 2 else 3) + (0 if text else 3)
    header = b"P%d\n# a comment\n%d %d\n%d\n" % (number, width, height, largest)
    if text:
        return header + b"\n".join(b" ".join(b"%d" % v for v in row) for row in values.reshape(height, -1))
    return header + _netpbm_bytes(values, largest)


def _netpbm_bytes(values: Values, largest: int) -> bytes:
    return values.astype(np.uint8 if largest < 256 else ">u2").tobytes()


def pam(values: Values, largest: int, kind: bytes) -> bytes:
    height, width = values.shape[:2]
    depth = 1 if values.ndim == 2 else values.shape[2]
    header = b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL %d\nTUPLTYPE %s\nENDHDR\n"
    return header % (width, height, depth, largest, kind) + _netpbm_bytes(values, largest)


def pbm(values: Values, *, text: bool = False) -> bytes:
    """Write a PBM, in which 1 is black."""
    height, width = values.shape
    if text:
        return b"P1\n%d %d\n" % (width, height) + b"\n".join(b"".join(b"%d" % v for v in r) for r in values)
    return b"P4\n%d %d\n" % (width, height) + np.packbits(values, axis=1).tobytes()


def pfm(values: Values, byteorder: str = "<") -> bytes:
    height, width = values.shape[:2]
    header = b"%s\n%d %d\n%d.0\n" % (
        b"Pf" if values.ndim == 2 else b"PF",
        width,
        height,
        -1 if byteorder == "<" else 1,
    )
    return header + values[::-1].astype(f"{byteorder}f4").tobytes()


# --- BMP --------------------------------------------------------------------------------------------------


def bmp(
    rows: Iterable[bytes],
    size: tuple[int, int],
    bits: int,
    *,
    compression: int = 0,
    palette: bytes = b"",
    masks: Sequence[int] = (),
    header_bytes: int = 40,
) -> bytes:
    """Write a BMP of rows from the lowest to the highest, or as they are for a negative height."""
    width, height = size
    body = b"".join(row + bytes(-len(row) % 4) for row in rows) if compression in (0, 3) else b"".join(rows)
    fields = struct.pack(f"<{len(masks)}I", *masks)
    header = struct.pack(
        "<IiiHHIIiiII",
        *(header_bytes, width, height, 1, bits, compression, len(body), 2835, 2835, len(palette) // 4, 0),
    )
    if header_bytes > 40:
        header, fields = (header + fields).ljust(header_bytes, b"\0"), b""
    offset = 14 + len(header) + len(fields) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + fields + palette + body


def old_bmp(rows: Iterable[bytes], size: tuple[int, int], bits: int, palette: bytes = b"") -> bytes:
    """Write a BMP of OS/2, with a palette of three bytes a colour."""
    body = b"".join(row + bytes(-len(row) % 4) for row in rows)
    header = struct.pack("<IHHHH", 12, *size, 1, bits) + palette
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(header)) + header + body


def run_lengths(rows: Values, bits: int) -> bytes:
    """Compress rows as BMP does."""
    found = bytearray()
    for row in rows:
        for start, length in _runs(row, 255):
            value = int(row[start])
            found += bytes([length, value if bits == 8 else value << 4 | value])
        found += b"\0\0"
    return bytes(found) + b"\0\1"


def _runs(values: Values, longest: int) -> Iterable[tuple[int, int]]:
    start = 0
    while start < len(values):
        end = start
        while end < len(values) and values[end] == values[start] and end - start < longest:
            end += 1
        yield start, end - start
        start = end


# --- Sun raster -------------------------------------------------------------------------------------------


def sun_raster(
    rows: Iterable[bytes], size: tuple[int, int], bits: int, kind: int = 1, palette: Values | None = None
) -> bytes:
    body = b"".join(row + bytes(len(row) % 2) for row in rows)
    if kind == 2:
        body = _sun_run_lengths(body)
    colors = b"" if palette is None else palette.T.tobytes()
    header = struct.pack(">8I", 0x59A66A95, *size, bits, len(body), kind, int(bool(colors)), len(colors))
    return header + colors + body


def _sun_run_lengths(body: bytes) -> bytes:
    found = bytearray()
    values = np.frombuffer(body, np.uint8)
    for start, length in _runs(values, 255):
        value = int(values[start])
        if length > 2:
            found += bytes([128, length - 1, value])
        else:
            found += (b"\x80\0" if value == 128 else bytes([value])) * length
    return bytes(found)


# --- TIFF -------------------------------------------------------------------------------------------------


def tiff(*pages: tuple[Values, dict[str, Any]]) -> bytes:
    """Write a TIFF with tifffile, a page for each pair of values and tifffile's options."""
    stream = BytesIO()
    with tifffile.TiffWriter(stream, byteorder=pages[0][1].pop("byteorder", None)) as writer:
        for values, options in pages:
            writer.write(values, metadata=None, **options)
    return stream.getvalue()
