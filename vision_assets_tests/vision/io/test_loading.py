from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vision_assets.vision.io.decoding import ImageError
from vision_assets.vision.io.loading import load_gray, to_gray
from vision_assets_tests.vision import images


def test_grey_values_stay_as_they_are_in_c_order() -> None:
    gray = images.textured()
    for form in (gray, gray[:, :, None], np.asfortranarray(gray), np.pad(gray, 3)[3:-3, 3:-3]):
        found = to_gray(form)
        np.testing.assert_array_equal(found, gray)
        assert found.flags.c_contiguous


def test_colours_are_in_the_order_of_opencv_and_alpha_is_ignored() -> None:
    bgr = images.colored()
    expected = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(to_gray(bgr), expected)
    np.testing.assert_array_equal(to_gray(np.dstack([bgr, bgr[:, :, :1]])), expected)


@pytest.mark.parametrize(
    "pixels",
    [
        images.textured().astype(np.float32),
        images.textured() > 9,
        images.textured()[0],
        images.colored()[None],
        images.colored()[:, :, :2],
        images.textured()[:0],
        images.textured()[:, :0],
    ],
    ids=lambda pixels: f"{pixels.shape} {pixels.dtype}",
)
def test_an_array_that_is_not_an_image_is_named(pixels: Any) -> None:
    with pytest.raises(ImageError) as error:
        to_gray(pixels)
    for part in (str(pixels.shape), str(pixels.dtype), "must be uint8"):
        assert part in str(error.value)


def test_files_contents_and_arrays_have_the_same_grey_values(tmp_path: Path) -> None:
    gray = images.textured()
    data, file = images.encoded(gray, "PNG"), tmp_path / "image.png"
    file.write_bytes(data)
    for form in (data, bytearray(data), file, str(file), gray):
        np.testing.assert_array_equal(load_gray(form, max_pixels=gray.size), gray)
    for form in (data, file):
        with pytest.raises(ImageError, match="exceed max_pixels"):
            load_gray(form, max_pixels=gray.size - 1)


def test_another_type_is_named() -> None:
    with pytest.raises(ImageError, match=r"^int is not an image: pass a path, bytes or an array$"):
        load_gray(3, max_pixels=9)  # type: ignore[arg-type]
