"""File names of the image formats that OpenCV reads."""

DEFAULT_PATTERNS: tuple[str, ...] = (
    *("*.jpg", "*.jpeg", "*.jpe", "*.png", "*.apng", "*.gif", "*.webp", "*.avif", "*.tif", "*.tiff"),
    *("*.bmp", "*.dib", "*.jp2", "*.j2k", "*.jxl", "*.pbm", "*.pgm", "*.ppm", "*.pnm", "*.pxm"),
    *("*.pfm", "*.sr", "*.ras", "*.hdr", "*.pic", "*.exr"),
)
"""Patterns of file names of the formats that OpenCV 5 reads; a few depend on how OpenCV was built."""
