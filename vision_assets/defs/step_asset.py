"""What the definitions of all assets have in common."""

from typing import Any

import dagster as dg
from pyspark.sql.types import StructType

from vision_assets.defs.automation import follow_upstream
from vision_assets.defs.failures import RETRY_POLICY
from vision_assets.pipelines import DEFAULT_EXTRACTOR, PIPELINE_OF_ASSET, PIPELINES
from vision_assets.steps.spec import StepSpec
from vision_assets.steps.stored_tables import StoredTable


def step_asset(spec: StepSpec, **others: Any) -> Any:
    """Decorate a function as the asset of a step.

    Parameters
    ----------
    spec : StepSpec
    **others
        As `dagster.asset` takes them.
    """
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
    context.log.info(f"reading {ancestor.snapshot.folder}")
    return ancestor
