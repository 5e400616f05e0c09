"""Settings that belong to the place, not to the run: read from environment variables."""

import os
import re
from pathlib import Path

from vision_assets.errors import UserError

DATA = "VISION_ASSETS_DATA"
SOURCE = "VISION_ASSETS_SOURCE"
KEEP_SNAPSHOTS = "VISION_ASSETS_KEEP_SNAPSHOTS"
PICTURES = "VISION_ASSETS_PICTURES"
SPARK_MASTER = "VISION_ASSETS_SPARK_MASTER"
CONNECTORS = "VISION_ASSETS_CONNECTORS"
JARS = "VISION_ASSETS_JARS"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def data_folder() -> str:
    """Return the folder or URI that the tables lie under."""
    return os.environ.get(DATA) or str(Path("data").absolute())


def source() -> str:
    """Return the folder, archive or SequenceFile of images that is read if a run names none."""
    return os.environ.get(SOURCE, "")


def keep_snapshots() -> int:
    """Return how many snapshots of an asset are kept.

    Raises
    ------
    UserError
        If the variable is no number from 1 on.
    """
    value = os.environ.get(KEEP_SNAPSHOTS) or "3"
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"{KEEP_SNAPSHOTS}={value!r} is no number of snapshots to keep: set it to 1 or more.")
    return int(value)


def pictures() -> bool:
    """Return whether pictures of the tables are drawn.

    Raises
    ------
    UserError
        If the variable is neither yes nor no.
    """
    value = os.environ.get(PICTURES) or "yes"
    if value not in {"yes", "no"}:
        raise UserError(f"{PICTURES}={value!r} is neither yes nor no: set it to one of them.")
    return value == "yes"


def connectors() -> list[str]:
    """Return the URI schemes that are named besides those of `schemes`."""
    return sorted({scheme.strip().lower() for scheme in os.environ.get(CONNECTORS, "").split(",")} - {""})


def schemes() -> list[str]:
    """Return the schemes of the URIs that data folder and source are, where they are any."""
    uris = (os.environ.get(DATA, ""), source())
    return sorted({scheme[1].lower() for uri in uris if (scheme := _SCHEME.match(uri))})


def jars_folder() -> Path:
    """Return where Java libraries lie, a folder for each URI scheme that needs any."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(JARS) or Path(cache, "vision_assets", "jars")).absolute()
