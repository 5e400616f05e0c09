import base64
import io
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from vision_assets.vision.draw import (
    Example,
    Image,
    Picture,
    WordPatches,
    confusion_matrix,
    contact_sheet,
    count_histogram,
    cut_patch,
    keypoint_sheet,
    shorten,
    strongest_words_sheet,
    surest_sheet,
    training_charts,
    word_sheet,
)
from vision_assets.vision.features.extraction import ImageExtractor
from vision_assets.vision.features.sift import SiftOptions
from vision_assets_tests.vision import images

HOSTILE = [
    "",
    " \n\t ",
    "a]b[c](http://x) `d` <!-- \\",
    "$x_$ ^{ $\\frac{",
    "中文猫\nキ",
    "é̱ ü \u202e \U0001d6fc \U0001f600 \ud800 \x00",
    "long" * 5000,
]
LINE = re.compile(r"!\[[^\[\]\n<>`\\]*\]\(data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+\)")


def pixels(picture: Picture) -> NDArray[np.uint8]:
    """Decode a picture, after checks that hold for every one."""
    line = picture.markdown()
    assert LINE.fullmatch(line)
    assert len(line.encode()) <= 100_000
    data = base64.b64decode(line.partition("base64,")[2].removesuffix(")"))
    assert data == picture.data
    decoded = PillowImage.open(io.BytesIO(data))
    assert decoded.get_format_mimetype() == picture.media_type
    array = np.asarray(decoded.convert("RGB"))
    assert array.shape[1] <= 900
    assert array.min() < 130, "blank"
    for edge in (array[0], array[-1], array[:, 0], array[:, -1]):
        assert edge.min() > 240, "cut off"
    return array


def colour_image(height: int = 120, width: int = 160, *, seed: int = 0) -> Image:
    return images.colored(height, width, seed=seed)


