"""The assets of each extractor, from its features to the report, and their names."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from vision_assets.errors import UserError
from vision_assets.vision.features import EXTRACTORS
from vision_assets.vision.features.base import ExtractorOptions

IMAGE_ASSET = "image_seqfile"
DEFAULT_EXTRACTOR = "sift"
"""The extractor whose assets have no name in front."""
_BINARY_DESCRIPTORS = ("orb", "brisk", "freak", "brief", "akaze")


@dataclass(frozen=True)
class Pipeline:
    """The assets that belong to an extractor.

    Parameters
    ----------
    extractor : type of ExtractorOptions
    """

    extractor: type[ExtractorOptions]

    @property
    def name(self) -> str:
        """The extractor's."""
        return self.extractor.name

    @property
    def features(self) -> str:
        """Name of the asset of features."""
        return f"{self.name}_features"

    @property
    def dictionary(self) -> str:
        """Name of the asset of visual words."""
        return self._named("kmeans_dictionary")

    @property
    def encodings(self) -> str:
        """Name of the asset of encodings."""
        return self._named("bow_encodings")

    @property
    def classifier(self) -> str:
        """Name of the asset of the classifier."""
        return self._named("image_classifier")

    @property
    def report(self) -> str:
        """Name of the asset of the report."""
        return self._named("classification_report")

    @property
    def job(self) -> str:
        """Name of the job."""
        return "bovw_pipeline" if self.name == DEFAULT_EXTRACTOR else f"{self.name}_pipeline"

    @property
    def group(self) -> str:
        """Name of the group that Dagster's page shows the assets in."""
        return "bovw" if self.name == DEFAULT_EXTRACTOR else self.name

    @cached_property
    def assets(self) -> tuple[str, ...]:
        """Names of the assets, each one after those that it is made from."""
        return (self.features, self.dictionary, self.encodings, self.classifier, self.report)

    def _named(self, name: str) -> str:
        return name if self.name == DEFAULT_EXTRACTOR else f"{self.name}_{name}"


PIPELINES: Mapping[str, Pipeline] = {name: Pipeline(extractor) for name, extractor in EXTRACTORS.items()}
"""Name of the extractor to its chain."""


def pipeline_of(extractor: str) -> Pipeline:
    """Return the chain of an extractor.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if extractor not in PIPELINES:
        bits = (
            " Descriptors of bits have no words: see docs/extractors.md."
            if extractor in _BINARY_DESCRIPTORS
            else ""
        )
        raise UserError(f"There is no extractor {extractor!r}: choose one of {', '.join(PIPELINES)}.{bits}")
    return PIPELINES[extractor]


PIPELINE_OF_ASSET: Mapping[str, Pipeline] = {
    asset: pipeline for pipeline in PIPELINES.values() for asset in pipeline.assets
}
"""Name of an asset to its chain; of the images there is none."""
