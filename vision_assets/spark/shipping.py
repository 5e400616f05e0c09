"""Sends a cluster the code that its Python workers run: nothing of this project is installed there."""

import zipfile
from pathlib import Path

from pyspark import SparkContext

ARCHIVE = "vision_assets.zip"
_PACKAGE = Path(__file__).parents[1]
_SHIPPED = (
    *("__init__.py", "errors.py", "pipelines.py", "settings.py"),
    *("vision", "spark", "snapshots", "tables", "steps"),
)
_NOT_SHIPPED = _PACKAGE / "vision" / "data"


def ship(context: SparkContext) -> None:
    """Send the code of the workers with all tasks from now on; nothing if that is done.

    Parameters
    ----------
    context : SparkContext
        Of a cluster.
    """
    if ARCHIVE in context._python_includes:  # type: ignore[operator]
        return
    # PySpark's own temporary folder: an executor that comes later fetches the archive then.
    archive = Path(str(context._temp_dir), ARCHIVE)
    _pack(archive)
    context.addPyFile(str(archive))
    # Spark puts the archive on the path of a worker, but not of the daemon that workers are forked from. It
    # starts in the folder into which an executor gets its files.
    context.environment["PYTHONPATH"] = ARCHIVE


def _pack(archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in _SHIPPED:
            place = _PACKAGE / name
            for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
                if not file.is_relative_to(_NOT_SHIPPED):
                    packed.write(file, file.relative_to(_PACKAGE.parent))
