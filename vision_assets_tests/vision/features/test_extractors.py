"""What holds of every extractor."""

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vision_assets.errors import UserError
from vision_assets.steps.features import feature_row
from vision_assets.vision.draw import cut_patch
from vision_assets.vision.features import EXTRACTORS
from vision_assets.vision.features import surf as surf_module
from vision_assets.vision.features.base import ExtractorOptions, Features
from vision_assets.vision.features.daisy import DaisyOptions
from vision_assets.vision.features.extraction import ImageExtractor, ImageFeatures
from vision_assets.vision.features.kaze import KAZE, KazeOptions
from vision_assets.vision.features.opencv import by_opencv
from vision_assets.vision.features.surf import SurfOptions
from vision_assets.vision.io.decoding import ImageError
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT_ONE, quantize
from vision_assets_tests.vision import images

FREE = ("sift", "surf", "kaze")
"""Those that find keypoints, with an orientation, as many as they are asked for."""


def extract(name: str, gray: NDArray[np.uint8], **options: object) -> ImageFeatures:
    return ImageExtractor(EXTRACTORS[name](**options)).extract_gray(gray)


@pytest.fixture(scope="module")
def gray() -> NDArray[np.uint8]:
    return images.textured(200, 260)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_features_are_as_described(name: str, gray: NDArray[np.uint8]) -> None:
    found = extract(name, gray)
    described = EXTRACTORS[name]
    assert len(found.keypoints) > 50
    assert found.keypoints.dtype == np.float32
    assert found.keypoints.shape == (len(found.descriptors), 5)
    assert found.descriptors.shape[1] == described.length
    assert found.descriptors.dtype == described.dtype
    assert (found.keypoints[:, :2] >= 0).all()
    assert (found.keypoints[:, :2] <= (259, 199)).all()
    assert ((found.keypoints[:, 3] >= 0) & (found.keypoints[:, 3] <= 360)).all()
    if described.dtype == np.float32:
        np.testing.assert_array_equal(found.descriptors * FIXED_POINT_ONE % 1, 0)
        lengths = np.linalg.norm(found.descriptors, axis=1)
        np.testing.assert_allclose(lengths[lengths > 0], 1, atol=1e-3)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_the_same_image_gives_the_same_bits(name: str, gray: NDArray[np.uint8]) -> None:
    extractor = ImageExtractor(EXTRACTORS[name]())
    first = extractor.extract_gray(gray)
    extractor.extract_gray(gray[:90])
    for again in (extractor.extract_gray(gray), extract(name, gray)):
        np.testing.assert_array_equal(again.keypoints, first.keypoints)
        np.testing.assert_array_equal(again.descriptors, first.descriptors)


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (5, 5), (40, 40)])
def test_an_image_without_features_has_no_rows(name: str, shape: tuple[int, int]) -> None:
    found = extract(name, np.full(shape, 128, np.uint8))
    if name in FREE or min(shape) < 2 * 15:
        assert found.keypoints.shape == (0, 5)
        assert found.descriptors.shape == (0, EXTRACTORS[name].length)
    assert found.descriptors.dtype == EXTRACTORS[name].dtype


SMALL_AND_LONG = [
    (1, 1),
    (2, 2),
    (3, 7),
    (8, 8),
    (15, 15),
    (16, 31),
    (31, 33),
    (1, 5000),
    (5000, 1),
    (12, 4000),
]


@pytest.mark.parametrize("name", EXTRACTORS)
@pytest.mark.parametrize("shape", SMALL_AND_LONG)
def test_small_images_and_strips_have_a_row_with_keypoints_inside(name: str, shape: tuple[int, int]) -> None:
    height, width = shape
    squares = np.add.outer(np.arange(height) // 3, np.arange(width) // 3) % 2 * 255
    noise = np.random.default_rng(1).integers(0, 256, shape)
    step = np.broadcast_to(np.arange(width) * 2 // width * 255, shape)
    extractor = ImageExtractor(EXTRACTORS[name]())
    for gray in (squares, noise, step, np.zeros(shape)):
        row = feature_row(extractor, "strip.png", images.encoded(gray.astype(np.uint8), "PNG"))
        assert (row.error, row.width, row.height) == (None, width, height)
        keypoints = np.frombuffer(row.keypoints, np.float32).reshape(-1, 5)
        descriptors = np.frombuffer(row.descriptors, EXTRACTORS[name].dtype)
        assert len(keypoints) == row.keypoint_count
        assert len(descriptors) == row.keypoint_count * EXTRACTORS[name].length
        assert np.isfinite(keypoints).all()
        assert np.isfinite(descriptors).all()
        assert (
            np.abs(keypoints[:, :2] - ((width - 1) / 2, (height - 1) / 2)) <= (width / 2, height / 2)
        ).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1, 30])
