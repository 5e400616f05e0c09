"""Whether images of a source may replace those that are stored."""

import os

from vision_assets.errors import UserError
from vision_assets.pipelines import IMAGE_ASSET
from vision_assets.redaction import redact
from vision_assets.snapshots.store import Snapshot
from vision_assets.uris import local_path, readable
from vision_assets.vision.data.samples import is_sample


def require_same_source(stored: Snapshot | None, source: str) -> None:
    """Refuse to replace the images of another source, unless they are the sample.

    Parameters
    ----------
    stored : Snapshot, optional
        The current images.
    source : str

    Raises
    ------
    UserError
        If the stored images come from elsewhere.
    """
    # Snapshots of earlier releases do not tell where their images come from.
    before = stored.config.get("source") if stored else None
    if not before or _place(before) == redact(_place(source)):
        return
    folder = local_path(before)
    if folder and is_sample(folder):
        return
    raise UserError(
        f"The data folder has the images of {readable(before)}, and {redact(readable(source))} would replace "
        f"all of them. If that is wanted, set `replace_source: true` of {IMAGE_ASSET} (for make: "
        f"SET='{IMAGE_ASSET}.replace_source=true'); otherwise use another data folder (VISION_ASSETS_DATA), "
        "or a collection."
    )


def _place(source: str) -> str:
    path = local_path(source)
    return source if path is None else os.path.normpath(str(path))
