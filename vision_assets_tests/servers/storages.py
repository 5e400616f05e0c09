"""The storages that servers of are started for tests."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from vision_assets_tests.servers.alluxio import Alluxio, alluxio
from vision_assets_tests.servers.hdfs import Hdfs, hdfs
from vision_assets_tests.servers.openstack_swift import swift
from vision_assets_tests.servers.s3 import S3
from vision_assets_tests.servers.s3proxy import s3proxy

STORAGES: dict[str, Callable[[Path], AbstractContextManager[Hdfs | Alluxio | S3]]] = {
    "hdfs": hdfs,
    "swift": swift,
    "s3proxy": s3proxy,
    "alluxio": alluxio,
}
"""Name to what runs it in a folder."""
