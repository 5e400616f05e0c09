"""Grey values are those of what is stored: each format with its depths, colours, compressions and layouts."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vision_assets.vision.io.decoding import ImageError, decode_gray, decode_preview
from vision_assets_tests.vision import image_files as files
from vision_assets_tests.vision import images

GRAY, COLOR = images.textured(), images.colored()
HEIGHT, WIDTH = GRAY.shape
SIZE = (WIDTH, HEIGHT)
GRAY_16, COLOR_16 = (GRAY * np.uint16(257)), (COLOR * np.uint16(257))
ALPHA = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 1)).astype(np.uint8)
PALETTE = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
BLACK_OR_WHITE = np.where(GRAY > 127, 255, 0)
GAMMA = files.png_chunk(b"gAMA", struct.pack(">I", 45455))
TAGS = {
    "": (),
    "sRGB": (files.png_chunk(b"sRGB", b"\0"),),
    "gAMA": (GAMMA,),
    "gAMA 1": (files.png_chunk(b"gAMA", struct.pack(">I", 100000)),),
    "cHRM": (
        GAMMA,
        files.png_chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
    ),
}

Case = tuple[bytes, NDArray[Any]]
"""A file, and its grey values or colours (red, green, blue) from 0 to 255, perhaps with fractions."""


def luma(colors: NDArray[Any]) -> NDArray[np.float64]:
    return colors.astype(np.float64) @ [0.299, 0.587, 0.114]


def scaled(values: NDArray[Any], largest: int) -> NDArray[np.float64]:
    return values.astype(np.float64) * (255 / largest)


def beside(*channels: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([each if each.ndim == 3 else each[..., None] for each in channels], axis=2)


def png_cases() -> Iterator[tuple[str, Case]]:
    for name, tags in TAGS.items():
        yield f"gray {name}", (files.png(GRAY, *tags), GRAY)
        yield f"color {name}", (files.png(COLOR, *tags), COLOR)
        yield f"color 16 {name}", (files.png(COLOR_16, *tags), COLOR)
        yield f"gray alpha {name}", (files.png(beside(GRAY, ALPHA), *tags), GRAY)
        yield f"alpha {name}", (files.png(beside(COLOR, ALPHA), *tags), COLOR)
        yield f"palette {name}", (files.png(GRAY, *tags, palette=PALETTE), PALETTE[GRAY])
    yield "gray 16", (files.png(GRAY_16), GRAY)
    yield "gray alpha 16", (files.png(beside(GRAY_16, ALPHA.astype(np.uint16))), GRAY)
    yield "alpha 16", (files.png(beside(COLOR_16, ALPHA.astype(np.uint16))), COLOR)
    yield (
        "12 bits in 16",
        (
            files.png(GRAY.astype(np.uint16) * 16, files.png_chunk(b"sBIT", b"\x0c")),
            scaled(GRAY, 255) * 4080 / 4095,
        ),
    )
    for bits in (1, 2, 4):
        values = GRAY >> (8 - bits)
        yield f"gray {bits}", (files.png(values, bits=bits), scaled(values, 2**bits - 1))
        yield f"palette {bits}", (files.png(values, palette=PALETTE[: 2**bits], bits=bits), PALETTE[values])
    transparent = files.png_chunk(b"tRNS", bytes(range(256)))
    file = files.png(GRAY, palette=PALETTE)
    at = file.index(b"IDAT") - 4
    yield "transparent palette", (file[:at] + transparent + file[at:], PALETTE[GRAY])
    one = files.png_chunk(b"tRNS", struct.pack(">HHH", *map(int, COLOR[0, 0])))
    yield "transparent color", (files.png(COLOR, one), COLOR)


def netpbm_cases() -> Iterator[tuple[str, Case]]:
    for largest in (1, 15, 100, 255, 1023, 4095, 16383, 65535):
        gray, color = (np.round(values * (largest / 255)).astype(int) for values in (GRAY, COLOR))
        for text in (False, True):
            name = f"{largest} {'text' if text else 'binary'}"
            yield f"pgm {name}", (files.netpbm(gray, largest, text=text), scaled(gray, largest))
            yield f"ppm {name}", (files.netpbm(color, largest, text=text), scaled(color, largest))
        yield f"pam gray {largest}", (files.pam(gray, largest, b"GRAYSCALE"), scaled(gray, largest))
        yield f"pam color {largest}", (files.pam(color, largest, b"RGB"), scaled(color, largest))
        alpha = beside(color, gray)
        yield f"pam alpha {largest}", (files.pam(alpha, largest, b"RGB_ALPHA"), scaled(color, largest))
    ones = (GRAY <= 127).astype(np.uint8)
    yield "pbm binary", (files.pbm(ones), BLACK_OR_WHITE)
    yield "pbm text", (files.pbm(ones, text=True), BLACK_OR_WHITE)
    yield "pam black and white", (files.pam(1 - ones, 1, b"BLACKANDWHITE"), BLACK_OR_WHITE)
    yield "two in one file", (files.netpbm(GRAY, 255) + files.netpbm(GRAY[::-1], 255), GRAY)
    for order in "<>":
        yield f"pfm gray {order}", (files.pfm(GRAY / 255, order), GRAY)
        yield f"pfm color {order}", (files.pfm(COLOR / 255, order), COLOR)


def bit_fields(masks: tuple[int, ...], bits: int, header_bytes: int = 40) -> Case:
    packed = np.zeros((HEIGHT, WIDTH), np.uint32)
    expected = np.zeros((HEIGHT, WIDTH, 3))
    for channel, mask in enumerate(masks):
        length, shift = mask.bit_count(), (mask & -mask).bit_length() - 1
        value = np.round(COLOR[..., channel] * ((2**length - 1) / 255)).astype(np.uint32)
        packed |= value << shift
        expected[..., channel] = scaled(value, 2**length - 1)
    rows = [row.astype(f"<u{bits // 8}").tobytes() for row in packed[::-1]]
    return files.bmp(rows, SIZE, bits, compression=3, masks=masks, header_bytes=header_bytes), expected


def bmp_cases() -> Iterator[tuple[str, Case]]:
    bgr = COLOR[::-1, :, ::-1]
    yield "24", (files.bmp([row.tobytes() for row in bgr], SIZE, 24), COLOR)
    yield "24 from the top", (files.bmp([row.tobytes() for row in bgr[::-1]], (WIDTH, -HEIGHT), 24), COLOR)
    yield "32", (files.bmp([row.tobytes() for row in beside(bgr, ALPHA)], SIZE, 32), COLOR)
    yield "24 of OS/2", (files.old_bmp([row.tobytes() for row in bgr], SIZE, 24), COLOR)
    colors = PALETTE[:, ::-1]
    yield (
        "8 of OS/2",
        (files.old_bmp([r.tobytes() for r in GRAY[::-1]], SIZE, 8, colors.tobytes()), PALETTE[GRAY]),
    )
    palette = beside(colors[None], np.zeros((1, 256, 1), np.uint8))[0]
    for bits in (1, 4, 8):
        values = GRAY >> (8 - bits)
        rows = [row.tobytes() for row in files.pack(values[::-1], bits)]
        yield (
            f"palette {bits}",
            (files.bmp(rows, SIZE, bits, palette=palette[: 2**bits].tobytes()), PALETTE[values]),
        )
    for bits, compression in ((8, 1), (4, 2)):
        values = GRAY >> (8 - bits)
        packed = [files.run_lengths(values[::-1], bits)]
        file = files.bmp(packed, SIZE, bits, compression=compression, palette=palette[: 2**bits].tobytes())
        yield f"run lengths {bits}", (file, PALETTE[values])
    fields = {
        "565": ((0xF800, 0x7E0, 0x1F), 16),
        "555": ((0x7C00, 0x3E0, 0x1F), 16),
        "444": ((0xF00, 0xF0, 0xF), 16),
        "565 from blue": ((0x1F, 0x7E0, 0xF800), 16),
        "888": ((0xFF0000, 0xFF00, 0xFF), 32),
        "888 from blue": ((0xFF, 0xFF00, 0xFF0000), 32),
        "888 shifted": ((0xFF000000, 0xFF0000, 0xFF00), 32),
        "10 bits": ((0x3FF00000, 0xFFC00, 0x3FF), 32),
    }
    for name, (masks, bits) in fields.items():
        for header_bytes in (40, 108, 124):
            yield f"fields {name}, header of {header_bytes}", bit_fields(masks, bits, header_bytes)
    file, expected = bit_fields((0x7C00, 0x3E0, 0x1F), 16)
    yield "16 without fields", (file[:30] + b"\0" * 4 + file[34:], expected)


def sun_raster_cases() -> Iterator[tuple[str, Case]]:
    def rows(values: NDArray[Any]) -> list[bytes]:
        return [row.tobytes() for row in values]

    bgr, ones = COLOR[..., ::-1], files.pack((GRAY <= 127).astype(np.uint8), 1)
    unused = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    for kind in (0, 1, 2):
        yield f"8, kind {kind}", (files.sun_raster(rows(GRAY), SIZE, 8, kind), GRAY)
        yield f"palette, kind {kind}", (files.sun_raster(rows(GRAY), SIZE, 8, kind, PALETTE), PALETTE[GRAY])
        yield f"24, kind {kind}", (files.sun_raster(rows(bgr), SIZE, 24, kind), COLOR)
    for bits, values in ((8, GRAY[:, 1:]), (24, COLOR[:, 1:])):
        file = files.sun_raster(
            rows(values[..., ::-1] if bits == 24 else values), (WIDTH - 1, HEIGHT), bits, 2
        )
        yield f"{bits}, kind 2, odd width", (file, values)
    yield "24 from red", (files.sun_raster(rows(COLOR), SIZE, 24, 3), COLOR)
    yield "32", (files.sun_raster(rows(beside(unused, bgr)), SIZE, 32), COLOR)
    yield "32 from red", (files.sun_raster(rows(beside(unused, COLOR)), SIZE, 32, 3), COLOR)
    yield "1", (files.sun_raster(rows(ones), SIZE, 1), BLACK_OR_WHITE)
    yield (
        "palette of 1",
        (files.sun_raster(rows(ones), SIZE, 1, 1, PALETTE[:2]), PALETTE[(GRAY <= 127).astype(int)]),
    )


RGB: dict[str, Any] = {"photometric": "rgb"}
GREY: dict[str, Any] = {"photometric": "minisblack"}
LOSSLESS = ("lzw", "zlib", "packbits", "lzma", "zstd", "jpeg2000", "png", "jpegxl", "jpegxr", "lerc")
LAYOUTS: dict[str, dict[str, Any]] = {"strips": {"rowsperstrip": 16}, "tiles": {"tile": (64, 64)}}


def tiff_layouts() -> Iterator[tuple[str, Case]]:
    for compression in (None, *LOSSLESS, "aperio_jp2000_rgb"):
        for layout, options in LAYOUTS.items():
            chosen = options | {"compression": compression}
            yield f"color {compression} {layout}", (files.tiff((COLOR, RGB | chosen)), COLOR)
            yield f"gray {compression} {layout}", (files.tiff((GRAY, GREY | chosen)), GRAY)
            if compression != "jpegxr":
                yield f"gray 16 {compression} {layout}", (files.tiff((GRAY_16, GREY | chosen)), GRAY)
    for side in (16, 32, 64, 128, 160, 240):
        tiles = {"tile": (side, side)}
        for bits, (one, three) in {8: (GRAY, COLOR), 16: (GRAY_16, COLOR_16)}.items():
            yield f"tiles of {side}, {bits} bits", (files.tiff((one, GREY | tiles)), GRAY)
            yield f"tiles of {side}, color, {bits} bits", (files.tiff((three, RGB | tiles)), COLOR)
    for layout, options in LAYOUTS.items():
        planes = np.moveaxis(COLOR, -1, 0).copy()
        yield f"planes {layout}", (files.tiff((planes, RGB | options | {"planarconfig": "separate"})), COLOR)
        predicted = options | {"compression": "zlib", "predictor": True}
        yield f"predictor {layout}", (files.tiff((COLOR, RGB | predicted)), COLOR)
        fractions = (GRAY / 255).astype(np.float32)
        yield f"float predictor {layout}", (files.tiff((fractions, GREY | predicted)), GRAY)


def tiff_values() -> Iterator[tuple[str, Case]]:
    for dtype in ("f2", "f4", "f8"):
        one, three = (GRAY / 255).astype(dtype), (COLOR / 255).astype(dtype)
        yield f"gray {dtype}", (files.tiff((one, GREY)), scaled(one, 1))
        yield f"color {dtype}", (files.tiff((three, RGB)), scaled(three, 1))
    signed = GRAY.astype(int)
    yield "int8", (files.tiff(((signed - 128).astype(np.int8), GREY)), GRAY)
    yield "int16", (files.tiff(((signed * 257 - 32768).astype(np.int16), GREY)), GRAY)
    yield "uint32", (files.tiff((GRAY.astype(np.uint32) * 16843009, GREY)), GRAY)
    yield "from the highest byte", (files.tiff((GRAY_16, GREY | {"byteorder": ">"})), GRAY)
    for bits in (10, 12, 14):
        values = np.round(GRAY * ((2**bits - 1) / 255)).astype(np.uint16)
        packed = files.tiff((values, GREY | {"bitspersample": bits}))
        yield f"{bits} bits", (packed, scaled(values, 2**bits - 1))
        yield f"{bits} bits in 16", (files.tiff((values, GREY)), scaled(values, 2**bits - 1))
    white = {"photometric": "miniswhite"}
    yield "white is 0", (files.tiff((255 - GRAY, white)), GRAY)
    yield "white is 0, 16 bits", (files.tiff((65535 - GRAY_16, white)), GRAY)
    yield "1 bit", (files.tiff((GRAY > 127, GREY)), BLACK_OR_WHITE)
    yield "1 bit, white is 0", (files.tiff((GRAY <= 127, white)), BLACK_OR_WHITE)
    for alpha in ("unassalpha", "assocalpha", "unspecified"):
        yield (
            f"color and {alpha}",
            (files.tiff((beside(COLOR, ALPHA), RGB | {"extrasamples": [alpha]})), COLOR),
        )
        contiguous = GREY | {"extrasamples": [alpha], "planarconfig": "contig"}
        yield f"gray and {alpha}", (files.tiff((beside(GRAY, ALPHA), contiguous)), GRAY)
    colors = (PALETTE.astype(np.uint16) * 257).T
    yield "palette", (files.tiff((GRAY, {"photometric": "palette", "colormap": colors})), PALETTE[GRAY])
    inks = beside(COLOR, ALPHA)
    mixed = (255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255
    yield "inks", (files.tiff((inks, {"photometric": "separated"})), np.round(mixed))
    inks_12 = files.tiff((inks * np.uint16(16), {"photometric": "separated", "bitspersample": 12}))
    mixed_12 = (4095.0 - inks[..., :3] * 16.0) * (4095.0 - inks[..., 3:] * 16.0) / 4095
    yield "inks of 12 bits", (inks_12, scaled(np.round(mixed_12), 4095))
    for depth in (12, 14):
        values = (GRAY * ((2**depth - 1) / 255)).astype(np.uint16)
        yield (
            f"white is 0, {depth} bits in 16",
            (files.tiff((2**depth - 1 - values, white)), scaled(values, 2**depth - 1)),
        )
    fractions = (GRAY / 510).astype(np.float32)
    yield "white is 0, float", (files.tiff((0.5 - fractions, white)), 127.5 + scaled(fractions, 1))
    yield (
        "palette of bytes",
        (
            files.tiff((GRAY, {"photometric": "palette", "colormap": PALETTE.astype(np.uint16).T})),
            PALETTE[GRAY],
        ),
    )
    luma_and_chroma = np.asarray(Image.fromarray(COLOR).convert("YCbCr"))
    y, cb, cr = np.moveaxis(luma_and_chroma - [0.0, 128.0, 128.0], -1, 0)
    # The matrix as JFIF prints it, with fewer digits.
    back = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    back = np.round(np.clip(back, 0, 255))
    for compression in (None, "lzw", "zlib", "packbits", "zstd", "lzma"):
        for layout, options in LAYOUTS.items():
            chosen = options | {"photometric": "ycbcr", "subsampling": (1, 1), "compression": compression}
            yield f"luma and chroma {compression} {layout}", (files.tiff((luma_and_chroma, chosen)), back)
    missing = np.where(ALPHA[..., 0] < 20, np.float32(-9999), GRAY.astype(np.float32) + 300)
    lowest = np.where(ALPHA[..., 0] < 20, 0, GRAY - GRAY[ALPHA[..., 0] >= 20].min())
    declared = GREY | {"extratags": [(42113, 2, 6, "-9999", False)]}
    yield "a value that means nothing", (files.tiff((missing, declared)), scaled(lowest, int(lowest.max())))
    for compression in ("group3", "group4", "tiff_ccitt"):
        file = images.encoded(Image.fromarray(GRAY > 127), "TIFF", compression=compression)
        yield compression, (file, BLACK_OR_WHITE)


def tiff_pages() -> Iterator[tuple[str, Case]]:
    small = (COLOR[::4, ::4], RGB | {"subfiletype": 1})
    yield "a reduced image first", (files.tiff(small, (COLOR, RGB)), COLOR)
    yield "below a reduced image", (files.tiff((small[0], small[1] | {"subifds": 1}), (COLOR, RGB)), COLOR)
    yield "two pages", (files.tiff((COLOR, RGB), (COLOR[::-1], RGB)), COLOR)
    for number, stored in enumerate(STORED, 1):
        for layout, options in LAYOUTS.items():
            tag = {"extratags": [(274, 3, 1, number, True)]}
            turned = np.ascontiguousarray(stored(COLOR))
            yield f"orientation {number} {layout}", (files.tiff((turned, RGB | options | tag)), COLOR)


STORED: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...] = (
    lambda a: a,
    lambda a: a[:, ::-1],
    lambda a: a[::-1, ::-1],
    lambda a: a[::-1],
    lambda a: np.swapaxes(a, 0, 1),
    lambda a: np.rot90(a, 1),
    lambda a: np.swapaxes(a, 0, 1)[::-1, ::-1],
    lambda a: np.rot90(a, -1),
)
"""How an image is stored that the orientations from 1 to 8 turn upright."""


def other_cases() -> Iterator[tuple[str, Case]]:
    for values, name in ((GRAY, "gray"), (COLOR, "color"), (GRAY_16, "gray 16"), (COLOR_16, "color 16")):
        file = bytes(imagecodecs.jpeg_encode(values, lossless=True, bitspersample=8 * values.itemsize))
        yield f"lossless jpeg {name}", (file, scaled(values, 256**values.itemsize - 1))
    picture = Image.fromarray(COLOR).quantize(64)
    colors = np.asarray(picture.convert("RGB"))
    for name, options in {
        "": {},
        " transparent": {"transparency": 3},
        " interlaced": {"interlace": 1},
    }.items():
        yield f"gif{name}", (images.encoded(picture, "GIF", **options), colors)
    yield "webp", (images.encoded(COLOR, "WEBP", lossless=True), COLOR)
    transparent = Image.fromarray(beside(COLOR, ALPHA))
    yield "webp with alpha", (images.encoded(transparent, "WEBP", lossless=True, exact=True), COLOR)
    wide = GRAY // 85 * 85  # no value that a lossy encoder would change
    for value_range in ("limited", "full"):
        gray_avif: dict[str, Any] = {"quality": 100, "subsampling": "4:0:0", "range": value_range}
        yield f"avif gray {value_range}", (images.encoded(np.dstack([wide] * 3), "AVIF", **gray_avif), wide)
    for depth in (4, 6):
        few = GRAY >> (8 - depth)
        file = bytes(imagecodecs.jpeg2k_encode(few, level=0, reversible=True, bitspersample=depth))
        yield f"jp2 of {depth} bits", (file, scaled(few, 2**depth - 1))
    for bits in (8, 10, 12):
        dtype: type[Any] = np.uint8 if bits == 8 else np.uint16
        deep, gray = (np.left_shift(values, bits - 8, dtype=dtype) for values in (COLOR, GRAY))
        file = bytes(imagecodecs.avif_encode(deep, level=100, bitspersample=bits, pixelformat="444"))
        yield f"avif {bits}", (file, scaled(deep, 2**bits - 1))
        for container in ("jp2", "j2k"):
            kept: dict[str, Any] = {
                "level": 0,
                "reversible": True,
                "bitspersample": bits,
                "codecformat": container,
            }
            file = bytes(imagecodecs.jpeg2k_encode(gray, **kept))
            yield f"{container} gray {bits}", (file, scaled(gray, 2**bits - 1))
            yield (
                f"{container} color {bits}",
                (bytes(imagecodecs.jpeg2k_encode(deep, **kept)), scaled(deep, 2**bits - 1)),
            )
    for values, name in ((GRAY_16, "gray"), (COLOR_16, "color")):
        file = bytes(imagecodecs.jpeg2k_encode(values, level=0, reversible=True))
        yield f"jp2 {name} 16", (file, scaled(values, 65535))


CASES: dict[str, Case] = {
    f"{kind}: {name}": case
    for kind, cases in {
        "PNG": png_cases,
        "Netpbm": netpbm_cases,
        "BMP": bmp_cases,
        "Sun": sun_raster_cases,
        "TIFF, layout": tiff_layouts,
        "TIFF, values": tiff_values,
        "TIFF, pages": tiff_pages,
        "": other_cases,
    }.items()
    for name, case in cases()
}


@pytest.mark.parametrize("name", CASES)
def test_the_grey_values_are_those_of_what_is_stored(name: str) -> None:
    data, stored = CASES[name]
    gray = decode_gray(data, max_pixels=stored.size)
    expected = stored if stored.ndim == 2 else luma(stored)
    assert gray.shape == expected.shape
    assert np.abs(gray - expected).max() < 0.51, "rounded twice: to 16 bits, then to 8"


@pytest.mark.parametrize("name", CASES)
def test_a_preview_has_the_colours_of_what_is_stored(name: str) -> None:
    data, stored = CASES[name]
    colors = decode_preview(data, side=max(stored.shape), max_pixels=stored.size)[..., ::-1]
    expected = np.dstack([stored] * 3) if stored.ndim == 2 else stored
    assert np.abs(colors - expected).max() < 0.51


def test_a_strip_that_claims_to_be_larger_than_it_is_is_not_decoded() -> None:
    data = bytearray(files.tiff((COLOR, RGB | {"compression": "jpeg"})))
    struct.pack_into(">HH", data, data.rindex(b"\xff\xc0") + 5, 40_000, 5000)
    with pytest.raises(ImageError, match="a part of it claims 5000 x 40000 pixels"):
        decode_gray(bytes(data), max_pixels=COLOR.size)
