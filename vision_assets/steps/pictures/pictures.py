"""Pictures of stored tables: a bounded number of rows in, small pictures out."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import Broadcast
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.spark.arrow import list_values
from vision_assets.steps.dictionary import load_centers
from vision_assets.steps.features import label_of
from vision_assets.steps.pictures.sample import ImageSample, evenly_over_labels, evenly_spaced, some_rows
from vision_assets.steps.report import surest_predictions
from vision_assets.vision.draw import (
    Example,
    Image,
    Picture,
    WordPatches,
    contact_sheet,
    count_histogram,
    cut_patch,
    keypoint_sheet,
    strongest_words_sheet,
    surest_sheet,
    word_sheet,
)
from vision_assets.vision.features.base import ExtractorOptions
from vision_assets.vision.features.codecs import descriptor_matrix, keypoint_matrix
from vision_assets.vision.features.keypoints import scale_keypoints
from vision_assets.vision.io.decoding import decode_gray, decode_preview
from vision_assets.vision.vocabulary.assignment import Vocabulary, assign, squared_distances

Extractor = type[ExtractorOptions]

_SHEET = 30
_SIDE = 320  # of a preview in pixels
_LARGEST = 10**8  # pixels of an image that is shown: all that was extracted from, by default
_KEYPOINT_IMAGES = 6
_WORD_IMAGES = 64
_WORDS = 6
_PATCHES = 10
_ENCODED_IMAGES = 5
_EXAMPLE_CLASSES = 8


def pictures_of_images(gallery: ImageSample) -> dict[str, Picture]:
    """Draw a contact sheet over the classes.

    Parameters
    ----------
    gallery : ImageSample

    Returns
    -------
    dict
        Name to picture.
    """
    names = evenly_over_labels(gallery.names, _SHEET)
    previews = load_previews(gallery, names)
    shown = [(label_of(name) or name, previews[name]) for name in names if name in previews]
    return {"contact_sheet": contact_sheet(shown)}


def pictures_of_features(gallery: ImageSample, features: DataFrame) -> dict[str, Picture]:
    """Draw the keypoints of some images, and how many the images have.

    Parameters
    ----------
    gallery : ImageSample
    features : DataFrame
        Of the schema of `vision_assets.tables.table.features_table`.

    Returns
    -------
    dict
        Name to picture.
    """
    names = evenly_over_labels(gallery.names, _SHEET)
    columns = ("fileName", "width", "keypointCount", "keypoints")
    found = features.where(F.col("fileName").isin(*names) & (F.col("keypointCount") > 0)).select(*columns)
    rows = evenly_spaced(found.orderBy("fileName").collect(), _KEYPOINT_IMAGES)
    previews = load_previews(gallery, [row.fileName for row in rows])
    counts = some_rows(features).where("error is null").select("keypointCount").toArrow()
    return {
        "keypoints": keypoint_sheet(
            [
                (row.fileName, previews[row.fileName], _shrunk(row, previews[row.fileName].shape[1]))
                for row in rows
                if row.fileName in previews
            ]
        ),
        "keypoints_per_image": count_histogram(
            counts["keypointCount"].to_numpy(),
            title=f"Keypoints per image, {counts.num_rows:,} images",
            x_label="keypoints",
            y_label="images",
        ),
    }


def _shrunk(row: Row, width: int) -> NDArray[np.float32]:
    """Return keypoints in pixels of a preview of this width."""
    keypoints = keypoint_matrix(bytes(row.keypoints)).copy()
    scale = width / row.width
    scale_keypoints(keypoints, scale, scale)
    return keypoints


class _Patch(NamedTuple):
    """Where a descriptor looks, and how far it is from the centre of its word."""

    distance: float
    file_name: str
    keypoint: bytes


def pictures_of_dictionary(
    gallery: ImageSample, features: DataFrame, dictionary: DataFrame, extractor: Extractor
) -> dict[str, Picture]:
    """Draw the largest and the most specific words by what lies nearest to their centres.

    Parameters
    ----------
    gallery : ImageSample
    features, dictionary : DataFrame
        Of the schemas in `vision_assets.tables.table`.
    extractor : type of ExtractorOptions
        Of the features.

    Returns
    -------
    dict
        Name to picture.
    """
    words = dictionary.select("wordId", "descriptorCount", "inertia").orderBy("wordId").toArrow()
    sizes, inertia = words["descriptorCount"].to_numpy(), words["inertia"].to_numpy()
    spreads = np.sqrt(inertia / sizes)
    largest = np.argsort(-sizes, kind="stable")[:_WORDS]
    # Words of very few descriptors are specific by nature, and the largest ones are shown already.
    common = np.setdiff1d(np.flatnonzero(sizes >= np.median(sizes) / 2), largest)
    specific = common[np.argsort(spreads[common], kind="stable")][:_WORDS]
    chosen = np.unique(np.concatenate([largest, specific]))
    patches = _patches_of_words(
        gallery, features, load_centers(dictionary, extractor.dtype), chosen, extractor.patch
    )
    by_word = dict(zip(chosen.tolist(), patches, strict=True))

    def rows(words: NDArray[np.int64], note: str, values: NDArray) -> list[WordPatches]:
        return [WordPatches(word, note.format(values[word]), by_word[word]) for word in words.tolist()]

    groups = [
        ("The largest words", rows(largest, "{:,} descriptors", sizes)),
        ("The most specific of the others", rows(specific, "RMS distance {:.3g}", spreads)),
    ]
    return {"visual_words": word_sheet([(title, words) for title, words in groups if words])}


def _patches_of_words(
    gallery: ImageSample, features: DataFrame, centers: Vocabulary, chosen: NDArray[np.int64], patch: float
) -> list[list[NDArray[np.uint8]]]:
    """Find the patches of each chosen word that are nearest to its centre, of an image one at most."""
    names = evenly_spaced(gallery.names, _WORD_IMAGES)
    described = features.where(F.col("fileName").isin(*names)).where("keypointCount > 0")
    shared = features.sparkSession.sparkContext.broadcast(centers)
    nearest = described.select("fileName", "keypointCount", "keypoints", "descriptors").mapInArrow(
        partial(_nearest_of_images, shared, chosen),
        "word int, distance double, fileName string, keypoint binary",
    )
    found: dict[int, list[_Patch]] = {word: [] for word in chosen.tolist()}
    for row in nearest.collect():
        found[row.word].append(_Patch(row.distance, row.fileName, bytes(row.keypoint)))
    best = [sorted(patches)[:_PATCHES] for patches in found.values()]
    cut = _cut_patches(gallery, [place for places in best for place in places], patch)
    return [[cut[place] for place in places if place in cut] for places in best]


def _nearest_of_images(
    shared: "Broadcast[Vocabulary]", chosen: NDArray[np.int64], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Find, of each image and chosen word, the word's descriptor nearest to its centre."""
    centers = shared.value
    for batch in batches:
        for row in batch.to_pylist():
            descriptors = descriptor_matrix(row["descriptors"], centers.centers.shape[1], centers.dtype)
            words = assign(descriptors, centers)
            members = np.flatnonzero(np.isin(words, chosen))
            distances = np.sqrt(squared_distances(descriptors[members], centers, words[members]))
            order = np.lexsort((distances, words[members]))
            present, first = np.unique(words[members][order], return_index=True)
            nearest = order[first]
            keypoints = keypoint_matrix(row["keypoints"])[members[nearest]]
            yield pa.record_batch(
                {
                    "word": present.astype(np.int32),
                    "distance": distances[nearest],
                    "fileName": pa.array([row["fileName"]] * len(present), pa.string()),
                    "keypoint": pa.array([keypoint.tobytes() for keypoint in keypoints], pa.binary()),
                }
            )


