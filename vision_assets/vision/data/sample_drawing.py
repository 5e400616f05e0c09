"""Draws sample images: ten classes of objects and scenes at varying view, scale and light."""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""Blue, green, red: shape (height, width, 3), dtype uint8."""
Mask = npt.NDArray[np.float32]
"""Coverage of an object: shape (height, width), dtype float32, 0 to 1."""
Color = tuple[float, float, float]
Rng = np.random.Generator

_SIDE = 480
_INK = (45, 40, 40)
_SIZES = ((288, 216), (280, 210), (256, 192), (240, 180), (192, 256), (210, 280))


def draw_sample(label: str, number: int, *, seed: int = 0) -> Image:
    """Draw one sample image.

    Parameters
    ----------
    label : str
        One of `SAMPLE_CLASSES`.
    number : int
        Number of the image within its class.
    seed : int
        Random seed, 0 or more.

    Returns
    -------
    ndarray of shape (height, width, 3), dtype uint8
        Blue, green, red; 180 to 288 pixels a side.
    """
    rng = np.random.default_rng([seed, SAMPLE_CLASSES.index(label), number])
    size = _SIZES[rng.integers(len(_SIZES))]
    return _photographed(rng, _with_clutter(rng, _SCENES[label](rng, size)))


# --- Materials -----------------------------------------------------------------------------------------


def _clouds(rng: Rng, cells: int, *, stretch: int = 1, octaves: int = 4) -> Mask:
    """Return smooth noise, 0 to 1, with about `cells` patches per side, wider than high by `stretch`."""
    noise = np.zeros((_SIDE, _SIDE), np.float32)
    for octave in range(octaves):
        rows = cells * 2**octave
        grid = rng.random((rows + 1, rows // stretch + 2), dtype=np.float32)
        noise += cv2.resize(grid, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = noise.min(), noise.max()
    return ((noise - low) / (high - low)).astype(np.float32)


def _plain(color: Color) -> Image:
    return np.full((_SIDE, _SIDE, 3), color, np.uint8)


def _shaded(image: Image, brightness: npt.NDArray[np.floating]) -> Image:
    """Multiply every pixel by its brightness; 1 changes nothing."""
    factor = brightness[..., np.newaxis].astype(np.float32)
    return np.clip(image * factor, 0, 255).astype(np.uint8)


def _mottled(rng: Rng, image: Image, amount: float, cells: int = 12, *, stretch: int = 1) -> Image:
    return _shaded(image, 1 + amount * (_clouds(rng, cells, stretch=stretch) - 0.5))


def _varied(rng: Rng, color: Color, spread: float) -> Color:
    """Change brightness by a share of up to `spread`, and each channel by a sixth of that."""
    factors = rng.uniform(1 - spread, 1 + spread) * rng.uniform(1 - spread / 6, 1 + spread / 6, 3)
    blue, green, red = np.clip(np.array(color) * factors, 0, 255)
    return float(blue), float(green), float(red)


def _pick(rng: Rng, colors: tuple[Color, ...]) -> Color:
    return colors[rng.integers(len(colors))]


def _darker(color: Color, factor: float) -> Color:
    return color[0] * factor, color[1] * factor, color[2] * factor


def _ellipse(
    image: Image, center: tuple[float, float], axes: tuple[float, float], angle: float, color: Color
) -> None:
    # Coordinates are sixteenths of a pixel, so that small shapes do not snap to the grid.
    cv2.ellipse(
        image,
        (round(center[0] * 16), round(center[1] * 16)),
        (max(1, round(axes[0] * 16)), max(1, round(axes[1] * 16))),
        angle,
        0,
        360,
        color,
        -1,
        cv2.LINE_AA,
        4,
    )


def _line(
    image: Image, start: tuple[float, ...], end: tuple[float, ...], color: Color, *, width: int = 1
) -> None:
    first, last = ([round(value * 16) for value in point] for point in (start, end))
    cv2.line(image, first, last, color, width, cv2.LINE_AA, 4)


def _polygon(image: Image | Mask, points: npt.ArrayLike, color: Color | float) -> None:
    corners = np.round(np.asarray(points, np.float64) * 16).astype(np.int32)
    cv2.fillPoly(image, [corners], color, cv2.LINE_AA, 4)


def _box(image: Image, corner: tuple[float, float], size: tuple[float, float], color: Color) -> None:
    (left, top), (right, bottom) = corner, (corner[0] + size[0], corner[1] + size[1])
    _polygon(image, [(left, top), (right, top), (right, bottom), (left, bottom)], color)


def _scattered(rng: Rng, step: float) -> npt.NDArray[np.float64]:
    """Return points about `step` apart, in random order: shape (n, 2), x and y."""
    ticks = np.arange(0, _SIDE + step, step)
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    return rng.permutation(points + rng.uniform(-0.45, 0.45, points.shape) * step)


def _brick(rng: Rng) -> Image:
    base = _pick(rng, ((62, 78, 165), (70, 95, 185), (88, 112, 160), (150, 165, 180), (60, 60, 120)))
    mortar = _pick(rng, ((170, 180, 188), (145, 152, 160), (205, 210, 214), (190, 200, 205)))
    height, joint = rng.uniform(20, 32), rng.uniform(2.5, 5)
    width = height * rng.uniform(2.1, 3.0)
    image = _mottled(rng, _plain(mortar), 0.5, 40)
    for row in range(int(_SIDE / height) + 2):
        shift = (row % 2) * width / 2
        for column in range(-1, int(_SIDE / width) + 2):
            color = _varied(rng, base, 0.28)
            left, top = column * width + shift + rng.uniform(-1, 1), row * height + rng.uniform(-0.7, 0.7)
            wide, high = width - joint, height - joint
            _box(image, (left, top), (wide, high), _darker(color, 0.6))
            _box(image, (left, top), (wide - 1.5, high - 2), _darker(color, 1.2))
            _box(image, (left + 1.5, top + 1.5), (wide - 3, high - 3.5), color)
    return _mottled(rng, _mottled(rng, image, 0.8, 70), 0.4, 3)


def _pebbles(rng: Rng) -> Image:
    bases: tuple[Color, ...] = (
        (150, 158, 165),
        (120, 135, 155),
        (95, 100, 108),
        (170, 182, 195),
        (90, 110, 140),
    )
    tint = rng.uniform(0.93, 1.07, 3)
    image = _mottled(rng, _plain((38, 42, 46)), 0.8, 60)
    step = rng.uniform(20, 34)
    for x, y in np.concatenate([_scattered(rng, step * 0.75), _scattered(rng, step)]):
        a, b, angle = step * rng.uniform(0.42, 0.75), step * rng.uniform(0.32, 0.5), rng.uniform(0, 180)
        drawn = np.clip(np.array(_varied(rng, _pick(rng, bases), 0.25)) * tint, 0, 255)
        color = (float(drawn[0]), float(drawn[1]), float(drawn[2]))
        _ellipse(image, (x + 2, y + 3), (a + 1, b + 1), angle, (22, 24, 27))
        for inset, light in ((0.0, 0.62), (0.12, 0.85), (0.28, 1.0), (0.5, 1.13)):
            offset = inset * b * 0.45
            _ellipse(
                image,
                (x - offset, y - offset),
                (a * (1 - inset), b * (1 - inset)),
                angle,
                _darker(color, light),
            )
        if rng.random() < 0.2:
            _ellipse(image, (x, y), (a * 0.75, 1.2), angle + rng.uniform(-40, 40), _darker(color, 1.5))
    return _mottled(rng, image, 0.4, 70)


def _honeycomb(rng: Rng) -> Image:
    wax = _varied(rng, (70, 165, 225), 0.15)
    radius = rng.uniform(15, 23)
    across = radius * math.sqrt(3)
    around = np.deg2rad(np.arange(30, 390, 60))
    hexagon = np.stack([np.cos(around), np.sin(around)], axis=1)
    image = _mottled(rng, _plain(wax), 0.3, 30)
    for row in range(int(_SIDE / (1.5 * radius)) + 2):
        for column in range(int(_SIDE / across) + 2):
            center = np.array([(column + (row % 2) / 2) * across, row * 1.5 * radius]) + rng.normal(0, 0.5, 2)
            _honey_cell(rng, image, center, hexagon * radius, wax)
    for _ in range(rng.integers(0, 4)):
        _bee(rng, image)
    return _mottled(rng, image, 0.35, 24)


def _honey_cell(
    rng: Rng, image: Image, center: npt.NDArray[np.float64], corners: npt.NDArray[np.float64], wax: Color
) -> None:
    kind = rng.random()
    _polygon(image, center + corners * 0.88, _darker(wax, 0.55))
    if kind < 0.12:
        _polygon(image, center + corners * 0.84, _varied(rng, (120, 195, 235), 0.12))
        return
    inner: Color = (14, 62, 120) if kind < 0.6 else (20, 95, 185)
    _polygon(image, center + corners * 0.78 + 0.8, _varied(rng, inner, 0.25))
    _polygon(image, center + corners * 0.5 + 2, _varied(rng, _darker(inner, 0.55), 0.3))
    if kind > 0.8:
        x, y = center - np.abs(corners).max() * 0.3
        _ellipse(image, (x, y), (2.5, 1.5), rng.uniform(0, 180), (190, 235, 250))


def _bee(rng: Rng, image: Image) -> None:
    middle = rng.uniform(0.25 * _SIDE, 0.75 * _SIDE, 2)
    angle = rng.uniform(0, 360)
    along = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    across = np.array([-along[1], along[0]])

    def part(ahead: float, aside: float, axes: tuple[float, float], turn: float, color: Color) -> None:
        x, y = middle + ahead * along + aside * across
        _ellipse(image, (x, y), axes, angle + turn, color)

    part(-1, 2, (23, 11), 0, (8, 30, 60))
    part(-6, 0, (17, 9), 0, (35, 140, 200))
    for ahead in (-18, -11, -4):
        part(ahead, 0, (2.4, 8 if ahead > -18 else 6), 0, (22, 26, 32))
    part(9, 0, (8, 8), 0, (40, 75, 105))
    part(19, 0, (5, 6), 0, (22, 24, 30))
    for side in (-1, 1):
        part(-3, side * 10, (15, 4.5), side * -28, (150, 175, 180))
        part(-3, side * 10, (13, 3), side * -28, (185, 205, 210))


def _leopard(rng: Rng) -> Image:
    coat = _varied(rng, (95, 160, 205), 0.15)
    image = _plain(coat)
    step = rng.uniform(30, 44)
    for x, y in _scattered(rng, step):
        size, turn = step * rng.uniform(0.3, 0.4), rng.uniform(0, 360)
        _ellipse(image, (x, y), (size * 0.9, size * 0.75), turn, _darker(coat, 0.72))
        for spot in range(rng.integers(3, 6)):
            direction = math.radians(turn + spot * 75 + rng.uniform(-14, 14))
            place = (x + size * math.cos(direction), y + size * 0.85 * math.sin(direction))
            axes = (size * rng.uniform(0.36, 0.58), size * rng.uniform(0.2, 0.34))
            _ellipse(image, place, axes, math.degrees(direction) + 90, _varied(rng, (22, 30, 42), 0.3))
    sway = (_clouds(rng, 5) - 0.5) * step * 1.3
    y_grid, x_grid = np.mgrid[:_SIDE, :_SIDE].astype(np.float32)
    fur = (_clouds(rng, 110, stretch=8, octaves=2) - 0.5) * 7
    image = _remapped(image, x_grid + sway + fur, y_grid + sway[::-1] + fur)
    return _mottled(rng, _mottled(rng, image, 0.55, 110, stretch=8), 0.6, 3)


def _remapped(image: Image, x: Mask, y: Mask) -> Image:
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101).astype(np.uint8)


def _tartan(rng: Rng) -> Image:
    dark = ((38, 32, 150), (40, 80, 30), (100, 45, 25), (30, 30, 32), (90, 30, 80), (90, 100, 105))
    light = ((60, 185, 225), (215, 220, 225), (170, 205, 190))
    colors = [dark[i] for i in rng.permutation(len(dark))[:3]] + [light[rng.integers(len(light))]]
    widths = np.concatenate([rng.integers(16, 34, 3), rng.integers(4, 9, 1)])
    threads = [np.tile(colors[i], (int(widths[i]), 1)) for i in (0, 3, 1, 0, 2, 3, 1, 3)]
    sett = np.concatenate(threads).astype(np.float32)
    stripes = np.resize(sett, (_SIDE, 3))
    y, x = np.mgrid[:_SIDE, :_SIDE]
    twill = (((x + y) // 2) % 2 == 0)[..., np.newaxis]
    image = np.where(twill, stripes[np.newaxis], stripes[:, np.newaxis]).astype(np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 0.7).astype(np.uint8)
    folds = (_clouds(rng, 3, octaves=2) - 0.5) * rng.uniform(15, 45)
    image = _remapped(image, (x + folds).astype(np.float32), (y + folds.T).astype(np.float32))
    slope = cv2.GaussianBlur(np.gradient(folds, axis=1).astype(np.float32), (0, 0), 3)
    return _mottled(rng, _shaded(image, 1 + np.clip(slope * 1.1, -0.5, 0.5)), 0.45, 90)


def _planks(rng: Rng) -> Image:
    base = _varied(rng, (75, 115, 160), 0.3)
    image = _plain(base)
    height = rng.uniform(50, 95)
    for row in range(int(_SIDE / height) + 1):
        _box(image, (0, row * height), (_SIDE, height - 2), _varied(rng, base, 0.15))
        _box(image, (0, row * height - 2), (_SIDE, 2), _darker(base, 0.35))
    rings = np.sin(_clouds(rng, 10, stretch=5) * rng.uniform(30, 60))
    return _mottled(rng, _shaded(image, 1 + 0.09 * rings), 0.35, 60, stretch=12)


def _foliage(rng: Rng) -> Image:
    image = _mottled(rng, _plain((18, 40, 22)), 0.8, 20)
    size = rng.uniform(16, 30)
    for x, y in np.concatenate([_scattered(rng, size), _scattered(rng, size * 1.1)]):
        color = _varied(rng, (40, 120, 62), 0.45)
        angle = rng.uniform(0, 360)
        tip = size * np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
        _ellipse(image, (x + 2, y + 3), (size, size * 0.4), angle, (12, 30, 16))
        _ellipse(image, (x, y), (size, size * 0.4), angle, color)
        _line(image, (x - tip[0], y - tip[1]), (x + tip[0], y + tip[1]), _darker(color, 1.4))
    return _mottled(rng, image, 0.4, 10)


def _plaster(rng: Rng) -> Image:
    base = _pick(rng, ((190, 205, 215), (160, 150, 130), (140, 175, 190), (110, 120, 135), (175, 185, 165)))
    return _mottled(rng, _mottled(rng, _plain(_varied(rng, base, 0.15)), 0.25, 90), 0.35, 4)


# --- Objects -------------------------------------------------------------------------------------------


class _Object(NamedTuple):
    image: Image
    mask: Mask


def _disc(radius: float) -> Mask:
    y, x = np.mgrid[:_SIDE, :_SIDE] - _SIDE / 2
    return np.clip(radius - np.hypot(x, y) + 0.5, 0, 1).astype(np.float32)


def _clock(rng: Rng) -> _Object:
    face = _pick(rng, ((235, 240, 242), (200, 225, 235), (40, 40, 45), (180, 200, 190)))
    ink: Color = (235, 238, 240) if sum(face) < 300 else (25, 25, 30)
    case = _varied(rng, _pick(rng, ((40, 70, 120), (60, 60, 65), (60, 150, 190), (40, 40, 150))), 0.2)
    middle, radius = _SIDE / 2, 200.0
    image = _plain(case)
    rings = ((radius, 0.6), (radius - 6, 1.25), (radius - 14, 0.9), (radius - 24, 0.5))
    for size, light in rings:
        _ellipse(image, (middle, middle), (size, size), 0, _darker(case, light))
    _ellipse(image, (middle, middle), (radius - 28, radius - 28), 0, face)
    for tick in range(60):
        _spoke(image, tick * 6, (150 if tick % 5 else 140, 162), 2 if tick % 5 else 6, ink)
    _numerals(rng, image, ink)
    hour, minute = rng.uniform(0, 12), rng.uniform(0, 60)
    _spoke(image, hour * 30, (-18, 82), 11, ink)
    _spoke(image, minute * 6, (-24, 132), 7, ink)
    _spoke(image, rng.uniform(0, 360), (-34, 140), 2, (40, 40, 190))
    _ellipse(image, (middle, middle), (9, 9), 0, (40, 40, 190))
    return _Object(_mottled(rng, image, 0.15, 6), _disc(radius))


def _spoke(image: Image, angle: float, span: tuple[float, float], width: int, color: Color) -> None:
    """Draw a line from the middle outwards; an angle of 0 degrees is upwards."""
    direction = np.array([math.sin(math.radians(angle)), -math.cos(math.radians(angle))])
    start, end = (tuple(_SIDE / 2 + direction * length) for length in span)
    _line(image, start, end, color, width=width)


def _numerals(rng: Rng, image: Image, ink: Color) -> None:
    roman = rng.random() < 0.4
    names = ("XII", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI") if roman else None
    for hour in range(12):
        text = names[hour] if names else str(hour or 12)
        angle = math.radians(hour * 30)
        x, y = _SIDE / 2 + 115 * math.sin(angle), _SIDE / 2 - 115 * math.cos(angle)
        _text(image, text, (x, y), 0.8 if roman else 1.1, ink)


def _text(image: Image, text: str, center: tuple[float, float], scale: float, color: Color) -> None:
    thickness = 3
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, scale, thickness)
    place = (round(center[0] - width / 2), round(center[1] + height / 2))
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_DUPLEX, scale, color, thickness, cv2.LINE_AA)


def _page(rng: Rng) -> _Object:
    width, height = 330, 440
    left, top = (_SIDE - width) / 2, (_SIDE - height) / 2
    image = _plain((255, 255, 255))
    paper = _varied(rng, _pick(rng, ((235, 240, 243), (205, 225, 235), (220, 226, 228))), 0.05)
    _box(image, (left, top), (width, height), paper)
    _text(image, _word(rng, 6).upper(), (_SIDE / 2, top + 38), 1.5, _INK)
    cv2.line(image, (round(left) + 20, round(top) + 64), (round(left) + width - 20, round(top) + 64), _INK, 2)
    columns = int(rng.integers(1, 4))
    column_width = (width - 40) / columns
    for column in range(columns):
        picture = int(rng.integers(4)) * 80 if rng.random() < 0.5 else None
        _column(rng, image, (left + 20 + column * column_width, top + 76), column_width - 12, picture)
    mask = np.zeros((_SIDE, _SIDE), np.float32)
    mask[round(top) : round(top) + height, round(left) : round(left) + width] = 1
    return _Object(_mottled(rng, image, 0.12, 3), mask)


def _word(rng: Rng, length: int) -> str:
    pairs = zip(rng.integers(12, size=length), rng.integers(5, size=length), strict=True)
    return "".join("bcdfglmnprst"[consonant] + "aeiou"[vowel] for consonant, vowel in pairs)[:length]


def _column(rng: Rng, image: Image, corner: tuple[float, float], width: float, picture: int | None) -> None:
    x, top = corner
    for line in range(22):
        y = top + 14 + line * 16
        if picture is not None and picture <= line * 16 < picture + 96:
            continue
        end = x + width * (rng.uniform(0.3, 0.8) if line % 7 == 6 else 1)
        place = x
        while place < end - 18:
            text = _word(rng, int(rng.integers(2, 8)))
            cv2.putText(
                image, text, (round(place), round(y)), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA
            )
            place += cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0] + 6
        cv2.rectangle(
            image,
            (round(x + width), round(y) - 14),
            (round(x + width) + 11, round(y) + 5),
            (235, 240, 243),
            -1,
        )
    if picture is not None:
        high, wide = 92, round(width) - 4
        patch = cv2.resize(_plaster(rng)[::3, ::3] // 2 + _planks(rng)[::3, ::3] // 3, (wide, high))
        image[round(top) + picture : round(top) + picture + high, round(x) : round(x) + wide] = patch


def _sunflower(rng: Rng) -> _Object:
    flower, middle = _Object(_plain((30, 90, 50)), np.zeros((_SIDE, _SIDE), np.float32)), _SIDE / 2
    petals, core = int(rng.integers(17, 25)), rng.uniform(88, 112)
    for layer in range(2):
        for petal in range(petals):
            angle = (petal + layer / 2) * 2 * math.pi / petals + rng.normal(0, 0.05)
            length = rng.uniform(0.85, 1.0) * 220
            color = _varied(rng, (25, 190, 245) if layer else (20, 150, 225), 0.12)
            _petal(flower, angle, core, length, color)
    image, mask = flower
    _ellipse(image, (middle, middle), (core, core), 0, (15, 35, 60))
    cv2.circle(mask, (round(middle), round(middle)), round(core), 1.0, -1)
    for seed in range(1, 420):
        radius = core * math.sqrt(seed / 420) * 0.98
        angle = seed * 2.399963
        x, y = middle + radius * math.cos(angle), middle + radius * math.sin(angle)
        color = _varied(rng, (30, 75, 120) if seed > 150 else (45, 110, 110), 0.3)
        _ellipse(image, (x, y), (2.2 + radius / 50, 1.8 + radius / 80), math.degrees(angle), color)
    return flower


def _petal(flower: _Object, angle: float, core: float, length: float, color: Color) -> None:
    image, mask = flower
    along = np.array([math.cos(angle), math.sin(angle)])
    across = np.array([-along[1], along[0]])
    profile = ((0.0, 12.0), (0.35, 22.0), (0.65, 19.0), (0.88, 9.0), (1.0, 0.0))
    reach = core * 0.8 + (length - core * 0.8) * np.array([place for place, _ in profile])
    width = np.array([half for _, half in profile])
    right = reach[:, np.newaxis] * along + width[:, np.newaxis] * across
    left = reach[:, np.newaxis] * along - width[:, np.newaxis] * across
    outline = np.concatenate([right, left[::-1]])
    _polygon(image, _SIDE / 2 + outline, _darker(color, 0.6))
    _polygon(image, _SIDE / 2 + outline * [0.985, 0.985] - 0.06 * (outline - reach.mean() * along), color)
    _polygon(mask, _SIDE / 2 + outline, 1.0)
    for vein in (-5, 3):
        start, end = (_SIDE / 2 + reach[i] * along + vein * across * (1 - i / 5) for i in (1, 3))
        _line(image, tuple(start), tuple(end), _darker(color, 0.8))


def _basket(rng: Rng) -> _Object:
    image = _weave(rng)
    middle = _SIDE / 2
    top, bottom = rng.uniform(170, 200), rng.uniform(400, 440)
    wide, narrow = rng.uniform(190, 220), rng.uniform(120, 165)
    mask = np.zeros((_SIDE, _SIDE), np.float32)
    body = [(middle - wide, top), (middle + wide, top), (middle + narrow, bottom), (middle - narrow, bottom)]
    _polygon(mask, body, 1.0)
    cv2.ellipse(mask, (round(middle), round(bottom)), (round(narrow), 26), 0, 0, 180, 1.0, -1, cv2.LINE_AA)
    x = (np.arange(_SIDE) - middle) / wide
    image = _shaded(image, np.broadcast_to(np.sqrt(np.clip(1 - 0.85 * x**2, 0.1, 1)), (_SIDE, _SIDE)))
    rim = _varied(rng, (60, 110, 165), 0.2)
    center = (round(middle), round(top))
    for axes, color in (((wide, 40), rim), ((wide - 14, 29), (18, 28, 40))):
        _ellipse(image, (middle, top), axes, 0, color)
        _ellipse_mask(mask, (middle, top), axes)
    if rng.random() < 0.7:
        for shift, color in ((0, _darker(rim, 0.6)), (-3, _darker(rim, 1.15))):
            arc = (round(wide * 0.93), 150 + shift)
            cv2.ellipse(image, center, arc, 0, 180, 360, color, 13 + shift * 2, cv2.LINE_AA)
        cv2.ellipse(mask, center, (round(wide * 0.93), 150), 0, 180, 360, 1.0, 14, cv2.LINE_AA)
    return _Object(image, mask)


def _ellipse_mask(mask: Mask, center: tuple[float, float], axes: tuple[float, float]) -> None:
    y, x = np.mgrid[:_SIDE, :_SIDE]
    mask[((x - center[0]) / axes[0]) ** 2 + ((y - center[1]) / axes[1]) ** 2 <= 1] = 1


def _weave(rng: Rng) -> Image:
    """Draw strands that cross over and under each other, the vertical ones narrower."""
    strand = _varied(rng, _pick(rng, ((85, 145, 195), (60, 105, 150), (120, 175, 210))), 0.15)
    wide, high = rng.uniform(24, 34), rng.uniform(12, 18)
    y, x = np.mgrid[:_SIDE, :_SIDE].astype(np.float32)
    y += (_clouds(rng, 4) - 0.5) * 10
    u, v = x / wide, y / high
    over = (np.floor(u) + np.floor(v)) % 2 == 0
    along, across = np.abs(u % 1 - 0.5) * 2, np.abs(v % 1 - 0.5) * 2
    lying = np.sqrt(1 - 0.85 * across**2) * (1 - 0.45 * along**3)
    upright = np.sqrt(np.clip(1 - 1.5 * along**2, 0.04, 1)) * (1 - 0.4 * across**2) * 0.85
    fibres = 1 + 0.35 * (_clouds(rng, 120, stretch=10, octaves=2) - 0.5)
    return _mottled(rng, _shaded(_plain(strand), np.where(over, lying, upright) * fibres * 1.1), 0.5, 8)


# --- Scenes --------------------------------------------------------------------------------------------


def _facade(rng: Rng) -> Image:
    wall_color = _pick(
        rng, ((150, 175, 195), (110, 130, 165), (185, 195, 200), (95, 110, 120), (140, 160, 190))
    )
    roof = int(rng.uniform(60, 200))
    wall = (
        _brick(rng) // 2 + 70
        if rng.random() < 0.25
        else _mottled(rng, _plain(_varied(rng, wall_color, 0.1)), 0.2)
    )
    image = _sky(rng)
    image[roof:] = wall[roof:]
    across, up = rng.uniform(42, 66), rng.uniform(56, 82)
    frame = _varied(rng, (215, 222, 226), 0.25)
    panes = (int(rng.integers(1, 3)), int(rng.integers(1, 4)))
    fill = rng.uniform(0.5, 0.68)
    style = _WindowStyle((across * fill, up * rng.uniform(0.55, 0.7)), frame, panes)
    _box(image, (0, roof - 6), (_SIDE, 14), _darker(wall_color, 0.7))
    _box(image, (0, roof + 8), (_SIDE, 3), _darker(wall_color, 0.45))
    for row in range(int((_SIDE - roof) / up) + 1):
        top = roof + 20 + row * up
        if rng.random() < 0.8:
            _box(image, (0, top + up * 0.86), (_SIDE, 4), _darker(wall_color, 0.75))
        for column in range(int(_SIDE / across) + 1):
            left = column * across + across * (1 - fill) / 2
            _window(rng, image, (left, top), style)
    return image


def _sky(rng: Rng) -> Image:
    blue, white = np.array(_varied(rng, (225, 190, 140), 0.12)), np.array((240.0, 238.0, 235.0))
    cover = np.clip(_clouds(rng, 4) * 1.6 - 0.5, 0, 1)[..., np.newaxis]
    return np.clip(blue * (1 - cover) + white * cover, 0, 255).astype(np.uint8)


class _WindowStyle(NamedTuple):
    size: tuple[float, float]
    frame: Color
    panes: tuple[int, int]


def _window(rng: Rng, image: Image, corner: tuple[float, float], style: _WindowStyle) -> None:
    size, frame, panes = style
    (left, top), (width, height) = corner, size
    _box(image, (left - 2, top - 2), (width + 5, height + 6), (60, 65, 70))
    _box(image, (left - 3, top - 3), (width + 4, height + 4), frame)
    glass: Color = (120, 200, 230) if rng.random() < 0.1 else _varied(rng, (85, 75, 62), 0.5)
    pane_width, pane_height = (width - 2) / panes[0], (height - 2) / panes[1]
    for column in range(panes[0]):
        for row in range(panes[1]):
            x, y = left + column * pane_width, top + row * pane_height
            _box(image, (x, y), (pane_width - 2, pane_height - 2), glass)
            shine = [(x, y + pane_height * 0.6), (x + pane_width * 0.5, y), (x, y)]
            _polygon(image, shine, _darker(glass, 1.45))
    if rng.random() < 0.35:
        _box(
            image,
            (left, top),
            (width - 2, height * rng.uniform(0.2, 0.7)),
            _varied(rng, (190, 205, 210), 0.2),
        )
    _box(image, (left - 5, top + height + 2), (width + 9, 4), _darker(frame, 0.85))


def _quad(rng: Rng, size: tuple[float, float], turn: float, tilt: float) -> npt.NDArray[np.float32]:
    """Return the corners of a rectangle around (0, 0), rotated by up to `turn` degrees, in perspective."""
    width, height = size
    corners = np.array([(-width, -height), (width, -height), (width, height), (-width, height)]) / 2
    angle = math.radians(rng.uniform(-turn, turn))
    rotation = np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    slant = rng.uniform(-tilt, tilt, (4, 2)) * (width, height)
    return ((corners + slant) @ rotation).astype(np.float32)


def _seen(
    rng: Rng, material: Image, size: tuple[int, int], *, turn: float = 25.0, tilt: float = 0.12
) -> Image:
    """Photograph a flat material that fills the image."""
    width, height = size
    zoom = rng.uniform(0.6, 1.45)
    source = _SIDE / 2 + _quad(rng, (width * zoom, height * zoom), turn, tilt)
    target = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    matrix = cv2.getPerspectiveTransform(source.astype(np.float32), target)
    smooth = cv2.GaussianBlur(material, (0, 0), 0.4 * zoom)
    return cv2.warpPerspective(smooth, matrix, size, borderMode=cv2.BORDER_REFLECT_101).astype(np.uint8)


def _placed(
    rng: Rng, thing: _Object, background: Image, *, turn: float, scale: tuple[float, float] = (0.55, 1.1)
) -> Image:
    """Place an object with its shadow in front of a background."""
    height, width = background.shape[:2]
    side = min(width, height) * rng.uniform(*scale)
    center = np.array([width, height]) * rng.uniform(0.38, 0.62, 2)
    source = np.array([(0, 0), (_SIDE, 0), (_SIDE, _SIDE), (0, _SIDE)], np.float32)
    target = (center + _quad(rng, (side, side), turn, 0.07)).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(source, target)
    smooth = cv2.GaussianBlur(thing.image, (0, 0), 0.45 * _SIDE / side)
    image = cv2.warpPerspective(smooth, matrix, (width, height))
    mask = cv2.warpPerspective(cv2.GaussianBlur(thing.mask, (0, 0), 0.8), matrix, (width, height))
    shift = np.array([(1, 0, rng.uniform(-8, 8)), (0, 1, rng.uniform(2, 9))], np.float32)
    shadow = cv2.GaussianBlur(cv2.warpAffine(mask, shift, (width, height)), (0, 0), 5)
    behind = _shaded(background, 1 - 0.6 * shadow)
    share = mask[..., np.newaxis]
    return (behind * (1 - share) + image * share).astype(np.uint8)


def _background(rng: Rng, size: tuple[int, int], materials: tuple[Callable[[Rng], Image], ...]) -> Image:
    image = _seen(rng, materials[rng.integers(len(materials))](rng), size)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.6)).astype(np.uint8)


def _with_clutter(rng: Rng, image: Image) -> Image:
    """Scatter up to four leaves and twigs in the foreground."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(0, 5)):
        place = np.array([rng.uniform(0, width), rng.uniform(0, height)])
        angle = rng.uniform(0, 2 * math.pi)
        along = np.array([math.cos(angle), math.sin(angle)])
        if rng.random() < 0.7:
            _leaf(rng, image, place, along)
        else:
            _twig(rng, image, place, along)
    return image


