"""Pictures of encodings: the strongest words of some images, and how many words the images use."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.spark.arrow import list_values
from vision_assets.steps.pictures.patches import Patch, cut_patches
from vision_assets.steps.pictures.previews import SHEET_IMAGES, load_previews
from vision_assets.steps.pictures.sample import ImageSample, evenly_over_labels, evenly_spaced, some_rows
from vision_assets.steps.vocabulary import load_vocabulary
from vision_assets.vision.draw import Picture, WordPatches, count_histogram, strongest_words_sheet
from vision_assets.vision.features.base import ExtractorOptions
from vision_assets.vision.features.codecs import descriptor_matrix, keypoint_matrix
from vision_assets.vision.vocabulary.assignment import Vocabulary, assign, squared_distances

_WORDS = 6
_ENCODED_IMAGES = 5


def draw_encodings(
    sample: ImageSample,
    features: DataFrame,
    dictionary: DataFrame,
    encodings: DataFrame,
    images: float,
    extractor: type[ExtractorOptions],
) -> dict[str, Picture]:
    """Draw the strongest words of some images, and how many words the images use.

    Parameters
    ----------
    sample : ImageSample
    features, dictionary, encodings : DataFrame
        Stored tables.
    images : number
        Number of encodings.
    extractor : type of ExtractorOptions
        Extractor of the features.

    Returns
    -------
    dict
        Name to picture.
    """
    names = evenly_over_labels(sample.names, SHEET_IMAGES)
    chosen = F.col("fileName").isin(*names)
    described = features.where(chosen & (F.col("keypointCount") > 0))
    rows = sorted(described.select("fileName", "keypoints", "descriptors").collect())
    bow: dict[str, list[float]] = dict(encodings.where(chosen).select("fileName", "bow").collect())
    vocabulary = load_vocabulary(dictionary, extractor.dtype)
    strongest = {
        row.fileName: _strongest(row, np.array(bow[row.fileName]), vocabulary)
        for row in evenly_spaced([row for row in rows if row.fileName in bow], _ENCODED_IMAGES)
    }
    previews = load_previews(sample, list(strongest))
    patches = [patch for words in strongest.values() for word in words for patch in word.patches]
    cut = cut_patches(sample, patches, extractor.patch)
    used = some_rows(encodings, images).select("bow").mapInArrow(_count_words, "words int").toArrow()
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
            x_label=f"words of {len(vocabulary):,}",
            y_label="images",
        ),
    }


class _StrongWord(NamedTuple):
    """A word, its value in an encoding, and the patches of the image that are nearest to its centre."""

    word: int
    value: float
    patches: list[Patch]


def _strongest(row: Row, bow: NDArray[np.float64], vocabulary: Vocabulary) -> list[_StrongWord]:
    """Return the words of the highest values, the highest first."""
    keypoints = keypoint_matrix(bytes(row.keypoints))
    descriptors = descriptor_matrix(bytes(row.descriptors), vocabulary.length, vocabulary.dtype)
    words = assign(descriptors, vocabulary)
    distances = squared_distances(descriptors, vocabulary, words)
    strongest = [word for word in np.argsort(-bow, kind="stable")[:_WORDS].tolist() if bow[word] > 0]
    found = []
    for word in strongest:
        members = np.flatnonzero(words == word)
        nearest = members[np.argsort(distances[members], kind="stable")][:4]
        patches = [Patch(distances[index], row.fileName, keypoints[index].tobytes()) for index in nearest]
        found.append(_StrongWord(word, bow[word], patches))
    return found


def _word_patches(strong: _StrongWord, cut: Mapping[Patch, NDArray[np.uint8]]) -> WordPatches:
    patches = [cut[patch] for patch in strong.patches if patch in cut]
    return WordPatches(strong.word, f"{strong.value:.3g}", patches)


def _count_words(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Count the words that each image uses."""
    for batch in batches:
        words = np.count_nonzero(list_values(batch["bow"]), axis=1)
        yield pa.record_batch({"words": words.astype(np.int32)})
