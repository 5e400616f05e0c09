"""SURF, by mahotas or by an OpenCV built with its non-free algorithms.

Bay, Ess, Tuytelaars, Van Gool: Speeded-Up Robust Features, 2008.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_assets.errors import UserError
from vision_assets.vision.features import common_options as common
from vision_assets.vision.features.base import DetectAndCompute, ExtractorOptions, Features
from vision_assets.vision.features.keypoints import strongest
from vision_assets.vision.features.opencv import by_opencv
from vision_assets.vision.io.pixels import ValueRange
from vision_assets.vision.options import option
from vision_assets.vision.vocabulary.fixed_point import FIXED_POINT

_ALL = 2**31 - 1
_SIZE_PER_SCALE = 9 / 1.2  # a filter of 9 pixels has the scale 1.2
_MAHOTAS_THRESHOLD, _OPENCV_THRESHOLD = 0.1, 100.0


@dataclass(frozen=True)
class SurfOptions(ExtractorOptions):
    """How SURF features are extracted.

    Parameters
    ----------
    engine : {"mahotas", "opencv"}
        Library that extracts: mahotas, or an OpenCV built with its non-free algorithms. Their keypoints and
        descriptors differ.
    nfeatures : int
        Keep at most this many keypoints, those of the highest response. 0 keeps all.
    threshold : float, optional
        A larger value drops more keypoints of low response, which is the determinant of the Hessian as the
        engine scales it. None takes the default of the engine: 0.1 for mahotas, 100 for OpenCV.
    n_octaves : int
        Octaves of the scale space.
    n_octave_layers : int
        Layers per octave that are searched; mahotas computes two more.
    max_side, max_pixels, value_range
        See `vision_assets.vision.features.sift.SiftOptions`.
    """

    name: ClassVar = "surf"
    title: ClassVar = "SURF"
    length: ClassVar = 64
    dtype: ClassVar = FIXED_POINT
    # A descriptor covers a square of 20 times the scale.
    patch: ClassVar = 20 / _SIZE_PER_SCALE
    same_opencv: ClassVar = ("5.0.0", "5.1.0")

    engine: Literal["mahotas", "opencv"] = option(
        "mahotas",
        "Library that extracts: `mahotas`, or `opencv` if built with its non-free algorithms. Their "
        "descriptors are not comparable.",
    )
    nfeatures: int = common.nfeatures()
    threshold: float | None = option(
        None,
        "Drop features of low response; a larger value drops more. null takes the default of the engine: 0.1 "
        "for mahotas, 100 for OpenCV.",
        ge=0,
    )
    n_octaves: int = option(4, "Octaves of the scale space.", ge=1, le=12)
    n_octave_layers: int = option(4, "Layers per octave that are searched.", ge=1, le=32)
    max_side: int | None = common.max_side()
    max_pixels: int = common.max_pixels()
    value_range: ValueRange = common.value_range()

    def build(self) -> DetectAndCompute:
        """Build the SURF of the engine; its descriptors have the norm 1.

        Raises
        ------
        UserError
            If the engine is not installed.
        """
        detect_and_compute = self._opencv() if self.engine == "opencv" else self._mahotas()
        return lambda gray: strongest(detect_and_compute(gray), self.nfeatures)

    def versions(self) -> Mapping[str, str]:
        """Return the version of OpenCV, which decodes and shrinks, and that of mahotas if it extracts."""
        ours = {}
        if self.engine == "mahotas":
            with suppress(PackageNotFoundError):  # `build` raises the error for users
                ours["mahotas"] = version("mahotas")
        return {**super().versions(), **ours}

    def descriptor_space(self) -> str:
        """Return the name with the engine, whose descriptors are not comparable with the other's."""
        return f"SURF of {self.engine}"

    def _mahotas(self) -> DetectAndCompute:
        try:
            from mahotas.features import surf  # noqa: PLC0415 - an optional dependency
        except ImportError as error:
            raise UserError(
                "SURF needs the library mahotas, which is not installed here. Run "
                "pip install '.[surf]', or pip install --require-hashes --no-deps -r requirements-surf.lock."
            ) from error
        threshold = _MAHOTAS_THRESHOLD if self.threshold is None else self.threshold

        def detect_and_compute(gray: NDArray[np.uint8]) -> Features:
            found = surf.surf(
                gray,
                nr_octaves=self.n_octaves,
                nr_scales=self.n_octave_layers + 2,
                threshold=threshold,
                max_points=_ALL,
            )
            y, x, scale, score, _, angle = found[:, :6].T
            # mahotas rotates the frame of a descriptor counterclockwise by the angle (`rotate_point`).
            columns = [x, y, scale * _SIZE_PER_SCALE, -np.rad2deg(angle) % 360, score]
            keypoints = np.column_stack(columns).astype(np.float32)
            return keypoints, found[:, 6:]

        return detect_and_compute

    def _opencv(self) -> DetectAndCompute:
        threshold = _OPENCV_THRESHOLD if self.threshold is None else self.threshold
        try:
            surf = cv2.xfeatures2d.SURF.create(threshold, self.n_octaves, self.n_octave_layers, False, False)
        except cv2.error as error:  # the function exists in either case
            raise UserError(
                "This OpenCV is built without its non-free algorithms, which include SURF. Use the engine "
                "mahotas, or build OpenCV with OPENCV_ENABLE_NONFREE."
            ) from error
        return by_opencv(surf)
