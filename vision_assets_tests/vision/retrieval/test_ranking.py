import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vision_assets.vision.retrieval.ranking import best


@given(hnp.arrays(np.int64, st.integers(0, 30), elements=st.integers(0, 6)), st.integers(1, 12))
def test_the_best_come_first_and_of_equal_ones_the_first(scores: NDArray[np.int64], count: int) -> None:
    expected = sorted((row for row in range(len(scores)) if scores[row]), key=lambda row: (-scores[row], row))
    assert best(scores, count).tolist() == expected[:count]
