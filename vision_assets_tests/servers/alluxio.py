"""Alluxio: a master and a worker before a local folder."""

import getpass
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_assets_tests.servers.jvm import java
from vision_assets_tests.servers.libraries import server_jars
from vision_assets_tests.servers.loopback import HOST, ask_json, free_ports
from vision_assets_tests.servers.process import Daemon, run, wait

_VERSION = "2.9.3"  # the last of which all is published
_COORDINATES = (
    f"org.alluxio:alluxio-core-server-master:{_VERSION}",
    f"org.alluxio:alluxio-core-server-worker:{_VERSION}",
    f"org.alluxio:alluxio-underfs-local:{_VERSION}",
    # Spark's resolver loses what the first depends on twice: once as it is, once as its tests.
    *(f"org.apache.ratis:ratis-{name}:2.4.1" for name in ("client", "common", "metrics")),
)
_JAVA_OPTIONS = tuple(
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.lang.reflect", "java.nio", "java.util", "sun.nio.ch")
)


@dataclass(frozen=True)
class Alluxio:
    """A file system that runs.

    Parameters
    ----------
    uri : str
        The root folder, without a slash at the end.
    master, worker : Daemon
        The two processes.
    """

    uri: str
    master: Daemon
    worker: Daemon

    def stop(self) -> None:
        """Kill the master."""
        self.master.kill()

    def start(self) -> None:
        """Start the master again, on the same port and data, and wait until it knows its worker."""
        self.master.start()
        self.worker.start()


@contextmanager
def alluxio(folder: Path) -> Iterator[Alluxio]:
    """Run Alluxio on free ports of this machine until the block is left.

    Parameters
    ----------
    folder : Path
        For all that it writes: journal, blocks, under-store and logs. It may be that of an earlier run.

    Yields
    ------
    Alluxio
    """
    folder = folder.absolute()
    for name in ("journal", "under_store", "blocks", "logs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ports = free_ports(4)
    master_port, master_web, _, worker_web = ports
    settings = _settings(folder, *ports)
    jvm = java(
        folder,
        [server_jars("alluxio", _COORDINATES) / "*"],
        *_JAVA_OPTIONS,
        *(f"-D{name}={value}" for name, value in settings.items()),
    )
    if not any((folder / "journal").iterdir()):
        command = [*jvm, "alluxio.cli.Format", "master"]
        run("making Alluxio's journal", command, folder / "logs" / "format.log", folder)
    master = Daemon(
        "the Alluxio master",
        [*jvm, "alluxio.master.AlluxioMaster"],
        folder / "logs" / "master.log",
        lambda: bool(_gauges(master_web)),
        folder,
    )
    worker = Daemon(
        "the Alluxio worker",
        [*jvm, "-XX:MaxDirectMemorySize=1g", "alluxio.worker.AlluxioWorker"],
        folder / "logs" / "worker.log",
        # It registers, then opens its web port.
        lambda: bool(_gauges(worker_web)) and _workers(master_web) > 0,
        folder,
    )
    with ExitStack() as stack:
        for server in (master, worker):
            stack.callback(server.kill)
            server.launch()
        wait(master, worker)
        yield Alluxio(f"alluxio://{HOST}:{master_port}", master, worker)


def _settings(
    folder: Path, master_port: int, master_web: int, worker_port: int, worker_web: int
) -> dict[str, object]:
    return {
        "alluxio.home": folder,
        "alluxio.conf.dir": folder,
        "alluxio.site.conf.dir": folder,
        "alluxio.logs.dir": folder / "logs",
        "alluxio.work.dir": folder,
        "alluxio.tmp.dirs": folder / "tmp",
        "alluxio.master.hostname": HOST,
        "alluxio.master.bind.host": HOST,
        "alluxio.master.rpc.port": master_port,
        "alluxio.master.web.hostname": HOST,
        "alluxio.master.web.bind.host": HOST,
        "alluxio.master.web.port": master_web,
        "alluxio.master.journal.type": "UFS",
        "alluxio.master.journal.folder": folder / "journal",
        "alluxio.master.metastore": "HEAP",
        "alluxio.master.mount.table.root.ufs": folder / "under_store",
        "alluxio.master.update.check.enabled": "false",
        "alluxio.master.rpc.executor.core.pool.size": 16,
        "alluxio.worker.hostname": HOST,
        "alluxio.worker.bind.host": HOST,
        "alluxio.worker.rpc.port": worker_port,
        "alluxio.worker.web.hostname": HOST,
        "alluxio.worker.web.bind.host": HOST,
        "alluxio.worker.web.port": worker_web,
        "alluxio.worker.ramdisk.size": "1GB",
        "alluxio.worker.tieredstore.levels": 1,
        "alluxio.worker.tieredstore.level0.alias": "SSD",
        "alluxio.worker.tieredstore.level0.dirs.path": folder / "blocks",
        "alluxio.worker.tieredstore.level0.dirs.quota": "1GB",
        "alluxio.worker.tieredstore.level0.dirs.mediumtype": "SSD",
        "alluxio.user.file.writetype.default": "CACHE_THROUGH",
        # Whom a client's HADOOP_USER_NAME names, it is; else a client is refused who is not who runs it.
        f"alluxio.master.security.impersonation.{getpass.getuser()}.users": "*",
        "alluxio.web.ui.enabled": "false",
    }


def _workers(master_web: int) -> float:
    """Return how many workers have registered with the master."""
    return float(_gauges(master_web).get("Cluster.Workers", {}).get("value", 0))


def _gauges(web_port: int) -> dict[str, Any]:
    """Return the gauges of a server's metrics; none if it does not answer."""
    return dict(ask_json(web_port, "/metrics/json/").get("gauges", {}))
