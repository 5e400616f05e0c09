"""Files on a local or mounted disk."""

import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vision_assets.snapshots.layout import temporary_name

_ATTEMPTS = 10


class LocalFiles:
    """`Files` on a local or mounted disk.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def uri(self, path: str) -> str:
        """Return the absolute path."""
        return str(self._root / path)

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a folder; an empty list if the folder does not exist."""
        folder = self._root / path
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        return (self._root / path).read_bytes()

    def tail(self, path: str, size: int) -> bytes:
        """Return the last `size` bytes of a file, or all if it has fewer."""
        with (self._root / path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size)

    def create(self, path: str, content: bytes) -> None:
        """Create a file in one atomic step, with its parent folders."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._create(self._root / path, content)
            except (FileNotFoundError, FileExistsError):  # another run removes the folder at this moment
                if attempt == _ATTEMPTS:
                    raise
        return None

    def _create(self, target: Path, content: bytes) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(temporary_name(target.name))
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:  # names no file if the disk is full
            error.filename = error.filename or str(target)
            raise
        finally:
            temporary.unlink(missing_ok=True)
        _sync(target.parent)

    replace = create

    def share(self, targets: Mapping[str, str]) -> None:
        """Make files available under a second path each: by a hard link, or a copy where links fail."""
        for path, target in targets.items():
            self._share(path, self._root / target)

    def _share(self, path: str, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.hardlink_to(self._root / path)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without hard links
            shutil.copyfile(self._root / path, place)

    def delete(self, path: str) -> None:
        """Remove a file, or a folder with its contents; do nothing if it does not exist."""
        target = self._root / path
        if target.is_dir():
            # Renamed first, in one step, so that nobody takes the rest of a table for the table.
            removed = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
            with suppress(FileNotFoundError):  # another run deletes it at the same time
                target.rename(removed)
                shutil.rmtree(removed, ignore_errors=True)
                if removed.exists():  # another run has created a file in it meanwhile
                    shutil.rmtree(removed)
        else:
            with suppress(IsADirectoryError):  # another run has just created a folder of this name
                target.unlink(missing_ok=True)

    def secure(self, path: str) -> None:
        """Make the contents of a folder survive a loss of power."""
        for folder, _, names in os.walk(self._root / path):
            for name in names:
                _sync(Path(folder, name))
            _sync(Path(folder))
        _sync((self._root / path).parent)

    def sizes(self, path: str) -> dict[str, int]:
        """Return name and size in bytes of each visible file directly in a folder."""
        folder = self._root / path
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else []
        return {
            entry.name: entry.stat().st_size
            for entry in entries
            if entry.is_file() and entry.name[0] not in "._"
        }


def _sync(path: Path) -> None:
    """Write the content of a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
