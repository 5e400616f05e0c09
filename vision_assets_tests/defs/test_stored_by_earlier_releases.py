"""Data folders that earlier commits have written can be read, extended and pruned."""

import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import pytest

from vision_assets import prediction
from vision_assets_tests.pipeline import ALL_ASSETS, Runner
from vision_assets_tests.vision import images

ARCHIVE = Path(__file__).parents[1] / "data_of_8c15de9" / "data_folder.tar.gz"
CONFIG: dict[str, Any] = {
    "kmeans_dictionary": {"k": 5, "max_iter": 4},
    "image_classifier": {"train_per_class": 2, "splits": 2, "max_iter": 5},
}
PREDICTED = {
    "images/cats/image 1.jpg": ("cats", 0.6268765697692484),
    "images/cats/image 3.jpg": ("cats", 0.9405660511850716),
    "images/cats/image 5.jpg": ("cats", 0.9839793495635846),
    "images/dogs/image 0.jpg": ("dogs", 0.999663431179412),
    "images/dogs/image 2.jpg": ("dogs", 0.982088003909649),
    "images/dogs/image 4.jpg": ("dogs", 0.902670776970861),
}
"""Label and score of each image, as commit 8c15de9 predicted them from its own data folder."""
OPENCV = "5.0.0"
"""Version that extracted the stored features; rows of other versions are not reused."""


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """The data folder, with its images in ``images`` below the current folder."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return Runner(tmp_path / "data")


def records(pipeline: Runner, pattern: str) -> list[Path]:
    return sorted(pipeline.data.glob(f"*/_snapshots/{pattern}"))


def test_it_is_read(stored: Runner) -> None:
    assert {asset for (asset,) in stored.store.assets()} == set(ALL_ASSETS)
    rows = {asset: len(stored.table(asset)) for asset in ALL_ASSETS if asset != "image_classifier"}
    assert rows == {
        "image_seqfile": 6,
        "sift_features": 6,
        "kmeans_dictionary": 5,
        "bow_encodings": 6,
        "classification_report": 4,
    }
    for asset in ALL_ASSETS:
        snapshot = stored.current(asset)
        assert stored.store.damage(snapshot) is None
        assert snapshot.check_results
        assert all(snapshot.check_results.values())
    assert set(stored.store.lineage(stored.current("classification_report"))) == set(ALL_ASSETS[:-1])


def test_its_classifier_predicts_the_same(stored: Runner) -> None:
    found = list(prediction.predict(list(PREDICTED), data_folder=stored.data))
    assert [one.labels[0] for one in found] == [label for label, _ in PREDICTED.values()]
    # OpenCV of another version or processor may differ in the last digits of a descriptor.
    assert [one.scores[0] for one in found] == pytest.approx(
        [score for _, score in PREDICTED.values()], abs=0.02
    )


@pytest.mark.whole
def test_it_is_extended_and_pruned(stored: Runner) -> None:
    before = {asset: stored.current(asset) for asset in ALL_ASSETS}
    (lease,) = records(stored, "*-reader-*.beat")
    assert records(stored, "*-killed-*.pending")
    lease.write_text(datetime.now(UTC).isoformat(timespec="seconds"))  # its process is alive after all
    Path("images/cats/new.jpg").write_bytes(images.jpeg(images.colored(72, 96, seed=99)))

    result = stored.run("images", *ALL_ASSETS, keep=1, **CONFIG)

    features = stored.metadata(result, "sift_features")
    reused = 6 if cv2.__version__ == OPENCV else 0
    assert (features["reused"], features["extracted"], features["dropped"]) == (reused, 7 - reused, 0)
    for asset in ("image_seqfile", "sift_features", "bow_encodings"):
        assert len(stored.table(asset)) == 7
    assert {asset: stored.current(asset).sequence for asset in ALL_ASSETS} == dict.fromkeys(ALL_ASSETS, 2)
    assert records(stored, "*-killed-*") == []

    stored.run("images", *ALL_ASSETS, keep=1, **CONFIG)
    sequences = {asset: stored.current(asset).sequence for asset in ALL_ASSETS[1:]}
    assert sequences == dict.fromkeys(ALL_ASSETS[1:], 2), "made once, then kept"

    for asset in ALL_ASSETS:
        stored.store.prune((asset,), 1)
    assert stored.store.has(before["image_seqfile"]), "a process of the earlier commit reads it"
    lease.write_text("2020-01-01T00:00:00+00:00")
    for asset in ALL_ASSETS:
        stored.store.prune((asset,), 1)
        assert stored.store.snapshots((asset,)) == [stored.current(asset)]
        assert stored.current(asset).fingerprint
        assert not Path(before[asset].uri).exists()
    assert [file.suffix for file in records(stored, "*")] == [".json"] * len(ALL_ASSETS)
    (prediction_of_new,) = prediction.predict("images/cats/new.jpg", data_folder=stored.data)
    assert prediction_of_new.error is None
