"""Arrays of keypoints: one row of x, y, size, angle and response per keypoint."""

import math

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.features.base import Features


def strongest(features: Features, count: int) -> Features:
    """Keep the features of the highest response.

    Parameters
    ----------
    features : Features
        Keypoints of shape (N, 5) and descriptors of shape (N, d).
    count : int
        How many to keep; 0 keeps all.

    Returns
    -------
    Features
        In their order.

    Examples
    --------
    >>> import numpy as np
    >>> keypoints = np.zeros((3, 5), np.float32)
    >>> keypoints[:, 4] = 0.5, 0.1, 0.9
    >>> strongest((keypoints, np.array([[1], [2], [3]])), 2)[1].tolist()
    [[1], [3]]
    """
    keypoints, descriptors = features
    if not count or len(keypoints) <= count:
        return features
    chosen = np.sort(np.argsort(-keypoints[:, 4], kind="stable")[:count])
    return keypoints[chosen], descriptors[chosen]


def scale_keypoints(keypoints: NDArray[np.float32], scale_x: float, scale_y: float) -> None:
    """Convert keypoints of an image to those of the same image at another size, in place.

    Parameters
    ----------
    keypoints : ndarray of shape (N, 5), dtype float32
        x, y and size in pixels, angle, response.
    scale_x, scale_y : float
        New width and height divided by the old ones.

    Examples
    --------
    >>> import numpy as np
    >>> keypoints = np.array([[0, 1, 6, 90, 0.5]], np.float32)
    >>> scale_keypoints(keypoints, 2, 2)
    >>> keypoints.tolist()
    [[0.5, 2.5, 12.0, 90.0, 0.5]]
    """
    # The centre of a pixel has integer coordinates, so the image begins at -0.5.
    keypoints[:, 0] = (keypoints[:, 0] + 0.5) * scale_x - 0.5
    keypoints[:, 1] = (keypoints[:, 1] + 0.5) * scale_y - 0.5
    keypoints[:, 2] *= math.sqrt(scale_x * scale_y)
