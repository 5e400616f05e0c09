"""Which steps make up which pipeline, and what their assets are called.

A pipeline is a composition of steps: features, a vocabulary, encodings and what is made of them. Two
encodings of the same features, or two vocabularies of them, are two steps with the same input.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vision_assets.errors import UnknownNameError
from vision_assets.vision.encoding.bag_of_words import BagOfWords
from vision_assets.vision.encoding.base import Encoding
from vision_assets.vision.features import EXTRACTORS
from vision_assets.vision.features.base import ExtractorOptions

IMAGE_ASSET = "image_seqfile"
DEFAULT_EXTRACTOR = "sift"
"""The extractor whose assets have no prefix."""
_BINARY_DESCRIPTORS = ("orb", "brisk", "freak", "brief", "akaze")


@dataclass(frozen=True)
class Step:
    """One asset of a pipeline.

    Parameters
    ----------
    asset : str
        Name of the asset.
    kind : str
        Which step it is: the name of the two modules that define it, `vision_assets.steps.<kind>` and
        `vision_assets.defs.assets.<kind>`.
    inputs : mapping
        What the step calls an input, to the asset that it reads: its current table.
    ancestors : mapping
        The same for tables that are read as they were when an input was made from them.
    extractor : type of ExtractorOptions, optional
        The one whose features the asset consists of or is made from; None for the images.
    encoding : type of Encoding, optional
        The one that the asset consists of or is made from.
    """

    asset: str
    kind: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    ancestors: Mapping[str, str] = field(default_factory=dict)
    extractor: type[ExtractorOptions] | None = None
    encoding: type[Encoding] | None = None


IMAGES = Step(IMAGE_ASSET, "images")


def features(extractor: type[ExtractorOptions]) -> Step:
    """Return the step that extracts an extractor's features from the images."""
    return Step(f"{extractor.name}_features", "features", {"images": IMAGE_ASSET}, extractor=extractor)


def dictionary(asset: str, features: Step) -> Step:
    """Return the step that trains a k-means dictionary on features."""
    return Step(asset, "dictionary", {"features": features.asset}, extractor=features.extractor)


def encodings(asset: str, encoding: type[Encoding], features: Step, vocabulary: Step) -> Step:
    """Return the step that encodes features with the words of a vocabulary."""
    inputs = {"features": features.asset, "dictionary": vocabulary.asset}
    return Step(asset, "encodings", inputs, extractor=features.extractor, encoding=encoding)


def classifier(asset: str, encodings: Step) -> Step:
    """Return the step that trains a classifier on encodings."""
    return Step(
        asset,
        "classifier",
        {"encodings": encodings.asset},
        ancestors={"features": encodings.inputs["features"]},
        extractor=encodings.extractor,
        encoding=encodings.encoding,
    )


def report(asset: str, classifier: Step) -> Step:
    """Return the step that tests a classifier."""
    ancestors = {"images": IMAGE_ASSET, **classifier.inputs, **classifier.ancestors}
    return Step(
        asset,
        "report",
        {"classifier": classifier.asset},
        ancestors=ancestors,
        extractor=classifier.extractor,
        encoding=classifier.encoding,
    )


@dataclass(frozen=True)
class Pipeline:
    """Steps that belong together: one job and one group in Dagster.

    Parameters
    ----------
    name : str
        Name of the extractor.
    title : str
        The name in sentences.
    job : str
        Name of the job.
    group : str
        Name of the group of assets in Dagster's UI.
    steps : tuple of Step
        Each step comes after those that it reads. The images are not among them: all pipelines share them.
    """

    name: str
    title: str
    job: str
    group: str
    steps: tuple[Step, ...]

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the assets, each one after those that it is made from."""
        return tuple(step.asset for step in self.steps)

    def step(self, kind: str) -> Step:
        """Return the first step of a kind."""
        return next(step for step in self.steps if step.kind == kind)

    def asset(self, kind: str) -> str:
        """Return the name of the asset of the first step of a kind."""
        return self.step(kind).asset


def bag_of_words_pipeline(extractor: type[ExtractorOptions]) -> Pipeline:
    """Return the pipeline from an extractor's features to the report on a classifier."""
    is_default = extractor.name == DEFAULT_EXTRACTOR
    prefix = "" if is_default else f"{extractor.name}_"
    local_features = features(extractor)
    words = dictionary(f"{prefix}kmeans_dictionary", local_features)
    bow = encodings(f"{prefix}bow_encodings", BagOfWords, local_features, words)
    model = classifier(f"{prefix}image_classifier", bow)
    return Pipeline(
        name=extractor.name,
        title=extractor.title,
        job="bovw_pipeline" if is_default else f"{extractor.name}_pipeline",
        group="bovw" if is_default else extractor.name,
        steps=(
            local_features,
            words,
            bow,
            model,
            report(f"{prefix}classification_report", model),
        ),
    )


PIPELINES: Mapping[str, Pipeline] = {
    name: bag_of_words_pipeline(extractor) for name, extractor in EXTRACTORS.items()
}
"""Name of the extractor to its pipeline."""


def _by_asset(steps: Iterable[Step]) -> dict[str, Step]:
    by_asset: dict[str, Step] = {}
    for step in steps:
        if step.asset in by_asset:
            raise ValueError(f"two steps are called {step.asset!r}: each asset needs a name of its own")
        by_asset[step.asset] = step
    return by_asset


STEPS: Mapping[str, Step] = _by_asset(
    [IMAGES, *(s for pipeline in PIPELINES.values() for s in pipeline.steps)]
)
"""Name of an asset to its step."""

PIPELINE_OF_ASSET: Mapping[str, Pipeline] = {
    asset: pipeline for pipeline in PIPELINES.values() for asset in pipeline.assets
}
"""Name of an asset to its pipeline; the images belong to all."""


def pipeline_of(extractor: str) -> Pipeline:
    """Return the pipeline of an extractor.

    Parameters
    ----------
    extractor : str
        Name of the extractor.

    Raises
    ------
    UnknownNameError
        If there is no extractor of that name.
    """
    if extractor not in PIPELINES:
        hint = (
            "Binary descriptors cannot be clustered by k-means: see docs/extractors.md."
            if extractor in _BINARY_DESCRIPTORS
            else ""
        )
        raise UnknownNameError("extractor", extractor, PIPELINES, hint)
    return PIPELINES[extractor]
