"""File names of the image formats that are decoded, and files that are known not to be."""

import re

DEFAULT_PATTERNS: tuple[str, ...] = (
    *("*.jpg", "*.jpeg", "*.jpe", "*.png", "*.apng", "*.gif", "*.webp", "*.avif", "*.tif", "*.tiff"),
    *("*.bmp", "*.dib", "*.jp2", "*.j2k", "*.pbm", "*.pgm", "*.ppm", "*.pnm", "*.pam", "*.pfm"),
    *("*.sr", "*.ras", "*.hdr", "*.pic"),
)
"""Patterns of file names of the formats that `vision_assets.vision.io.headers` knows."""

_CONVERT = "convert it to PNG, TIFF or JPEG"

UNSUPPORTED: tuple[tuple[re.Pattern[bytes], str, str], ...] = (
    (re.compile(rb"....ftyp(heic|heix|hevc|heim|heis|mif1|msf1)", re.DOTALL), "HEIC", _CONVERT),
    (re.compile(rb"....ftypcrx ", re.DOTALL), "CR3, a raw photo,", _CONVERT),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL", _CONVERT),
    (re.compile(rb"\x76\x2f\x31\x01"), "OpenEXR", _CONVERT),
    (re.compile(rb"II\xbc"), "JPEG XR", _CONVERT),
    (re.compile(rb"\xff\xd8.{0,200}?\xff\xf7", re.DOTALL), "JPEG-LS", _CONVERT),
    (re.compile(rb"8BPS"), "Photoshop's format", _CONVERT),
    (re.compile(rb"\x00\x00\x01\x00"), "an icon", _CONVERT),
    (re.compile(rb"SIMPLE  ="), "FITS", _CONVERT),
    (re.compile(rb".{128}DICM", re.DOTALL), "DICOM", _CONVERT),
    (re.compile(rb"%PDF"), "PDF", "export its pages as images"),
    (re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg|<svg)", re.DOTALL), "SVG", _CONVERT),
    (re.compile(rb"version https://git-lfs"), "a pointer of Git LFS", "run `git lfs pull` in the repository"),
    (re.compile(rb"\s*<(!DOCTYPE html|html)", re.IGNORECASE), "a web page", "download the image itself"),
)
"""How files begin that are no images here: pattern, what they are, and what to do."""
