"""Unpacking of image files: the values that a file stores, without loss, whatever its format.

OpenCV's `IMREAD_GRAYSCALE` lets each format make grey and 8 bits in its own way. So the values are unpacked
first, and `vision_assets.vision.io.pixels` alone converts them. JPEG, whose grey values are stored apart from
colour, is the exception.
"""

from collections.abc import Callable, Mapping

from vision_assets.vision.io.unpacking import bmp, jpeg, netpbm, opencv, pillow, sun_raster, tiff
from vision_assets.vision.io.unpacking.stored import StoredImage

UNPACKERS: Mapping[str, Callable[[bytes], StoredImage]] = {
    "lossless JPEG": jpeg.unpack,
    "deep JPEG": jpeg.unpack,
    "PNG": opencv.unpack_png,
    "WebP": opencv.unpack_webp,
    "AVIF": opencv.unpack_avif,
    "JPEG 2000": opencv.unpack_jpeg_2000,
    "HDR": opencv.unpack_hdr,
    "TIFF": tiff.unpack,
    "GIF": pillow.unpack_gif,
    "BMP": bmp.unpack,
    "PNM": netpbm.unpack,
    "PAM": netpbm.unpack,
    "PFM": netpbm.unpack,
    "Sun raster": sun_raster.unpack,
}
"""Kind of an image file, as `vision_assets.vision.io.headers` names it, to the function that unpacks one.

The functions raise `UnpackError`; libraries raise whatever they like on a broken file.
"""