def test_a_keypoint_that_is_nowhere_is_an_error_of_the_image(wrong: float) -> None:
    extractor = ImageExtractor(EXTRACTORS["sift"]())
    keypoints = np.array([[5, 5, 3, 0, 1], [wrong, 5, 3, 0, 1]], np.float32)
    extractor._detect_and_compute = lambda gray: (keypoints, np.zeros((2, 128), np.uint8))
    with pytest.raises(ImageError, match="a keypoint is outside the image or not a number") as raised:
        extractor.extract_gray(np.zeros((20, 30), np.uint8))
    assert (raised.value.width, raised.value.height) == (30, 20)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_shrunk_image_has_its_keypoints_where_they_are_in_the_large_one(
    name: str, gray: NDArray[np.uint8]
) -> None:
    small = cv2.resize(gray, (130, 100), interpolation=cv2.INTER_AREA)
    expected = extract(name, np.asarray(small, np.uint8))
    found = extract(name, gray, max_side=130)
    np.testing.assert_array_equal(found.descriptors, expected.descriptors)
    np.testing.assert_allclose(found.keypoints[:, :2], (expected.keypoints[:, :2] + 0.5) * 2 - 0.5, atol=1e-4)
    np.testing.assert_allclose(found.keypoints[:, 2], expected.keypoints[:, 2] * 2, rtol=1e-6)


@pytest.mark.parametrize("name", FREE)
def test_the_best_features_can_be_kept_alone(name: str, gray: NDArray[np.uint8]) -> None:
    every = extract(name, gray)
    best = extract(name, gray, nfeatures=20)
    assert 20 <= len(best.keypoints) <= 25, "SIFT keeps a few more of equal response"
    assert best.keypoints[:, 4].min() >= np.sort(every.keypoints[:, 4])[-len(best.keypoints)]


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_what_a_descriptor_looks_at_turns_with_the_image(name: str, quarters: int) -> None:
    """Neither x and y nor the direction of the angle are mixed up, and the patch is the right one."""
    small = images.textured(120, 120, seed=3)
    gray = np.asarray(cv2.resize(small, (360, 360), interpolation=cv2.INTER_CUBIC), np.uint8)
    turned = np.ascontiguousarray(np.rot90(gray, quarters))
    first, second = extract(name, gray), extract(name, turned)
    patch = EXTRACTORS[name].patch
    correlations = []
    for keypoint, descriptor in zip(first.keypoints, first.descriptors, strict=True):
        found = second.keypoints[
            np.linalg.norm(second.descriptors.astype(float) - descriptor, axis=1).argmin()
        ]
        x, y = keypoint[:2] - 179.5
        for _ in range(quarters):
            x, y = y, -x
        if np.abs(found[:2] - 179.5 - (x, y)).max() < 3 and keypoint[2] * patch < 170:
            mine, theirs = (
                cut_patch(image, point, patch).ravel().astype(float)
                for image, point in ((gray, keypoint), (turned, found))
            )
            correlations.append(np.corrcoef(mine, theirs)[0, 1])
    assert len(correlations) >= 15
    assert np.median(correlations) > 0.95