def _cut_patches(
    gallery: ImageSample, wanted: Sequence[_Patch], width: float
) -> dict[_Patch, NDArray[np.uint8]]:
    by_image: dict[str, list[_Patch]] = {}
    for patch in wanted:
        by_image.setdefault(patch.file_name, []).append(patch)
    cut = gallery.compute(by_image, partial(_patches_of_image, by_image, width))
    return {
        patch: pixels
        for name, found in cut.items()
        for patch, pixels in zip(by_image[name], found, strict=True)
    }


def _patches_of_image(
    wanted: Mapping[str, Sequence[_Patch]], width: float, name: str, data: bytes
) -> list[NDArray[np.uint8]]:
    gray = decode_gray(data, max_pixels=_LARGEST)
    return [cut_patch(gray, keypoint_matrix(patch.keypoint)[0], width) for patch in wanted[name]]


def pictures_of_encodings(
    gallery: ImageSample,
    features: DataFrame,
    dictionary: DataFrame,
    encodings: DataFrame,
    extractor: Extractor,
) -> dict[str, Picture]:
    """Draw the strongest words of some images, and how many words the images use.

    Parameters
    ----------
    gallery : ImageSample
    features, dictionary, encodings : DataFrame
        Of the schemas in `vision_assets.tables.table`.
    extractor : type of ExtractorOptions
        Of the features.

    Returns
    -------
    dict
        Name to picture.
    """
    names = evenly_over_labels(gallery.names, _SHEET)
    described = features.where(F.col("fileName").isin(*names)).where("keypointCount > 0")
    columns = ("fileName", "keypoints", "descriptors", "bow")
    found = described.join(encodings.select("fileName", "bow"), "fileName").select(*columns)
    rows = evenly_spaced(found.orderBy("fileName").collect(), _ENCODED_IMAGES)
    centers = load_centers(dictionary, extractor.dtype)
    strongest = {row.fileName: _strongest(row, centers) for row in rows}
    previews = load_previews(gallery, list(strongest))
    patches = [patch for words in strongest.values() for word in words for patch in word.patches]
    cut = _cut_patches(gallery, patches, extractor.patch)
    used = some_rows(encodings).select("bow").mapInArrow(_count_words, "words int").toArrow()
    return {
        "strongest_words": strongest_words_sheet(
            [
                (name, previews[name], [_word_patches(word, cut) for word in words])
                for name, words in strongest.items()
                if name in previews
            ]
        ),
        "words_per_image": count_histogram(
            used["words"].to_numpy(),
            title=f"Words used per image, {used.num_rows:,} images",
            x_label=f"words of {len(centers):,}",
            y_label="images",
        ),
    }


