"""Broken and hostile files made of intact ones. The same seed gives the same bytes."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence

Mutation = Callable[[bytearray, random.Random], None]

_HEADER_BYTES = 200
_PNG = b"\x89PNG\r\n\x1a\n"
_EXTREME = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_CLAIMS = (
    0,
    1,
    255,
    256,
    300,
    5_000,
    20_000,
    32_767,
    40_000,
    65_535,
    65_536,
    1 << 20,
    0x7FFFFFFF,
    0xFFFFFFFF,
)
_PAIRS = (">H", "<H", ">I", "<I", ">Q", "<Q")


def mutate(files: Sequence[bytes], others: Sequence[bytes], size: tuple[int, int], seed: str) -> bytes:
    """Make a file that is broken in one to three ways.

    Parameters
    ----------
    files : sequence of bytes
        Intact files of one format, of which one is taken.
    others : sequence of bytes
        Files of other formats, whose headers are put before its own content.
    size : tuple of int
        Width and height that the files have, to be replaced by others.
    seed : str
        Chooses all.

    Returns
    -------
    bytes
    """
    rng = random.Random(seed)
    data = bytearray(rng.choice(files))
    mutations: tuple[Mutation, ...] = (
        _flip_bits,
        _set_numbers,
        _cut,
        _leave_out,
        _double,
        _zero,
        _fill,
        lambda data, rng: _splice(data, rng.choice(files), rng),
        lambda data, rng: _splice(data, rng.choice(others), rng),
        lambda data, rng: _claim(data, size, rng),
        lambda data, rng: _claim(data, size, rng),
        _deepen,
    )
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            rng.choice(mutations)(data, rng)
    if data.startswith(_PNG) and rng.random() < 0.7:
        # Else libpng looks no further than at the checksums.
        data = _with_new_checksums(bytes(data))
    return bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    """Choose a place, every other time in the header."""
    return rng.randrange(min(len(data), _HEADER_BYTES) if rng.random() < 0.5 else len(data))


def _part(data: bytearray, rng: random.Random) -> slice:
    start = _place(data, rng)
    return slice(start, start + 1 + int((len(data) - start) * rng.random() ** 3))


def _flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _set_numbers(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 4))):
        code = rng.choice(("B", *_PAIRS))
        number = struct.pack(code, rng.choice(_EXTREME) & ((1 << 8 * struct.calcsize(code)) - 1))
        place = _place(data, rng)
        data[place : place + len(number)] = number


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _leave_out(data: bytearray, rng: random.Random) -> None:
    del data[_part(data, rng)]


def _double(data: bytearray, rng: random.Random) -> None:
    part = bytes(data[_part(data, rng)])
    place = _place(data, rng)
    data[place:place] = part * rng.choice((1, 1, 2, max(1, 20_000 // len(part))))


def _zero(data: bytearray, rng: random.Random) -> None:
    part = _part(data, rng)
    data[part] = bytes(len(data[part]))


def _fill(data: bytearray, rng: random.Random) -> None:
    part = _part(data, rng)
    data[part] = rng.choice((b"\xff" * len(data[part]), rng.randbytes(len(data[part]))))


def _splice(data: bytearray, other: bytes, rng: random.Random) -> None:
    """Put the header of another file before the rest of this one, or instead of its own."""
    head = other[: rng.choice((4, 16, 64, 512))]
    data[: rng.choice((0, len(head)))] = head


def _claim(data: bytearray, size: tuple[int, int], rng: random.Random) -> None:
    """Replace width or height, or both, somewhere or everywhere, by other numbers."""
    claims = [rng.choice(_CLAIMS) for _ in size]
    for old, new in zip(size, claims, strict=True):
        if rng.random() < 0.3:
            continue
        forms = [(str(old).encode(), str(new).encode())]
        for code in _PAIRS:
            most = (1 << 8 * struct.calcsize(code)) - 1
            forms += [
                (struct.pack(code, old - less), struct.pack(code, min(max(new - less, 0), most)))
                for less in (0, 1)
            ]
        rng.shuffle(forms)
        for form, claim in forms:
            if form in data[: 4 * _HEADER_BYTES]:
                data[:] = data.replace(form, claim, rng.choice((1, 1, 2, -1)))
                break


def _deepen(data: bytearray, rng: random.Random) -> None:
    """Put in metadata of many directories, of directories in a ring, or of huge counts."""
    exif = _exif(rng)
    if data.startswith(b"\xff\xd8"):
        body = b"Exif\0\0" + exif
        data[2:2] = b"\xff\xe1" + struct.pack(">H", min(len(body) + 2, 0xFFFF)) + body
    elif data.startswith(_PNG):
        data[33:33] = struct.pack(">I", len(exif)) + b"eXIf" + exif + bytes(4)
    elif data[8:12] == b"WEBP":
        data += b"EXIF" + struct.pack("<I", len(exif)) + exif
        data[4:8] = struct.pack("<I", len(data) - 8)
        if data[12:16] == b"VP8X" and len(data) > 20:
            data[20] |= 8
    elif data.startswith((b"II", b"MM")):
        data[:] = exif
    else:
        _double(data, rng)


def _exif(rng: random.Random) -> bytes:
    """Make TIFF directories, one within another."""
    order, mark = rng.choice(((">", b"MM\0*"), ("<", b"II*\0")))
    depth = rng.choice((1, 3, 100, 1500))
    sizes = (256, 257, 258, 259, 273, 279)
    loops_to = rng.choice((None, 8, 26))
    blocks = [mark + struct.pack(order + "I", 8)]
    for level in range(depth):
        here = 8 + level * 42
        following = here + 42 if level < depth - 1 else loops_to or 0
        entries = [
            (274, 3, 1, rng.randrange(12) << (16 if order == ">" else 0)),
            (rng.choice((0x8769, 0x8825, 0xA005, 330, 0x9286)), 4, rng.choice((1, 1, 0xFFFFFFFF)), following),
            (
                rng.choice(sizes),
                rng.randrange(14),
                rng.choice(_EXTREME),
                rng.choice(_EXTREME),
            ),
        ]
        directory = struct.pack(order + "H", len(entries))
        directory += b"".join(struct.pack(order + "HHII", *entry) for entry in entries)
        blocks.append(directory + struct.pack(order + "I", following))
    return b"".join(blocks)


def _with_new_checksums(png: bytes) -> bytearray:
    data = bytearray(png)
    position = len(_PNG)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return data