@pytest.mark.parametrize("name", FREE)
def test_sizes_grow_with_the_image(name: str) -> None:
    gray = images.textured(150, 150, seed=4)
    larger = np.asarray(cv2.resize(gray, (300, 300), interpolation=cv2.INTER_CUBIC), np.uint8)
    first, second = extract(name, gray), extract(name, larger)
    ratios = []
    for keypoint, descriptor in zip(first.keypoints, first.descriptors, strict=True):
        found = second.keypoints[
            np.linalg.norm(second.descriptors.astype(float) - descriptor, axis=1).argmin()
        ]
        if np.abs((found[:2] + 0.5) / 2 - 0.5 - keypoint[:2]).max() < 2:
            ratios.append(found[2] / keypoint[2])
    assert len(ratios) >= 10
    assert np.median(ratios) == pytest.approx(2, rel=0.25)


def test_surf_is_that_of_mahotas(gray: NDArray[np.uint8]) -> None:
    from mahotas.features import surf

    expected = surf.surf(gray, nr_octaves=4, nr_scales=6, threshold=0.1, max_points=100_000)
    found = extract("surf", gray)
    assert len(found.keypoints) == len(expected)
    np.testing.assert_array_equal(found.keypoints[:, 1], expected[:, 0].astype(np.float32))
    np.testing.assert_array_equal(found.descriptors, quantize(expected[:, 6:]))


def test_kaze_is_that_of_opencv(gray: NDArray[np.uint8]) -> None:
    keypoints, descriptors = KAZE.create().detectAndCompute(gray, None)
    found = extract("kaze", gray)
    assert len(found.keypoints) == len(keypoints)
    np.testing.assert_array_equal(found.descriptors, quantize(descriptors))


def test_daisy_is_on_a_grid_within_the_image(gray: NDArray[np.uint8]) -> None:
    found = extract("daisy", gray, step=10, radius=12.0)
    assert sorted(set(found.keypoints[:, 0].tolist())) == list(range(12, 248, 10))
    assert sorted(set(found.keypoints[:, 1].tolist())) == list(range(12, 188, 10))


def test_more_scales_of_surf_and_other_options_are_passed_on(gray: NDArray[np.uint8]) -> None:
    assert len(extract("surf", gray, threshold=1000.0).keypoints) < len(extract("surf", gray).keypoints)
    assert len(extract("surf", gray, n_octave_layers=1).keypoints) < len(extract("surf", gray).keypoints)
    assert len(extract("kaze", gray, threshold=0.01).keypoints) < len(extract("kaze", gray).keypoints)
    assert not extract("kaze", gray, upright=True).keypoints[:, 3].any()


def test_what_is_missing_for_surf_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mahotas.features", None)
    with pytest.raises(UserError, match=r"SURF needs the library mahotas.*pip install"):
        SurfOptions().build()

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(surf_module, "version", missing)
    assert SurfOptions().versions().keys() == {"opencv", "decoding"}, "asked for before it is built"


def opencv_has_surf() -> bool:
    """Tell whether this OpenCV has its non-free algorithms; the function is there in either case."""
    try:
        cv2.xfeatures2d.SURF.create()
    except cv2.error:
        return False
    return True


@pytest.mark.skipif(not opencv_has_surf(), reason="OpenCV is built without its non-free algorithms")
def test_surf_of_opencv_is_opencvs(gray: NDArray[np.uint8]) -> None:
    keypoints, descriptors = cv2.xfeatures2d.SURF.create(100, 4, 4).detectAndCompute(gray, None)
    found = extract("surf", gray, engine="opencv")
    assert len(found.keypoints) == len(keypoints) > 50
    assert found.keypoints[:, 0].tolist() == [keypoint.pt[0] for keypoint in keypoints]
    np.testing.assert_array_equal(found.descriptors, quantize(np.asarray(descriptors, np.float32)))
    np.testing.assert_allclose(np.linalg.norm(found.descriptors, axis=1), 1, atol=1e-3)
    assert len(extract("surf", gray, engine="opencv", threshold=2000.0).keypoints) < len(keypoints)


@pytest.mark.skipif(opencv_has_surf(), reason="OpenCV is built with its non-free algorithms")
def test_an_opencv_without_surf_is_named() -> None:
    """The wheels of OpenCV have the function, but not the algorithm."""
    assert hasattr(cv2.xfeatures2d, "SURF_create")
    with pytest.raises(UserError, match="built without its non-free algorithms"):
        SurfOptions(engine="opencv").build()


