"""The pictures in the metadata of the assets."""

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.pipeline import ALL_ASSETS, UP_TO_ENCODINGS, Runner
from vision_assets_tests.vision import images

PICTURES = {
    "image_seqfile": {"contact_sheet"},
    "sift_features": {"keypoints", "keypoints_per_image"},
    "kmeans_dictionary": {"training", "visual_words"},
    "bow_encodings": {"strongest_words", "words_per_image"},
    "image_labels": set(),
    "image_classifier": set(),
    "image_predictions": set(),
    "classification_report": {"confusion_matrix", "surest_images"},
}


def pictures(metadata: dict[str, Any]) -> dict[str, str]:
    """Name to Markdown."""
    return {name[8:]: value for name, value in metadata.items() if name.startswith("picture_")}


def pixels(markdown: str) -> NDArray[np.uint8]:
    data = base64.b64decode(markdown.partition("base64,")[2].removesuffix(")"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, spark: object) -> dict[str, dict[str, str]]:
    """Asset to its pictures, of the sample."""
    folder = tmp_path_factory.mktemp("drawn")
    write_sample_images(folder / "sample", images_per_class=2)
    pipeline = Runner(folder / "data")
    config = {"splits": 1, "max_iter": 5}
    result = pipeline.run(folder / "sample", *ALL_ASSETS, pictures=True, image_classifier=config)
    return {asset: pictures(pipeline.metadata(result, asset)) for asset in ALL_ASSETS}


@pytest.mark.whole
@pytest.mark.parametrize("asset", ALL_ASSETS)
def test_every_asset_has_its_pictures(drawn: dict[str, dict[str, str]], asset: str) -> None:
    assert drawn[asset].keys() == PICTURES[asset]
    assert sum(len(markdown) for markdown in drawn[asset].values()) <= 250_000
    for markdown in drawn[asset].values():
        assert len(markdown) <= 100_000
        assert pixels(markdown).std() > 5


@pytest.mark.whole
def test_the_same_input_gives_the_same_pictures(
    drawn: dict[str, dict[str, str]], tmp_path: Path, spark: object
) -> None:
    write_sample_images(tmp_path / "sample", images_per_class=2)
    pipeline = Runner(tmp_path / "data")
    result = pipeline.run(tmp_path / "sample", pictures=True)
    for asset in UP_TO_ENCODINGS:
        assert pictures(pipeline.metadata(result, asset)) == drawn[asset], asset


@pytest.mark.whole
def test_images_that_are_broken_or_plain_are_no_obstacle(pipeline: Runner, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "broken.jpg").write_bytes(b"\xff\xd8\xff not a JPEG")
    (source / "empty.png").write_bytes(b"")
    (source / "plain.png").write_bytes(images.encoded(images.flat(), "PNG"))
    (source / "good.jpg").write_bytes(images.jpeg(images.colored(seed=3)))
    result = pipeline.run(source, pictures=True)
    for asset in UP_TO_ENCODINGS:
        assert pictures(pipeline.metadata(result, asset)).keys() == PICTURES[asset]


def test_without_the_images_there_are_no_pictures_but_the_table_is_stored(
    filled_copy: Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(filled_copy.current("image_seqfile").uri)
    config = {"full_refresh": True}
    result = filled_copy.run(None, "kmeans_dictionary", pictures=True, kmeans_dictionary=config)
    assert pictures(filled_copy.metadata(result, "kmeans_dictionary")).keys() == {"training"}
    assert "the pictures could not be drawn" in capfd.readouterr().err


def test_pictures_can_be_switched_off(filled_copy: Runner) -> None:
    config = {"full_refresh": True}
    result = filled_copy.run(None, "kmeans_dictionary", pictures=False, kmeans_dictionary=config)
    assert not pictures(filled_copy.metadata(result, "kmeans_dictionary"))
