"""What the assets of every extractor's chain have in common."""

from typing import Any

import dagster as dg

from vision_assets.defs.automation import follow_upstream
from vision_assets.defs.columns import definition_metadata
from vision_assets.defs.failures import RETRY_POLICY
from vision_assets.pipelines import Pipeline
from vision_assets.tables.table import TABLES


def chain_asset(pipeline: Pipeline, name: str, *, io_manager_key: str = "parquet", **others: Any) -> Any:
    """Decorate a function as an asset of a chain.

    Parameters
    ----------
    pipeline : Pipeline
    name : str
        One of `Chain.assets`.
    io_manager_key : str
        What stores it.
    **others
        As `dagster.asset` takes them.
    """
    return dg.asset(
        name=name,
        io_manager_key=io_manager_key,
        group_name=pipeline.group,
        retry_policy=RETRY_POLICY,
        automation_condition=follow_upstream(pipeline),
        metadata=definition_metadata(TABLES[(name,)].schema),
        **others,
    )
