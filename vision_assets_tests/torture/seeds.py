"""Small intact files of every format that OpenCV reads, in the kinds it knows, to be mutated."""

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_assets_tests.vision import images

WIDTH, HEIGHT = 61, 47
"""Two numbers that are rare in these files otherwise: where they are, the header claims the size."""

_GRAY = images.textured(HEIGHT, WIDTH)
_COLOR = images.colored(HEIGHT, WIDTH)


@cache
def seed_files() -> dict[str, tuple[bytes, ...]]:
    """Return the files by format."""
    return {
        "JPEG": _jpeg(),
        "PNG": _png(),
        "TIFF": _tiff(),
        "BMP": _bmp(),
        "GIF": _gif(),
        "WebP": _webp(),
        "AVIF": _avif(),
        "JPEG 2000": _jpeg_2000(),
        "PNM": _pnm(),
        "PAM": (_cv(_COLOR, ".pam"), _cv(_GRAY, ".pam")),
        "PFM": (_cv(_float(_GRAY), ".pfm"), _cv(_float(_COLOR), ".pfm")),
        "HDR": (_cv(_float(_COLOR), ".hdr"), _cv(_float(_COLOR), ".hdr", cv2.IMWRITE_HDR_COMPRESSION, 0)),
        "Sun raster": (_cv(_COLOR, ".ras"), _cv(_GRAY, ".ras")),
    }


def _jpeg() -> tuple[bytes, ...]:
    picture = _picture()
    return (
        images.jpeg(_GRAY),
        images.jpeg(_COLOR),
        images.jpeg(_COLOR, progressive=True),
        images.jpeg(_COLOR, subsampling=2, restart_marker_rows=1),
        images.encoded(picture.convert("CMYK"), "JPEG"),
        images.encoded(picture, "JPEG", exif=_exif(), icc_profile=bytes(300), comment=b"comment"),
        _cv(_COLOR, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    )


def _png() -> tuple[bytes, ...]:
    picture = _picture()
    return (
        images.encoded(_GRAY, "PNG"),
        images.encoded(_COLOR, "PNG", exif=_exif()),
        images.encoded(picture.convert("RGBA"), "PNG"),
        images.encoded(picture.convert("LA"), "PNG"),
        images.encoded(picture.quantize(16), "PNG", transparency=0),
        images.encoded(Image.fromarray(_GRAY).convert("1"), "PNG"),
        _cv(_wide(_GRAY), ".png"),
        _cv(_wide(_COLOR), ".png"),
        _animated("PNG"),
    )


def _tiff() -> tuple[bytes, ...]:
    picture = _picture()
    compressed = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    one_bit = Image.fromarray(_GRAY).convert("1")
    return (
        images.encoded(picture, "TIFF", exif=_exif()),
        *(images.encoded(picture, "TIFF", compression=name) for name in compressed),
        *(images.encoded(one_bit, "TIFF", compression=name) for name in ("group3", "group4")),
        images.encoded(picture.quantize(16), "TIFF"),
        images.encoded(picture, "TIFF", big_tiff=True),
        _cv(_wide(_COLOR), ".tiff"),
        _cv(_float(_COLOR), ".tiff"),
        _cv(_COLOR, ".tiff", cv2.IMWRITE_TIFF_PREDICTOR, 2, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 5),
    )


def _bmp() -> tuple[bytes, ...]:
    picture = _picture()
    return (
        images.encoded(picture, "BMP"),
        images.encoded(picture.convert("L"), "BMP"),
        images.encoded(picture.convert("1"), "BMP"),
        images.encoded(picture.quantize(16), "BMP"),
        _cv(np.dstack([_COLOR, _GRAY]), ".bmp"),
    )


def _gif() -> tuple[bytes, ...]:
    return (
        images.encoded(_GRAY, "GIF"),
        images.encoded(_picture().quantize(16), "GIF", interlace=1, transparency=0, comment=b"comment"),
        images.encoded(_picture().quantize(16), "GIF", interlace=0),
        _animated("GIF"),
    )


def _webp() -> tuple[bytes, ...]:
    picture = _picture()
    return (
        images.encoded(picture, "WEBP"),
        images.encoded(picture, "WEBP", lossless=True),
        images.encoded(picture.convert("RGBA"), "WEBP", exif=_exif(), icc_profile=bytes(300)),
        _animated("WEBP"),
    )


def _avif() -> tuple[bytes, ...]:
    picture = _picture()
    return (
        images.encoded(picture, "AVIF", speed=10),
        images.encoded(np.dstack([_COLOR, _GRAY]), "AVIF", speed=10, exif=_exif()),
        images.encoded(picture, "AVIF", speed=10, subsampling="4:4:4", quality=100),
        _animated("AVIF"),
    )


def _jpeg_2000() -> tuple[bytes, ...]:
    picture = _picture()
    return (
        images.encoded(picture, "JPEG2000"),
        images.encoded(picture, "JPEG2000", no_jp2=True),
        images.encoded(picture, "JPEG2000", irreversible=True, quality_layers=[20, 5], tile_size=(32, 32)),
        images.encoded(picture.convert("RGBA"), "JPEG2000"),
        _cv(_wide(_COLOR), ".jp2"),
    )


def _pnm() -> tuple[bytes, ...]:
    picture = _picture()
    ascii_ = (cv2.IMWRITE_PXM_BINARY, 0)
    return (
        images.encoded(picture, "PPM"),
        images.encoded(picture.convert("L"), "PPM"),
        images.encoded(picture.convert("1"), "PPM"),
        _cv(_wide(_GRAY), ".pgm"),
        _cv(_wide(_COLOR), ".ppm"),
        _cv(_COLOR, ".ppm", *ascii_),
        _cv(_GRAY, ".pgm", *ascii_),
        _cv(_GRAY, ".pbm", *ascii_),
    )


def _picture() -> Image.Image:
    return Image.fromarray(_COLOR)


def _animated(kind: str) -> bytes:
    frames = [_picture().rotate(angle) for angle in (0, 90, 180)]
    return images.encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=40)


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = 6
    exif.get_ifd(0x8769)[0x9286] = b"comment"
    return exif


def _wide(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
    return image.astype(np.uint16) * 257


def _float(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    return (image / 255).astype(np.float32)


def _cv(image: npt.NDArray[Any], suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()
