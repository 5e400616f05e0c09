"""How far long computations have come, for the next run to go on from there."""

from contextlib import suppress

from vision_assets.snapshots.files import Files


class Checkpoint:
    """How far one computation has come.

    Parameters
    ----------
    files : Files
    folder : str
        Of the checkpoints of an asset.
    name : str
        Of all that determines the computation: runs that are at the same one save the same bytes.
    """

    def __init__(self, files: Files, folder: str, name: str) -> None:
        self._files = files
        self._folder = folder
        self._name = name

    def newest(self) -> bytes | None:
        """Return what was saved last; None if there is nothing."""
        for file in reversed(self._saved()):
            with suppress(FileNotFoundError):  # another run has gone further
                return self._files.read(f"{self._folder}/{file}")
        return None

    def save(self, step: int, content: bytes) -> None:
        """Save a step, in place of earlier ones."""
        saved = self._saved()
        file = f"{self._name}-{step:06d}"
        if file not in saved:
            self._files.create(f"{self._folder}/{file}", content)
        for earlier in saved:
            if earlier < file:
                self._files.delete(f"{self._folder}/{earlier}")

    def clear(self) -> None:
        """Remove what was saved."""
        for file in self._saved():
            self._files.delete(f"{self._folder}/{file}")

    def _saved(self) -> list[str]:
        return [file for file in self._files.names(self._folder) if file.startswith(f"{self._name}-")]
