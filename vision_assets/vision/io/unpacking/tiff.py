"""TIFF, in strips and tiles, with all compressions that imagecodecs knows."""

import io
import logging
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC, TIFF, TiffFile, TiffPage

from vision_assets.vision.io.headers import read_header
from vision_assets.vision.io.orientation import UPRIGHT, valid_orientation
from vision_assets.vision.io.pixels import Pixels
from vision_assets.vision.io.tiff_pages import main_page
from vision_assets.vision.io.unpacking.opencv import imdecode
from vision_assets.vision.io.unpacking.stored import StoredImage, UnpackError

_READ_BY_OPENCV = (
    COMPRESSION.NONE,
    COMPRESSION.LZW,
    COMPRESSION.ADOBE_DEFLATE,
    COMPRESSION.DEFLATE,
    COMPRESSION.PACKBITS,
)
_IMAGES = (
    *(COMPRESSION.JPEG, COMPRESSION.OJPEG, COMPRESSION.WEBP, COMPRESSION.PNG, COMPRESSION.JPEG2000),
    *(COMPRESSION.APERIO_JP2000_RGB, COMPRESSION.APERIO_JP2000_YCBC),
)
"""Compressions by which a strip or tile is an image with a header of its own."""

_ORIENTATION_TAG = 274
_SUBSAMPLING_TAG, _DEFAULT_SUBSAMPLING = 530, (2, 2)
_NODATA_TAG = 42113
_BYTE = 255
_MOST_SAMPLES = 16
_COLORS, _INKS = 3, 4

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it logs of a broken file shows in the values


def unpack(data: bytes) -> StoredImage:
    """Unpack the first image of a TIFF that is not a reduced one: some programs write those before it.

    Raises
    ------
    UnpackError
        If the file is truncated, or has colours or a compression that no library here reads.
    """
    with TiffFile(io.BytesIO(data)) as file:
        page = main_page(file)
        if page is None:
            raise UnpackError("it has no page")
        orientation = valid_orientation(page.tags.valueof(_ORIENTATION_TAG))
        _require_readable(page, data)
        if page.compression in _READ_BY_OPENCV and _is_converted_by_opencv(page):
            return _unpack_with_opencv(data, page, orientation)
        if page.compression in _IMAGES:
            _require_segments_of_their_size(page, data)
        return StoredImage(_pixels(page), orientation)


def _require_readable(page: TiffPage, data: bytes) -> None:
    if page.compression not in TIFF.DECOMPRESSORS:
        raise UnpackError(
            f"its compression is {_name(COMPRESSION, page.compression)}, which no library here reads"
        )
    if page.samplesperpixel > _MOST_SAMPLES:
        raise UnpackError(f"it has {page.samplesperpixel} values per pixel")
    ends = (start + length for start, length in zip(page.dataoffsets, page.databytecounts, strict=False))
    if max(ends, default=0) > len(data) or len(page.dataoffsets) != len(page.databytecounts):
        raise UnpackError("it is truncated: its end is missing")


def _require_segments_of_their_size(page: TiffPage, data: bytes) -> None:
    """Refuse a strip or tile that is an image and claims to be larger: it would fill the memory."""
    largest = (page.tilewidth * page.tilelength) or (page.imagewidth * page.rowsperstrip)
    for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        header = read_header(data[start : start + length])
        if header.width and header.height and header.width * header.height > largest:
            raise UnpackError(f"a part of it claims {header.width} x {header.height} pixels")


def _name(names: Any, number: int) -> str:
    return str(names(number).name) if number in names.__members__.values() else str(int(number))


def _is_converted_by_opencv(page: TiffPage) -> bool:
    """Tell whether colours are CIELab, or YCbCr whose chroma has fewer values than its luma."""
    if page.photometric == PHOTOMETRIC.YCBCR:
        return page.tags.valueof(_SUBSAMPLING_TAG, _DEFAULT_SUBSAMPLING) != (1, 1)
    return page.photometric == PHOTOMETRIC.CIELAB


