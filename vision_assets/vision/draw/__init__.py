"""Pictures of images, features, words and results, small enough to be embedded in Markdown.

Each function takes arrays and texts and returns a `Picture`; the same input gives the same bytes.
"""

from vision_assets.vision.draw.charts import accuracy_chart, count_histogram, training_charts
from vision_assets.vision.draw.confusion import confusion_matrix
from vision_assets.vision.draw.patches import cut_patch
from vision_assets.vision.draw.picture import MAX_BYTES, Image, Picture
from vision_assets.vision.draw.sheets import (
    Example,
    WordPatches,
    contact_sheet,
    keypoint_sheet,
    strongest_words_sheet,
    surest_sheet,
    word_sheet,
)
from vision_assets.vision.draw.text import shorten

__all__ = [
    "MAX_BYTES",
    "Example",
    "Image",
    "Picture",
    "WordPatches",
    "accuracy_chart",
    "confusion_matrix",
    "contact_sheet",
    "count_histogram",
    "cut_patch",
    "keypoint_sheet",
    "shorten",
    "strongest_words_sheet",
    "surest_sheet",
    "training_charts",
    "word_sheet",
]
