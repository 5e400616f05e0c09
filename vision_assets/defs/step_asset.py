"""What the definitions of all assets have in common."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import wraps
from types import FunctionType
from typing import Any

import dagster as dg
from pyspark.sql.types import StructType

from vision_assets.collection import Collection
from vision_assets.defs.automation import follow_upstream
from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.defs.links import links
from vision_assets.pipelines import DEFAULT_EXTRACTOR, LABEL_ASSET, PIPELINE_OF_ASSET, PIPELINES, Step
from vision_assets.redaction import redact, redact_values
from vision_assets.steps.spec import StepSpec
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.steps.up_to_date import RequireFit, fingerprint_of, kept_table

OWNER = "team:vision_assets"
"""Owns all assets in Dagster's UI. Dagster knows people and teams; owners of jobs are a beta feature."""


def step_asset(
    spec: StepSpec,
    collection: Collection,
    require_fit: RequireFit | None = None,
    *,
    is_required: bool = True,
    reads_more: Callable[[Mapping[str, Any]], bool] = lambda _: False,
) -> Any:
    """Decorate a function as the asset of a step.

    The function takes ``context``, ``config`` and the inputs of the step as `StoredTable`, and returns a
    `NewTable`, or None if there is nothing to make. It is not called if the current table is kept.

    Parameters
    ----------
    spec : StepSpec
    collection : Collection
    require_fit : callable, optional
        As `vision_assets.steps.up_to_date.kept_table` takes it.
    is_required : bool
        Whether each run of the function makes the table.
    reads_more : callable
        Takes the configuration; returns whether the function reads what is no table. It is called then,
        because only it can tell whether that has changed.
    """

    def decorate(make: FunctionType) -> Any:
        @wraps(make)
        def make_unless_kept(context: dg.AssetExecutionContext, **arguments: Any) -> Iterator[dg.Output[Any]]:
            config = redact_values(arguments["config"].model_dump())
            inputs = [arguments[name] for name in spec.step.inputs]
            with failures():
                fingerprint = "" if reads_more(config) else fingerprint_of(spec, config, inputs)
                kept = fingerprint and kept_table(spec, config, inputs, fingerprint, require_fit)
            if kept:
                yield dg.Output(kept)
                return
            # All of it: py4j's callbacks swallow an exception that Dagster's handler of an interrupt raises.
            with failures():
                new = make(context, **arguments)
            if new:
                yield dg.Output(replace(new, fingerprint=fingerprint))

        return _as_asset(spec, collection, links(spec.step, make), is_required)(make_unless_kept)

    return decorate


def _as_asset(spec: StepSpec, collection: Collection, shown: Mapping[str, Any], is_required: bool) -> Any:
    pipeline, default = PIPELINE_OF_ASSET.get(spec.asset), PIPELINES[DEFAULT_EXTRACTOR]
    # `dagster.asset` would name the op after the collection, too, and run configurations name ops.
    return dg.multi_asset(
        name=spec.asset,
        outs={
            "result": dg.AssetOut(
                key=asset_key(collection, spec.asset),
                description=spec.description,
                io_manager_key=spec.storage,
                group_name=(pipeline or default).group,
                kinds=set(spec.badges),
                owners=[OWNER],
                tags={"step": spec.step.kind} | ({"extractor": pipeline.name} if pipeline else {}),
                code_version=spec.code_version,
                automation_condition=follow_upstream(pipeline or default) if spec.step.inputs else None,
                metadata={
                    "dagster/column_schema": _columns(spec.schema),
                    "dagster/uri": redact(f"{collection.data}/{spec.asset}"),
                    **shown,
                },
                is_required=is_required,
            )
        },
        ins={name: dg.AssetIn(asset_key(collection, asset)) for name, asset in spec.step.inputs.items()},
        deps=[asset_key(collection, asset) for asset in spec.step.ancestors.values()],
        retry_policy=RETRY_POLICY,
    )


def asset_key(collection: Collection, asset: str) -> dg.AssetKey:
    """Return the key of an asset of a collection."""
    return dg.AssetKey(collection.key(asset))


def _columns(schema: StructType) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column.name,
                type=column.dataType.simpleString(),
                description=column.metadata["comment"],
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in schema
        ]
    )


def read_ancestors(
    context: dg.AssetExecutionContext, table: StoredTable, step: Step
) -> dict[str, StoredTable]:
    """Return the tables that a table was made from, by the names that a step has for its ancestors.

    Labels are missing if a classifier of an earlier release is among them: it learnt names of folders.

    Raises
    ------
    UserError
        If a snapshot is gone or incomplete.
    """
    return {
        name: read_ancestor(context, table, asset)
        for name, asset in step.ancestors.items()
        if asset != LABEL_ASSET or asset in table.snapshot.inputs
    }


def read_ancestor(context: dg.AssetExecutionContext, table: StoredTable, asset: str) -> StoredTable:
    """Return the table of another asset that a table was made from.

    Nothing removes it meanwhile: the lease on a table also keeps what the table was made from.

    Raises
    ------
    UserError
        If its snapshot is gone or incomplete.
    """
    ancestor = table.upstream(asset)
    ancestor.require_complete()
    context.log.info(f"reading {ancestor.snapshot.folder}")
    return ancestor
