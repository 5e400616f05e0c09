"""Pictures of the images."""

from vision_assets.steps.pictures.previews import SHEET_IMAGES, load_previews
from vision_assets.steps.pictures.sample import ImageSample, evenly_over_labels
from vision_assets.vision.draw import Picture, contact_sheet
from vision_assets.vision.io.labels import label_of


def draw_images(sample: ImageSample) -> dict[str, Picture]:
    """Draw a contact sheet over the classes.

    Parameters
    ----------
    sample : ImageSample

    Returns
    -------
    dict
        Name to picture.
    """
    names = evenly_over_labels(sample.names, SHEET_IMAGES)
    previews = load_previews(sample, names)
    shown = [(label_of(name) or name, previews[name]) for name in names if name in previews]
    return {"contact_sheet": contact_sheet(shown)}
