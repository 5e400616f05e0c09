"""Patches: the support regions of descriptors, cut from their images."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vision_assets.steps.pictures.previews import LARGEST_SHOWN
from vision_assets.steps.pictures.sample import ImageSample
from vision_assets.vision.draw import cut_patch
from vision_assets.vision.features.codecs import keypoint_matrix
from vision_assets.vision.io.decoding import decode_gray


class Patch(NamedTuple):
    """The support region of a descriptor, and its distance from the centre of its word."""

    distance: float
    file_name: str
    keypoint: bytes


def cut_patches(sample: ImageSample, wanted: Sequence[Patch], width: float) -> dict[Patch, NDArray[np.uint8]]:
    """Cut patches from their images.

    Parameters
    ----------
    sample : ImageSample
        The images.
    wanted : sequence of Patch
    width : float
        Side of a patch, in sizes of its keypoint.

    Returns
    -------
    dict
        Patch to its pixels, without those whose image cannot be decoded or is not in the sample.
    """
    by_image: dict[str, list[Patch]] = {}
    for patch in wanted:
        by_image.setdefault(patch.file_name, []).append(patch)
    cut = sample.compute(by_image, partial(_patches_of_image, by_image, width))
    return {
        patch: pixels
        for name, found in cut.items()
        for patch, pixels in zip(by_image[name], found, strict=True)
    }


def _patches_of_image(
    wanted: Mapping[str, Sequence[Patch]], width: float, name: str, data: bytes
) -> list[NDArray[np.uint8]]:
    gray = decode_gray(data, max_pixels=LARGEST_SHOWN)
    return [cut_patch(gray, keypoint_matrix(patch.keypoint)[0], width) for patch in wanted[name]]
