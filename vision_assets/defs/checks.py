"""Asset checks: what must hold of every table, and a warning about images that could not be read.

The invariants are verified before a snapshot becomes current. In the run that made a snapshot a check
reports what was found then; run on its own, it looks at the stored table again.
"""

from collections.abc import Iterable

import dagster as dg

from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.defs.io_managers import TableStoreResource
from vision_assets.defs.resources import SparkResource
from vision_assets.pipelines import PIPELINES, Pipeline
from vision_assets.snapshots.store import AssetPath, Snapshot
from vision_assets.steps.stored_tables import read_parquet, stored_rows
from vision_assets.tables import table as tables
from vision_assets.uris import hadoop_uri

_NAMED_IMAGES = 20

_DESCRIPTIONS = {
    tables.UNIQUE_KEYS: "No two rows have the same key.",
    tables.SAME_KEYS: "Every key of the upstream table has exactly one row.",
    tables.SAME_IMAGES: "Every image has the digest that the upstream table has of it.",
    "sizes_match": "The binary cells are as long as the counts say.",
    "errors_have_no_descriptors": "An image that could not be read has no descriptors.",
    tables.AS_MANY_ROWS: "There are as many words as k says.",
    "numbered_words": "The words are numbered from 0 on, without a gap.",
    "no_empty_word": "Every word has descriptors.",
    "finite_and_non_negative": "No value is negative, infinite or not a number.",
    "values_in_range": "No value is beyond -1 and 1, infinite or not a number.",
    "one_length": "All vectors are equally long.",
    "finite_weights": "No weight or intercept is infinite or not a number.",
    "shares_in_range": "Precision, recall and F1 are between 0 and 1.",
    "confusion_adds_up": "Each row of the confusion matrix adds up to the images of its class.",
}


def _invariant_checks(asset: AssetPath, table: tables.Table) -> dg.AssetChecksDefinition:
    key = dg.AssetKey(asset)

    @dg.multi_asset_check(
        name="_".join((*asset, "invariants")),
        specs=[
            dg.AssetCheckSpec(name, asset=key, blocking=True, description=_DESCRIPTIONS[name])
            for name in table.checks
        ],
        can_subset=True,
        retry_policy=RETRY_POLICY,
    )
    def invariants(
        context: dg.AssetCheckExecutionContext, pyspark: SparkResource, data_folder: TableStoreResource
    ) -> Iterable[dg.AssetCheckResult]:
        run_id = context.run.run_id
        with failures(), data_folder.store.reading(asset, run_id) as snapshot:
            made_by_this_run = snapshot.run_id == run_id
            results = (
                snapshot.check_results
                if made_by_this_run
                else _look_again(pyspark, data_folder, snapshot, table)
            )
        for name in table.checks:
            if dg.AssetCheckKey(key, name) in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    passed=results[name],
                    check_name=name,
                    asset_key=key,
                    metadata={"snapshot": snapshot.name},
                )

    return invariants


def _look_again(
    pyspark: SparkResource, data_folder: TableStoreResource, snapshot: Snapshot, table: tables.Table
) -> dict[str, bool]:
    upstream = data_folder.store.input_of(snapshot, table.same_keys_as) if table.same_keys_as else None
    rows = stored_rows(pyspark.spark_session, table, hadoop_uri(snapshot.uri))
    results = tables.summarize(table, rows, upstream, snapshot.config).check_results
    # The upstream snapshot may be gone by now; what was found when it was there still stands. Snapshots of
    # earlier releases do not say everything.
    return dict.fromkeys(table.checks, True) | snapshot.check_results | results


def _readable_images(pipeline: Pipeline) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name="readable_images",
        asset=pipeline.features,
        description="Not more images than `max_failed_share` in the configuration could not be read.",
        retry_policy=RETRY_POLICY,
    )
    def readable_images(
        context: dg.AssetCheckExecutionContext, pyspark: SparkResource, data_folder: TableStoreResource
    ) -> dg.AssetCheckResult:
        """Warn when too many images could not be read, and name the first of them."""
        with failures(), data_folder.store.reading((pipeline.features,), context.run.run_id) as snapshot:
            return _failed_images(pyspark, snapshot)

    return readable_images


def _failed_images(pyspark: SparkResource, snapshot: Snapshot) -> dg.AssetCheckResult:
    failed = snapshot.counts["failures"]
    allowed = snapshot.config["max_failed_share"]
    metadata: dict[str, dg.MetadataValue | float | str] = {
        "failures": failed,
        "images": snapshot.rows,
        "allowed_share": allowed,
    }
    if failed:
        rows = read_parquet(pyspark.spark_session, hadoop_uri(snapshot.uri))
        named = rows.where("error is not null").orderBy("fileName").select("fileName", "error")
        metadata["first_failures"] = dg.MetadataValue.table(
            [dg.TableRecord(row.asDict()) for row in named.limit(_NAMED_IMAGES).collect()]
        )
    return dg.AssetCheckResult(
        passed=failed <= allowed * snapshot.rows, severity=dg.AssetCheckSeverity.WARN, metadata=metadata
    )


def _better_than_chance(pipeline: Pipeline) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name="better_than_chance",
        asset=pipeline.report,
        description="The mean accuracy of the classes is above the chance level, 1 / number of classes.",
        retry_policy=RETRY_POLICY,
    )
    def better_than_chance(data_folder: TableStoreResource) -> dg.AssetCheckResult:
        """Warn when a classifier has learnt nothing."""
        with failures():
            counts = data_folder.store.require_current((pipeline.report,)).counts
        reached, chance = counts["mean_per_class_accuracy"], 1 / counts["classes"]
        return dg.AssetCheckResult(
            passed=reached > chance,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"mean_per_class_accuracy": reached, "chance_level": chance},
        )

    return better_than_chance


checks = [
    *(_invariant_checks(asset, table) for asset, table in tables.TABLES.items()),
    *(make(pipeline) for pipeline in PIPELINES.values() for make in (_readable_images, _better_than_chance)),
]
