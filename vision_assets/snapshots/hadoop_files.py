"""Files on any storage that Hadoop's client reaches: HDFS, S3, ..."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from vision_assets.snapshots.layout import temporary_name
from vision_assets.uris import scheme_of

_COPIES_AT_ONCE = 8
_OBJECT_STORES = {"s3", "s3a", "gs", "oss", "cosn", "o3fs"}


class HadoopFiles:
    """`Files` on a storage that Hadoop's client reaches.

    Parameters
    ----------
    root : str
        URI without a slash at its end.
    hadoop : callable
        Returns the Py4J gateway to a JVM and Hadoop's configuration in it; called once for each operation. It
        may start the JVM.
    """

    def __init__(self, root: str, hadoop: Callable[[], tuple[Any, Any]]) -> None:
        self._root = root
        self._hadoop = hadoop

    def uri(self, path: str) -> str:
        """Return the URI."""
        return f"{self._root}/{path}"

    def names(self, path: str) -> list[str]:
        """Return the sorted names in a folder; an empty list if the folder does not exist."""
        return sorted(status.getPath().getName() for status in self._statuses(path))

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        system, file = self._open(path)
        with self._missing(path):
            return self._read_from(system.open(file))

    def tail(self, path: str, size: int) -> bytes:
        """Return the last `size` bytes of a file, or all if it has fewer."""
        system, file = self._open(path)
        with self._missing(path):
            length = system.getFileStatus(file).getLen()
            return self._read_from(system.open(file), max(0, length - size))

    def create(self, path: str, content: bytes) -> None:
        """Create a file in one atomic step, with its parent folders."""
        # On an object store the object appears when its stream is closed, and a rename is a copy. Elsewhere a
        # file is visible while it is written, and a rename is one atomic step.
        if self._is_object_store:
            self._write(path, content, overwrite=False)
            return
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/{temporary_name(name)}"
        self._write(temporary, content, overwrite=False)
        system, source = self._open(temporary)
        if not system.rename(source, self._open(f"{folder}/{name}")[1]):
            system.delete(source, False)
            raise OSError(f"cannot create {self.uri(path)}")

    def replace(self, path: str, content: bytes) -> None:
        """Overwrite a file; a reader may see a part of it meanwhile."""
        self._write(path, content, overwrite=True)

    def share(self, targets: Mapping[str, str]) -> None:
        """Copy files to a second path each, several at a time since most of the time is waiting."""
        # Asked once for all copies: if the JVM dies, each of them fails, and none starts another JVM.
        hadoop = self._hadoop()
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as threads:
            list(threads.map(partial(self._copy, hadoop), targets.keys(), targets.values()))

    def delete(self, path: str) -> None:
        """Remove a file, or a folder with its contents; do nothing if it does not exist."""
        system, target = self._open(path)
        system.delete(target, True)

    def secure(self, path: str) -> None:
        """Do nothing: a file is as safe as it gets once it is closed."""

    def sizes(self, path: str) -> dict[str, int]:
        """Return name and size in bytes of each visible file directly in a folder."""
        return {
            status.getPath().getName(): status.getLen()
            for status in self._statuses(path)
            if status.isFile() and status.getPath().getName()[0] not in "._"
        }

    @property
    def _is_object_store(self) -> bool:
        return scheme_of(self._root) in _OBJECT_STORES

    def _open(self, path: str, hadoop: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
        """Return the JVM's `FileSystem` and `Path` for a path."""
        gateway, configuration = hadoop or self._hadoop()
        opened = gateway.jvm.org.apache.hadoop.fs.Path(self.uri(path))
        return opened.getFileSystem(configuration), opened

    def _statuses(self, path: str) -> list[Any]:
        system, folder = self._open(path)
        # A question first whether it exists would cost a request or two more on an object store.
        with suppress(FileNotFoundError), self._missing(path):
            return list(system.listStatus(folder))
        return []

    @contextmanager
    def _missing(self, path: str) -> Iterator[None]:
        """Turn what Hadoop raises for a missing file into a `FileNotFoundError`."""
        from vision_assets.spark.diagnosis import is_missing_file  # noqa: PLC0415 - Spark only when needed

        try:
            yield
        except Exception as error:
            if not is_missing_file(error):
                raise
            raise FileNotFoundError(self.uri(path)) from error

    @staticmethod
    def _read_from(stream: Any, start: int = 0) -> bytes:
        try:
            stream.seek(start)
            return bytes(stream.readAllBytes())
        finally:
            stream.close()

    def _copy(self, hadoop: tuple[Any, Any], path: str, target: str) -> None:
        source_system, source = self._open(path, hadoop)
        target_system, place = self._open(target, hadoop)
        hadoop[0].jvm.org.apache.hadoop.fs.FileUtil.copy(
            source_system, source, target_system, place, False, True, source_system.getConf()
        )

    def _write(self, path: str, content: bytes, *, overwrite: bool) -> None:
        system, file = self._open(path)
        stream = system.create(file, overwrite)
        try:
            stream.write(bytearray(content))
        except BaseException:
            # On an object store `close` would publish the part that has arrived.
            with suppress(Exception):
                stream.abort() if self._is_object_store else stream.close()
            raise
        stream.close()
