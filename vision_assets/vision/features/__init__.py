"""The extractors: one module for each, and one line here."""

from collections.abc import Mapping

from vision_assets.vision.features.base import ExtractorOptions
from vision_assets.vision.features.daisy import DaisyOptions
from vision_assets.vision.features.kaze import KazeOptions
from vision_assets.vision.features.sift import SiftOptions
from vision_assets.vision.features.surf import SurfOptions

EXTRACTORS: Mapping[str, type[ExtractorOptions]] = {
    options.name: options
    for options in (
        SiftOptions,
        SurfOptions,
        KazeOptions,
        DaisyOptions,
    )
}
"""Name to description."""