class _StrongWord(NamedTuple):
    """A word, its value in an encoding, and the patches of the image that are nearest to its centre."""

    word: int
    value: float
    patches: list[_Patch]


def _strongest(row: Row, centers: Vocabulary) -> list[_StrongWord]:
    """Return the words of the highest values, the highest first."""
    bow = np.array(row.bow)
    keypoints = keypoint_matrix(bytes(row.keypoints))
    descriptors = descriptor_matrix(bytes(row.descriptors), centers.centers.shape[1], centers.dtype)
    words = assign(descriptors, centers)
    distances = squared_distances(descriptors, centers, words)
    strongest = [word for word in np.argsort(-bow, kind="stable")[:_WORDS].tolist() if bow[word] > 0]
    found = []
    for word in strongest:
        members = np.flatnonzero(words == word)
        nearest = members[np.argsort(distances[members], kind="stable")][:4]
        patches = [_Patch(distances[index], row.fileName, keypoints[index].tobytes()) for index in nearest]
        found.append(_StrongWord(word, bow[word], patches))
    return found


def _word_patches(strong: _StrongWord, cut: Mapping[_Patch, NDArray[np.uint8]]) -> WordPatches:
    patches = [cut[patch] for patch in strong.patches if patch in cut]
    return WordPatches(strong.word, f"{strong.value:.3g}", patches)


def _count_words(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Count the words that each image uses."""
    for batch in batches:
        words = np.count_nonzero(list_values(batch["bow"]), axis=1)
        yield pa.record_batch({"words": words.astype(np.int32)})


def picture_of_examples(gallery: ImageSample, predictions: DataFrame, labels: Sequence[str]) -> Picture:
    """Draw the surest right and the surest wrong images of some classes.

    Parameters
    ----------
    gallery : ImageSample
    predictions : DataFrame
        From `vision_assets.steps.classifier.predict`.
    labels : sequence of str
        The classes in order.

    Returns
    -------
    Picture
    """
    by_class: dict[int, dict[bool, Row]] = {}
    for row in surest_predictions(predictions, gallery.names):
        by_class.setdefault(row.target, {})[row.right] = row
    # Classes that have both say more.
    both = [target for target, rows in by_class.items() if len(rows) == 2]
    others = [target for target, rows in by_class.items() if len(rows) < 2]
    shown = evenly_spaced(sorted(both), _EXAMPLE_CLASSES)
    shown += evenly_spaced(sorted(others), _EXAMPLE_CLASSES - len(shown))
    previews = load_previews(gallery, [row.fileName for target in shown for row in by_class[target].values()])

    def example(target: int, *, right: bool) -> Example | None:
        row = by_class[target].get(right)
        if row is None or row.fileName not in previews:
            return None
        said = "" if right else f"said {labels[row.predicted]}, "
        return Example(previews[row.fileName], f"{said}{row.probability:.2f}")

    return surest_sheet(
        [
            (labels[target], example(target, right=True), example(target, right=False))
            for target in sorted(shown)
        ]
    )


def load_previews(gallery: ImageSample, names: Sequence[str]) -> dict[str, Image]:
    """Return small versions of some images of a gallery; those that cannot be decoded are left out."""
    return gallery.compute(names, _preview_of_image)


def _preview_of_image(_: str, data: bytes) -> Image:
    return decode_preview(data, side=_SIDE, max_pixels=_LARGEST)
