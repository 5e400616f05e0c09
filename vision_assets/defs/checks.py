"""The blocking checks of all assets: what must hold for every table.

The invariants are verified before a snapshot becomes current. In the run that made or kept a snapshot a
check reports what was found then; run on its own, it reads the stored table again.
"""

from collections.abc import Iterable

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.defs.resources import SparkResource
from vision_assets.defs.step_asset import asset_key
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.snapshots.store import Snapshot
from vision_assets.steps.spec import StepSpec
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.tables.verification import summarize


def invariant_checks(spec: StepSpec, collection: Collection) -> dg.AssetChecksDefinition:
    """Make the checks of what must hold for the table of an asset."""
    asset, table = spec.asset, spec.table
    key = asset_key(collection, asset)

    @dg.multi_asset_check(
        name=f"{asset}_invariants",
        specs=[
            dg.AssetCheckSpec(name, asset=key, blocking=True, description=text)
            for name, text in table.checks.items()
        ],
        can_subset=True,
        retry_policy=RETRY_POLICY,
    )
    def invariants(
        context: dg.AssetCheckExecutionContext, pyspark: SparkResource, data_folder: TableStoreResource
    ) -> Iterable[dg.AssetCheckResult]:
        run_id = context.run.run_id
        with failures(), data_folder.store.reading((asset,), run_id) as snapshot:
            results = snapshot.check_results
            if not table.checks.keys() <= results.keys() or not _is_of_run(context, key, snapshot):
                results = _verify(pyspark, data_folder, snapshot)
        for name in table.checks:
            if dg.AssetCheckKey(key, name) in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    passed=results[name],
                    check_name=name,
                    asset_key=key,
                    metadata={"snapshot": snapshot.name},
                )

    return invariants


def _is_of_run(context: dg.AssetCheckExecutionContext, asset: dg.AssetKey, snapshot: Snapshot) -> bool:
    """Tell whether this run has made the snapshot, or has kept it instead of making another one."""
    run_id = context.run.run_id
    if snapshot.run_id == run_id:
        return True
    event = context.instance.get_latest_materialization_event(asset)
    return event is not None and event.run_id == run_id


def _verify(pyspark: SparkResource, data_folder: TableStoreResource, snapshot: Snapshot) -> dict[str, bool]:
    stored = StoredTable(pyspark.spark_session, data_folder.store, snapshot)
    table = stored.spec.table
    upstream = stored.store.input_of(snapshot, (table.same_keys_as,)) if table.same_keys_as else None
    results = summarize(table, stored.rows, upstream, snapshot.config).check_results
    # The upstream snapshot may be gone by now; what was found when it existed still holds. Snapshots of
    # earlier releases do not record all checks.
    return dict.fromkeys(table.checks, True) | snapshot.check_results | results
