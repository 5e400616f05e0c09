"""Two collections, kept for a week: images and labels come, go and change, and so do settings."""

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import yaml

from vision_assets import settings
from vision_assets.cli import main
from vision_assets.collection import open_collection
from vision_assets.definitions import make_definitions
from vision_assets.pipelines import configured_pipelines
from vision_assets.vision.data.samples import write_sample_images
from vision_assets_tests.pipeline import ALL_ASSETS, Runner

pytestmark = pytest.mark.whole

REPORT = "classification_report"
OPTIONS: dict[str, Any] = {
    "kmeans_dictionary": {"k": 40, "max_iter": 5},
    "image_classifier": {"train_per_class": 6, "splits": 2, "max_iter": 20},
}


@dataclass
class Week:
    """Two collections in a folder, and what was recomputed after each of their reports.

    Attributes
    ----------
    figures : dict
        Name of a report's snapshot to its figures.
    """

    folder: Path
    instance: dg.DagsterInstance
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def made(self, name: str) -> Runner:
        return Runner(self.folder / "data" / "collections" / name)

    def write(self, name: str, **options: Any) -> None:
        """Write the project file of a collection."""
        text = yaml.safe_dump({"source": f"../{name}", **OPTIONS, **options})
        (self.folder / "collections" / f"{name}.yaml").write_text(text)

    def run(self, name: str, **config: dict[str, Any]) -> set[str]:
        """Run the job of a collection; return the assets that have a new snapshot then."""
        made = self.made(name)
        before = {asset: made.store.current((asset,)) for asset in ALL_ASSETS}
        job = make_definitions(configured_pipelines(), open_collection(name)).resolve_job_def("bovw_pipeline")
        self.result = job.execute_in_process(
            {"ops": {asset: {"config": options} for asset, options in config.items()}},
            instance=self.instance,
            raise_on_error=False,
        )
        assert self.result.success, Runner.error(self.result)
        now = {asset: made.current(asset) for asset in ALL_ASSETS}
        if now[REPORT] != before[REPORT]:
            self.figures[now[REPORT].name] = recomputed(made) | {
                "collection": name,
                "k": now["kmeans_dictionary"].rows,
                "pooling": now["bow_encodings"].config["pooling"],
                "training_seconds": now["kmeans_dictionary"].seconds + now["image_classifier"].seconds,
            }
        sources = {file.name for file in (self.folder / name).rglob("*.jpg")}
        for asset in ("image_labels", "sift_features", "bow_encodings"):
            stored = made.rows(asset)["fileName"]
            assert sorted(file.rpartition("/")[2] for file in stored) == sorted(sources), (
                f"{asset}: all images"
            )
        return {asset for asset in ALL_ASSETS if now[asset] != before[asset]}

    def counts(self, name: str, asset: str, verb: str) -> tuple[int, int, int]:
        found = self.made(name).metadata(self.result, asset)
        return found["reused"], found[verb], found["dropped"]

    def failed_checks(self) -> set[str]:
        """Return the assets whose settings are not those of the project file."""
        found = self.result.get_asset_check_evaluations()
        named = [each for each in found if each.check_name == "project_settings" and not each.passed]
        return {each.asset_key.path[-1] for each in named}


def recomputed(made: Runner) -> dict[str, Any]:
    """Return the figures of a report from the predictions alone, as a naive reader would compute them."""
    rows = made.rows("image_predictions")
    labels = set(made.rows(REPORT)["label"])
    rows = rows[rows["label"].isin(labels)]
    recalls = [
        np.mean([(one["predicted"] == one["label"]).mean() for _, one in split.groupby("label")])
        for _, split in rows.groupby("split")
    ]
    return {
        "images": len(made.rows("sift_features")),
        "classes": len(labels),
        "splits": rows["split"].nunique(),
        "test_images": len(rows),
        "accuracy": np.mean([(one["predicted"] == one["label"]).mean() for _, one in rows.groupby("split")]),
        "mean_per_class_accuracy": np.mean(recalls),
        "std_of_mean_per_class_accuracy": np.std(recalls, ddof=1),
    }


