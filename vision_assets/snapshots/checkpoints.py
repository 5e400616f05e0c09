"""Checkpoints: intermediate results of a long computation, from which the next run continues."""

import hashlib
from contextlib import suppress

from vision_assets.snapshots.files import Files


def seal(data: bytes) -> bytes:
    """Return data with a checksum before it."""
    return hashlib.sha256(data).digest() + data


def unseal(sealed: bytes) -> bytes:
    """Return what `seal` was given; raise a `ValueError` if it is corrupt."""
    size = hashlib.sha256().digest_size
    checksum, data = sealed[:size], sealed[size:]
    if hashlib.sha256(data).digest() != checksum:
        raise ValueError("its checksum does not match")
    return data


class Checkpoint:
    """The newest intermediate result of one computation.

    Parameters
    ----------
    files : Files
    folder : str
        Folder of the asset's checkpoints.
    name : str
        Identifies everything that determines the computation. Runs with the same name save the same bytes.
    """

    def __init__(self, files: Files, folder: str, name: str) -> None:
        self._files = files
        self._folder = folder
        self._name = name

    def newest(self) -> bytes | None:
        """Return what was saved last; None if nothing was."""
        for file in reversed(self._saved()):
            with suppress(FileNotFoundError):  # another run has saved a later step
                return self._files.read(f"{self._folder}/{file}")
        return None

    def save(self, step: int, content: bytes) -> None:
        """Save a step and remove the earlier ones."""
        saved = self._saved()
        file = f"{self._name}-{step:06d}"
        if file not in saved:
            self._files.create(f"{self._folder}/{file}", content)
        for earlier in saved:
            if earlier < file:
                self._files.delete(f"{self._folder}/{earlier}")

    def clear(self) -> None:
        """Remove all saved steps."""
        for file in self._saved():
            self._files.delete(f"{self._folder}/{file}")

    def _saved(self) -> list[str]:
        return [file for file in self._files.names(self._folder) if file.startswith(f"{self._name}-")]
