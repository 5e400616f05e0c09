"""The jobs."""

import dagster as dg

bovw_pipeline = dg.define_asset_job(
    "bovw_pipeline",
    selection=dg.AssetSelection.all(),
    description="From the images of a `source` (see image_seqfile) to encodings, a classifier and its "
    "report. The files in run_configs/ of the repository are configurations for the Launchpad, too.",
)
