"""Training descriptors in memory."""

from dataclasses import dataclass

from vision_assets.vision.vocabulary.assignment import Vocabulary
from vision_assets.vision.vocabulary.fixed_point import Descriptors
from vision_assets.vision.vocabulary.kmeans import WordStatistics, assign_statistics, farthest_descriptors


@dataclass(frozen=True)
class DescriptorMatrix:
    """A `DescriptorSet` in memory.

    Parameters
    ----------
    descriptors : ndarray of shape (N, d), dtype uint8 or float32
    seed : int
        Breaks ties among equally far descriptors.
    """

    descriptors: Descriptors
    seed: int = 0

    def statistics(self, centers: Vocabulary) -> WordStatistics:
        """Assign every descriptor to its nearest centre and return the words' statistics."""
        return assign_statistics(self.descriptors, centers)

    def farthest(self, centers: Vocabulary, count: int) -> Descriptors:
        """Return the distinct descriptors farthest from their nearest centre."""
        return farthest_descriptors(self.descriptors, centers, count, self.seed)[0]
