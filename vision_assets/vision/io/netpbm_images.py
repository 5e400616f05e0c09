"""The images of a netpbm file, which may have one after the other."""

import re
from collections.abc import Iterator

_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NUMBER = rb"(\d{1,9})"
_START = re.compile(rb"\s*(?=P[4-7Ff]\s)")
_PBM = re.compile(rb"P4" + (_SPACE + _NUMBER) * 2 + rb"\s")
_PNM = re.compile(rb"P[56]" + (_SPACE + _NUMBER) * 3 + rb"\s")
_PFM = re.compile(rb"P[Ff]\s+" + _NUMBER + rb"\s+" + _NUMBER + rb"\s+\S{1,32}\s")
_PAM = re.compile(rb"P7\s(?:[^\n]{0,200}\n){1,50}?ENDHDR[ \t]*\n")
_PAM_FIELDS = tuple(
    re.compile(rb"^" + name + rb"\s+" + _NUMBER, re.MULTILINE)
    for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL")
)
_HEADER_BYTES = 4096
_FLOAT_BYTES = 4
_COLORS = 3


def images(data: bytes) -> Iterator[bytes]:
    """Yield each image of a binary netpbm file; the last may be truncated.

    Text formats (P1 to P3) have one image.
    """
    start = 0
    while start < len(data):
        following = _end(data, start)
        if following is not None:
            place = _START.match(data, following)
            following = place.end() if place else None
        yield data[start:following]
        if following is None:
            return
        start = following


def _end(data: bytes, start: int) -> int | None:
    """Return where the image ends that begins at `start`; None if its header is broken."""
    header = data[start : start + _HEADER_BYTES]
    if found := _PBM.match(header):
        width, height = map(int, found.groups())
        return start + found.end() + -(-width // 8) * height
    if found := _PNM.match(header):
        width, height, limit = map(int, found.groups())
        samples = width * height * (_COLORS if header[1:2] == b"6" else 1)
        return start + found.end() + samples * _bytes_of(limit)
    if found := _PFM.match(header):
        samples = int(found[1]) * int(found[2]) * (_COLORS if header[1:2] == b"F" else 1)
        return start + found.end() + samples * _FLOAT_BYTES
    if found := _PAM.match(header):
        fields = [field.search(found[0]) for field in _PAM_FIELDS]
        if all(fields):
            width, height, depth, limit = (int(field[1]) for field in fields if field)
            return start + found.end() + width * height * depth * _bytes_of(limit)
    return None


def _bytes_of(limit: int) -> int:
    return 1 if limit < 1 << 8 else 2 if limit < 1 << 16 else 4
