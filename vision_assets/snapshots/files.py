"""The few file operations that snapshots need, on a local disk or on any file system that Hadoop knows."""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FILE_URI = re.compile(r"file:(?://)?(/.*)", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_ATTEMPTS = 10
_COPIES_AT_ONCE = 8
_OBJECT_STORES = {"s3", "s3a", "gs", "oss", "cosn", "o3fs"}


class Files(Protocol):
    """Operations on files under one root; paths are relative to it, with ``/``."""

    def uri(self, path: str) -> str:
        """Return the path as Spark and the user know it."""

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if there is no such folder."""

    def read(self, path: str) -> bytes:
        """Return the content of a file; `FileNotFoundError` if there is none."""

    def tail(self, path: str, size: int) -> bytes:
        """Return the last bytes of a file."""

    def create(self, path: str, content: bytes) -> None:
        """Create a file in one atomic step, with the folders above it: it is there whole or not at all."""

    def replace(self, path: str, content: bytes) -> None:
        """Write a file that exists anew."""

    def delete(self, path: str) -> None:
        """Remove a file or a folder with all that is in it, if it is there."""

    def share(self, targets: Mapping[str, str]) -> None:
        """Have files in a second place each, with the folders above it, at the least cost on this storage."""

    def sizes(self, path: str) -> dict[str, int]:
        """Return name and size in bytes of each visible file directly in a folder."""

    def secure(self, path: str) -> None:
        """Make all that is in a folder outlive a loss of power."""


def open_files(root: str, spark: "Callable[[], SparkSession]") -> Files:
    """Open the file system that a path or URI lies on.

    Parameters
    ----------
    root : str
        A local path or any Hadoop URI.
    spark : callable
        Returns a Spark session; called only if Hadoop is needed.

    Returns
    -------
    Files
    """
    path = local_path(root)
    return LocalFiles(path) if path else HadoopFiles(root.rstrip("/"), spark)


def local_path(uri: str) -> Path | None:
    """Return the absolute local path that a path or ``file:`` URI names; None for other URIs."""
    if found := _FILE_URI.fullmatch(uri):
        return Path(found[1])  # as it stands: Hadoop takes no %20 for a space either
    if _SCHEME.match(uri):
        return None
    return Path(uri).expanduser().absolute()


def hadoop_uri(uri: str) -> str:
    """Return a local path as a URI, so that it stays local whatever Hadoop's default file system is."""
    return uri if local_path(uri) is None else f"file://{local_path(uri)}"


class LocalFiles:
    """Files on a local or mounted disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def uri(self, path: str) -> str:
        """Return the path as Spark and the user know it."""
        return str(self._root / path)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if there is no such folder."""
        folder = self._root / path
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        return (self._root / path).read_bytes()

    def tail(self, path: str, size: int) -> bytes:
        """Return the last bytes of a file."""
        with (self._root / path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size)

    def create(self, path: str, content: bytes) -> None:
        """Create a file in one atomic step, with the folders above it."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._create(self._root / path, content)
            except (FileNotFoundError, FileExistsError):  # another run removes the folder just then
                if attempt == _ATTEMPTS:
                    raise
        return None

    def _create(self, target: Path, content: bytes) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(_temporary(target.name))
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:  # which names no file if the disk is full
            error.filename = error.filename or str(target)
            raise
        finally:
            temporary.unlink(missing_ok=True)
        _sync(target.parent)

    replace = create

    def share(self, targets: Mapping[str, str]) -> None:
        """Have files in a second place each: one file with two names, or a copy."""
        for path, target in targets.items():
            self._share(path, self._root / target)

    def _share(self, path: str, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.hardlink_to(self._root / path)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without such links
            shutil.copyfile(self._root / path, place)

    def delete(self, path: str) -> None:
        """Remove a file or a folder with all that is in it, if it is there."""
        target = self._root / path
        if target.is_dir():
            # In one step, so that nobody takes what is left of a table for the table.
            removed = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
            with suppress(FileNotFoundError):  # another run deletes it at the same time
                target.rename(removed)
                shutil.rmtree(removed, ignore_errors=True)
                if removed.exists():  # who was about to put a file into it has done so
                    shutil.rmtree(removed)
        else:
            with suppress(IsADirectoryError):  # made just now: another one
                target.unlink(missing_ok=True)

    def secure(self, path: str) -> None:
        """Make all that is in a folder outlive a loss of power."""
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


def _temporary(name: str) -> str:
    """Return the name of a file until it is whole; should it never be, it tells of which one it was to be."""
    return f".{name}.{uuid.uuid4().hex}"


def _sync(path: Path) -> None:
    """Make the content of a file, or the entries of a folder, outlive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class HadoopFiles:
    """Files on any file system that Spark's Hadoop client knows: HDFS, S3, ..."""

    def __init__(self, root: str, spark: "Callable[[], SparkSession]") -> None:
        self._root = root
        self._spark = spark

    def _open(self, path: str, spark: "SparkSession | None" = None) -> tuple[Any, Any]:
        from vision_assets.spark.hadoop import hadoop_path  # noqa: PLC0415 - Spark only when needed

        return hadoop_path(spark or self._spark(), self.uri(path))

    def _statuses(self, path: str) -> list[Any]:
        system, folder = self._open(path)
        # Asking before whether it is there would cost an object store a request or two each time.
        with suppress(FileNotFoundError), self._missing(path):
            return list(system.listStatus(folder))
        return []

    @contextmanager
    def _missing(self, path: str) -> Iterator[None]:
        """Turn what Hadoop raises for a file that is not there into a `FileNotFoundError`."""
        from vision_assets.spark.diagnosis import is_missing_file  # noqa: PLC0415 - Spark only when needed

        try:
            yield
        except Exception as error:
            if not is_missing_file(error):
                raise
            raise FileNotFoundError(self.uri(path)) from error

    def uri(self, path: str) -> str:
        """Return the path as Spark and the user know it."""
        return f"{self._root}/{path}"

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if there is no such folder."""
        return sorted(status.getPath().getName() for status in self._statuses(path))

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        system, file = self._open(path)
        with self._missing(path):
            return self._read_from(system.open(file))

    def tail(self, path: str, size: int) -> bytes:
        """Return the last bytes of a file."""
        system, file = self._open(path)
        with self._missing(path):
            whole = system.getFileStatus(file).getLen()
            return self._read_from(system.open(file), max(0, whole - size))

    @staticmethod
    def _read_from(stream: Any, start: int = 0) -> bytes:
        try:
            stream.seek(start)
            return bytes(stream.readAllBytes())
        finally:
            stream.close()

    def create(self, path: str, content: bytes) -> None:
        """Create a file in one atomic step, with the folders above it."""
        # On an object store the new object appears when the stream is closed, and a rename is a copy;
        # elsewhere a file is visible while it is written, and a rename is one atomic step.
        if self._is_object_store:
            self._write(path, content, overwrite=False)
            return
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/{_temporary(name)}"
        self._write(temporary, content, overwrite=False)
        system, source = self._open(temporary)
        if not system.rename(source, self._open(f"{folder}/{name}")[1]):
            system.delete(source, False)
            raise OSError(f"cannot create {self.uri(path)}")

    def replace(self, path: str, content: bytes) -> None:
        """Write a file that exists anew; who reads it meanwhile may see a part of it."""
        self._write(path, content, overwrite=True)

    def share(self, targets: Mapping[str, str]) -> None:
        """Copy files to a second place each, several at once: most of the time is waiting for the storage."""
        # One session for all copies: should its JVM die, each of them fails, and none starts another JVM.
        spark = self._spark()
        with ThreadPoolExecutor(_COPIES_AT_ONCE) as threads:
            list(threads.map(partial(self._copy, spark), targets.keys(), targets.values()))

    def _copy(self, spark: "SparkSession", path: str, target: str) -> None:
        source_system, source = self._open(path, spark)
        target_system, place = self._open(target, spark)
        jvm: Any = spark.sparkContext._jvm
        jvm.org.apache.hadoop.fs.FileUtil.copy(
            source_system, source, target_system, place, False, True, source_system.getConf()
        )

    def _write(self, path: str, content: bytes, *, overwrite: bool) -> None:
        system, file = self._open(path)
        stream = system.create(file, overwrite)
        try:
            stream.write(bytearray(content))
        except BaseException:
            # On an object store to close it would publish what it has got.
            with suppress(Exception):
                stream.abort() if self._is_object_store else stream.close()
            raise
        stream.close()

    @property
    def _is_object_store(self) -> bool:
        return self._root.partition("://")[0] in _OBJECT_STORES

    def delete(self, path: str) -> None:
        """Remove a file or a folder with all that is in it, if it is there."""
        system, target = self._open(path)
        system.delete(target, True)

    def secure(self, path: str) -> None:
        """Do nothing: to close a file has made it as safe as it gets there."""

    def sizes(self, path: str) -> dict[str, int]:
        """Return name and size in bytes of each visible file directly in a folder."""
        return {
            status.getPath().getName(): status.getLen()
            for status in self._statuses(path)
            if status.isFile() and status.getPath().getName()[0] not in "._"
        }
