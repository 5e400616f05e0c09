import numpy as np
import pytest

from vision_assets.vision.features.codecs import descriptor_matrix, keypoint_matrix


def test_a_cell_of_descriptors_is_a_matrix() -> None:
    expected = np.random.default_rng(0).integers(0, 256, (7, 128), dtype=np.uint8)

    matrix = descriptor_matrix(expected.tobytes())

    assert matrix.dtype == np.uint8
    np.testing.assert_array_equal(matrix, expected)


def test_descriptors_may_have_another_length() -> None:
    assert descriptor_matrix(bytes(192), length=64).shape == (3, 64)


def test_a_cell_of_keypoints_is_a_matrix() -> None:
    expected = np.random.default_rng(0).random((7, 5)).astype(np.float32)

    matrix = keypoint_matrix(expected.tobytes())

    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, expected)


def test_an_empty_cell_has_no_rows() -> None:
    assert descriptor_matrix(b"").shape == (0, 128)
    assert keypoint_matrix(b"").shape == (0, 5)


def test_nothing_is_copied() -> None:
    cell = bytes(640)

    for matrix in (descriptor_matrix(cell), keypoint_matrix(cell)):
        assert np.shares_memory(matrix, np.frombuffer(cell, np.uint8))
        assert not matrix.flags.writeable


@pytest.mark.parametrize("size", [1, 127, 129])
def test_a_size_that_does_not_divide_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"a cell of {size} bytes does not hold descriptors of 128 bytes"):
        descriptor_matrix(bytes(size))
    with pytest.raises(ValueError, match=f"a cell of {size} bytes does not hold keypoints of 20 bytes"):
        keypoint_matrix(bytes(size))


def test_a_length_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="does not hold"):
        descriptor_matrix(b"", length=0)
