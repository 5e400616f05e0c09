"""YARN: a ResourceManager and a NodeManager of Apache Hadoop, each a JVM of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vision_assets_tests.servers.hadoop import hadoop_command, hadoop_daemon, write_site
from vision_assets_tests.servers.loopback import HOST, ask_json, free_ports
from vision_assets_tests.servers.process import running, wait

_SERVER = "org.apache.hadoop.yarn.server"
# What YARN's classes for web pages need of Java 17.
_JAVA_OPTIONS = ("--add-opens=java.base/java.lang=ALL-UNNAMED",)


class Yarn:
    """A cluster that runs.

    Attributes
    ----------
    configuration : Path
        Folder that a client's ``HADOOP_CONF_DIR`` has to name.
    """

    def __init__(self, folder: Path, file_system: str, cores: int, megabytes: int) -> None:
        scheduler, tracker, clients, admin, self._http, node, localizer, node_http = free_ports(8)
        self.configuration = folder / "configuration"
        settings = {
            "fs.defaultFS": file_system,
            "hadoop.tmp.dir": str(folder / "tmp"),
            "yarn.resourcemanager.hostname": HOST,
            "yarn.resourcemanager.scheduler.address": f"{HOST}:{scheduler}",
            "yarn.resourcemanager.resource-tracker.address": f"{HOST}:{tracker}",
            "yarn.resourcemanager.address": f"{HOST}:{clients}",
            "yarn.resourcemanager.admin.address": f"{HOST}:{admin}",
            "yarn.resourcemanager.webapp.address": f"{HOST}:{self._http}",
            "yarn.scheduler.minimum-allocation-mb": "128",
            "yarn.scheduler.capacity.root.queues": "default",
            "yarn.scheduler.capacity.root.default.capacity": "100",  # %
            "yarn.scheduler.capacity.maximum-am-resource-percent": "0.5",
            "yarn.nodemanager.hostname": HOST,
            "yarn.nodemanager.address": f"{HOST}:{node}",
            "yarn.nodemanager.localizer.address": f"{HOST}:{localizer}",
            "yarn.nodemanager.webapp.address": f"{HOST}:{node_http}",
            "yarn.nodemanager.local-dirs": str(folder / "local"),
            "yarn.nodemanager.log-dirs": str(folder / "logs"),
            "yarn.nodemanager.resource.cpu-vcores": str(cores),
            "yarn.nodemanager.resource.memory-mb": str(megabytes),
            # Containers that use more memory than they asked for are killed, as everywhere.
            "yarn.nodemanager.pmem-check-enabled": "true",
            "yarn.nodemanager.vmem-check-enabled": "false",
            "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "100",
        }
        self._daemons = []
        for name, main in (
            ("ResourceManager", f"{_SERVER}.resourcemanager.ResourceManager"),
            ("NodeManager", f"{_SERVER}.nodemanager.NodeManager"),
        ):
            home = folder / name
            for place in (home, self.configuration):
                place.mkdir(parents=True, exist_ok=True)
                write_site(place, settings, "core-site.xml", "yarn-site.xml", "capacity-scheduler.xml")
            command = hadoop_command(home, *_JAVA_OPTIONS, main)
            self._daemons.append(hadoop_daemon(f"the {name}", command, home, self._is_ready))

    def start(self) -> None:
        """Start both, and wait until the NodeManager's cores are known."""
        for daemon in self._daemons:
            daemon.launch()
        wait(*self._daemons)

    def stop(self) -> None:
        """Kill both."""
        for daemon in self._daemons:
            daemon.kill()

    def _is_ready(self) -> bool:
        found: dict[str, Any] = ask_json(self._http, "/ws/v1/cluster/metrics")
        return bool(found.get("clusterMetrics", {}).get("activeNodes"))


@contextmanager
def yarn(folder: Path, file_system: str, cores: int = 3, megabytes: int = 6000) -> Iterator[Yarn]:
    """Run YARN on free ports of this machine until the block is left.

    Parameters
    ----------
    folder : Path
        For all that it writes.
    file_system : str
        URI of the one where jobs put their files.
    cores, megabytes : int
        What the NodeManager has to give. Spark takes one core for its application master.

    Yields
    ------
    Yarn
    """
    with running(Yarn(folder.absolute(), file_system, cores, megabytes)) as servers:
        yield servers
