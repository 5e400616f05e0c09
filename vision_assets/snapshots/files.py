"""The file operations that snapshots need, on any storage."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from vision_assets.errors import UserError
from vision_assets.snapshots.hadoop_files import HadoopFiles
from vision_assets.snapshots.local_files import LocalFiles
from vision_assets.uris import local_path


class Files(Protocol):
    """Operations on files below one root; paths are relative to it, with ``/``."""

    def uri(self, path: str) -> str:
        """Return the path or URI as Spark and the user know it."""

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a folder; an empty list if the folder does not exist."""

    def read(self, path: str) -> bytes:
        """Return the content of a file; raise `FileNotFoundError` if it does not exist."""

    def tail(self, path: str, size: int) -> bytes:
        """Return the last `size` bytes of a file, or all if it has fewer."""

    def create(self, path: str, content: bytes) -> None:
        """Create a file in one atomic step, with its parent folders: nobody sees a part of it."""

    def replace(self, path: str, content: bytes) -> None:
        """Overwrite a file; not every storage does so in one step, so a reader may see a part of it."""

    def delete(self, path: str) -> None:
        """Remove a file, or a folder with its contents; do nothing if it does not exist."""

    def share(self, targets: Mapping[str, str]) -> None:
        """Make files available under a second path each, in the cheapest way of this storage."""

    def sizes(self, path: str) -> dict[str, int]:
        """Return name and size in bytes of each visible file directly in a folder."""

    def secure(self, path: str) -> None:
        """Make the contents of a folder survive a loss of power."""


def open_files(root: str, hadoop: Callable[[], tuple[Any, Any]]) -> Files:
    """Open the storage that a path or URI is on.

    Parameters
    ----------
    root : str
        A local path or any URI of Hadoop's.
    hadoop : callable
        As for `HadoopFiles`; called only for roots that are not local.

    Returns
    -------
    Files

    Raises
    ------
    UserError
        If a local path names a file.
    """
    path = local_path(root)
    if path and path.is_file():
        raise UserError(
            f"{path} is a file. Set VISION_ASSETS_DATA to a folder or URI that this user may write to."
        )
    return LocalFiles(path) if path else HadoopFiles(root.rstrip("/"), hadoop)
