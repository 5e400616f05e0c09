"""Binary cells of the visual index: the features of an image in about 16 bytes each, once compressed."""

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.retrieval.indexed_features import KEYPOINT_DTYPE

_WORD_BYTES = 3


def words_to_cell(words: NDArray[np.int32]) -> bytes:
    """Store words as the gaps between them.

    Parameters
    ----------
    words : ndarray of shape (N,), dtype int32
        Ascending, from 0 to 2²⁴ - 1.

    Returns
    -------
    bytes
        The low bytes of all gaps, then the middle ones, then the high ones, most of which are 0: 3 N bytes.

    Examples
    --------
    >>> words_to_cell(np.array([3, 260, 260], np.int32)).hex(" ")
    '03 01 00 00 01 00 00 00 00'
    """
    gaps = np.diff(words, prepend=0).astype("<u4")
    return gaps.view(np.uint8).reshape(-1, 4)[:, :_WORD_BYTES].T.tobytes()


def words_from_cell(cell: bytes) -> NDArray[np.int32]:
    """Read what `words_to_cell` has stored.

    Parameters
    ----------
    cell : bytes

    Returns
    -------
    ndarray of shape (N,), dtype int32

    Raises
    ------
    ValueError
        If the size of the cell is no multiple of 3.
    """
    planes = np.frombuffer(cell, np.uint8)
    if len(planes) % _WORD_BYTES:
        raise ValueError(f"a cell of {len(cell)} bytes does not contain words of {_WORD_BYTES} bytes each")
    gaps = np.zeros((len(planes) // _WORD_BYTES, 4), np.uint8)
    gaps[:, :_WORD_BYTES] = planes.reshape(_WORD_BYTES, -1).T
    return np.cumsum(gaps.view("<u4")[:, 0], dtype=np.int32)


def keypoints_to_cell(keypoints: NDArray[np.void]) -> bytes:
    """Store quantised keypoints: all x, then all y, all scales, all angles.

    Parameters
    ----------
    keypoints : ndarray of shape (N,), dtype KEYPOINT_DTYPE

    Returns
    -------
    bytes
        6 N bytes.
    """
    return b"".join(keypoints[name].tobytes() for name in KEYPOINT_DTYPE.names or ())


def keypoints_from_cell(cell: bytes) -> NDArray[np.void]:
    """Read what `keypoints_to_cell` has stored.

    Parameters
    ----------
    cell : bytes

    Returns
    -------
    ndarray of shape (N,), dtype KEYPOINT_DTYPE

    Raises
    ------
    ValueError
        If the size of the cell is no multiple of 6.
    """
    count, rest = divmod(len(cell), KEYPOINT_DTYPE.itemsize)
    if rest:
        raise ValueError(f"a cell of {len(cell)} bytes does not contain keypoints of 6 bytes each")
    keypoints, start = np.empty(count, KEYPOINT_DTYPE), 0
    for name in KEYPOINT_DTYPE.names or ():
        keypoints[name] = np.frombuffer(cell, KEYPOINT_DTYPE[name], count, start)
        start += count * KEYPOINT_DTYPE[name].itemsize
    return keypoints
