import io
import pickle
import struct
import warnings
import zlib

import cv2
import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vision_assets.vision.io.decoding import ImageError, decode_gray, decode_preview
from vision_assets_tests.vision import image_files, images

MANY = 25_000_000

GRAY, COLOR = images.textured(), images.colored()
READABLE = {
    "gray jpeg": images.jpeg(),
    "color jpeg": images.jpeg(COLOR),
    "progressive jpeg": images.jpeg(COLOR, progressive=True),
    "cmyk jpeg": images.encoded(Image.fromarray(COLOR).convert("CMYK"), "JPEG"),
    "mpo": images.encoded(
        Image.fromarray(COLOR), "MPO", save_all=True, append_images=[Image.fromarray(COLOR[::-1].copy())]
    ),
    "jpeg with thumbnail": images.with_thumbnail(images.jpeg(images.flat())),
    "jpeg with bytes behind": images.jpeg() + b"more",
    "gray png": images.encoded(GRAY, "PNG"),
    "alpha png": images.encoded(Image.fromarray(COLOR).convert("RGBA"), "PNG"),
    "palette png": images.encoded(Image.fromarray(COLOR).quantize(16), "PNG"),
    "1-bit png": images.encoded(Image.fromarray(GRAY).convert("1"), "PNG"),
    "16-bit png": images.cv_encoded(GRAY.astype(np.uint16) * 257, ".png"),
    "16-bit color png": images.cv_encoded(COLOR.astype(np.uint16) * 257, ".png"),
    "animated png": images.animated("PNG"),
    "gif": images.encoded(GRAY, "GIF"),
    "animated gif": images.animated("GIF"),
    "webp": images.encoded(COLOR, "WEBP"),
    "animated webp": images.animated("WEBP"),
    "bmp": images.encoded(COLOR, "BMP"),
    "tiff": images.encoded(COLOR, "TIFF"),
    "16-bit tiff": images.cv_encoded(GRAY.astype(np.uint16) * 257, ".tiff"),
    "jpeg 2000": images.encoded(COLOR, "JPEG2000"),
    "ppm": images.encoded(COLOR, "PPM"),
    "pam": images.cv_encoded(COLOR, ".pam"),
    "pfm": images.cv_encoded(GRAY.astype(np.float32), ".pfm"),
    "hdr": images.cv_encoded(COLOR.astype(np.float32) / 255, ".hdr"),
    "sun raster": images.cv_encoded(COLOR, ".ras"),
    "1 x 1 png": images.encoded(GRAY[:1, :1], "PNG"),
    "1 x 1 jpeg": images.jpeg(GRAY[:1, :1]),
    "very wide": images.encoded(np.zeros((1, 20_000), np.uint8), "PNG"),
    "very high": images.encoded(np.zeros((20_000, 1), np.uint8), "PNG"),
}
TOO_LARGE = {
    "png": images.png_claiming(6000, 5000),
    "png beyond pillow's limit": images.png_claiming(30_000, 20_000),
    "png beyond opencv's limit": images.png_claiming(60_000, 50_000),
    "jpeg": images.jpeg_claiming(6000, 5000),
    "tiff": images.tiff_claiming(6000, 5000),
    "ppm": b"P6\n6000 5000\n255\n",
    "pam": b"P7\nWIDTH 6000\nHEIGHT 5000\nDEPTH 1\nMAXVAL 255\nENDHDR\n",
    "pfm": b"PF\n# comment\n6000 5000\n-1\n",
    "bmp": b"BM" + bytes(12) + struct.pack("<Iii", 40, 6000, -5000),
    "old bmp": b"BM" + bytes(12) + struct.pack("<IHH", 12, 6000, 5000),
    "gif": b"GIF89a" + struct.pack("<HH", 6000, 5000),
    "webp": images.webp_claiming(6000, 5000),
    "webp beyond pillow's limit": images.webp_claiming(30_000, 20_000),
    "sun raster": struct.pack(">III", 0x59A66A95, 6000, 5000),
    "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 5000 +X 6000\n",
}


def opencv_gray(data: bytes) -> np.ndarray:
    gray = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert gray is not None
    return gray


def decoded_or_error(data: bytes) -> np.ndarray | ImageError:
    try:
        return decode_gray(data, max_pixels=1_000_000)
    except ImageError as error:
        return error


@pytest.mark.parametrize("name", [name for name in READABLE if "jpeg" in name or name == "mpo"])
def test_a_jpeg_is_what_opencv_makes_of_it(name: str) -> None:
    gray = decode_gray(READABLE[name], max_pixels=MANY)

    if name == "jpeg 2000":
        assert np.abs(gray.astype(int) - opencv_gray(READABLE[name])).max() <= 1
    else:
        np.testing.assert_array_equal(gray, opencv_gray(READABLE[name]))


