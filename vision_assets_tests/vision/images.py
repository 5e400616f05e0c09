"""Image files for tests, made in memory: ordinary ones, odd ones and broken ones."""

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

GrayImage = npt.NDArray[np.uint8]

EXIF_ORIENTATION = 274


def textured(height: int = 120, width: int = 160, *, seed: int = 0) -> GrayImage:
    """Smooth random grey values on which SIFT finds keypoints."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def flat(height: int = 40, width: int = 60) -> GrayImage:
    """One grey value: no keypoints."""
    return np.full((height, width), 128, np.uint8)


def colored(height: int = 120, width: int = 160, *, seed: int = 0) -> npt.NDArray[np.uint8]:
    """As `textured`, with three different channels: shape (height, width, 3), RGB."""
    return np.dstack([textured(height, width, seed=seed + channel) for channel in range(3)])


def encoded(image: npt.NDArray[Any] | Image.Image, kind: str, **options: Any) -> bytes:
    """Encode with Pillow; `kind` is its name of the format, such as ``JPEG``."""
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def cv_encoded(image: npt.NDArray[Any], suffix: str) -> bytes:
    """Encode with OpenCV, for the formats and depths that Pillow cannot write."""
    return cv2.imencode(suffix, image)[1].tobytes()


def jpeg(image: npt.NDArray[Any] | None = None, **options: Any) -> bytes:
    """Encode `image`, or an ordinary textured one, as JPEG."""
    return encoded(textured() if image is None else image, "JPEG", **options)


def rotated(orientation: int, kind: str = "JPEG") -> bytes:
    """An image of 160 x 120 stored pixels with an EXIF orientation, 1 to 8."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return encoded(textured(), kind, exif=exif)


def animated(kind: str) -> bytes:
    """Two frames, the second upside down: GIF, WEBP or PNG."""
    first, second = Image.fromarray(textured()), Image.fromarray(textured()[::-1].copy())
    return encoded(first, kind, save_all=True, append_images=[second])


def with_thumbnail(thumbnail: bytes) -> bytes:
    """A JPEG whose EXIF segment contains another complete JPEG."""
    segment = b"Exif\x00\x00" + thumbnail
    complete = jpeg()
    return complete[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + complete[2:]


def png_claiming(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims a size that its pixels do not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def jpeg_claiming(width: int, height: int) -> bytes:
    """A small intact JPEG whose header is changed to claim another size."""
    data = bytearray(jpeg())
    frame = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, frame + 5, height, width)
    return bytes(data)


def tiff_claiming(width: int, height: int) -> bytes:
    """A TIFF header, little-endian, with nothing but a size and kinds of pixels that Pillow does not know."""
    entries = ((256, width), (257, height), (258, 8), (262, 999))
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\x00" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


def webp_claiming(width: int, height: int) -> bytes:
    """The header of an animated WebP of some size."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\0\0\0\0WEBPVP8X" + struct.pack("<II", 10, 2) + size