def test_the_engines_of_surf_are_two_families() -> None:
    assert SurfOptions().descriptor_space() != SurfOptions(engine="opencv").descriptor_space()
    assert "mahotas" in SurfOptions().versions()
    assert "mahotas" not in SurfOptions(engine="opencv").versions()
    assert KazeOptions(threshold=0.1).descriptor_space() == KazeOptions().descriptor_space()


@pytest.mark.parametrize(
    "create", [cv2.ORB.create, cv2.xfeatures2d.BRISK.create, cv2.xfeatures2d.AKAZE.create]
)
def test_descriptors_of_bits_are_refused(create: Callable[[], cv2.Feature2D]) -> None:
    with pytest.raises(UserError, match=r"binary \(Hamming\) descriptors; k-means words need Euclidean"):
        by_opencv(create())


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (np.ones((2, 63), np.float32), r"2 rows of 64 values, but the array has the shape \(2, 63\)"),
        (np.ones((3, 64), np.float32) / 8, "2 rows of 64"),
        (np.ones((2, 64), np.float32), "norm about 1, but a row has the norm 8"),
        (np.full((2, 64), np.inf), "norm about 1"),
    ],
)
def test_descriptors_that_are_not_as_described_are_refused(found: NDArray, wrong: str) -> None:
    extractor = ImageExtractor(SurfOptions())
    extractor._detect_and_compute = lambda gray: (np.zeros((2, 5), np.float32), found)
    with pytest.raises(UserError, match=rf"^SurfOptions describes .*{wrong}"):
        extractor.extract_gray(np.zeros((20, 30), np.uint8))


def test_bytes_may_come_as_float32_but_fractions_are_no_bytes() -> None:
    extractor = ImageExtractor(EXTRACTORS["sift"]())
    found = np.arange(256, dtype=np.float32).reshape(2, 128)
    extractor._detect_and_compute = lambda gray: (np.zeros((2, 5), np.float32), found)
    descriptors = extractor.extract_gray(np.zeros((20, 30), np.uint8)).descriptors
    assert descriptors.dtype == np.uint8
    np.testing.assert_array_equal(descriptors, found)
    for wrong in (0.5, -1, 256, np.nan):
        found[1, 3] = wrong
        with pytest.raises(UserError, match=r"integers in 0\.\.255"):
            extractor.extract_gray(np.zeros((20, 30), np.uint8))


@pytest.mark.parametrize(
    "error", [MemoryError(), ValueError("as told"), RuntimeError("as told"), TypeError("as told")]
)
def test_what_an_extractor_raises_is_an_error_of_the_image(error: Exception) -> None:
    def fail(gray: NDArray[np.uint8]) -> Features:
        raise error

    extractor = ImageExtractor(SurfOptions())
    extractor._detect_and_compute = fail
    with pytest.raises(ImageError, match=r"^SURF failed: (MemoryError\(\)|as told)$") as caught:
        extractor.extract_gray(np.zeros((20, 30), np.uint8))
    assert (caught.value.width, caught.value.height) == (30, 20)


def test_more_features_than_a_cell_holds_are_an_error_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision_assets.vision.features.extraction._CELL_BYTES", 64 * 4 * 100)
    with pytest.raises(ImageError, match=r"SURF finds \d+ features, which do not fit"):
        extract("surf", images.textured(200, 260))
    monkeypatch.setattr("vision_assets.vision.features.daisy._MOST_POINTS", 10)
    with pytest.raises(ImageError, match=r"DAISY failed: the grid has \d+ points, which is too many"):
        extract("daisy", images.textured(200, 260))


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        (SurfOptions, "threshold", -1.0),
        (SurfOptions, "engine", "other"),
        (SurfOptions, "n_octaves", 0),
        (KazeOptions, "threshold", 0.0),
        (DaisyOptions, "radius", float("nan")),
        (DaisyOptions, "step", 0),
    ],
)
def test_an_option_out_of_range_is_refused(options: type[ExtractorOptions], name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be .*, but is {value!r}$"):
        options(**{name: value})
