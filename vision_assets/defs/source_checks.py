"""The check that all files of a source were taken."""

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.defs.step_asset import asset_key
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.steps.image_table import UNUSED_PAGES
from vision_assets.steps.skipped_files import unexpected, unused_pages, warn_of_skipped
from vision_assets.steps.spec import StepSpec

SKIPPED_FIRST = "skipped_first"
"""Name of the metadata with the first skipped files."""

PAGES_FIRST = "files_with_pages_first"
"""Name of the metadata with the first files that have several pages."""


def everything_was_read_check(spec: StepSpec, collection: Collection) -> dg.AssetChecksDefinition:
    """Make the check that no file of the source was skipped which may be an image, and no page of one."""
    key = asset_key(collection, spec.asset)

    @dg.asset_check(
        name="everything_was_read",
        asset=key,
        description="No file of the source was skipped that may be an image (see `patterns` for names), and "
        "no page or frame of one (see `pages`).",
        retry_policy=RETRY_POLICY,
    )
    def everything_was_read(
        context: dg.AssetCheckExecutionContext, data_folder: TableStoreResource
    ) -> dg.AssetCheckResult:
        """Warn when files or pages were skipped, and name the first files."""
        with failures():
            counts = data_folder.store.require_current((spec.asset,)).counts
        reasons, pages = unexpected(counts), unused_pages(counts)
        event = context.instance.get_latest_materialization_event(key)
        made = event.asset_materialization if event else None
        first = {
            name: made.metadata[name]
            for name, is_shown in ((SKIPPED_FIRST, reasons), (PAGES_FIRST, pages))
            if is_shown and made and name in made.metadata
        }
        return dg.AssetCheckResult(
            passed=not (reasons or pages),
            severity=dg.AssetCheckSeverity.WARN,
            description=warn_of_skipped(counts) or None,
            metadata={**reasons, **({UNUSED_PAGES: pages} if pages else {}), **first},
        )

    return everything_was_read
