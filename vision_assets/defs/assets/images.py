"""The asset of the images."""

from dataclasses import replace

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.config import config_of
from vision_assets.defs.failures import failures
from vision_assets.defs.resources import SparkResource
from vision_assets.defs.source_checks import everything_was_read_check
from vision_assets.defs.step_asset import step_asset
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.errors import UserError
from vision_assets.redaction import redact
from vision_assets.steps.images import ImageOptions
from vision_assets.steps.sources import open_source
from vision_assets.steps.sources.replacement import require_same_source
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.vision.io.formats import DEFAULT_PATTERNS


def make_definitions(spec: StepSpec, collection: Collection) -> dg.Definitions:
    """Make the asset of the images."""
    config_type = config_of(spec, collection.settings)

    @step_asset(spec, collection)
    def images(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]
        pyspark: SparkResource,
        data_folder: TableStoreResource,
    ) -> NewTable:
        options = config.options(ImageOptions)  # type: ignore[attr-defined]
        with failures():
            source = options.source or collection.source
            if not source:
                raise UserError(
                    f"No source of images is named. Set `source` in the configuration of {spec.asset} or in "
                    "the project file, or the environment variable VISION_ASSETS_SOURCE. `vision-assets "
                    "sample` makes sample images."
                )
            if not options.replace_source:
                require_same_source(data_folder.store.current((spec.asset,)), source)
            found = open_source(
                pyspark.spark_session,
                source,
                options.patterns or DEFAULT_PATTERNS,
                by_content=options.take_by_content,
                reader=options.reader,
            )
            found = replace(found, every_page=options.pages == "all")
        shown = redact(source)
        count = "unknown number of" if found.count is None else f"{found.count:,}"
        context.log.info(f"{shown}: {count} images")
        return NewTable(found, metadata={"source": shown})

    return dg.Definitions(assets=[images], asset_checks=[everything_was_read_check(spec, collection)])
