"""The extractors: one module for each, and one line here."""

from collections.abc import Mapping

from vision_assets.vision.extraction import ExtractorOptions
from vision_assets.vision.extractors.daisy import DaisyOptions
from vision_assets.vision.extractors.kaze import KazeOptions
from vision_assets.vision.extractors.sift import SiftOptions
from vision_assets.vision.extractors.surf import SurfOptions

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
