"""Options that several extractors have, each declared once."""

from typing import cast

from vision_assets.vision.io.pixels import DECLARED, ValueRange
from vision_assets.vision.options import option


def nfeatures() -> int:
    """Declare the option for how many features of an image are kept."""
    return option(
        0, "Keep only this many features per image, the strongest; 0 keeps all.", ge=0, le=10_000_000
    )


def max_side() -> int | None:
    """Declare the option for the longer side that images are shrunk to."""
    return option(
        cast("int | None", None),
        "Shrink larger images so that the longer side has this many pixels; null shrinks none.",
        ge=1,
    )


def value_range() -> ValueRange:
    """Declare the option for which stored values become black and white."""
    return option(
        DECLARED,
        "Which stored values become black and white: what the file declares (declared), the range of the "
        "data type (full), or each image's least and greatest value (image). Matters beyond 8 bits only.",
    )


def max_pixels() -> int:
    """Declare the option for the largest image that is decoded."""
    return option(
        25_000_000,
        "Largest image to decode, in pixels (width x height). A larger one becomes a row with an error.",
        ge=1,
    )
