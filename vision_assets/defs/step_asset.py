"""What the definitions of all assets have in common."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any

import dagster as dg
from pyspark.sql.types import StructType

from vision_assets.defs.automation import follow_upstream
from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.pipelines import DEFAULT_EXTRACTOR, PIPELINE_OF_ASSET, PIPELINES
from vision_assets.redaction import redact_values
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.steps.up_to_date import RequireFit, fingerprint_of, kept_table


def step_asset(spec: StepSpec, require_fit: RequireFit | None = None, **others: Any) -> Any:
    """Decorate a function as the asset of a step.

    The function takes ``context``, ``config`` and the inputs of the step as `StoredTable`, and returns a
    `NewTable`, or None if there is nothing to make. It is not called if the current table is kept.

    Parameters
    ----------
    spec : StepSpec
    require_fit : callable, optional
        As `vision_assets.steps.up_to_date.kept_table` takes it.
    **others
        As `dagster.asset` takes them.
    """
    as_asset = _asset(spec, others)

    def decorate(make: Callable[..., NewTable | None]) -> Any:
        @wraps(make)
        def make_unless_kept(context: dg.AssetExecutionContext, **arguments: Any) -> Iterator[dg.Output[Any]]:
            config = redact_values(arguments["config"].model_dump())
            inputs = [arguments[name] for name in spec.step.inputs]
            with failures():
                fingerprint = fingerprint_of(spec, config, inputs)
                kept = kept_table(spec, config, inputs, fingerprint, require_fit)
            if kept:
                yield dg.Output(kept)
            elif new := make(context, **arguments):
                yield dg.Output(replace(new, fingerprint=fingerprint))

        return as_asset(make_unless_kept)

    return decorate


def _asset(spec: StepSpec, others: Mapping[str, Any]) -> Any:
    pipeline = PIPELINE_OF_ASSET.get(spec.asset)
    return dg.asset(
        name=spec.asset,
        description=spec.description,
        ins={name: dg.AssetIn(asset) for name, asset in spec.step.inputs.items()},
        deps=list(spec.step.ancestors.values()),
        io_manager_key=spec.storage,
        group_name=(pipeline or PIPELINES[DEFAULT_EXTRACTOR]).group,
        kinds=set(spec.badges),
        code_version=spec.code_version,
        retry_policy=RETRY_POLICY,
        automation_condition=follow_upstream(pipeline) if pipeline else None,
        metadata={"dagster/column_schema": _columns(spec.schema)},
        **others,
    )


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
    context.log.info(f"reading {ancestor.snapshot.uri}")
    return ancestor
