"""The jobs: one for each pipeline."""

from typing import TYPE_CHECKING

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.step_asset import asset_key
from vision_assets.pipelines import IMAGE_ASSET, SHARED_STEPS, Pipeline

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def make_job(pipeline: Pipeline, collection: Collection) -> "UnresolvedAssetJobDefinition":
    """Make the job of a pipeline: all its assets, the images and their labels."""
    assets = [*(step.asset for step in SHARED_STEPS), *pipeline.assets]
    return dg.define_asset_job(
        pipeline.job,
        selection=dg.AssetSelection.assets(*(asset_key(collection, asset) for asset in assets)),
        # Dagster has no descriptions of groups, so that the job's says what is in one.
        description=f"From the images of a `source` (see {IMAGE_ASSET}) to a classifier.\n\n"
        f"It makes the group `{pipeline.group}`: {pipeline.title} features of the images, a dictionary of "
        "visual words, the encoding of each image, a classifier and its report. Images and vectors that have "
        "not changed are reused.\n\n"
        "The files in run_configs/ of the repository are configurations for the Launchpad, too; "
        "`vision-assets config` adapts them to other extractors.",
        tags={"extractor": pipeline.name} | ({"collection": collection.name} if collection.name else {}),
    )
