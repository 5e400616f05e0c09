"""Classify new images with what the pipeline has stored, without Spark and without Dagster."""

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vision_assets import settings
from vision_assets.errors import UserError
from vision_assets.pipelines import DEFAULT_EXTRACTOR, STEPS, Step, pipeline_of
from vision_assets.snapshots.manifests import damaged_file
from vision_assets.snapshots.store import Snapshot, SnapshotStore, open_store
from vision_assets.steps.vocabulary import vocabulary_of
from vision_assets.vision.classification.linear import CLASSIFIER_FILE, Classifier, classifier_from_npz
from vision_assets.vision.encoding.image_encoder import ImageEncoder
from vision_assets.vision.io.decoding import ImageError
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
    if isinstance(images, str | os.PathLike | bytes | bytearray | np.ndarray):
        images = [images]
    return (model.predict(image, top) for image in images)


@dataclass(frozen=True)
class _Model:
    encoder: ImageEncoder
    classifier: Classifier

    def predict(self, image: Image, top: int) -> Prediction:
        try:
            features = self.encoder.extract(image)
        except ImageError as error:
            return Prediction(error=str(error))
        except OSError as error:
            return Prediction(error=f"the file cannot be read: {error.strerror}")
        except ValueError as error:  # a path with a null character
            return Prediction(error=f"the file cannot be read: {error}")
        probabilities = self.classifier.probabilities(self.encoder.encode_features(features)[None])[0]
        best = np.argsort(-probabilities, kind="stable")[:top]
        return Prediction(
            tuple(self.classifier.labels[index] for index in best),
            tuple(probabilities[best].tolist()),
            len(features.descriptors),
        )


def _load(store: SnapshotStore, classifier: Step) -> _Model:
    """Load the current classifier; the next one, if a clean-up removes what is being read."""
    while True:
        try:
            snapshot = store.require_current((classifier.asset,))
        except UserError as error:
            raise UserError(f"{error} It is skipped where images have fewer than two labels.") from error
        made_from = store.lineage(snapshot)
        try:
            model = _load_from(store, snapshot, made_from, classifier)
        except UserError:
            if store.current((classifier.asset,)) == snapshot:
                raise
        else:
            if all(store.has(read) for read in (snapshot, *made_from.values())):
                return model


def _load_from(
    store: SnapshotStore, snapshot: Snapshot, made_from: Mapping[str, Snapshot], classifier: Step
) -> _Model:
    encodings = STEPS[classifier.inputs["encodings"]]
    features, dictionary = encodings.inputs["features"], encodings.inputs["dictionary"]
    missing = {encodings.asset, dictionary, features} - made_from.keys()
    if missing:
        raise UserError(
            f"What the classifier {snapshot.uri} was made from is gone: {', '.join(sorted(missing))}. "
            f"Materialize {classifier.asset} again."
        )
    assert classifier.extractor and classifier.encoding  # noqa: PT018, S101 - a classifier has both
    extractor = classifier.extractor.from_config(made_from[features].config)
    extractor.build()  # a missing library is an error before the first image
    vocabulary = vocabulary_of(_read_table(store, made_from[dictionary]), extractor.dtype)
    encoding = classifier.encoding.from_config(made_from[encodings.asset].config)
    return _Model(ImageEncoder(extractor, vocabulary, encoding), _read_classifier(store, snapshot))


def _read_table(store: SnapshotStore, snapshot: Snapshot) -> pa.Table:
    files = store.files(snapshot)
    if not files:
        raise _damaged(snapshot, "*", "is missing")
    return pa.concat_tables([_read_part(store, snapshot, file) for file in files])


def _read_part(store: SnapshotStore, snapshot: Snapshot, file: str) -> pa.Table:
    try:
        return pq.read_table(io.BytesIO(store.read(snapshot, file)))
    except (OSError, pa.ArrowException) as error:
        raise _damaged(snapshot, file, f"cannot be read ({error})") from error


def _read_classifier(store: SnapshotStore, snapshot: Snapshot) -> Classifier:
    try:
        return classifier_from_npz(store.read(snapshot, CLASSIFIER_FILE))
    except (OSError, ValueError) as error:
        raise _damaged(snapshot, CLASSIFIER_FILE, f"cannot be read ({error})") from error


def _damaged(snapshot: Snapshot, file: str, fault: str) -> UserError:
    return damaged_file(f"{snapshot.uri}/{file}", fault)
