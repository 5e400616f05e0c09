"""The jobs: one for each extractor."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.step_asset import asset_key
from vision_assets.pipelines import IMAGE_ASSET, PIPELINES, Pipeline

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def make_job(pipeline: Pipeline, collection: Collection) -> "UnresolvedAssetJobDefinition":
    """Make the job of a pipeline: all its assets, and the images."""
    return dg.define_asset_job(
        pipeline.job,
        selection=dg.AssetSelection.assets(
            *(asset_key(collection, asset) for asset in (IMAGE_ASSET, *pipeline.assets))
        ),
        tags={"collection": collection.name} if collection.name else None,
        description=f"From the images of a `source` (see {IMAGE_ASSET}) to encodings of "
        f"{pipeline.title} features, a classifier and its report. The files in run_configs/ of the "
        "repository are configurations for the Launchpad, too; `vision-assets config` adapts them to other "
        "extractors.",
    )


def make_jobs(collection: Collection) -> "Mapping[str, UnresolvedAssetJobDefinition]":
    """Make the job of each extractor, by its name."""
    return {name: make_job(pipeline, collection) for name, pipeline in PIPELINES.items()}