def _unpack_with_opencv(data: bytes, page: TiffPage, orientation: int) -> StoredImage:
    """Convert colours that are not red, green and blue by OpenCV's libtiff, which turns the image upright."""
    if page.is_tiled and orientation != UPRIGHT:
        raise UnpackError("its tiles have an orientation, and colours that only OpenCV converts")
    if page is not page.parent.pages[0]:
        raise UnpackError("it is not the first page, and has colours that only OpenCV converts")
    return StoredImage(Pixels(imdecode(data, cv2.IMREAD_COLOR_BGR)))


def _pixels(page: TiffPage) -> Pixels:
    values, kind, white = _values(page), page.photometric, _white(page)
    if kind == PHOTOMETRIC.MINISWHITE:
        return Pixels(values[..., 0], white, is_negative=True)
    if kind == PHOTOMETRIC.PALETTE and page.colormap is not None:
        colors = np.moveaxis(page.colormap, 0, -1)[values[..., 0]][..., ::-1]
        # Some programs write a map of bytes, as libtiff knows.
        return Pixels(colors, 65535.0 if page.colormap.max() > _BYTE else float(_BYTE))
    if kind == PHOTOMETRIC.SEPARATED and values.shape[2] >= _INKS and values.dtype.kind == "u":
        limit = int(white) if white is not None else int(np.iinfo(values.dtype).max)
        inks = limit - values[..., :_INKS].astype(np.uint64)
        colors = (inks[..., _COLORS - 1 :: -1] * inks[..., _COLORS:] + limit // 2) // limit
        return Pixels(colors.astype(values.dtype), white)
    if kind == PHOTOMETRIC.YCBCR and values.shape[2] >= _COLORS and page.compression not in _IMAGES:
        limit = int(white) if white is not None else int(np.iinfo(values.dtype).max)
        return Pixels(_from_luma_and_chroma(values, limit), white)
    if kind in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR) and values.shape[2] >= _COLORS:
        return Pixels(values[..., _COLORS - 1 :: -1], white)
    if kind == PHOTOMETRIC.MINISBLACK:
        return Pixels(values[..., 0], white)
    raise UnpackError(f"its colours are {_name(PHOTOMETRIC, kind)}, which nothing here converts")


def _values(page: TiffPage) -> NDArray[Any]:
    """Return the values of a page as height x width x samples."""
    separate, depth, height, width, samples = page.shaped
    values = page.asarray(maxworkers=1).reshape(separate, depth, height, width, samples)[:, 0]
    values = values[0] if separate == 1 else np.moveaxis(values[..., 0], 0, -1)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return _without_nodata(values, page.tags.valueof(_NODATA_TAG))


def _without_nodata(values: NDArray[Any], nodata: str | None) -> NDArray[Any]:
    """Replace the value that GDAL's programs declare to mean nothing by the least of the others."""
    try:
        is_missing = values == float(str(nodata).strip("\0 "))
    except ValueError:
        return values
    if is_missing.all() or not is_missing.any():
        return values
    return np.where(is_missing, values[~is_missing].min(), values)


def _white(page: TiffPage) -> float | None:
    """Return the largest value of unsigned integers whose bits do not fill their type."""
    bits = page.bitspersample
    is_part = page.dtype is not None and page.dtype.kind in "bu" and bits < 8 * page.dtype.itemsize
    return float(2**bits - 1) if is_part else None


def _from_luma_and_chroma(values: NDArray[Any], limit: int) -> NDArray[Any]:
    """Convert Y, Cb and Cr of the full range to blue, green and red (TIFF 6.0, section 21; BT.601)."""
    luma, blue, red = (values[..., channel].astype(np.float64) for channel in range(_COLORS))
    blue -= (limit + 1) // 2
    red -= (limit + 1) // 2
    green = luma - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587
    colors = np.stack([luma + 1.772 * blue, green, luma + 1.402 * red], axis=-1)
    return np.floor(np.clip(colors, 0, limit) + 0.5).astype(values.dtype)
