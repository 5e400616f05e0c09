"""Settings of an installation, as opposed to those of a run: environment variables."""

import logging
import os
from pathlib import Path

from vision_assets.errors import UserError
from vision_assets.uris import local_path, scheme_of

DATA = "VISION_ASSETS_DATA"
SOURCE = "VISION_ASSETS_SOURCE"
CONFIG = "VISION_ASSETS_CONFIG"
KEEP_SNAPSHOTS = "VISION_ASSETS_KEEP_SNAPSHOTS"
PICTURES = "VISION_ASSETS_PICTURES"
EXTRACTORS = "VISION_ASSETS_EXTRACTORS"
LOG = "VISION_ASSETS_LOG"
SPARK_MASTER = "VISION_ASSETS_SPARK_MASTER"
CONNECTORS = "VISION_ASSETS_CONNECTORS"
JARS = "VISION_ASSETS_JARS"


def data_folder() -> str:
    """Return the folder or URI that the tables are stored in."""
    return os.environ.get(DATA) or str(Path("data").absolute())


def source() -> str:
    """Return the source of images for runs that name none: a folder, an archive or a SequenceFile."""
    return os.environ.get(SOURCE, "")


def names_project_file() -> bool:
    """Return whether the environment names the project file, which then has to exist."""
    return bool(os.environ.get(CONFIG))


def project_file() -> Path:
    """Return the project file: the one that is named, else `vision_assets.yaml` beside the data folder."""
    if named := os.environ.get(CONFIG):
        return Path(named).expanduser().absolute()
    data = local_path(data_folder())
    return (data.parent if data else Path().absolute()) / "vision_assets.yaml"


def collections_folder() -> Path:
    """Return the folder of the project files of collections with a name."""
    return project_file().parent / "collections"


def keep_snapshots() -> int:
    """Return how many snapshots of each asset are kept.

    Raises
    ------
    UserError
        If the variable is not a whole number of at least 1.
    """
    value = os.environ.get(KEEP_SNAPSHOTS) or "3"
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"{KEEP_SNAPSHOTS}={value!r} is not a number of snapshots. Set it to 1 or more.")
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
        raise UserError(f"{PICTURES}={value!r} is neither yes nor no. Set it to one of them.")
    return value == "yes"


def extractors() -> list[str]:
    """Return the names of the extractors that Dagster has pipelines of, in lower case.

    `vision_assets.pipelines.configured_pipelines` checks them.
    """
    names = [name.strip().lower() for name in os.environ.get(EXTRACTORS, "").split(",")]
    return [name for name in names if name] or ["sift"]


def log_level() -> int | None:
    """Return from which level on a run logs lines on the terminal; None where nothing is chosen.

    A word that is no level counts as nothing chosen: a run does not fail for it.
    """
    levels = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
    return levels.get(os.environ.get(LOG, "").lower())


def connectors() -> list[str]:
    """Return the URI schemes whose connectors are wanted besides those of `schemes`."""
    return sorted({scheme.strip().lower() for scheme in os.environ.get(CONNECTORS, "").split(",")} - {""})


def schemes() -> list[str]:
    """Return the URI schemes of the data folder and the source; paths have none."""
    return sorted({scheme_of(uri) for uri in (os.environ.get(DATA, ""), source())} - {""})


def jars_folder() -> Path:
    """Return the folder of the Java libraries, with a subfolder for each URI scheme that needs some."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(JARS) or Path(cache, "vision_assets", "jars")).absolute()