def _leaf(rng: Rng, image: Image, place: npt.NDArray[np.float64], along: npt.NDArray[np.float64]) -> None:
    color = _varied(
        rng, _pick(rng, ((40, 105, 185), (35, 65, 140), (60, 150, 190), (45, 105, 85), (50, 75, 95))), 0.25
    )
    across = np.array([-along[1], along[0]])
    long, wide = rng.uniform(16, 38), rng.uniform(0.25, 0.5)
    steps = np.linspace(0, 1, 12)[:, np.newaxis]
    spine = (steps * 2 - 1) * long * along + np.sin(steps * 3) * rng.uniform(-0.2, 0.2) * long * across
    half = np.sin(np.pi * steps**0.8) * long * wide * (1 + 0.12 * (np.arange(12) % 2)[:, np.newaxis]) * across
    outline = place + np.concatenate([spine + half, (spine - half)[::-1]])
    _polygon(image, outline + np.array([2, 4]), (22, 24, 26))
    _polygon(image, outline, color)
    _polygon(image, place + np.concatenate([spine + half, spine[::-1]]), _darker(color, 0.82))
    for step in range(2, 10, 2):
        for side in (half, -half):
            end = place + spine[step] * 0.75 + spine[step + 1] * 0.25 + side[step] * 0.8
            _line(image, tuple(place + spine[step - 1]), tuple(end), _darker(color, 0.65))
    _line(image, tuple(place - 1.3 * long * along), tuple(place + 0.8 * spine[-1]), _darker(color, 0.55))


