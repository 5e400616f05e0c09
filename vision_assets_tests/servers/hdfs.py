"""HDFS: a NameNode and DataNodes of Apache Hadoop, each a JVM of its own."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from vision_assets.spark.connectors import HADOOP
from vision_assets_tests.servers.jvm import java, spark_home
from vision_assets_tests.servers.libraries import server_jars
from vision_assets_tests.servers.loopback import HOST, ask_json, free_ports
from vision_assets_tests.servers.process import Daemon, run, running, wait

_COORDINATES = (f"org.apache.hadoop:hadoop-client-minicluster:{HADOOP}",)
# PySpark has them.
_EXCLUDED = (
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
    "org.xerial.snappy:snappy-java",
    "org.slf4j:slf4j-api",
    "commons-logging:commons-logging",
    "com.google.code.findbugs:jsr305",
)
_SERVER = "org.apache.hadoop.hdfs.server"


class Hdfs:
    """A file system that runs.

    Attributes
    ----------
    uri : str
        For instance ``hdfs://127.0.0.1:40001``.
    name_node : Daemon
    data_nodes : list of Daemon
        The NameNode takes one that was killed for dead 12 s later.
    """

    def __init__(self, folder: Path, data_nodes: int) -> None:
        port, self._name_node_http = free_ports(2)
        self.uri = f"hdfs://{HOST}:{port}"
        common = {
            "fs.defaultFS": self.uri,
            "hadoop.tmp.dir": str(folder / "tmp"),
            "dfs.heartbeat.interval": "1",  # seconds
            "dfs.replication": str(data_nodes),
        }
        home = folder / "name_node"
        settings = common | {
            "dfs.namenode.rpc-address": f"{HOST}:{port}",
            "dfs.namenode.http-address": f"{HOST}:{self._name_node_http}",
            "dfs.namenode.name.dir": (home / "data").as_uri(),
            "dfs.permissions.enabled": "true",
            "dfs.namenode.safemode.extension": "0",  # ms, after all blocks were reported
            "dfs.namenode.heartbeat.recheck-interval": "1000",  # ms: a DataNode is dead after 12 s
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        }
        command = _command(home, settings, f"{_SERVER}.namenode.NameNode")
        if not (home / "data").exists():
            format_command = [*command, "-format", "-nonInteractive"]
            run("formatting HDFS", format_command, home / "log", home, _environment())
        self.name_node = _daemon("the NameNode", command, home, self._is_ready)
        self.data_nodes = [
            _data_node(f"DataNode {number}", folder / f"data_node_{number}", common)
            for number in range(data_nodes)
        ]

    def start(self) -> None:
        """Start all that does not run, side by side, and wait until files can be written."""
        self._start(self.name_node, *self.data_nodes)

    def stop(self) -> None:
        """Kill all processes; what is stored stays."""
        for daemon in (*self.data_nodes, self.name_node):
            daemon.kill()

    def start_name_node(self) -> None:
        """Start the NameNode again, and wait until files can be written."""
        self._start(self.name_node)

    def stop_name_node(self) -> None:
        """Kill the NameNode."""
        self.name_node.kill()

    def start_data_node(self, number: int = 0) -> None:
        """Start a DataNode again, and wait until the NameNode, if it runs, knows it."""
        self._start(self.data_nodes[number])

    def stop_data_node(self, number: int = 0) -> None:
        """Kill a DataNode."""
        self.data_nodes[number].kill()

    def _start(self, *daemons: Daemon) -> None:
        for daemon in daemons:
            daemon.launch()
        if self.name_node.pid is not None:
            wait(self.name_node, *self._running())

    def _running(self) -> list[Daemon]:
        return [daemon for daemon in self.data_nodes if daemon.pid is not None]

    def _is_ready(self) -> bool:
        """Tell whether files can be written, or, without a DataNode, whether the NameNode answers."""
        state = _bean(self._name_node_http, "NameNode", "FSNamesystemState")
        running = self._running()
        if not state or not running:  # without a DataNode it may stay in safe mode
            return bool(state)
        return bool(state["FSState"] == "Operational" and state["NumLiveDataNodes"] >= len(running))


@contextmanager
def hdfs(folder: Path, data_nodes: int = 1) -> Iterator[Hdfs]:
    """Run HDFS on free ports of this machine until the block is left.

    Permissions are checked; the superuser is the user who runs this. Another one is named by the
    variable ``HADOOP_USER_NAME`` of a client.

    Parameters
    ----------
    folder : Path
        For all that it writes: configuration, data and logs.
    data_nodes : int
        How many DataNodes.

    Yields
    ------
    Hdfs
    """
    with running(Hdfs(folder.absolute(), data_nodes)) as servers:
        yield servers


def _data_node(name: str, home: Path, common: dict[str, str]) -> Daemon:
    port, http_port, ipc_port = free_ports(3)
    settings = common | {
        "dfs.datanode.address": f"{HOST}:{port}",
        "dfs.datanode.http.address": f"{HOST}:{http_port}",
        "dfs.datanode.ipc.address": f"{HOST}:{ipc_port}",
        "dfs.datanode.data.dir": (home / "data").as_uri(),
        "dfs.datanode.hostname": HOST,
        # It finds a NameNode that comes (back) at once; by default it looks every 1 to 5 s.
        "ipc.client.connect.retry.interval": "200",  # ms
        "ipc.client.connect.max.retries": "300",
    }
    command = _command(home, settings, f"{_SERVER}.datanode.DataNode")
    # The NameNode goes on to count a DataNode that was killed as live for a while.
    return _daemon(
        name, command, home, lambda: '"RUNNING"' in str(_bean(http_port, "DataNode", "DataNodeInfo"))
    )


def _daemon(name: str, command: list[str], home: Path, ready: Callable[[], bool]) -> Daemon:
    return Daemon(name, command, home / "log", ready, home, _environment())


def _command(home: Path, settings: dict[str, str], main: str) -> list[str]:
    """Write the configuration of a server, and return the command that starts it."""
    jars = server_jars("hdfs", _COORDINATES, _EXCLUDED)
    command = java(home, [home, jars / "*", spark_home() / "jars" / "*"], "-Xmx256m", main)
    properties = "\n".join(
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>"
        for name, value in settings.items()
    )
    for name in ("core-site.xml", "hdfs-site.xml"):
        (home / name).write_text(f"<configuration>\n{properties}\n</configuration>\n")
    return command


def _environment() -> dict[str, str]:
    """Return this process's environment without what would make another user the superuser."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HADOOP_")}


def _bean(http_port: int, service: str, name: str) -> dict[str, Any]:
    """Return what a server says of itself; nothing if it does not answer."""
    beans = ask_json(http_port, f"/jmx?qry=Hadoop:service={service},name={name}").get("beans")
    return dict(beans[0]) if beans else {}
