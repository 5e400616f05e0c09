"""The checks of reports: a classifier is better than chance, and as good as the last one."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.defs.metadata import rounded
from vision_assets.defs.step_asset import asset_key
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.errors import UserError
from vision_assets.snapshots.history import History
from vision_assets.snapshots.manifests import Snapshot
from vision_assets.steps.comparison import Result, differing_settings, earlier_report, latest_results
from vision_assets.steps.report import ReportOptions
from vision_assets.steps.spec import StepSpec

_SHOWN_RESULTS = 10


def better_than_chance_check(spec: StepSpec, collection: Collection) -> dg.AssetChecksDefinition:
    """Make the check that a classifier has learnt something."""

    @dg.asset_check(
        name="better_than_chance",
        asset=asset_key(collection, spec.asset),
        description="The mean accuracy of the classes is above the chance level, 1 / number of classes.",
        retry_policy=RETRY_POLICY,
    )
    def better_than_chance(data_folder: TableStoreResource) -> dg.AssetCheckResult:
        """Warn when a classifier has learnt nothing."""
        with failures():
            counts = data_folder.store.require_current((spec.asset,)).counts
        reached, chance = counts["mean_per_class_accuracy"], 1 / counts["classes"]
        return dg.AssetCheckResult(
            passed=reached > chance,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"The mean accuracy of the classes is {reached:.1%}; chance would give {chance:.1%}.",
            metadata=rounded({"mean_per_class_accuracy": reached, "chance_level": chance}),
        )

    return better_than_chance


def accuracy_kept_check(spec: StepSpec, collection: Collection) -> dg.AssetChecksDefinition:
    """Make the check that a classifier has not become worse; it shows the latest results too."""

    @dg.asset_check(
        name="accuracy_kept",
        asset=asset_key(collection, spec.asset),
        description="The mean accuracy of the classes is at most `max_accuracy_drop` percentage points lower "
        "than in the last report with the same classes and settings of the splits.",
        retry_policy=RETRY_POLICY,
    )
    def accuracy_kept(data_folder: TableStoreResource) -> dg.AssetCheckResult:
        """Warn when a classifier has become worse."""
        with failures():
            store = data_folder.store
            report, history = store.require_current((spec.asset,)), store.history()
            result = compare_with_earlier(report, history)
            table = result_table(latest_results(history, report, _SHOWN_RESULTS))
        return result._replace(metadata={**result.metadata, "results": table})

    return accuracy_kept


def compare_with_earlier(report: Snapshot, history: History) -> dg.AssetCheckResult:
    """Return whether a report's accuracy is as high as that of the last one with the same protocol.

    Parameters
    ----------
    report : Snapshot
    history : History
    """
    try:
        earlier = earlier_report(history, report)
    except UserError as error:  # a damaged manifest of an earlier run does not make this one fail
        return _warning_unless(report, passed=False, text=str(error))
    if earlier is None:
        text = "There is no earlier report with the same classes and settings of the splits."
        return _warning_unless(report, passed=True, text=text)
    before, now = (each.counts["mean_per_class_accuracy"] for each in (earlier, report))
    allowed = ReportOptions.from_config(report.config).max_accuracy_drop
    points = round(100 * (now - before), 6)  # in floating point, 0.9 - 0.88 is more than 0.02
    return _warning_unless(
        report,
        passed=points >= -allowed,
        text=f"{now:.1%} after {before:.1%}: {points:+.1f} points.",
        earlier_mean_per_class_accuracy=before,
        difference_in_points=points,
        max_accuracy_drop=allowed,
        earlier_snapshot=earlier.name,
        earlier_run=earlier.run_id,
    )


def _warning_unless(report: Snapshot, *, passed: bool, text: str, **metadata: Any) -> dg.AssetCheckResult:
    accuracy_now = {"mean_per_class_accuracy": report.counts["mean_per_class_accuracy"]}
    return dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=text,
        metadata=accuracy_now | {"snapshot": report.name} | metadata,
    )


def result_table(results: Sequence[Result]) -> dg.TableMetadataValue:
    """Return results and the settings that differ, the best first."""
    differing = differing_settings(results)
    best = sorted(results, key=lambda each: -each.mean_per_class_accuracy)
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "accuracy": round(each.mean_per_class_accuracy, 4),
                    **{name.partition(".")[2]: str(each.settings.get(name, "")) for name in differing},
                    "run": each.run_id[:8],
                }
            )
            for each in best
        ]
    )
