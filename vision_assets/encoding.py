"""Vectors of new images, equal to those that the pipeline would store, without Spark and without Dagster."""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vision_assets import settings
from vision_assets.errors import UserError
from vision_assets.pipelines import DEFAULT_EXTRACTOR, Step, pipeline_of
from vision_assets.snapshots.manifests import damaged_file
from vision_assets.snapshots.store import Snapshot, SnapshotStore, open_store
from vision_assets.steps.vocabulary import vocabulary_of
from vision_assets.vision.encoding.image_encoder import ImageEncoder
from vision_assets.vision.features.extraction import ImageFeatures
from vision_assets.vision.io.decoding import ImageError
from vision_assets.vision.io.loading import Image

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class EncodedImage:
    """The encoding of an image.

    Parameters
    ----------
    vector : ndarray of shape (length,), dtype float32, optional
        None if the image could not be used. Without keypoints all values are 0.
    keypoints : int
        How many the image has.
    error : str, optional
        Why the image could not be used; None when fine.
    """

    vector: NDArray[np.float32] | None = None
    keypoints: int = 0
    error: str | None = None


def encode(
    images: Image | Iterable[Image],
    *,
    extractor: str = DEFAULT_EXTRACTOR,
    data_folder: str | os.PathLike[str] | None = None,
) -> Iterator[EncodedImage]:
    """Encode images as the current table of encodings was made.

    Parameters
    ----------
    images : path, bytes, ndarray or iterable of them
        As `vision_assets.prediction.predict` takes them.
    extractor : str
        Name of the extractor whose pipeline is asked: ``sift``, ``surf``, ...
    data_folder : str or path, optional
        As `load_encoder` takes it.

    Yields
    ------
    EncodedImage
        One per image, in their order. An image that cannot be read has an error.

    Raises
    ------
    UserError
        As `load_encoder` raises it.

    Examples
    --------
    >>> for encoded in encode(["beaver.jpg"]):  # doctest: +SKIP
    ...     print(encoded.vector)
    """
    encoder = load_encoder(extractor, data_folder=data_folder)
    return (_encode(encoder, image) for image in one_or_many(images))


def load_encoder(
    extractor: str = DEFAULT_EXTRACTOR, *, data_folder: str | os.PathLike[str] | None = None
) -> ImageEncoder:
    """Load what the current table of encodings was made with: settings of the features, words, encoding.

    From paths, bytes and grey arrays its vectors equal those of the table to the bit.

    Parameters
    ----------
    extractor : str
        Name of the extractor: ``sift``, ``surf``, ...
    data_folder : str or path, optional
        Path or Hadoop URI of the pipeline's tables. None takes the environment variable VISION_ASSETS_DATA,
        or ``data``. Only for a Hadoop URI a JVM is started.

    Returns
    -------
    ImageEncoder

    Raises
    ------
    UserError
        If there is no such extractor or there are no encodings yet, or what is stored is damaged.

    Examples
    --------
    >>> encoder = load_encoder(data_folder="data")  # doctest: +SKIP
    >>> encoder.encode("beaver.jpg").shape  # doctest: +SKIP
    (1000,)
    """
    encodings = pipeline_of(extractor).step("encodings")
    store = open_store(str(data_folder or settings.data_folder()))

    def load(snapshot: Snapshot, made_from: Mapping[str, Snapshot]) -> ImageEncoder:
        return encoder_of(store, encodings, {**made_from, encodings.asset: snapshot}, snapshot)

    return load_current(store, encodings.asset, load)


def load_current(
    store: SnapshotStore, asset: str, load: Callable[[Snapshot, Mapping[str, Snapshot]], Loaded]
) -> Loaded:
    """Load the current snapshot of an asset; the next one, if a clean-up removes what is being read.

    Parameters
    ----------
    store : SnapshotStore
    asset : str
    load : callable
        Takes the snapshot and its lineage: asset to the snapshot that it was made from.
    """
    while True:
        snapshot = store.require_current((asset,))
        made_from = store.lineage(snapshot)
        try:
            loaded = load(snapshot, made_from)
        except UserError:
            if store.current((asset,)) == snapshot:
                raise
        else:
            if all(store.has(read) for read in (snapshot, *made_from.values())):
                return loaded


def encoder_of(
    store: SnapshotStore, encodings: Step, made_from: Mapping[str, Snapshot], made: Snapshot
) -> ImageEncoder:
    """Load the encoder that a table of encodings was made with.

    Parameters
    ----------
    store : SnapshotStore
    encodings : Step
    made_from : mapping
        Asset to snapshot: the table of encodings and those that it was made from.
    made : Snapshot
        What is to be made again if one of them is gone.
    """
    features, dictionary = encodings.inputs["features"], encodings.inputs["dictionary"]
    if missing := {encodings.asset, dictionary, features} - made_from.keys():
        raise UserError(
            f"What {made.asset} ({made.uri}) was made from is gone: {', '.join(sorted(missing))}. "
            f"Materialize {made.asset} again."
        )
    assert encodings.extractor and encodings.encoding  # noqa: PT018, S101 - a table of encodings has both
    extractor = encodings.extractor.from_config(made_from[features].config)
    extractor.build()  # a missing library is an error before the first image
    vocabulary = vocabulary_of(_read_table(store, made_from[dictionary]), extractor.dtype)
    encoding = encodings.encoding.from_config(made_from[encodings.asset].config)
    return ImageEncoder(extractor, vocabulary, encoding)


def features_or_error(encoder: ImageEncoder, image: Image) -> ImageFeatures | str:
    """Extract the features of an image, or return why it could not be used."""
    try:
        return encoder.extract(image)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    except ValueError as error:  # a path with a null character
        return f"the file cannot be read: {error}"


def one_or_many(images: Image | Iterable[Image]) -> Iterable[Image]:
    """Return images as an iterable, also one image alone."""
    return [images] if isinstance(images, str | os.PathLike | bytes | bytearray | np.ndarray) else images


def damaged(snapshot: Snapshot, file: str, fault: str) -> UserError:
    """Return the error for a damaged file of a snapshot."""
    return damaged_file(f"{snapshot.uri}/{file}", fault)


def _encode(encoder: ImageEncoder, image: Image) -> EncodedImage:
    features = features_or_error(encoder, image)
    if isinstance(features, str):
        return EncodedImage(error=features)
    return EncodedImage(encoder.encode_features(features), len(features.descriptors))


def _read_table(store: SnapshotStore, snapshot: Snapshot) -> pa.Table:
    files = store.files(snapshot)
    if not files:
        raise damaged(snapshot, "*", "is missing")
    return pa.concat_tables([_read_part(store, snapshot, file) for file in files])


def _read_part(store: SnapshotStore, snapshot: Snapshot, file: str) -> pa.Table:
    try:
        return pq.read_table(io.BytesIO(store.read(snapshot, file)))
    except (OSError, pa.ArrowException) as error:
        raise damaged(snapshot, file, f"cannot be read ({error})") from error
