import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from vision_assets.vision.data.sample_drawing import SAMPLE_CLASSES, draw_sample
from vision_assets.vision.data.samples import MARKER_NAME, write_sample_images
from vision_assets.vision.features.extraction import ImageExtractor
from vision_assets.vision.features.sift import SiftOptions


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples") / "made" / "images"
    assert write_sample_images(folder, images_per_class=2) == 20
    return folder


def test_there_is_one_folder_per_class(sample: Path) -> None:
    assert len(SAMPLE_CLASSES) == 10
    assert {path.name for path in sample.iterdir() if path.is_dir()} == set(SAMPLE_CLASSES)
    for label in SAMPLE_CLASSES:
        names = sorted(path.name for path in (sample / label).iterdir())
        assert names == [f"{label}_0001.jpg", f"{label}_0002.jpg"]


def test_each_image_is_small_and_has_keypoints(sample: Path) -> None:
    extractor = ImageExtractor(SiftOptions())
    for path in sample.rglob("*.jpg"):
        data = path.read_bytes()
        features = extractor.extract(data)

        assert len(data) < 40_000
        assert 180 <= min(features.width, features.height) < max(features.width, features.height) <= 288
        assert len(features.keypoints) > 20, path


def test_the_same_seed_gives_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    write_sample_images(tmp_path / "again", images_per_class=2)

    assert content(tmp_path / "again") == content(sample)


def test_a_larger_sample_holds_the_smaller_one(sample: Path, tmp_path: Path) -> None:
    write_sample_images(tmp_path / "smaller", images_per_class=1)

    smaller, larger = content(tmp_path / "smaller"), content(sample)
    del smaller[MARKER_NAME]
    assert smaller.items() <= larger.items()


def test_the_number_of_threads_changes_nothing() -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = [draw_sample(label, 1) for label in SAMPLE_CLASSES]
        cv2.setNumThreads(4)
        together = [draw_sample(label, 1) for label in SAMPLE_CLASSES]
    finally:
        cv2.setNumThreads(before)

    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize("label", SAMPLE_CLASSES)
def test_seeds_and_numbers_give_different_images(label: str) -> None:
    pictures = {draw_sample(label, number, seed=seed).tobytes() for number in (1, 2) for seed in (0, 1)}

    assert len(pictures) == 4


def test_does_nothing_if_the_sample_is_there(sample: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sample.rglob("*")}

    assert write_sample_images(sample, images_per_class=2) == 0
    assert {path: path.stat().st_mtime_ns for path in sample.rglob("*")} == before


def test_replaces_another_sample(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_sample_images(folder, images_per_class=1)
    former = content(folder)

    assert write_sample_images(folder, images_per_class=1, seed=5) == 10

    assert content(folder).keys() == former.keys()
    assert all(data != former[name] for name, data in content(folder).items())
    assert list(tmp_path.iterdir()) == [folder]


def test_writes_into_an_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()

    assert write_sample_images(folder, images_per_class=1) == 10
    assert len(list(folder.rglob("*.jpg"))) == 10


@pytest.mark.parametrize("name", ["photo.jpg", "brick/brick_mine.jpg", "brick/brick_0001.txt", "notes/a.txt"])
def test_refuses_a_folder_with_other_files(tmp_path: Path, name: str) -> None:
    write_sample_images(tmp_path / "images", images_per_class=1)
    foreign = tmp_path / "images" / name
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_bytes(b"precious")
    before = content(tmp_path)

    with pytest.raises(FileExistsError, match=f"contains files other than a sample, such as {name}"):
        write_sample_images(tmp_path / "images", images_per_class=1, seed=3)

    assert content(tmp_path) == before


def test_refuses_images_that_it_did_not_write_even_if_their_names_fit(tmp_path: Path) -> None:
    (tmp_path / "brick").mkdir()
    (tmp_path / "brick" / "brick_0001.jpg").write_bytes(b"precious")

    with pytest.raises(FileExistsError, match="is not empty"):
        write_sample_images(tmp_path, images_per_class=1)


def test_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")

    with pytest.raises(FileExistsError, match="is a file"):
        write_sample_images(tmp_path / "file", images_per_class=1)


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)

    with pytest.raises(OSError, match="disk full"):
        write_sample_images(tmp_path / "images", images_per_class=1)

    assert list(tmp_path.iterdir()) == []


def test_others_may_read_the_folder(sample: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)

    assert sample.stat().st_mode & 0o777 == 0o777 & ~umask


@pytest.mark.parametrize(
    ("seed", "count", "name"), [(-1, 1, "seed"), (0, 0, "images_per_class"), (0, 10_000, "images")]
)
def test_options_out_of_range_are_refused(tmp_path: Path, seed: int, count: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}"):
        write_sample_images(tmp_path / "images", seed=seed, images_per_class=count)
