"""A folder that Python can read: the driver lists it, whoever reads opens each file."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from vision_assets.errors import UserError
from vision_assets.steps.sources.image_files import LINK, SPECIAL, Pair, Patterns, Skipped
from vision_assets.steps.sources.listing import Entries, Listing, clean_key

Identity = tuple[int, int]


@dataclass(frozen=True)
class FolderSplit:
    """Some files of a folder."""

    root: bytes
    entries: Entries

    def read(self) -> Iterator[Pair]:
        """Yield each file's key and bytes.

        Raises
        ------
        UserError
            When a file cannot be read any more.
        """
        for name, _ in self.entries:
            # Bytes, because driver and worker may run with different locales.
            path = os.path.join(self.root, name)  # noqa: PTH118 - pathlib takes no bytes
            try:
                with open(path, "rb") as file:  # noqa: PTH123 - idem
                    data = file.read()
            except OSError as error:
                raise UserError(
                    f"cannot read {_show(path)}: {error.strerror}. It was there when the folder was listed; "
                    "every worker has to reach it, or set the reader to 'driver'."
                ) from error
            yield folder_key(name), data


def list_folder(source: str, path: str, patterns: Patterns) -> tuple[Listing, Skipped]:
    """List the images below a folder, in the order of their names. Links are followed.

    Returns
    -------
    The images with their size and the times of their last change, of content and of state; and what was
    skipped.

    Raises
    ------
    UserError
        When a folder cannot be listed.
    """
    root = os.fsencode(path)
    listing, skipped = Listing(further_numbers=2), Skipped()
    for name, entry in walk(root, skipped):
        key = folder_key(name)
        try:
            status = entry.stat()
        except OSError as error:
            skipped.add(key, f"{LINK} that leads nowhere" if entry.is_symlink() else str(error.strerror))
            continue
        reason = patterns.reason_to_skip(key, status.st_size) if stat.S_ISREG(status.st_mode) else SPECIAL
        if reason:
            skipped.add(key, reason)
        else:
            listing.add(name, status.st_size, max(0, status.st_mtime_ns), max(0, status.st_ctime_ns))
    return listing, skipped


def folder_key(name: bytes) -> str:
    """Return the key of a file of a folder."""
    return clean_key(_text(name))


def walk(root: bytes, skipped: Skipped) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    """Yield the relative path of everything below a folder that is no folder, in the order of the names.

    Raises
    ------
    UserError
        When a folder cannot be listed.
    """
    # Links come last, so that a folder is read under its own name; each is read once, or rings of links
    # would never end.
    folders, links = [b""], list[bytes]()
    seen: set[Identity] = set()
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        path = os.path.join(root, folder) if folder else root  # noqa: PTH118
        try:
            status = os.stat(path)  # noqa: PTH116
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                skipped.add(clean_key(_text(folder)), f"{LINK} to a folder that is read anyway")
                continue
            seen.add(identity)
            with os.scandir(path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(
                f"cannot list the folder {_show(path)}: {error.strerror}.\n"
                "Allow reading it, or move it elsewhere."
            ) from error
        inside: list[bytes] = []
        for entry in entries:
            name = folder + b"/" + entry.name if folder else entry.name
            if _is_folder(entry):
                (links if entry.is_symlink() else inside).append(name)
            else:
                yield name, entry
        folders.extend(reversed(inside))


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself.
        return False


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _show(path: bytes) -> str:
    return repr(path.decode("utf-8", "backslashreplace"))
