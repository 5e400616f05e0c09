"""A folder of images, without folders in it, becomes a SequenceFile of <Text, BytesWritable>."""

from pathlib import PurePosixPath

from benchmarks.peers.spark import plain_session


def measure(folder: str, output: str) -> dict[str, float]:
    files = plain_session().sparkContext.binaryFiles(folder)
    files.map(_named).saveAsSequenceFile(output)
    return {}


def _named(file: tuple[str, bytes]) -> tuple[str, bytearray]:
    return PurePosixPath(file[0]).name, bytearray(file[1])
