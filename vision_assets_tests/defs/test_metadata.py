"""What Dagster's UI shows of a stored table, and in which order."""

from typing import Any

import dagster as dg

from vision_assets.defs.metadata import materialization_metadata
from vision_assets.snapshots.store import Snapshot
from vision_assets.steps.catalog import SPECS

SNAPSHOT = Snapshot(
    asset="classification_report",
    name="20261130T100122-5098ff21-85a40a89",
    sequence=1,
    uri="/data/classification_report/20261130T100122-5098ff21-85a40a89",
    run_id="5098ff21",
    code_version="1",
    config={"seed": 0},
    inputs={"image_classifier": "20261130T100116-5098ff21-4bd38457"},
    counts={"classes": 10, "accuracy": 2 / 3, "mean_per_class_accuracy": 0.6543219},
    check_results={},
    keys="",
    rows=30,
    files=1,
    bytes=11_532_499,
    seconds=1234.5678,
    committed_at="",
)
DETAILS: dict[str, Any] = {
    "macro_f1": 0.97512345,
    "picture_confusion_matrix": dg.MetadataValue.md("![]()"),
    "std_of_mean_per_class_accuracy": 0.012345,
    "seconds_per_iteration": 0.05321,
    "unbounded": float("inf"),
    "classes_in_a_table": dg.MetadataValue.table(
        [dg.TableRecord({"class": "cats", "recall": 1 / 3, "inertia": 6131234567.0, "seconds": 17.3124})]
    ),
}


def shown() -> dict[str, Any]:
    return materialization_metadata(SPECS["classification_report"], SNAPSHOT, DETAILS)


def test_the_headline_and_the_pictures_come_first_and_the_storage_last() -> None:
    names = list(shown())
    assert names[:6] == [
        "mean_per_class_accuracy",
        "std_of_mean_per_class_accuracy",
        "accuracy",
        "picture_confusion_matrix",
        "dagster/row_count",
        "classes",
    ]
    assert names[-2:] == ["code_version", "dagster/uri"]
    assert names.index("macro_f1") < names.index("seconds") < names.index("made_from_image_classifier")
    assert len(names) == len(set(names))


def test_figures_are_rounded_and_what_is_stored_is_not() -> None:
    metadata = shown()
    expected = {
        "mean_per_class_accuracy": 0.6543,
        "accuracy": 0.6667,
        "std_of_mean_per_class_accuracy": 0.0123,
        "seconds": 1234.57,
        "seconds_per_iteration": 0.0532,
        "size_mb": 11.532,
        "classes": 10,
        "unbounded": float("inf"),
    }
    assert {name: metadata[name] for name in expected} == expected
    (record,) = metadata["classes_in_a_table"].records
    assert record.data == {"class": "cats", "recall": 0.3333, "inertia": 6131234570.0, "seconds": 17.31}
    assert SNAPSHOT.counts["accuracy"] == 2 / 3
