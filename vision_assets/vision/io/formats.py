"""The image formats that OpenCV reads."""

DEFAULT_PATTERNS: tuple[str, ...] = (
    *("*.jpg", "*.jpeg", "*.jpe", "*.png", "*.apng", "*.gif", "*.webp", "*.avif", "*.tif", "*.tiff"),
    *("*.bmp", "*.dib", "*.jp2", "*.j2k", "*.jxl", "*.pbm", "*.pgm", "*.ppm", "*.pnm", "*.pxm"),
    *("*.pfm", "*.sr", "*.ras", "*.hdr", "*.pic", "*.exr"),
)
"""Names of the image formats that OpenCV 5 reads. A few of them depend on how OpenCV was built."""