def test_a_jpeg_of_12_bits_is_decoded() -> None:
    data = bytes(imagecodecs.jpeg_encode(GRAY.astype(np.uint16) * 16, bitspersample=12, level=99))
    gray = decode_gray(data, max_pixels=MANY).astype(int)
    assert np.abs(gray - GRAY).mean() < 1


@pytest.mark.parametrize("name", READABLE)
def test_the_result_is_an_array_of_grey_bytes(name: str) -> None:
    gray = decode_gray(READABLE[name], max_pixels=MANY)

    assert gray.dtype == np.uint8
    assert gray.ndim == 2
    assert gray.flags.c_contiguous


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_decodes_the_first_frame_of_an_animation(kind: str) -> None:
    gray = decode_gray(images.animated(kind), max_pixels=MANY).astype(int)

    assert np.abs(gray - images.textured()).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_turns_the_image_as_its_exif_orientation_says(kind: str, orientation: int) -> None:
    data = images.rotated(orientation, kind)
    stored = images.textured()
    upright = {
        1: stored,
        2: np.fliplr(stored),
        3: np.rot90(stored, 2),
        4: np.flipud(stored),
        5: stored.T,
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).T,
        8: np.rot90(stored),
    }[orientation]

    gray = decode_gray(data, max_pixels=MANY)

    assert gray.shape == upright.shape
    assert np.abs(gray.astype(int) - upright).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_an_avif_as_its_properties_say(orientation: int) -> None:
    """Pillow writes `irot` and `imir` for the orientation of the Exif that it is given."""
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = orientation
    file = images.encoded(Image.fromarray(GRAY), "AVIF", quality=90, exif=exif)
    with Image.open(io.BytesIO(file)) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened).convert("L")).astype(int)

    gray = decode_gray(file, max_pixels=MANY)

    assert gray.shape == upright.shape
    assert np.abs(gray - upright).mean() < 5


@pytest.mark.parametrize("chunk", [b"tEXt", b"zTXt", b"iTXt", b"eXIf"])
def test_turns_a_png_as_its_raw_profile_says(chunk: bytes) -> None:
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, images.EXIF_ORIENTATION, 3, 1, 6, 0, 0)
    text = b"\nexif\n%8d\n" % len(exif) + exif.hex().encode() + b"\n"
    name = b"Raw profile type exif\0"
    content = {
        b"tEXt": name + text,
        b"zTXt": name + b"\0" + zlib.compress(text),
        b"iTXt": name + b"\1\0\0\0" + zlib.compress(text),
        b"eXIf": exif[6:],
    }[chunk]
    data = image_files.png(GRAY, image_files.png_chunk(chunk, content))

    np.testing.assert_array_equal(decode_gray(data, max_pixels=MANY), np.rot90(GRAY, -1))


@pytest.mark.parametrize("name", TOO_LARGE)
def test_refuses_a_claimed_size_beyond_the_limit(name: str) -> None:
    with pytest.raises(ImageError, match=r"^\d+ x \d+ pixels exceed max_pixels = 25000000") as caught:
        decode_gray(TOO_LARGE[name], max_pixels=MANY)

    assert caught.value.width is not None
    assert caught.value.height is not None
    assert caught.value.width > caught.value.height >= 5000
    assert f"{caught.value.width} x {caught.value.height}" in str(caught.value)


def test_reads_the_size_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(cv2, "imdecode", fail)

    for data in TOO_LARGE.values():
        with pytest.raises(ImageError, match="exceed max_pixels"):
            decode_gray(data, max_pixels=MANY)


