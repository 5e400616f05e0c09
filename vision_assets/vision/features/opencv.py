"""Features by OpenCV, and OpenCV's settings in a worker."""

from collections.abc import Sequence
from operator import attrgetter

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.errors import UserError
from vision_assets.vision.features.base import DetectAndCompute, Features

_DTYPES = {cv2.CV_8U: np.uint8, cv2.CV_32F: np.float32}
_SIZE_ANGLE_RESPONSE = (attrgetter("size"), attrgetter("angle"), attrgetter("response"))


def use_one_thread() -> None:
    """Make OpenCV run on the calling thread only and without OpenCL, in this process.

    For Spark's workers: as many of them as there are cores run side by side.
    """
    cv2.setNumThreads(1)
    cv2.ocl.setUseOpenCL(False)


def by_opencv(feature: cv2.Feature2D) -> DetectAndCompute:
    """Return the function `detect_and_compute` of one of OpenCV's extractors.

    Parameters
    ----------
    feature : cv2.Feature2D

    Returns
    -------
    callable
        See `vision_assets.vision.features.base.ExtractorOptions.build`.

    Raises
    ------
    UserError
        If its descriptors are not compared by Euclidean distance.
    """
    if feature.defaultNorm() not in (cv2.NORM_L2, cv2.NORM_L2SQR):
        raise UserError(
            f"{feature.getDefaultName()} produces binary (Hamming) descriptors; k-means words need Euclidean "
            "ones: see docs/extractors.md."
        )
    no_descriptors = np.empty((0, feature.descriptorSize()), _DTYPES[feature.descriptorType()])

    def detect_and_compute(gray: NDArray[np.uint8]) -> Features:
        keypoints, descriptors = feature.detectAndCompute(gray, None)
        # OpenCV returns None instead of no descriptors, which its stubs do not say.
        return keypoint_array(keypoints), no_descriptors if descriptors is None else descriptors

    return detect_and_compute


def keypoint_array(keypoints: Sequence[cv2.KeyPoint]) -> NDArray[np.float32]:
    """Convert OpenCV's keypoints to an array.

    Parameters
    ----------
    keypoints : sequence of cv2.KeyPoint

    Returns
    -------
    ndarray of shape (N, 5), dtype float32
        x, y, size, angle, response.

    Examples
    --------
    >>> import cv2
    >>> keypoint_array([cv2.KeyPoint(3, 4, 5, 90)]).tolist()
    [[3.0, 4.0, 5.0, 90.0, 0.0]]
    """
    array = np.empty((len(keypoints), 5), np.float32)
    if keypoints:
        array[:, :2] = cv2.KeyPoint.convert(keypoints)
        for column, value in enumerate(_SIZE_ANGLE_RESPONSE, start=2):
            array[:, column] = np.fromiter(map(value, keypoints), np.float32, len(keypoints))
    return array
