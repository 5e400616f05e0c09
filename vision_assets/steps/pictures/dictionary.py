"""Pictures of visual words: the patches whose descriptors are nearest to the words' centres."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812

from vision_assets.steps.pictures.patches import Patch, cut_patches
from vision_assets.steps.pictures.sample import ImageSample, evenly_spaced
from vision_assets.steps.vocabulary import vocabulary_of
from vision_assets.vision.draw import Picture, WordPatches, word_sheet
from vision_assets.vision.features.base import ExtractorOptions
from vision_assets.vision.features.codecs import descriptor_matrix, keypoint_matrix
from vision_assets.vision.vocabulary.assignment import Vocabulary, assign, squared_distances

_WORD_IMAGES = 64
_WORDS = 6
_PATCHES = 10


def draw_dictionary(
    sample: ImageSample, features: DataFrame, dictionary: DataFrame, extractor: type[ExtractorOptions]
) -> dict[str, Picture]:
    """Draw the largest and the most specific words by the patches nearest to their centres.

    Parameters
    ----------
    sample : ImageSample
    features, dictionary : DataFrame
        Stored tables.
    extractor : type of ExtractorOptions
        Extractor of the features.

    Returns
    -------
    dict
        Name to picture.
    """
    words = dictionary.toArrow().sort_by("wordId")
    sizes, inertia = words["descriptorCount"].to_numpy(), words["inertia"].to_numpy()
    spreads = np.sqrt(inertia / sizes)
    largest = np.argsort(-sizes, kind="stable")[:_WORDS]
    # Words of very few descriptors are specific by nature, and the largest ones are shown already.
    common = np.setdiff1d(np.flatnonzero(sizes >= np.median(sizes) / 2), largest)
    specific = common[np.argsort(spreads[common], kind="stable")][:_WORDS]
    chosen = np.unique(np.concatenate([largest, specific]))
    patches = _patches_of_words(
        sample, features, vocabulary_of(words, extractor.dtype), chosen, extractor.patch
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
    sample: ImageSample, features: DataFrame, vocabulary: Vocabulary, chosen: NDArray[np.int64], patch: float
) -> list[list[NDArray[np.uint8]]]:
    """Find the patches of each chosen word that are nearest to its centre, of an image one at most."""
    names = evenly_spaced(sample.names, _WORD_IMAGES)
    described = features.where(F.col("fileName").isin(*names)).where("keypointCount > 0")
    shared = features.sparkSession.sparkContext.broadcast(vocabulary)
    nearest = described.select("fileName", "keypointCount", "keypoints", "descriptors").mapInArrow(
        partial(_nearest_of_images, shared, chosen),
        "word int, distance double, fileName string, keypoint binary",
    )
    found: dict[int, list[Patch]] = {word: [] for word in chosen.tolist()}
    for row in nearest.collect():
        found[row.word].append(Patch(row.distance, row.fileName, bytes(row.keypoint)))
    best = [sorted(patches)[:_PATCHES] for patches in found.values()]
    cut = cut_patches(sample, [place for places in best for place in places], patch)
    return [[cut[place] for place in places if place in cut] for places in best]


def _nearest_of_images(
    shared: "Broadcast[Vocabulary]", chosen: NDArray[np.int64], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Find, of each image and chosen word, the word's descriptor nearest to its centre."""
    vocabulary = shared.value
    for batch in batches:
        for row in batch.to_pylist():
            descriptors = descriptor_matrix(row["descriptors"], vocabulary.length, vocabulary.dtype)
            words = assign(descriptors, vocabulary)
            members = np.flatnonzero(np.isin(words, chosen))
            distances = np.sqrt(squared_distances(descriptors[members], vocabulary, words[members]))
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
