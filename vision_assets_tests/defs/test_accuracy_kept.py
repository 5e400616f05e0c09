"""The check that a classifier has not become worse, on manifests alone."""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from vision_assets.definitions import defs
from vision_assets.defs.report_checks import compare_with_earlier, result_table
from vision_assets.defs.resources import make_resources
from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.snapshots.store import SnapshotStore
from vision_assets.steps.comparison import latest_results
from vision_assets_tests.reports import REPORT, make_report, prune_all


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time would go there; what a loss of power leaves is tested with the store."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(LocalFiles(tmp_path))


def run_check(store: SnapshotStore, asset: str = REPORT) -> dg.AssetCheckResult:
    """Return what the check finds, without a run of Dagster's."""
    result = compare_with_earlier(store.require_current((asset,)), store.history())
    assert result.severity == dg.AssetCheckSeverity.WARN
    return result


def metadata(result: dg.AssetCheckResult) -> dict[str, Any]:
    return {name: value.value for name, value in result.metadata.items()}


def accuracy(value: float) -> dict[str, float]:
    return {"mean_per_class_accuracy": value}


def test_the_first_report_passes(store: SnapshotStore) -> None:
    report = make_report(store)
    found = run_check(store)
    assert found.passed
    assert "no earlier report" in (found.description or "")
    assert metadata(found) == {"mean_per_class_accuracy": 0.8, "snapshot": report.name}


@pytest.mark.parametrize(
    ("before", "now", "allowed", "passes"),
    [
        (0.9, 0.88, None, True),  # 100 * (0.9 - 0.88) is more than 2 in floating point
        (0.9, 0.879, None, False),
        (0.9, 0.95, None, True),
        (0.9, 0.9, 0.0, True),
        (0.9, 0.899, 0.0, False),
        (0.9, 0.86, 5.0, True),
        (0.9, 0.84, 5.0, False),
    ],
)
def test_it_warns_of_a_drop_that_is_too_large(
    store: SnapshotStore, before: float, now: float, allowed: float | None, passes: bool
) -> None:
    earlier = make_report(store, counts=accuracy(before), run_id="earlier")
    config = {} if allowed is None else {"max_accuracy_drop": allowed}
    report = make_report(store, counts=accuracy(now), classification_report=config)
    prune_all(store)
    found = run_check(store)
    assert found.passed is passes
    assert metadata(found) == {
        "mean_per_class_accuracy": now,
        "earlier_mean_per_class_accuracy": before,
        "difference_in_points": pytest.approx(100 * (now - before)),
        "max_accuracy_drop": 2.0 if allowed is None else allowed,
        "snapshot": report.name,
        "earlier_snapshot": earlier.name,
        "earlier_run": "earlier",
    }


def test_only_reports_of_the_same_protocol_and_extractor_count(store: SnapshotStore) -> None:
    make_report(store, counts=accuracy(0.9), labels="other")
    make_report(store, counts=accuracy(0.9), image_classifier={"seed": 1})
    make_report(store, "kaze", counts=accuracy(0.9))
    make_report(store, counts=accuracy(0.5))
    assert "no earlier report" in (run_check(store).description or "")
    make_report(store, "kaze", counts=accuracy(0.85))
    assert not run_check(store, f"kaze_{REPORT}").passed
    make_report(store, counts=accuracy(0.45), images="other images, as after new ones have arrived")
    assert not run_check(store).passed


def test_a_damaged_manifest_of_an_earlier_report_is_a_warning(store: SnapshotStore, tmp_path: Path) -> None:
    earlier = make_report(store)
    make_report(store)
    damaged = tmp_path / REPORT / "_snapshots" / earlier.manifest
    damaged.write_bytes(b"{")
    found = run_check(store)
    assert not found.passed
    assert f"{damaged} is damaged" in (found.description or "")


def test_it_runs_on_its_own(store: SnapshotStore) -> None:
    """As the Execute button does it."""
    make_report(store, counts=accuracy(0.9))
    make_report(store, counts=accuracy(0.8))
    result = dg.materialize(
        [*(defs.assets or []), *(defs.asset_checks or [])],  # type: ignore[list-item]
        selection=dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(REPORT), "accuracy_kept")),
        resources=make_resources(store._files.uri("")),
    )
    (evaluation,) = result.get_asset_check_evaluations()
    assert result.success
    assert not evaluation.passed
    assert evaluation.description == "80.0% after 90.0%: -10.0 points."


def test_the_latest_results_are_shown_with_the_settings_that_differ(store: SnapshotStore) -> None:
    make_report(store, images="1:1", counts=accuracy(1.0))
    for k, reached in ((100, 0.7), (200, 0.9), (400, 0.8)):
        make_report(store, kmeans_dictionary={"k": k}, counts=accuracy(reached))
    report, history = store.require_current((REPORT,)), store.history()
    table = result_table(latest_results(history, report, 10))
    assert [record.data for record in table.records] == [
        {"accuracy": 0.9, "k": "200", "run": "01234567"},
        {"accuracy": 0.8, "k": "400", "run": "01234567"},
        {"accuracy": 0.7, "k": "100", "run": "01234567"},
    ]
    (alone,) = result_table(latest_results(history, report, 1)).records
    assert alone.data == {"accuracy": 0.8, "run": "01234567"}
