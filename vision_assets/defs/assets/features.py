"""The assets of features, one for each extractor."""

import dagster as dg

from vision_assets.collection import Collection
from vision_assets.defs.config import config_of
from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.defs.resources import SparkResource
from vision_assets.defs.step_asset import asset_key, step_asset
from vision_assets.defs.table_store import TableStoreResource
from vision_assets.snapshots.store import Snapshot
from vision_assets.steps.features import ExtractionOptions, earlier_rows, extract, row_settings
from vision_assets.steps.spec import NewTable, StepSpec
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.tables.parquet import read_parquet
from vision_assets.tables.per_image import PerImageTable
from vision_assets.uris import hadoop_uri

_MOST_EMPTY = 0.05
_SMALLEST_SIDE = 32  # pixels; extractors find next to nothing in smaller images
_NAMED_IMAGES = 20


def make_definitions(spec: StepSpec, collection: Collection) -> dg.Definitions:
    """Make the asset of an extractor's features, and its check."""
    extractor = spec.step.extractor
    assert extractor  # noqa: S101 - a step of features has one
    config_type = config_of(spec, collection.settings)

    @step_asset(spec, collection)
    def features(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]
        images: StoredTable,
    ) -> NewTable:
        options = config.options(extractor)  # type: ignore[attr-defined]
        partitions = config.options(ExtractionOptions).partitions  # type: ignore[attr-defined]
        store = images.images
        with failures():
            options.build()  # fails early where the extractor is not installed
            index = store.index()
        table = PerImageTable(
            wanted=index.selectExpr("fileName", "digest", "part as source"),
            compute=lambda pending: extract(store.table(partitions, pending), options),
            settings=row_settings(options),
            earlier=earlier_rows(options, store.table),
        )
        metadata = {"extractor": options.descriptor_space(), **options.versions()}
        return NewTable(table, inputs=(images,), metadata=metadata)

    checks = [_readable_images(spec, collection), _images_have_keypoints(spec, collection)]
    return dg.Definitions(assets=[features], asset_checks=checks)


def _readable_images(spec: StepSpec, collection: Collection) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name="readable_images",
        asset=asset_key(collection, spec.asset),
        description="At most `max_failed_share` of the images failed to decode.",
        retry_policy=RETRY_POLICY,
    )
    def readable_images(
        context: dg.AssetCheckExecutionContext, pyspark: SparkResource, data_folder: TableStoreResource
    ) -> dg.AssetCheckResult:
        """Warn when too many images could not be read, and name the first of them."""
        with failures(), data_folder.store.reading((spec.asset,), context.run.run_id) as snapshot:
            return _failed_images(pyspark, snapshot)

    return readable_images


def _failed_images(pyspark: SparkResource, snapshot: Snapshot) -> dg.AssetCheckResult:
    failed = snapshot.counts["failures"]
    allowed = snapshot.config["max_failed_share"]
    metadata: dict[str, dg.MetadataValue | float | str] = {
        "failures": failed,
        "images": snapshot.rows,
        "allowed_share": allowed,
    }
    text = None
    if failed:
        rows = read_parquet(pyspark.spark_session, hadoop_uri(snapshot.uri))
        named = rows.where("error is not null").orderBy("fileName").select("fileName", "error")
        first = [row.asDict() for row in named.limit(_NAMED_IMAGES).collect()]
        metadata["first_failures"] = dg.MetadataValue.table([dg.TableRecord(row) for row in first])
        text = (
            f"{failed:,} of {snapshot.rows:,} images could not be read, such as "
            f"{first[0]['fileName']!r}: {first[0]['error']}."
        )
    return dg.AssetCheckResult(
        passed=failed <= allowed * snapshot.rows,
        severity=dg.AssetCheckSeverity.WARN,
        description=text,
        metadata=metadata,
    )


def _images_have_keypoints(spec: StepSpec, collection: Collection) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name="images_have_keypoints",
        asset=asset_key(collection, spec.asset),
        description=f"At most {_MOST_EMPTY:.0%} of the images that could be read have no keypoints.",
        retry_policy=RETRY_POLICY,
    )
    def images_have_keypoints(
        context: dg.AssetCheckExecutionContext, pyspark: SparkResource, data_folder: TableStoreResource
    ) -> dg.AssetCheckResult:
        """Warn when many images have no keypoints, and say what may be the reason."""
        with failures(), data_folder.store.reading((spec.asset,), context.run.run_id) as snapshot:
            return _empty_images(pyspark, snapshot)

    return images_have_keypoints


def _empty_images(pyspark: SparkResource, snapshot: Snapshot) -> dg.AssetCheckResult:
    empty = snapshot.counts["images_without_keypoints"]
    readable = snapshot.rows - snapshot.counts["failures"]
    metadata: dict[str, dg.MetadataValue | float] = {"images_without_keypoints": empty, "images": readable}
    text = None
    if empty:
        rows = read_parquet(pyspark.spark_session, hadoop_uri(snapshot.uri))
        named = rows.where("error is null and keypointCount = 0").orderBy("fileName")
        first = [
            {"fileName": row.fileName, "likely reason": _likely_reason(row.width, row.height)}
            for row in named.select("fileName", "width", "height").limit(_NAMED_IMAGES).collect()
        ]
        metadata["first_images"] = dg.MetadataValue.table([dg.TableRecord(row) for row in first])
        text = (
            f"{empty:,} of {readable:,} images have no keypoints, such as {first[0]['fileName']!r}: "
            f"{first[0]['likely reason']}."
        )
    return dg.AssetCheckResult(
        passed=empty <= _MOST_EMPTY * readable,
        severity=dg.AssetCheckSeverity.WARN,
        description=text,
        metadata=metadata,
    )


def _likely_reason(width: int, height: int) -> str:
    if min(width, height) < _SMALLEST_SIDE:
        return f"only {width} x {height} pixels"
    return "blank or of little contrast, or its values use a small part of their range (see value_range)"
