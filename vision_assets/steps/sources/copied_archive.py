"""An archive behind Hadoop that cannot be read in ranges: it is read from a copy on this machine's disk."""

import shutil
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from vision_assets.spark.hadoop import copy_to_local
from vision_assets.steps.sources.archive import ArchiveSource
from vision_assets.steps.sources.image_files import ImageFiles
from vision_assets.steps.sources.place import Place, is_local_master


class CopiedArchiveSource:
    """An archive behind Hadoop, copied first.

    Parameters
    ----------
    archives : sequence of ArchiveSource
        The formats that can be read from a local disk.
    """

    def __init__(self, archives: Sequence[ArchiveSource]) -> None:
        self.formats = tuple(name for archive in archives for name in archive.formats)
        self._archives = archives

    def recognizes(self, place: Place) -> bool:
        """Tell whether a place has an archive of a known format behind Hadoop."""
        is_known = any(archive.has_format(place.head) for archive in self._archives)
        return place.path is None and not place.is_folder and is_known

    def open(self, place: Place) -> ImageFiles:
        """Copy the archive, then choose its images. The copy is removed with `ImageFiles.close`."""
        archive = next(archive for archive in self._archives if archive.has_format(place.head))
        copy = copy_to_local(place.spark, place.uri)
        remove = partial(shutil.rmtree, copy.parent, ignore_errors=True)
        try:
            by_driver = not is_local_master(place.spark)
            images = archive.open(replace(place, path=str(copy), by_driver=by_driver))
        except BaseException:
            remove()
            raise
        # Its stamps would be those of the copy, which is a new file each time.
        images = replace(images, close=remove, listed=None)
        weakref.finalize(images, remove)
        return images
