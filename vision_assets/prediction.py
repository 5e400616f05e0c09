"""Classify new images with what the pipeline has stored, without Spark and without Dagster."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vision_assets import settings
from vision_assets.encoding import damaged, encoder_of, features_or_error, load_current, one_or_many
from vision_assets.errors import UserError
from vision_assets.pipelines import DEFAULT_EXTRACTOR, STEPS, Step, pipeline_of
from vision_assets.snapshots.store import Snapshot, SnapshotStore, open_store
from vision_assets.vision.classification.linear import CLASSIFIER_FILE, Classifier, classifier_from_npz
from vision_assets.vision.encoding.image_encoder import ImageEncoder
from vision_assets.vision.io.loading import Image


@dataclass(frozen=True)
class Prediction:
    """What an image shows.

    Parameters
    ----------
    labels : tuple of str
        The most probable classes, the first one first; none if the image could not be used.
    scores : tuple of float
        Their probabilities; those of all classes add up to 1.
    keypoints : int
        How many the image has. Without any the scores are those of no evidence.
    error : str, optional
        Why the image could not be used; None when fine.
    """

    labels: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    keypoints: int = 0
    error: str | None = None


def predict(
    images: Image | Iterable[Image],
    *,
    top: int = 1,
    extractor: str = DEFAULT_EXTRACTOR,
    data_folder: str | os.PathLike[str] | None = None,
) -> Iterator[Prediction]:
    """Classify images with the current classifier.

    Each image goes the way of the pipeline, with the settings that the classifier was made with: features,
    the classifier's own dictionary, the model of the first split. From paths, bytes and grey arrays the
    result equals the pipeline's to the bit; the grey values of a colour array are those of OpenCV's
    ``cvtColor``, which decoders of image files round in other ways.

    Parameters
    ----------
    images : path, bytes, ndarray or iterable of them
        Paths of image files, the content of image files, or decoded images: ndarray of shape (height, width)
        or (height, width, 1, 3 or 4), dtype uint8, colours in OpenCV's order blue, green, red, alpha.
    top : int
        How many classes to name, the most probable ones.
    extractor : str
        Name of the extractor whose classifier is asked: ``sift``, ``surf``, ...
    data_folder : str or path, optional
        Path or Hadoop URI of the pipeline's tables. None takes the environment variable VISION_ASSETS_DATA,
        or ``data``. Only for a Hadoop URI a JVM is started.

    Yields
    ------
    Prediction
        One per image, in their order. An image that cannot be read has an error.

    Raises
    ------
    UserError
        If there is no such extractor or no classifier yet, or what is stored is damaged.

    Examples
    --------
    >>> for prediction in predict(["beaver.jpg"], top=3):  # doctest: +SKIP
    ...     print(prediction.labels, prediction.scores)
    """
    if top < 1:
        raise UserError(f"top={top}: ask for 1 class or more")
    model = _load(
        open_store(str(data_folder or settings.data_folder())), pipeline_of(extractor).step("classifier")
    )
    return (model.predict(image, top) for image in one_or_many(images))


@dataclass(frozen=True)
class _Model:
    encoder: ImageEncoder
    classifier: Classifier

    def predict(self, image: Image, top: int) -> Prediction:
        features = features_or_error(self.encoder, image)
        if isinstance(features, str):
            return Prediction(error=features)
        probabilities = self.classifier.probabilities(self.encoder.encode_features(features)[None])[0]
        best = np.argsort(-probabilities, kind="stable")[:top]
        return Prediction(
            tuple(self.classifier.labels[index] for index in best),
            tuple(probabilities[best].tolist()),
            len(features.descriptors),
        )


def _load(store: SnapshotStore, classifier: Step) -> _Model:
    try:
        store.require_current((classifier.asset,))
    except UserError as error:
        raise UserError(f"{error} It is skipped where images have fewer than two labels.") from error

    def load(snapshot: Snapshot, made_from: Mapping[str, Snapshot]) -> _Model:
        encoder = encoder_of(store, STEPS[classifier.inputs["encodings"]], made_from, snapshot)
        return _Model(encoder, _read_classifier(store, snapshot))

    return load_current(store, classifier.asset, load)


def _read_classifier(store: SnapshotStore, snapshot: Snapshot) -> Classifier:
    try:
        return classifier_from_npz(store.read(snapshot, CLASSIFIER_FILE))
    except (OSError, ValueError) as error:
        raise damaged(snapshot, CLASSIFIER_FILE, f"cannot be read ({error})") from error
