"""SURF, by mahotas or by an OpenCV with its non-free algorithms.

Bay, Ess, Tuytelaars, Van Gool: Speeded-Up Robust Features, 2008.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.errors import UserError
from vision_assets.vision.features import base as extraction
from vision_assets.vision.features.base import ExtractorOptions, Features, by_opencv, strongest
from vision_assets.vision.options import option
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT

_ALL = 2**31 - 1
_SIZE_PER_SCALE = 9 / 1.2  # a filter of 9 pixels is of the scale 1.2
_MAHOTAS_THRESHOLD, _OPENCV_THRESHOLD = 0.1, 100.0


@dataclass(frozen=True)
class SurfOptions(ExtractorOptions):
    """How SURF features are extracted.

    Parameters
    ----------
    engine : {"mahotas", "opencv"}
        What extracts: mahotas, or an OpenCV that was built with its non-free algorithms. They find other
        keypoints and other descriptors.
    nfeatures : int
        Keep at most this many keypoints, those of the highest response. 0 keeps all.
    threshold : float, optional
        A larger value drops more keypoints of a low response: of the determinant of the Hessian as the engine
        scales it. None takes the engine's own default, 0.1 of mahotas and 100 of OpenCV.
    n_octaves : int
        Octaves of the pyramid.
    n_octave_layers : int
        Layers of each octave that are searched; mahotas computes two more.
    max_side, max_pixels : int
        See `vision_assets.vision.features.sift.SiftOptions`.
    """

    name: ClassVar = "surf"
    title: ClassVar = "SURF"
    length: ClassVar = 64
    dtype: ClassVar = FIXED_POINT
    # A descriptor looks at 20 x 20 of the scale.
    patch: ClassVar = 20 / _SIZE_PER_SCALE

    engine: Literal["mahotas", "opencv"] = option(
        "mahotas",
        "What extracts: `mahotas`, or `opencv`, if it is built with its non-free algorithms. Their features "
        "do not go together.",
    )
    nfeatures: int = extraction.nfeatures()
    threshold: float | None = option(
        None,
        "Drop features of a lower response; larger drops more. null takes the engine's default, 0.1 of "
        "mahotas and 100 of OpenCV.",
        ge=0,
    )
    n_octaves: int = option(4, "Octaves of the pyramid.", ge=1, le=12)
    n_octave_layers: int = option(4, "Layers of each octave that are searched.", ge=1, le=32)
    max_side: int | None = extraction.max_side()
    max_pixels: int = extraction.max_pixels()

    def build(self) -> Callable[[NDArray[np.uint8]], Features]:
        """Return the engine's; each descriptor has the length 1.

        Raises
        ------
        UserError
            If the engine is not there.
        """
        detect = self._opencv() if self.engine == "opencv" else self._mahotas()
        return lambda gray: strongest(detect(gray), self.nfeatures)

    def versions(self) -> Mapping[str, str]:
        """Return that of the engine; of mahotas besides OpenCV's, which decodes and shrinks."""
        ours = {"mahotas": version("mahotas")} if self.engine == "mahotas" else {}
        return {**super().versions(), **ours}

    def descriptor_space(self) -> str:
        """Return the engine with the name."""
        return f"SURF of {self.engine}"

    def _mahotas(self) -> Callable[[NDArray[np.uint8]], Features]:
        try:
            from mahotas.features import surf  # noqa: PLC0415 - an optional dependency
        except ImportError as error:
            raise UserError(
                "SURF needs the library mahotas, which is not installed where this runs: "
                "pip install '.[surf]', or pip install --require-hashes --no-deps -r requirements-surf.lock."
            ) from error
        threshold = _MAHOTAS_THRESHOLD if self.threshold is None else self.threshold

        def detect(gray: NDArray[np.uint8]) -> Features:
            found = surf.surf(
                gray,
                nr_octaves=self.n_octaves,
                nr_scales=self.n_octave_layers + 2,
                threshold=threshold,
                max_points=_ALL,
            )
            y, x, scale, score, _, angle = found[:, :6].T
            # mahotas turns the frame of a descriptor counterclockwise by its angle (`rotate_point`).
            columns = [x, y, scale * _SIZE_PER_SCALE, -np.rad2deg(angle) % 360, score]
            keypoints = np.column_stack(columns).astype(np.float32)
            return keypoints, found[:, 6:]

        return detect

    def _opencv(self) -> Callable[[NDArray[np.uint8]], Features]:
        threshold = _OPENCV_THRESHOLD if self.threshold is None else self.threshold
        try:
            surf = cv2.xfeatures2d.SURF.create(threshold, self.n_octaves, self.n_octave_layers, False, False)
        except cv2.error as error:  # the function is there in either case
            raise UserError(
                "This OpenCV is built without its non-free algorithms, SURF among them. Take the engine "
                "mahotas, or build OpenCV with OPENCV_ENABLE_NONFREE."
            ) from error
        return by_opencv(surf)