@pytest.mark.parametrize("size", [(0, 10), (10, 1 << 31), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_refuses_a_size_that_no_image_has(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="the header claims an impossible size") as caught:
        decode_gray(images.png_claiming(*size), max_pixels=10**30)

    assert caught.value.width is None
    assert caught.value.height is None


@pytest.mark.parametrize(
    "data",
    [b"P6\n6P6\n61 47\n255\n" + bytes(3 * 61 * 47), images.webp_claiming(60, 40)[:28], b"BM" + bytes(9)],
)
def test_decodes_nothing_of_a_size_it_cannot_tell(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.delattr(cv2, "imdecode")  # it would decode whatever size it reads there

    with pytest.raises(ImageError, match="cannot be decoded: its header is broken"):
        decode_gray(data, max_pixels=MANY)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_pfm_has_the_channels_asked_for(channels: int) -> None:
    pixels = GRAY if channels == 1 else COLOR
    as_gray = GRAY if channels == 1 else cv2.cvtColor(COLOR, cv2.COLOR_BGR2GRAY)
    as_color = np.dstack([GRAY] * 3) if channels == 1 else COLOR
    data = images.cv_encoded(pixels.astype(np.float32) / 255, ".pfm")

    np.testing.assert_array_equal(decode_gray(data, max_pixels=MANY), as_gray)
    np.testing.assert_array_equal(decode_preview(data, side=1000, max_pixels=MANY), as_color)


@pytest.mark.parametrize("name", READABLE)
def test_the_limit_is_the_largest_size_allowed(name: str) -> None:
    data = READABLE[name]
    pixels = opencv_gray(data).size

    assert decode_gray(data, max_pixels=pixels).size == pixels
    with pytest.raises(ImageError, match="exceed max_pixels"):
        decode_gray(data, max_pixels=pixels - 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><p>Not found", "^a web page is not supported: download the image itself$"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:",
            "^a pointer of Git LFS is not supported: run",
        ),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "^HEIC is not supported: convert it to PNG, TIFF or JPEG$"),
        (b"once upon a time", "not an image in a supported format: the file begins with b'once upo'"),
        (b"\xff", "not an image"),
        (bytes(100), "not an image"),
        (b"\xff\xd8\xff", "^the JPEG image cannot be decoded: it is truncated: its end is missing$"),
        (b"\x89PNG\r\n\x1a\n", "^the PNG image cannot be decoded: it is truncated: its end is missing$"),
    ],
)
def test_says_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        decode_gray(data, max_pixels=MANY)


@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("progressive", [False, True])
def test_refuses_a_truncated_jpeg(kept: float, *, progressive: bool) -> None:
    whole = images.jpeg(COLOR, progressive=progressive)

    with pytest.raises(ImageError, match="JPEG image cannot be decoded: it is truncated"):
        decode_gray(whole[: int(kept * len(whole))], max_pixels=MANY)


def test_refuses_a_jpeg_without_its_last_two_bytes() -> None:
    with pytest.raises(ImageError, match="truncated") as caught:
        decode_gray(images.jpeg()[:-2], max_pixels=MANY)

    assert (caught.value.width, caught.value.height) == (160, 120)


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_image() -> None:
    whole = images.with_thumbnail(images.jpeg(images.flat()))

    with pytest.raises(ImageError, match="truncated"):
        decode_gray(whole[:-500], max_pixels=MANY)


@pytest.mark.parametrize(
    "name", ["gray png", "alpha png", "gif", "webp", "bmp", "tiff", "jpeg 2000", "pam", "hdr"]
)
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_refuses_other_truncated_images(name: str, kept: float) -> None:
    whole = READABLE[name]

    with pytest.raises(ImageError):
        decode_gray(whole[: int(kept * len(whole))], max_pixels=MANY)


def test_refuses_a_png_whose_chunk_claims_more_than_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(READABLE["gray png"])
    data[data.index(b"IDAT") - 4] = 0xF0
    monkeypatch.delattr(cv2, "imdecode")  # it would take 4 GB

    with pytest.raises(ImageError, match="PNG image cannot be decoded: it is truncated"):
        decode_gray(bytes(data), max_pixels=MANY)


def test_refuses_a_png_with_a_changed_byte() -> None:
    data = bytearray(READABLE["gray png"])
    data[len(data) // 2] ^= 0xFF

    with pytest.raises(ImageError):
        decode_gray(bytes(data), max_pixels=MANY)


def test_opencv_s_own_limit_becomes_a_short_message() -> None:
    with pytest.raises(
        ImageError, match=r"PNG image cannot be decoded: OpenCV: pixels <= CV_IO_MAX_IMAGE_PIXELS$"
    ):
        decode_gray(images.png_claiming(60_000, 50_000), max_pixels=10**12)


@settings(max_examples=150, derandomize=True)
@given(
    name=st.sampled_from(sorted(READABLE)),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    kept=st.floats(0, 1),
)
def test_whatever_is_broken_gives_an_image_or_an_image_error(
    name: str, changes: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(READABLE[name])
    for place, value in changes:
        data[int(place * min(200, len(data)))] = value

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = decoded_or_error(bytes(data[: int(kept * len(data))]))

    if isinstance(outcome, ImageError):
        assert "\n" not in str(outcome)
        assert ".cpp" not in str(outcome)
    else:
        assert 0 < outcome.size <= 1_000_000


def test_keeps_opencv_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    level = cv2.utils.logging.getLogLevel()

    with pytest.raises(ImageError):
        decode_gray(READABLE["tiff"][:-5], max_pixels=MANY)

    assert capfd.readouterr().err == ""
    assert cv2.utils.logging.getLogLevel() == level


def test_the_error_pickles() -> None:
    error = pickle.loads(pickle.dumps(ImageError("too large", width=3, height=2)))

    assert (str(error), error.width, error.height) == ("too large", 3, 2)
