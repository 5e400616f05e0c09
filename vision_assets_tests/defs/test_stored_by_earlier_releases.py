"""Data folders that earlier commits have written can be read, extended and pruned."""

import shutil
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vision_assets import prediction, settings
from vision_assets.cli import main
from vision_assets_tests.pipeline import ALL_ASSETS, Runner, require_same_tables
from vision_assets_tests.vision import images

ARCHIVE = Path(__file__).parents[1] / "data_of_8c15de9" / "data_folder.tar.gz"
ADDED = ("image_labels", "image_predictions")
STORED = tuple(asset for asset in ALL_ASSETS if asset not in ADDED)
"""The assets that there were; the classifier learnt the names of folders."""
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
    assert {asset for (asset,) in stored.store.assets()} == set(STORED)
    rows = {asset: len(stored.table(asset)) for asset in STORED if asset != "image_classifier"}
    assert rows == {
        "image_seqfile": 6,
        "sift_features": 6,
        "kmeans_dictionary": 5,
        "bow_encodings": 6,
        "classification_report": 4,
    }
    for asset in STORED:
        snapshot = stored.current(asset)
        assert stored.store.damage(snapshot) is None
        assert snapshot.check_results
        assert all(snapshot.check_results.values())
    assert set(stored.store.lineage(stored.current("classification_report"))) == set(STORED[:-1])


def test_the_summary_shows_its_report(
    stored: Runner, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(settings.DATA, str(stored.data))
    assert main(["summary"]) == 0
    printed = capsys.readouterr().out
    assert "Accuracy" in printed
    assert "older" not in printed


def test_its_classifier_predicts_the_same(stored: Runner) -> None:
    found = list(prediction.predict(list(PREDICTED), data_folder=stored.data))
    assert [one.labels[0] for one in found] == [label for label, _ in PREDICTED.values()]
    # OpenCV of another version or processor may differ in the last digits of a descriptor.
    assert [one.scores[0] for one in found] == pytest.approx(
        [score for _, score in PREDICTED.values()], abs=0.02
    )


def test_predictions_of_its_classifier_give_its_report(stored: Runner, tmp_path: Path) -> None:
    shutil.copytree(stored.data, tmp_path / "copy")
    made = Runner(tmp_path / "copy")
    made.run(None, "image_predictions", "classification_report")
    assert made.current("classification_report") != stored.current("classification_report")
    require_same_tables(made, stored, "classification_report")
    predictions = made.table("image_predictions")
    assert len(predictions) == stored.table("classification_report")["support"].sum()


def test_a_new_classifier_asks_for_labels_and_takes_them(stored: Runner, spark: object) -> None:
    message = stored.error(stored.run(None, "image_classifier", fail=True))
    assert "Materialize image_labels first" in message
    assert len(message.splitlines()) == 1
    classifier = CONFIG["image_classifier"]
    stored.run(None, "image_labels", "image_classifier", image_classifier=classifier)
    assert stored.current("image_classifier").counts["classes"] == 2


@pytest.mark.whole
def test_it_is_extended_and_pruned(stored: Runner) -> None:
    before = {asset: stored.current(asset) for asset in STORED}
    (lease,) = records(stored, "*-reader-*.beat")
    assert records(stored, "*-killed-*.pending")
    lease.write_text(datetime.now(UTC).isoformat(timespec="seconds"))  # its process is alive after all
    Path("images/cats/new.jpg").write_bytes(images.jpeg(images.colored(72, 96, seed=99)))

    result = stored.run("images", *ALL_ASSETS, keep=1, **CONFIG)

    features = stored.metadata(result, "sift_features")
    assert (features["reused"], features["extracted"], features["dropped"]) == (6, 1, 0), "all are JPEG"
    for asset in ("image_seqfile", "sift_features", "bow_encodings"):
        assert len(stored.table(asset)) == 7
    sequences = {asset: stored.current(asset).sequence for asset in ALL_ASSETS}
    assert sequences == dict.fromkeys(STORED, 2) | dict.fromkeys(ADDED, 1)
    assert records(stored, "*-killed-*") == []

    stored.run("images", *ALL_ASSETS, keep=1, **CONFIG)
    again = {asset: stored.current(asset).sequence for asset in ALL_ASSETS[1:]}
    assert again == {asset: sequences[asset] for asset in ALL_ASSETS[1:]}, "made once, then kept"

    for asset in STORED:
        stored.store.prune((asset,), 1)
    assert stored.store.has(before["image_seqfile"]), "a process of the earlier commit reads it"
    lease.write_text("2020-01-01T00:00:00+00:00")
    for asset in STORED:
        stored.store.prune((asset,), 1)
        assert stored.store.snapshots((asset,)) == [stored.current(asset)]
        assert stored.current(asset).fingerprint
    for snapshot in before.values():
        assert not Path(snapshot.uri).exists()
    assert [file.suffix for file in records(stored, "*")] == [".json"] * len(ALL_ASSETS)
    (prediction_of_new,) = prediction.predict("images/cats/new.jpg", data_folder=stored.data)
    assert prediction_of_new.error is None
