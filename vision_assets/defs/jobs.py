"""The jobs: one for each extractor."""

from typing import TYPE_CHECKING

import dagster as dg

from vision_assets.pipelines import CHAINS, IMAGES, Chain

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition


def make_job(chain: Chain) -> "UnresolvedAssetJobDefinition":
    """Make the job of an extractor: all of its assets, and the images."""
    return dg.define_asset_job(
        chain.job,
        selection=dg.AssetSelection.assets(IMAGES, *chain.assets),
        description=f"From the images of a `source` (see {IMAGES}) to encodings of {chain.extractor.title} "
        "features, a classifier and its report. The files in run_configs/ of the repository are "
        "configurations for the Launchpad, too; `vision-assets config` makes them those of other extractors.",
    )


jobs = {name: make_job(chain) for name, chain in CHAINS.items()}
"""Name of the extractor to its job."""
