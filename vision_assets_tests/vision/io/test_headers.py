import pytest

from vision_assets.vision.io.headers import ImageHeader, read_header
from vision_assets_tests.vision import images


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (images.jpeg(), ImageHeader("JPEG", 160, 120)),
        (images.jpeg()[:-2], ImageHeader("JPEG", 160, 120, complete=False)),
        (images.rotated(6), ImageHeader("JPEG", 160, 120)),
        (images.encoded(images.textured(), "PNG"), ImageHeader("PNG", 160, 120)),
        (images.encoded(images.textured(), "TIFF"), ImageHeader("TIFF", 160, 120)),
        (images.encoded(images.textured(), "GIF"), ImageHeader("GIF", 160, 120)),
        (images.encoded(images.colored(), "WEBP"), ImageHeader("WebP", 160, 120)),
        (images.encoded(images.colored(), "JPEG2000"), ImageHeader("JPEG 2000", 160, 120)),
        (images.encoded(images.colored(), "BMP"), ImageHeader("BMP", 160, 120)),
        (images.cv_encoded(images.colored(), ".ras"), ImageHeader("Sun raster", 160, 120)),
        (b"BM", ImageHeader("BMP")),
        (b"", ImageHeader(None)),
        (b"<!DOCTYPE html>", ImageHeader(None)),
    ],
    ids=lambda value: f"{value.kind} {value.complete}" if isinstance(value, ImageHeader) else "",
)
def test_a_header_says_format_and_size(data: bytes, expected: ImageHeader) -> None:
    assert read_header(data) == expected
