"""Pages of files: how many there are, and each as a file of its own with the values that were written."""

import io
import struct
import tracemalloc
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from vision_assets.vision.io.decoding import ImageError, decode_gray
from vision_assets.vision.io.pages import count_pages, split_pages
from vision_assets_tests.torture.mutations import mutate
from vision_assets_tests.torture.seeds import seed_files
from vision_assets_tests.vision import images
from vision_assets_tests.vision.paged_files import (
    HEIGHT,
    PAGES,
    WIDTH,
    animation,
    color_pages,
    gray_pages,
    paged_files,
    pgm,
    pyramids,
    tiff,
)

MUTATIONS = 40
"""How many mutations of each file are tried."""


def gray(data: bytes) -> NDArray[np.uint8]:
    return decode_gray(data, max_pixels=10**6)


def gray_of(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.cvtColor(colors, cv2.COLOR_RGB2GRAY).astype(np.uint8)


def require_pages(data: bytes, expected: list[NDArray[np.uint8]]) -> None:
    pages = list(split_pages(data))
    assert len(pages) == count_pages(data) == len(expected)
    for page, values in zip(pages, expected, strict=True):
        np.testing.assert_array_equal(gray(page), values)
        assert count_pages(page) == 1
        assert list(split_pages(page)) == [page]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 7},
        {"tile": (16, 32)},
        {"tile": (16, 32), "compression": "zlib", "predictor": True},
        *({"compression": name, "rowsperstrip": 7} for name in ("lzw", "packbits", "zstd", "lzma")),
    ],
    ids=str,
)
def test_tiff(order: str, big: bool, options: dict[str, Any]) -> None:
    require_pages(tiff(gray_pages(), order=order, big=big, **options), gray_pages())


def test_pages_of_different_kinds() -> None:
    """Each has its own tags: a page with the tags of another one would have other values."""
    first, second, _ = gray_pages()
    pages: list[tuple[NDArray[Any], dict[str, Any]]] = [
        (first.astype(np.uint16) * 257, {}),
        (second.astype(np.float32) / 255, {}),
        (np.moveaxis(color_pages()[2], 2, 0), {"photometric": "rgb", "planarconfig": "separate"}),
        (first > 100, {}),
        (255 - second, {"photometric": "miniswhite"}),
    ]
    together = io.BytesIO()
    with tifffile.TiffWriter(together) as writer:
        for values, options in pages:
            writer.write(values, **options)
    require_pages(together.getvalue(), [gray(tiff([values], **options)) for values, options in pages])


def test_palettes_stay() -> None:
    pictures = [Image.fromarray(page).quantize(16) for page in color_pages()]
    expected = [gray(images.encoded(picture, "TIFF")) for picture in pictures]
    require_pages(animation("TIFF", pictures), expected)


@pytest.mark.parametrize("tool", ["tifffile", "libtiff"])
def test_tables_of_jpeg_stay(tool: str) -> None:
    if tool == "tifffile":
        options: dict[str, Any] = {"compression": "jpeg", "photometric": "ycbcr", "rowsperstrip": 16}
        data = tiff(color_pages(), **options)
        expected = [gray(tiff([page], **options)) for page in color_pages()]
    else:
        pictures = [Image.fromarray(page) for page in color_pages()]
        data = animation("TIFF", pictures, compression="jpeg")
        expected = [gray(images.encoded(picture, "TIFF", compression="jpeg")) for picture in pictures]
        assert 347 in tifffile.TiffFile(io.BytesIO(data)).pages[0].aspage().tags, "JPEGTables"
    require_pages(data, expected)


def test_reduced_images_are_no_pages() -> None:
    require_pages(pyramids(), gray_pages())
    one = io.BytesIO()
    with tifffile.TiffWriter(one) as writer:
        writer.write(gray_pages()[0][::2, ::2], subfiletype=1)
        writer.write(gray_pages()[0])
    assert count_pages(one.getvalue()) == 1
    assert list(split_pages(one.getvalue())) == [one.getvalue()]


def test_masks_are_no_pages() -> None:
    masked = io.BytesIO()
    with tifffile.TiffWriter(masked) as writer:
        writer.write(gray_pages()[0])
        writer.write(gray_pages()[0] > 9, subfiletype=4)
    assert count_pages(masked.getvalue()) == 1


def test_equal_tiles_are_stored_once() -> None:
    """Programs store a blank tile once; as many copies could fill the disk."""
    blank = np.zeros((160, 160), np.uint8)
    data = bytearray(tiff([blank, blank], tile=(16, 16)))
    for page in tifffile.TiffFile(io.BytesIO(data)).pages:
        offsets = page.aspage().tags[324]
        first = struct.pack("<I", page.dataoffsets[0])
        data[offsets.valueoffset : offsets.valueoffset + 4 * offsets.count] = first * offsets.count
    pages = list(split_pages(bytes(data)))
    assert all(len(page) < 2000 for page in pages)
    for copy in pages:
        np.testing.assert_array_equal(gray(copy), blank)


def test_pages_that_cannot_be_moved() -> None:
    """Without the lengths of its strips, a page is copied with all of its file."""
    data = bytearray(tiff(gray_pages()))
    for page in tifffile.TiffFile(io.BytesIO(data)).pages:
        struct.pack_into("<H", data, page.aspage().tags[279].offset, 65000)
    require_pages(bytes(data), gray_pages())


def test_what_is_elsewhere_is_left_out() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = "comment"
    pictures = [Image.fromarray(page) for page in gray_pages()]
    pictures[0].save(buffer, "TIFF", save_all=True, append_images=pictures[1:], exif=exif)
    require_pages(buffer.getvalue(), gray_pages())
    for page in split_pages(buffer.getvalue()):
        assert 34665 not in tifffile.TiffFile(io.BytesIO(page)).pages[0].aspage().tags


