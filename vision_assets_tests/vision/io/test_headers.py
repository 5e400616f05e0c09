import numpy as np
import pytest

from vision_assets.vision.io.headers import ImageHeader, looks_like_image, read_header
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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF", "WEBP", "AVIF", "JPEG2000", "BMP", "PPM"])
def test_the_beginning_of_an_image_is_known(kind: str) -> None:
    assert looks_like_image(images.encoded(images.colored(), kind)[:64])


@pytest.mark.parametrize("ending", [".ras", ".hdr", ".pam", ".pfm", ".pbm", ".pgm", ".bmp", ".jp2"])
def test_the_beginning_of_what_opencv_writes_is_known(ending: str) -> None:
    image = images.colored() if ending not in (".pbm", ".pgm") else images.textured()
    pixels = image.astype(np.float32) if ending in (".hdr", ".pfm") else image
    assert looks_like_image(images.cv_encoded(pixels, ending)[:64])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"BM",
        b"BMW makes cars, and no bitmaps at all.",
        b"P5 is a model.",
        b"\0" * 64,
        b"%PDF-1.7",
        b"version https://git-lfs",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    ],
)
def test_what_does_not_begin_like_an_image(data: bytes) -> None:
    assert not looks_like_image(data)


def test_a_comment_may_follow_the_mark_of_a_pgm() -> None:
    assert looks_like_image(b"P5\n# CREATOR: a program\n640 480\n255\n")
