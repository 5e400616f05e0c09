"""Features of the images, one asset for each extractor."""

import inspect
from dataclasses import asdict, fields
from typing import Any, get_type_hints

import dagster as dg
from pydantic import Field, create_model

from vision_assets.defs.chain_asset import chain_asset
from vision_assets.defs.config import FULL_REFRESH, AssetConfig
from vision_assets.defs.failures import failures
from vision_assets.pipelines import IMAGE_ASSET, Pipeline
from vision_assets.steps.features import extract
from vision_assets.steps.stored_tables import ImageStore
from vision_assets.tables.per_image import PerImageTable
from vision_assets.vision.features.base import ExtractorOptions
from vision_assets.vision.options import BOUNDS


class _OfAll(AssetConfig):
    """What all extractors have besides their own options."""

    partitions: int | None = Field(
        default=None,
        ge=1,
        description="Number of Spark tasks and files, about; null chooses by size and cores.",
    )
    full_refresh: bool = Field(default=False, description=FULL_REFRESH)
    max_failed_share: float = Field(
        default=0.01, ge=0, le=1, description="Warn when a larger share of the images could not be read."
    )


def features_config(extractor: type[ExtractorOptions]) -> type[AssetConfig]:
    """Make the configuration of an asset of features: the extractor's options and those of all."""
    described: dict[str, Any] = {}
    types = get_type_hints(extractor)
    for option in fields(extractor):
        if "description" not in option.metadata:
            raise TypeError(f"{extractor.__name__}.{option.name} is a field without option(...)")
        bounds = {name: option.metadata[name] for name in BOUNDS if name in option.metadata}
        if types[option.name] in (float, float | None):
            bounds["allow_inf_nan"] = False
        described[option.name] = (
            types[option.name],
            Field(default=option.default, description=option.metadata["description"], **bounds),
        )
    for name, field in _OfAll.model_fields.items():
        described[name] = (field.annotation, field)
    summary = inspect.getdoc(extractor).partition("\n")[0]  # type: ignore[union-attr]
    return create_model(f"{extractor.__name__}Config", __base__=AssetConfig, __doc__=summary, **described)


def make_features(pipeline: Pipeline) -> dg.AssetsDefinition:
    """Make the asset of an extractor's features."""
    extractor = pipeline.extractor
    config_type = features_config(extractor)

    @chain_asset(
        pipeline,
        pipeline.features,
        kinds={"pyspark", "opencv", "parquet"},
        code_version="1",
        ins={"images": dg.AssetIn(IMAGE_ASSET)},
        description=f"{extractor.title} keypoints and descriptors, one row per image; one that cannot be "
        "read has an error instead.\n\n"
        "Only new and changed images are extracted, unless the settings have changed.",
    )
    def features(
        context: dg.AssetExecutionContext,
        config: config_type,  # type: ignore[valid-type]
        images: ImageStore,
    ) -> PerImageTable:
        options = extractor.from_config(config.model_dump())  # type: ignore[attr-defined]
        with failures():
            options.build()  # which is not there everywhere: nothing is begun in vain
            index = images.index()
        context.add_output_metadata({"extractor": options.descriptor_space(), **options.versions()})
        return PerImageTable(
            wanted=index.selectExpr("fileName", "digest", "part as source"),
            compute=lambda pending: extract(images.table(config.partitions, pending), options),  # type: ignore[attr-defined]
            # Other versions of the libraries may find other keypoints.
            settings={"extractor": extractor.name, **options.versions(), **asdict(options)},
            computed="extracted",
        )

    return features
