"""Which steps make up which pipeline, and what their assets are called.

A pipeline is a composition of steps: features, a vocabulary, encodings and what is made of them. Two
encodings of the same features, or two vocabularies of them, are two steps with the same input.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vision_assets import settings
from vision_assets.errors import UnknownNameError, UserError
from vision_assets.vision.encoding.bag_of_words import BagOfWords
from vision_assets.vision.encoding.base import Encoding
from vision_assets.vision.features import EXTRACTORS
from vision_assets.vision.features.base import ExtractorOptions

IMAGE_ASSET = "image_seqfile"
LABEL_ASSET = "image_labels"
DEFAULT_EXTRACTOR = "sift"
"""The extractor whose assets have no prefix."""
ALL_EXTRACTORS = "all"
"""Stands for all extractors where the environment names some."""
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
        The one whose features the asset consists of or is made from; None for the images and their labels.
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
LABELS = Step(LABEL_ASSET, "labels", {"images": IMAGE_ASSET})
SHARED_STEPS = (IMAGES, LABELS)
"""The steps that all pipelines share."""


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
    """Return the step that trains a classifier of the labels on encodings."""
    return Step(
        asset,
        "classifier",
        {"encodings": encodings.asset, "labels": LABEL_ASSET},
        ancestors={"features": encodings.inputs["features"]},
        extractor=encodings.extractor,
        encoding=encodings.encoding,
    )


def predictions(asset: str, classifier: Step) -> Step:
    """Return the step that classifies the images that a classifier is tested on."""
    return Step(
        asset,
        "predictions",
        {"classifier": classifier.asset},
        ancestors={**classifier.inputs, **classifier.ancestors},
        extractor=classifier.extractor,
        encoding=classifier.encoding,
    )


def report(asset: str, predictions: Step) -> Step:
    """Return the step that reports on a classifier by its predictions."""
    return Step(
        asset,
        "report",
        {"predictions": predictions.asset},
        ancestors={"images": IMAGE_ASSET, **predictions.inputs, **predictions.ancestors},
        extractor=predictions.extractor,
        encoding=predictions.encoding,
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
        Each step comes after those that it reads. Those of `SHARED_STEPS` are not among them.
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
    tested = predictions(f"{prefix}image_predictions", model)
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
            tested,
            report(f"{prefix}classification_report", tested),
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


def steps_of(pipelines: Iterable[Pipeline]) -> list[Step]:
    """Return the steps of some pipelines, those that all share first."""
    return [*SHARED_STEPS, *(step for pipeline in pipelines for step in pipeline.steps)]


STEPS: Mapping[str, Step] = _by_asset(steps_of(PIPELINES.values()))
"""Name of an asset to its step."""

PIPELINE_OF_ASSET: Mapping[str, Pipeline] = {
    asset: pipeline for pipeline in PIPELINES.values() for asset in pipeline.assets
}
"""Name of an asset to its pipeline; assets of `SHARED_STEPS` belong to all."""


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


def select_pipelines(extractors: Iterable[str]) -> list[Pipeline]:
    """Return the pipelines of some extractors, in the order of `PIPELINES`.

    Parameters
    ----------
    extractors : iterable of str
        Names of extractors; `ALL_EXTRACTORS` stands for all.

    Raises
    ------
    UserError
        If there is no extractor of a name.

    Examples
    --------
    >>> [pipeline.job for pipeline in select_pipelines(["kaze", "sift"])]
    ['bovw_pipeline', 'kaze_pipeline']
    """
    chosen = set(extractors)
    if ALL_EXTRACTORS in chosen:
        return list(PIPELINES.values())
    for name in sorted(chosen):
        pipeline_of(name)
    return [pipeline for name, pipeline in PIPELINES.items() if name in chosen]


def configured_pipelines() -> list[Pipeline]:
    """Return the pipelines of the extractors that the environment names.

    Raises
    ------
    UserError
        If it names an extractor that does not exist.
    """
    try:
        return select_pipelines(settings.extractors())
    except UserError as error:
        raise UserError(f"{settings.EXTRACTORS}: {error}") from None
