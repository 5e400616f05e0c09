import pickle
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from vision_assets.vision.features.extraction import ImageExtractor
from vision_assets.vision.features.opencv import use_one_thread
from vision_assets.vision.features.sift import SiftOptions
from vision_assets.vision.io.decoding import ImageError
from vision_assets_tests.vision import images


def opencv_sift(data: bytes, **options: Any) -> tuple[Sequence[cv2.KeyPoint], np.ndarray]:
    gray = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert gray is not None
    return cv2.SIFT.create(**options).detectAndCompute(gray, None)


@pytest.mark.parametrize("data", [images.jpeg(), images.jpeg(images.colored()), images.rotated(6)])
def test_descriptors_are_those_of_opencv_in_its_order(data: bytes) -> None:
    _, expected = opencv_sift(data)

    features = ImageExtractor(SiftOptions()).extract(data)

    assert features.descriptors.dtype == np.uint8
    assert len(features.descriptors) > 50
    np.testing.assert_array_equal(features.descriptors, expected)


def test_keypoints_are_those_of_opencv() -> None:
    data = images.jpeg()
    found, _ = opencv_sift(data)

    keypoints = ImageExtractor(SiftOptions()).extract(data).keypoints

    assert keypoints.dtype == np.float32
    expected = np.array([(*k.pt, k.size, k.angle, k.response) for k in found], np.float32)
    np.testing.assert_array_equal(keypoints, expected)


def test_the_defaults_are_those_of_opencv() -> None:
    options, sift = SiftOptions(), cv2.SIFT.create()

    assert options.nfeatures == sift.getNFeatures()
    assert options.n_octave_layers == sift.getNOctaveLayers()
    assert options.contrast_threshold == sift.getContrastThreshold()
    assert options.edge_threshold == sift.getEdgeThreshold()
    assert options.sigma == sift.getSigma()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"nfeatures": 20}, {"nfeatures": 20}),
        ({"n_octave_layers": 5}, {"nOctaveLayers": 5}),
        ({"contrast_threshold": 0.1}, {"contrastThreshold": 0.1}),
        ({"edge_threshold": 3.0}, {"edgeThreshold": 3.0}),
        ({"sigma": 2.0}, {"sigma": 2.0}),
        ({"enable_precise_upscale": True}, {"enable_precise_upscale": True}),
    ],
)
def test_every_option_reaches_opencv(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    data = images.jpeg()
    _, expected = opencv_sift(data, **theirs)

    features = ImageExtractor(SiftOptions(**ours)).extract(data)

    assert features.descriptors.dtype == np.uint8
    np.testing.assert_array_equal(features.descriptors, expected)
    _, default = opencv_sift(data)
    assert not np.array_equal(expected, default)


@pytest.mark.parametrize("shape", [(40, 60), (1, 1), (2, 2), (1, 20_000), (20_000, 1), (3, 5000)])
def test_an_image_without_keypoints_has_empty_arrays(shape: tuple[int, int]) -> None:
    features = ImageExtractor(SiftOptions()).extract(images.encoded(images.flat(*shape), "PNG"))

    assert (features.height, features.width) == shape
    assert features.keypoints.shape == (0, 5)
    assert features.keypoints.dtype == np.float32
    assert features.descriptors.shape == (0, 128)
    assert features.descriptors.dtype == np.uint8


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (1, 20_000), (8, 20_000), (20_000, 8)])
def test_tiny_and_thin_images_do_no_harm(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

    for max_side in (None, 2, 100):
        features = ImageExtractor(SiftOptions(max_side=max_side)).extract(images.encoded(noise, "PNG"))

        assert len(features.keypoints) == len(features.descriptors)


def test_the_size_is_that_of_the_turned_image_before_shrinking() -> None:
    features = ImageExtractor(SiftOptions(max_side=80)).extract(images.rotated(6))

    assert (features.width, features.height) == (120, 160)


def test_a_larger_image_is_shrunk() -> None:
    gray = images.textured(240, 320)
    small = cv2.resize(gray, (160, 120), interpolation=cv2.INTER_AREA)
    _, expected = opencv_sift(images.encoded(small, "PNG"))

    features = ImageExtractor(SiftOptions(max_side=160)).extract(images.encoded(gray, "PNG"))

    np.testing.assert_array_equal(features.descriptors, expected)


@pytest.mark.parametrize("max_side", [160, 161, 10_000])
def test_an_image_within_max_side_stays_as_it_is(max_side: int) -> None:
    data = images.jpeg()

    features = ImageExtractor(SiftOptions(max_side=max_side)).extract(data)

    np.testing.assert_array_equal(features.keypoints, ImageExtractor(SiftOptions()).extract(data).keypoints)


def test_keypoints_of_a_shrunk_image_are_where_they_are_in_the_original() -> None:
    center, (y, x) = (612, 231), np.mgrid[:600, :900]
    blob_values = 255 * np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * 12**2))
    data = images.encoded(blob_values.astype(np.uint8), "PNG")

    def blob(max_side: int | None) -> np.ndarray:
        options = SiftOptions(max_side=max_side, enable_precise_upscale=True)
        keypoints = ImageExtractor(options).extract(data).keypoints
        return keypoints[np.argmax(keypoints[:, 2])]

    full, shrunk = blob(None), blob(300)

    np.testing.assert_allclose(full[:2], center, atol=0.3)
    np.testing.assert_allclose(shrunk[:2], center, atol=0.3)
    np.testing.assert_allclose(shrunk[2], full[2], rtol=0.05)


def test_a_broken_image_is_an_image_error() -> None:
    with pytest.raises(ImageError, match="truncated"):
        ImageExtractor(SiftOptions()).extract(images.jpeg()[:-100])


def test_an_image_beyond_max_pixels_is_refused_even_if_it_would_be_shrunk() -> None:
    extractor = ImageExtractor(SiftOptions(max_pixels=1000, max_side=10))

    with pytest.raises(ImageError, match="160 x 120 pixels exceed max_pixels = 1000"):
        extractor.extract(images.jpeg())


def test_a_failure_inside_sift_is_an_image_error(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = ImageExtractor(SiftOptions())
    monkeypatch.setattr(extractor, "_detect_and_compute", lambda gray: cv2.cvtColor(gray, cv2.COLOR_BGR2GRAY))

    with pytest.raises(ImageError, match=r"^SIFT failed: [^\n]+$") as caught:
        extractor.extract(images.jpeg())

    assert (caught.value.width, caught.value.height) == (160, 120)
    assert ".cpp" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nfeatures", -1),
        ("n_octave_layers", 0),
        ("n_octave_layers", 33),
        ("contrast_threshold", -0.1),
        ("contrast_threshold", float("nan")),
        ("edge_threshold", 0.0),
        ("edge_threshold", float("inf")),
        ("sigma", 0.0),
        ("sigma", float("nan")),
        ("max_side", 0),
        ("max_pixels", 0),
    ],
)
def test_an_option_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be .*, but is {value!r}$"):
        SiftOptions(**{name: value})  # type: ignore[arg-type]


def test_options_pickle() -> None:
    options = SiftOptions(nfeatures=7, max_side=300)

    assert pickle.loads(pickle.dumps(options)) == options


def test_one_thread_is_enough() -> None:
    before = cv2.getNumThreads()
    try:
        use_one_thread()

        assert cv2.getNumThreads() == 1
        assert not cv2.ocl.useOpenCL()
    finally:
        cv2.setNumThreads(before)