@pytest.mark.parametrize("kind", ["apng", "apng with another default image", "webp"])
def test_frames_without_loss(kind: str) -> None:
    require_pages(paged_files()[kind], [gray_of(page) for page in color_pages()])


def test_frames_of_a_gif() -> None:
    pictures = [Image.fromarray(page).quantize(32) for page in color_pages()]
    require_pages(animation("GIF", pictures), [gray_of(np.asarray(one.convert("RGB"))) for one in pictures])


def test_frames_of_a_gif_are_composed() -> None:
    """The second frame stores what differs alone."""
    first = np.zeros((20, 30), np.uint8)
    second = first.copy()
    second[5:9, 10:20] = 200
    data = animation("GIF", [Image.fromarray(first), Image.fromarray(second)])
    assert len(data) < 1000
    require_pages(data, [first, second])


def test_frames_of_an_avif() -> None:
    pages = list(split_pages(paged_files()["avif"]))
    assert len(pages) == count_pages(paged_files()["avif"]) == PAGES
    for page, colors in zip(pages, color_pages(), strict=True):
        np.testing.assert_allclose(gray(page).astype(int), gray_of(colors), atol=4)


def test_frames_are_upright() -> None:
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = 6
    pictures = [Image.fromarray(page) for page in color_pages()]
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        data = animation(kind, pictures, exif=exif, **options)
        require_pages(data, [np.rot90(gray_of(page), -1) for page in color_pages()])


def test_netpbm() -> None:
    first, second, third = gray_pages()
    require_pages(pgm(first) + pgm(second) + b"\n" + pgm(third) + b"\n", gray_pages())
    colors = color_pages()
    height, width = first.shape
    bits = np.packbits(first > 100, axis=1).tobytes()
    files = [
        b"P6 %d %d 255\n" % (width, height) + colors[0].tobytes(),
        b"P4 %d %d\n" % (width, height) + bits,
        b"P5 %d %d 65535\n" % (width, height) + (second.astype(">u2") * 257).tobytes(),
        images.cv_encoded(third, ".pam"),
        images.cv_encoded(first.astype(np.float32) / 255, ".pfm"),
    ]
    assert list(split_pages(b"".join(files))) == files
    require_pages(b"".join(files), [gray(file) for file in files])


def test_one_page_is_left_as_it_is() -> None:
    for kind, files in seed_files().items():
        for data in files:
            if count_pages(data) == 1:
                assert list(split_pages(data)) == [data], kind
    assert count_pages(b"") == 1
    assert list(split_pages(b"")) == [b""]


def errors(data: bytes) -> list[str]:
    """Return the error of each page; empty for one that is decoded."""
    found = []
    for page in split_pages(data):
        try:
            gray(page)
            found.append("")
        except ImageError as error:
            found.append(str(error))
    return found


def test_a_truncated_tiff_keeps_what_it_has() -> None:
    data = tiff(gray_pages())
    pages = tifffile.TiffFile(io.BytesIO(data)).pages
    third = pages[2].offset
    *intact, broken = errors(data[:third])
    assert intact == ["", ""]
    assert "TIFF" in broken
    # Values are written behind their directories.
    *intact, broken = errors(data[:-9])
    assert intact == ["", ""]
    assert "truncated" in broken


@pytest.mark.parametrize("kind", ["gif", "apng"])
def test_a_truncated_animation_keeps_what_it_has(kind: str) -> None:
    data = paged_files()[kind]
    first, *_, last = errors(data[: len(data) * 2 // 3 + 200])
    assert first == ""
    assert last


def test_directories_in_a_circle() -> None:
    data = bytearray(tiff(gray_pages()))
    pages = tifffile.TiffFile(io.BytesIO(data)).pages
    end = pages[2].offset + 2 + 12 * len(pages[2].aspage().tags)
    struct.pack_into("<I", data, end, pages[0].offset)
    assert len(list(split_pages(bytes(data)))) == count_pages(bytes(data)) == PAGES


def test_pages_that_share_everything_do_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of 40 bytes may refer to all of the file."""
    monkeypatch.setattr("vision_assets.vision.io.pages._ALWAYS_ALLOWED_BYTES", 0)
    strip, pages = bytes(2_000_000), 5000
    start = 8 + len(strip)
    size = 2 + 12 * 4 + 4
    directories = b"".join(
        struct.pack("<H", 4)
        + b"".join(
            struct.pack("<HHII", code, 4, 1, value)
            for code, value in ((256, 1000), (257, 2000), (273, 8), (279, len(strip)))
        )
        + struct.pack("<I", start + (number + 1) * size if number + 1 < pages else 0)
        for number in range(pages)
    )
    data = b"II*\0" + struct.pack("<I", start) + strip + directories
    total = sum(map(len, split_pages(data)))
    assert count_pages(data) == pages
    assert total < 210 * len(data)


def test_a_frame_that_claims_gigabytes_is_not_composed() -> None:
    data = bytearray(paged_files()["gif"])
    struct.pack_into("<HH", data, 6, 60_000, 60_000)
    tracemalloc.start()
    assert errors(bytes(data)) == ["60000 x 60000 pixels exceed max_pixels = 1000000"] * PAGES
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("kind", paged_files())
def test_broken_files_give_as_many_pages_as_are_counted(kind: str) -> None:
    data = paged_files()[kind]
    others = [file for name, file in paged_files().items() if name != kind]
    for number in range(MUTATIONS):
        broken = mutate([data], others, (WIDTH, HEIGHT), f"{kind} {number}")
        assert sum(1 for _ in split_pages(broken)) == count_pages(broken)