def label_file(folder: Path, labels: dict[str, str]) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("fileName", "label"), *labels.items()])


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: object) -> Iterator[Week]:
    monkeypatch.setenv(settings.DATA, str(tmp_path / "data"))
    monkeypatch.setenv(settings.PICTURES, "no")
    (tmp_path / "collections").mkdir()
    with dg.DagsterInstance.ephemeral() as instance:
        yield Week(tmp_path, instance)


def test_two_collections_for_a_week(week: Week, capsys: pytest.CaptureFixture[str]) -> None:
    folder = week.folder
    write_sample_images(folder / "flowers", images_per_class=20)
    write_sample_images(folder / "more", seed=9, images_per_class=1)
    write_sample_images(folder / "drawn", seed=3, images_per_class=20)
    # The images of the other collection are in one folder, and a file has their labels.
    (folder / "scenes").mkdir()
    labels = {}
    for file in sorted((folder / "drawn").rglob("*.jpg")):
        labels[file.name] = file.parent.name
        file.rename(folder / "scenes" / file.name)
    label_file(folder, labels)
    week.write("flowers")
    week.write("scenes", image_labels={"labels": "../labels.csv"})

    # Monday: both are new.
    for name in ("flowers", "scenes"):
        assert week.run(name) == set(ALL_ASSETS)
        assert week.made(name).current("image_seqfile").rows == 200

    # Tuesday: images come and go in one; the other is left as it is.
    for file in sorted((folder / "more").rglob("*.jpg")):
        shutil.copy(file, folder / "flowers" / file.parent.name / f"new_{file.name}")
    for file in sorted((folder / "flowers" / "brick").glob("*.jpg"))[:5]:
        file.unlink()
    assert week.run("flowers") == set(ALL_ASSETS)
    assert week.counts("flowers", "sift_features", "extracted") == (195, 10, 5)
    assert week.run("scenes") == {"image_labels"}, "only the file of labels is read again"

    # Wednesday: eight images have other labels.
    changed = dict(zip(list(labels)[:8], list(labels.values())[60:68], strict=True))
    label_file(folder, labels | changed)
    learnt = {"image_labels", "image_classifier", "image_predictions", REPORT}
    assert week.run("scenes") == learnt
    named = week.made("scenes").rows("image_labels").set_index("fileName")["label"]
    assert named.to_dict() == labels | changed

    # Thursday: another pooling, for good.
    week.write("flowers", bow_encodings={"pooling": "count"})
    assert week.run("flowers") == {"bow_encodings", "image_classifier", "image_predictions", REPORT}
    assert week.failed_checks() == set()

    # Friday: the words stay while images go.
    week.write(
        "flowers",
        bow_encodings={"pooling": "count"},
        kmeans_dictionary=OPTIONS["kmeans_dictionary"] | {"retrain": "never"},
    )
    words = week.made("flowers").current("kmeans_dictionary")
    for file in sorted((folder / "flowers" / "clock").glob("*.jpg"))[:3]:
        file.unlink()
    assert week.run("flowers") == set(ALL_ASSETS) - {"kmeans_dictionary"}
    assert week.made("flowers").current("kmeans_dictionary") == words
    assert week.counts("flowers", "bow_encodings", "encoded") == (202, 0, 3)

    # Saturday: one run has settings of its own. Sunday: the next has those of the file again.
    week.run("scenes", kmeans_dictionary={"k": 25})
    assert week.failed_checks() == {"kmeans_dictionary"}
    week.run("scenes")
    assert week.failed_checks() == set()
    assert week.made("scenes").current("kmeans_dictionary").rows == 40

    compared(week, capsys)


def compared(week: Week, capsys: pytest.CaptureFixture[str]) -> None:
    """Require that `compare` has each report of the week, with the figures that were recomputed."""
    capsys.readouterr()
    assert main(["compare", "--json"]) == 0
    results = {each["snapshot"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())}
    assert results.keys() == week.figures.keys()
    assert len(results) == 8
    for name, expected in week.figures.items():
        found = results[name]
        assert found["settings"]["kmeans_dictionary.k"] == expected.pop("k")
        assert found["settings"]["bow_encodings.pooling"] == expected.pop("pooling")
        for figure, value in expected.items():
            assert found[figure] == (pytest.approx(value) if isinstance(value, float) else value), figure
    assert {each["collection"] for each in results.values()} == {"flowers", "scenes"}