def _twig(rng: Rng, image: Image, place: npt.NDArray[np.float64], along: npt.NDArray[np.float64]) -> None:
    color = _varied(rng, (45, 65, 90), 0.3)
    across = np.array([-along[1], along[0]])
    long = rng.uniform(30, 70)
    for offset, shade, width in ((np.array([2, 3]), (22, 24, 26), 3), (np.zeros(2), color, 3)):
        bend = place + offset + rng.uniform(-0.05, 0.05) * long * across
        _line(image, tuple(bend - long * along), tuple(bend), shade, width=width)
        _line(image, tuple(bend), tuple(bend + long * (along + 0.15 * across)), shade, width=width - 1)
        _line(image, tuple(bend), tuple(bend + 0.5 * long * (along - 0.6 * across)), shade, width=width - 1)


def _photographed(rng: Rng, image: Image) -> Image:
    """Add light, a shadow, blur and noise."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    slope = ((x / width - 0.5) * math.cos(angle) + (y / height - 0.5) * math.sin(angle)) * rng.uniform(0, 0.7)
    light = rng.uniform(0.7, 1.15) * (1 + slope)
    if rng.random() < 0.4:
        light *= _shadow(rng, width, height)
    tint = rng.uniform(0.92, 1.08, 3)
    picture = image * light[..., np.newaxis] * tint
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.35, 1.25))
    picture += rng.normal(0, rng.uniform(1, 5), (height, width, 1))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _shadow(rng: Rng, width: int, height: int) -> Mask:
    """Return a brightness with a soft-edged dark band across the image."""
    light = np.ones((height, width), np.float32)
    starts, ends = rng.uniform(-0.2, 1.0, 2) * width, rng.uniform(0.25, 0.6) * width
    corners = [(starts[0], 0), (starts[0] + ends, 0), (starts[1] + ends, height), (starts[1], height)]
    _polygon(light, corners, rng.uniform(0.45, 0.75))
    return cv2.GaussianBlur(light, (0, 0), rng.uniform(2, 7)).astype(np.float32)


def _of_material(material: Callable[[Rng], Image]) -> Callable[[Rng, tuple[int, int]], Image]:
    return lambda rng, size: _seen(rng, material(rng), size)


def _of_object(
    thing: Callable[[Rng], _Object], materials: tuple[Callable[[Rng], Image], ...], turn: float
) -> Callable[[Rng, tuple[int, int]], Image]:
    return lambda rng, size: _placed(rng, thing(rng), _background(rng, size, materials), turn=turn)


_SCENES: dict[str, Callable[[Rng, tuple[int, int]], Image]] = {
    "basket": _of_object(_basket, (_planks, _foliage, _pebbles, _tartan, _plaster), 15),
    "brick": _of_material(_brick),
    "clock": _of_object(_clock, (_brick, _planks, _plaster), 12),
    "facade": lambda rng, size: _seen(rng, _facade(rng), size, turn=8, tilt=0.14),
    "honeycomb": _of_material(_honeycomb),
    "leopard": _of_material(_leopard),
    "page": _of_object(_page, (_planks, _tartan, _plaster, _pebbles), 40),
    "pebbles": _of_material(_pebbles),
    "sunflower": _of_object(_sunflower, (_foliage, _foliage, _brick, _planks), 40),
    "tartan": _of_material(_tartan),
}

SAMPLE_CLASSES = tuple(_SCENES)
"""The labels, which are the names of the folders, in order."""
