"""Sends a cluster the code that its Python workers run, because the project is not installed there."""

import zipfile
from pathlib import Path

from pyspark import SparkContext

ARCHIVE = "vision_assets.zip"
_PACKAGE = Path(__file__).parents[1]
# All rooms that tasks may need; a name here is no import, so this package stays below them.
_SHIPPED = (
    *("__init__.py", "errors.py", "pipelines.py", "redaction.py", "settings.py", "uris.py", "wording.py"),
    *("vision", "spark", "snapshots", "tables", "steps"),
)
_NOT_SHIPPED = _PACKAGE / "vision" / "data"


def ship(context: SparkContext) -> None:
    """Send the code of the workers with all tasks from now on; do nothing if it is sent already.

    Parameters
    ----------
    context : SparkContext
        Connected to a cluster.
    """
    if ARCHIVE in context._python_includes:  # type: ignore[operator]
        return
    # The archive stays in PySpark's temporary folder: executors that start later fetch it then.
    archive = Path(str(context._temp_dir), ARCHIVE)
    _pack(archive)
    context.addPyFile(str(archive))
    # Spark puts the archive on the path of a worker, but not on that of the daemon that forks the workers.
    # The daemon starts in the folder that an executor fetches its files into.
    context.environment["PYTHONPATH"] = ARCHIVE


def _pack(archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in _SHIPPED:
            module = _PACKAGE / name
            for file in sorted(module.rglob("*.py")) if module.is_dir() else [module]:
                if not file.is_relative_to(_NOT_SHIPPED):
                    packed.write(file, file.relative_to(_PACKAGE.parent))
