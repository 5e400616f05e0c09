"""The jobs: one for each extractor."""

from typing import TYPE_CHECKING

import dagster as dg

from vision_assets.pipelines import IMAGE_ASSET, PIPELINES, SHARED_STEPS, Pipeline

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def make_job(pipeline: Pipeline) -> "UnresolvedAssetJobDefinition":
    """Make the job of a pipeline: all its assets, the images and their labels."""
    shared = [step.asset for step in SHARED_STEPS]
    return dg.define_asset_job(
        pipeline.job,
        selection=dg.AssetSelection.assets(*shared, *pipeline.assets),
        description=f"From the images of a `source` (see {IMAGE_ASSET}) to encodings of "
        f"{pipeline.title} features, a classifier and its report. The files in run_configs/ of the "
        "repository are configurations for the Launchpad, too; `vision-assets config` adapts them to other "
        "extractors.",
    )


jobs = {name: make_job(pipeline) for name, pipeline in PIPELINES.items()}
"""Name of the extractor to its job."""
