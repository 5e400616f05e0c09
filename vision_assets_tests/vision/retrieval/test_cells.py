import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vision_assets.vision.retrieval.cells import (
    keypoints_from_cell,
    keypoints_to_cell,
    words_from_cell,
    words_to_cell,
)
from vision_assets.vision.retrieval.indexed_features import KEYPOINT_DTYPE
from vision_assets_tests.vision.retrieval.features import some_features


@given(hnp.arrays(np.int32, st.integers(0, 40), elements=st.integers(0, 2**24 - 1)))
def test_words_are_read_as_they_were_stored(words: NDArray[np.int32]) -> None:
    words = np.sort(words)
    cell = words_to_cell(words)
    assert len(cell) == 3 * len(words)
    assert words_from_cell(cell).tolist() == words.tolist()


@pytest.mark.parametrize("count", [0, 1, 50])
def test_keypoints_are_read_as_they_were_stored(rng: np.random.Generator, count: int) -> None:
    keypoints = some_features(rng, count).keypoints
    cell = keypoints_to_cell(keypoints)
    assert len(cell) == 6 * count
    assert keypoints_from_cell(cell).tolist() == keypoints.tolist()
    assert keypoints_from_cell(cell).dtype == KEYPOINT_DTYPE


def test_cells_of_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="a cell of 4 bytes does not contain words of 3 bytes each"):
        words_from_cell(bytes(4))
    with pytest.raises(ValueError, match="a cell of 7 bytes does not contain keypoints of 6 bytes each"):
        keypoints_from_cell(bytes(7))
