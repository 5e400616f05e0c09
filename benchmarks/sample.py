"""The descriptors that `kmeans_dictionary` trains on and its initial centres, as files for its peers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import stored
from vision_assets.steps.descriptor_sample import share_of_images
from vision_assets.vision.vocabulary.kmeans import initial_centers
from vision_assets.vision.vocabulary.sampling import (
    descriptor_hashes,
    digest_ranges,
    lowest_distinct,
    sample_indices,
)


@dataclass(frozen=True)
class Sample:
    """Files of descriptors and initial centres, both uint8."""

    descriptors: Path
    initial: Path


def export(features: str, total: int, k: int, folder: Path) -> Sample:
    """Write the sample that the project's defaults take from `total` descriptors.

    By the same functions as the project, but without Spark: docs/methods.md says why it is the same sample.
    """
    rate = min(1.0, k * 256 / total)
    digests = stored.digests(features)
    described = [(name, matrix) for name, matrix in stored.images(features) if len(matrix)]
    image_rate = share_of_images(rate, len(described))
    ranges = digest_ranges(0, image_rate)
    parts = [
        matrix[sample_indices(0, name, len(matrix), rate / image_rate)]
        for name, matrix in described
        if any(first <= digests[name] and (not last or digests[name] < last) for first, last in ranges)
    ]
    descriptors = np.concatenate(parts)
    candidates, _ = lowest_distinct(descriptors, descriptor_hashes(descriptors, 0), 0, k)
    sample = Sample(folder / "sample.npy", folder / "initial.npy")
    np.save(sample.descriptors, descriptors)
    np.save(sample.initial, initial_centers(candidates, k, "random", 0))
    return sample
