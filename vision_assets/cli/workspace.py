"""The workspace file by which Dagster loads all collections."""

import yaml

from vision_assets import settings
from vision_assets.collection import DEFAULT_LOCATION, collection_names
from vision_assets.snapshots.store import open_store
from vision_assets.uris import local_path

_MODULE = "vision_assets.definitions"


def workspace() -> str:
    """Return a workspace file with a code location for each collection.

    Returns
    -------
    str
        YAML. The collection without a name is left out if others exist and it has neither a project file, a
        source nor images.

    Raises
    ------
    UserError
        If a project file has a name that no collection can have.
    """
    names = collection_names()
    locations = [{"location_name": DEFAULT_LOCATION}] if not names or _is_default_used() else []
    locations += [{"location_name": name, "attribute": name} for name in names]
    modules = [{"python_module": {"module_name": _MODULE, **location}} for location in locations]
    return yaml.safe_dump({"load_from": modules}, sort_keys=False)


def _is_default_used() -> bool:
    data = settings.data_folder()
    if settings.source() or settings.project_file().exists() or not local_path(data):
        return True  # a look at another storage would take a JVM
    return open_store(data).current(("image_seqfile",)) is not None
