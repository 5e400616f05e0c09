"""The jobs."""

import dagster as dg

bovw_pipeline = dg.define_asset_job(
    "bovw_pipeline",
    selection=dg.AssetSelection.all(),
    description="From a folder or archive of images to bag-of-visual-words encodings.",
)