def some_keypoints(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    return (rng.random((count, 5)) * (160, 120, 30, 360, 1)).astype(np.float32)


def word(word_id: int, patches: int, note: str = "12 descriptors") -> WordPatches:
    return WordPatches(word_id, note, [images.textured(48, 48, seed=seed) for seed in range(patches)])


def numbers(counts: object) -> Picture:
    return count_histogram(counts, title="keypoints per image", x_label="keypoints", y_label="images")  # type: ignore[arg-type]


def confusions(classes: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.poisson(0.3, (classes, classes)) + np.diag(rng.integers(0, 40, classes))


def names(count: int) -> list[str]:
    return [f"class_{index}" for index in range(count)]


EVERY: dict[str, Callable[[str], Picture]] = {
    "contact_sheet": lambda text: contact_sheet([(text, colour_image()), (text, images.textured(200, 20))]),
    "keypoint_sheet": lambda text: keypoint_sheet(
        [(text, colour_image(), some_keypoints(np.random.default_rng(0), 200))]
    ),
    "count_histogram": lambda text: count_histogram([0, 3, 5, 900], title=text, x_label=text, y_label=text),
    "training_charts": lambda _: training_charts([3e9, 2e9, 1.9e9], np.array([5, 80, 0, 1000])),
    "word_sheet": lambda text: word_sheet([(text, [word(3, 10, text), word(4, 0, text)]), (text, [])]),
    "strongest_words_sheet": lambda text: strongest_words_sheet(
        [(text, colour_image(), [word(count, count, text) for count in range(6)]), (text, colour_image(), [])]
    ),
    "confusion_matrix": lambda text: confusion_matrix(np.array([[5, 1], [0, 0]]), [text, text]),
    "confusion_matrix_of_many": lambda text: confusion_matrix(
        confusions(26, np.random.default_rng(0)), [text] * 26
    ),
    "surest_sheet": lambda text: surest_sheet(
        [(text, Example(colour_image(), text, text), None), (text, None, Example(images.flat(), text, text))]
    ),
}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", [name for name in EVERY if name != "training_charts"])
def test_any_text_can_be_drawn(name: str, text: str) -> None:
    pixels(EVERY[name](text))


@pytest.mark.parametrize("title", HOSTILE)
def test_any_title_stays_within_the_alternative_text(title: str) -> None:
    line = Picture(b"data", "image/png", title).markdown()
    assert LINE.fullmatch(line)
    assert len(line.encode()) < 1000


def test_a_plain_title_is_kept() -> None:
    assert Picture(b"", "image/png", "30 images").markdown() == "![30 images](data:image/png;base64,)"


@pytest.mark.parametrize("draw", EVERY.values(), ids=EVERY)
def test_the_same_input_gives_the_same_bytes(draw: Callable[[str], Picture]) -> None:
    assert draw("text") == draw("text")


@pytest.mark.parametrize("name", ["count_histogram", "training_charts"])
def test_charts_are_as_they_are_whatever_the_settings_and_threads(name: str) -> None:
    expected = EVERY[name]("text")
    settings: dict[Any, Any] = {
        "font.size": 30,
        "font.family": "monospace",
        "axes.facecolor": "red",
        "text.parse_math": True,
        "figure.autolayout": True,
        "axes.titlelocation": "right",
    }
    with mpl.rc_context(settings), ThreadPoolExecutor(3) as threads:
        drawn = list(threads.map(EVERY[name], ["text"] * 3))
        assert mpl.rcParams["font.size"] == 30
    assert drawn == [expected] * 3


def test_importing_is_light_and_drawing_leaves_pyplot_alone() -> None:
    code = """
import sys, numpy
from vision_assets.vision.draw import training_charts
print("matplotlib" in sys.modules)
training_charts([1.0], numpy.array([1]))
print("matplotlib.pyplot" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [("", 1, ""), ("abc", 3, "abc"), ("abcd", 3, "a…d"), ("abcdef", 4, "ab…f"), ("ab", 1, "…")],
)
def test_the_middle_of_a_long_text_is_left_out(text: str, limit: int, expected: str) -> None:
    assert shorten(text, limit) == expected


class TestSheets:
    @pytest.mark.parametrize("count", [1, 2, 4, 6, 7, 30, 31])
    def test_a_contact_sheet_has_no_vast_emptiness(self, count: int) -> None:
        dark = np.zeros((90, 120, 3), np.uint8)
        drawn = pixels(contact_sheet([("class", dark)] * count))
        assert (drawn < 128).mean() > 0.5

    def test_a_contact_sheet_shows_thirty_at_most(self) -> None:
        tile = ("class", colour_image())
        assert contact_sheet([tile] * 31) == contact_sheet([tile] * 30)

    def test_colours_and_grey_are_kept(self) -> None:
        blue = np.full((90, 120, 3), (255, 0, 0), np.uint8)
        drawn = pixels(contact_sheet([("bgr", blue), ("grey", np.full((90, 120), 90, np.uint8))]))
        height, width = drawn.shape[:2]
        assert np.abs(drawn[height // 2, width // 4].astype(int) - (0, 0, 255)).max() < 12
        assert np.abs(drawn[height // 2, width * 3 // 4].astype(int) - 90).max() < 12

    @pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (4, 5, 3)])
    def test_images_of_any_shape(self, shape: tuple[int, ...]) -> None:
        pixels(contact_sheet([("odd", np.zeros(shape, np.uint8))]))
        keypoints = np.array([[0, 0, 2, 0, 1]], np.float32)
        pixels(keypoint_sheet([("odd", np.zeros(shape, np.uint8), keypoints)]))

    @pytest.mark.parametrize(
        "draw", [contact_sheet, keypoint_sheet, word_sheet, strongest_words_sheet, surest_sheet]
    )
    def test_nothing_to_show_is_said(self, draw: Callable[[list], Picture]) -> None:
        pixels(draw([]))

    @pytest.mark.parametrize("count", [0, 1, 150, 151])
    def test_any_number_of_keypoints(self, rng: np.random.Generator, count: int) -> None:
        pixels(keypoint_sheet([("image", colour_image(), some_keypoints(rng, count))]))

    def test_keypoints_are_drawn_where_they_are(self) -> None:
        gray = np.full((200, 400), 128, np.uint8)
        keypoints = np.array([[100, 100, 60, 90, 1]], np.float32)
        plain, drawn = (
            pixels(keypoint_sheet([("image", gray, found)])).astype(int)
            for found in (keypoints[:0], keypoints)
        )
        # An image of 400 x 200 is shown as it is, below and beside a margin of eight pixels.
        rows, columns = np.nonzero(np.abs(plain - drawn)[:200].max(axis=2) > 60)
        assert abs(columns.mean() - 108) < 2
        assert (columns.min(), columns.max()) == (pytest.approx(77, abs=2), pytest.approx(139, abs=2))
        # The radius points down, since the angle is clockwise.
        assert (rows.min(), rows.max()) == (pytest.approx(77, abs=2), pytest.approx(139, abs=2))
        yellow = drawn[:, :, 0] - drawn[:, :, 2] > 100
        assert yellow[125, 108]
        assert not yellow[90, 108]

    def test_the_strongest_keypoints_are_shown(self, rng: np.random.Generator) -> None:
        keypoints = some_keypoints(rng, 300)
        strongest = keypoints[np.argsort(-keypoints[:, 4])][:150]
        weakest = keypoints[np.argsort(-keypoints[:, 4])][150:]
        weakest[:, 2] = 100
        mixed = np.concatenate([weakest, strongest])
        drawn = pixels(keypoint_sheet([("image", colour_image(), mixed)])).astype(int)
        expected = pixels(keypoint_sheet([("image", colour_image(), strongest)])).astype(int)
        assert np.abs(drawn - expected)[:290].mean() < 3

    def test_noise_photos_fit(self, rng: np.random.Generator) -> None:
        large = rng.integers(0, 256, (3000, 4000, 3), np.uint8)
        small = rng.integers(0, 256, (270, 270, 3), np.uint8)
        pixels(contact_sheet([("large", large)] * 30))
        pixels(contact_sheet([("small", small)] * 30))
        pixels(keypoint_sheet([("small", small, some_keypoints(rng, 2000))] * 6))
        pixels(surest_sheet([("small", Example(small, "0.9", "a.png"), Example(small, "0.8", "b.png"))] * 8))
        noise = WordPatches(1, "note", [rng.integers(0, 256, (62, 62), np.uint8)] * 10)
        pixels(word_sheet([("noise", [noise] * 6)] * 2))
        pixels(strongest_words_sheet([("small", small, [noise] * 6)] * 5))


class TestCharts:
    @pytest.mark.parametrize(
        "counts",
        [
            [],
            [0],
            [0, 0, 0],
            [1],
            [512],
            [7] * 100,
            [0, 4000],
            [0, 0, 0, 4000],
            [1, 10**9],
            [0, 1, 2, 10**6],
            list(range(3000)),
            np.arange(50, dtype=np.uint8),
        ],
    )
    def test_any_counts(self, counts: object) -> None:
        pixels(numbers(counts))

    def test_zeros_are_seen_on_either_axis(self) -> None:
        orange = (0xE6, 0x9F, 0x00)
        for positive in (range(300, 500), [5] * 200 + [5000]):
            without, zeros = (pixels(numbers([*positive, *[0] * count])) for count in (0, 50))
            assert not (np.abs(without.astype(int) - orange).max(axis=2) < 30).any()
            assert (np.abs(zeros.astype(int) - orange).max(axis=2) < 30).any()

    @pytest.mark.parametrize(
        "counts",
        [[0, 1, 2, 3], [100] * 50, [3] * 99 + [10**6], list(range(200, 9000, 7)), [30, 31, 4000, 35]],
    )
    def test_every_count_is_in_a_bar(self, counts: list[int]) -> None:
        from vision_assets.vision.draw import charts

        positive = np.array([count for count in counts if count], float)
        edges = charts._choose_bins(positive).edges
        assert np.histogram(positive, edges)[0].sum() == len(positive)
        assert positive.max() < edges[-1]
        assert len(edges) <= 45

    @pytest.mark.parametrize(
        ("inertia", "sizes"),
        [
            ([], []),
            ([0.0], [0]),
            ([5.0], [7]),
            ([0.5, 0.25], [0, 0]),
            ([3e18, 1e18], [3, 0, 10**7]),
            (list(range(500, 200, -1)), [20_000] * 40),
        ],
    )
    def test_any_training(self, inertia: list[float], sizes: list[int]) -> None:
        pixels(training_charts(inertia, np.array(sizes, np.int64)))


class TestConfusionMatrix:
    @pytest.mark.parametrize("classes", [1, 2, 10, 25, 26, 101, 257, 301, 1000])
    def test_any_number_of_classes(self, rng: np.random.Generator, classes: int) -> None:
        pixels(confusion_matrix(confusions(classes, rng), names(classes)))

    @pytest.mark.parametrize("classes", [0, 3, 30, 700])
    def test_no_images_at_all(self, classes: int) -> None:
        pixels(confusion_matrix(np.zeros((classes, classes), np.int64), names(classes)))

    @pytest.mark.parametrize("classes", [300, 1000])
    def test_noise_fits(self, rng: np.random.Generator, classes: int) -> None:
        matrix = np.exp(rng.random((classes, classes)) * 18).astype(np.uint64)
        pixels(confusion_matrix(matrix, [f"{'long' * 40}{index}" for index in range(classes)]))

    def test_one_image_of_fifty_differs_from_none_and_much_from_little(self) -> None:
        diagonal = np.diag([50, 50, 50])
        little, much = diagonal.copy(), diagonal.copy()
        little[1, 2], little[1, 1] = 1, 49
        much[1, 2], much[1, 1] = 30, 20
        none, few, many = (cell_colour(matrix, 1, 2) for matrix in (diagonal, little, much))
        assert none.tolist() == [255, 255, 255]
        assert np.abs(few - none).max() > 80
        assert np.abs(many - none).max() > 150
        assert np.abs(many - few).max() > 80

    def test_a_confusion_of_many_classes_is_seen(self) -> None:
        for classes in (101, 257, 1000):
            matrix = np.diag([50] * classes)
            plain = pixels(confusion_matrix(matrix, names(classes)))
            matrix[5, classes // 2] = 1
            confused = pixels(confusion_matrix(matrix, names(classes)))
            height = 500
            different = np.abs(plain[:height].astype(int) - confused[:height]).max(axis=2) > 60
            assert different.sum() >= 4

    def test_a_class_without_images_is_not_one_without_confusions(self) -> None:
        matrix = np.diag([50, 0, 50])
        assert cell_colour(matrix, 1, 2).max() < 255

    def test_colours_do_not_depend_on_the_kind_of_integer(self) -> None:
        matrix = confusions(40, np.random.default_rng(1))
        expected = confusion_matrix(matrix, names(40))
        assert confusion_matrix(matrix.astype(np.uint16), names(40)) == expected


def cell_colour(matrix: NDArray[np.int64], row: int, column: int) -> NDArray[np.int64]:
    """Return the colour beside the count in a cell of a matrix of three classes."""
    drawn = pixels(confusion_matrix(matrix, names(len(matrix)))).astype(int)
    side = 64
    # The frame around the squares ends one margin and an overhang before the lower edge.
    bottom = len(drawn) - 8 - 8 - 1
    frame = np.flatnonzero((np.abs(drawn[bottom] - 0x99) < 10).all(axis=1))
    left, top = frame[0] + 1, bottom - side * len(matrix)
    return drawn[top + row * side + 6, left + column * side + 6]


def naive_patch(gray: NDArray[np.uint8], keypoint: NDArray[np.float32], side: int) -> NDArray[np.float64]:
    """Look at each pixel of the patch by itself, without interpolation."""
    x, y, size, angle = keypoint[:4].astype(float)
    patch = np.zeros((side, side))
    for row in range(side):
        for column in range(side):
            u, v = (((place + 0.5) / side - 0.5) * 6 * size for place in (column, row))
            cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
            at = (round(y + sine * u + cosine * v), round(x + cosine * u - sine * v))
            patch[row, column] = gray[tuple(np.clip(at, 0, np.array(gray.shape) - 1))]
    return patch


def point(x: float, y: float, size: float, angle: float) -> NDArray[np.float32]:
    return np.array([x, y, size, angle, 0.1], np.float32)


def correlation(first: NDArray, second: NDArray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


cut = partial(cut_patch, width_per_size=SiftOptions.patch)


class TestCutPatch:
    @pytest.mark.parametrize("angle", [0, 30, 90, 200, 359])
    @pytest.mark.parametrize(
        ("x", "y", "size"), [(200, 150, 8), (3, 5, 12), (399, 299, 20), (210.3, 99.7, 5.5)]
    )
    def test_it_equals_the_naive_loop(self, x: float, y: float, size: float, angle: float) -> None:
        gray = cv2.GaussianBlur(images.textured(300, 400), (0, 0), 4).astype(np.uint8)
        keypoint = point(x, y, size, angle)
        patch = cut(gray, keypoint, side=24)
        assert patch.shape == (24, 24)
        assert patch.dtype == np.uint8
        assert np.abs(patch - naive_patch(gray, keypoint, 24)).mean() < 2.5

    @pytest.mark.parametrize(("angle", "dx", "dy"), [(0, 1, 0), (90, 0, 1), (180, -1, 0), (270, 0, -1)])
    def test_a_ramp_along_the_orientation_rises_to_the_right(self, angle: float, dx: int, dy: int) -> None:
        rows, columns = np.mgrid[:101, :101]
        gray = (100 + dx * (columns - 50) + dy * (rows - 50)).astype(np.uint8)
        patch = cut(gray, point(50, 50, 8, angle)).astype(float)
        expected = 100 + (np.arange(48) + 0.5 - 24)
        np.testing.assert_allclose(patch, np.broadcast_to(expected, (48, 48)), atol=1)

    @pytest.mark.parametrize("size", [3, 8, 30])
    def test_turning_image_and_keypoint_gives_the_same_patch(self, size: float) -> None:
        gray = images.textured(200, 260)
        turned = np.ascontiguousarray(np.rot90(gray, -1))
        patch = cut(gray, point(130, 90, size, 25))
        # Clockwise by 90 degrees: x' = height - 1 - y, y' = x.
        same = cut(turned, point(199 - 90, 130, size, 115))
        assert np.abs(patch.astype(int) - same).max() <= 2

    def test_shrinking_averages(self) -> None:
        stripes = np.zeros((600, 600), np.uint8)
        stripes[:, ::2] = 200
        patch = cut(stripes, point(300, 300, 80, 0))
        assert np.abs(patch.astype(int) - 100).max() < 20

    @pytest.mark.parametrize(("x", "y"), [(0, 0), (-50, 400), (5, 7), (1e4, 1e4)])
    @pytest.mark.parametrize("size", [0, 0.5, 40, 5000])
    def test_anywhere_on_a_small_image(self, x: float, y: float, size: float) -> None:
        for shape in ((1, 1), (9, 11)):
            assert (cut(np.full(shape, 77, np.uint8), point(x, y, size, 10)) == 77).all()

    def test_other_sides(self) -> None:
        assert cut(images.textured(), point(50, 50, 6, 10), side=31).shape == (31, 31)

    @pytest.mark.parametrize(("turn", "scale"), [(40, 1.0), (0, 1.6), (-75, 1.4), (160, 0.7)])
    def test_patches_follow_sift_through_rotation_and_scaling(self, turn: float, scale: float) -> None:
        small = images.textured(120, 120, seed=3)
        gray = np.asarray(cv2.resize(small, (360, 360), interpolation=cv2.INTER_CUBIC), np.uint8)
        matrix = cv2.getRotationMatrix2D((180, 180), turn, scale)
        matrix[:, 2] += 120
        warped = np.asarray(cv2.warpAffine(gray, matrix, (600, 600), borderMode=cv2.BORDER_REFLECT), np.uint8)
        extract = ImageExtractor(SiftOptions()).extract
        first, second = (extract(images.encoded(image, "PNG")) for image in (gray, warped))
        correlations = []
        for keypoint, descriptor in zip(first.keypoints, first.descriptors, strict=True):
            if np.abs(keypoint[:2] - 180).max() > 90 or not 6 < keypoint[2] < 25:
                continue
            distances = np.linalg.norm(second.descriptors.astype(float) - descriptor, axis=1)
            nearest = int(distances.argmin())
            place = matrix @ [*keypoint[:2], 1]
            if distances[nearest] < 120 and np.abs(second.keypoints[nearest, :2] - place).max() < 3:
                found = second.keypoints[nearest]
                assert found[2] / keypoint[2] == pytest.approx(scale, rel=0.3)
                correlations.append(correlation(cut(gray, keypoint), cut(warped, found)))
        assert len(correlations) >= 5
        assert np.median(correlations) > 0.95
