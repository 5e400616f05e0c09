"""HDFS: a NameNode and DataNodes of Apache Hadoop, each a JVM of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vision_assets_tests.servers.hadoop import (
    hadoop_command,
    hadoop_daemon,
    hadoop_environment,
    write_site,
)
from vision_assets_tests.servers.loopback import HOST, ask_json, free_ports
from vision_assets_tests.servers.process import Daemon, run, running, wait

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
        self._home = home = folder / "name_node"
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
            run("formatting HDFS", format_command, home / "log", home, hadoop_environment())
        self.name_node = hadoop_daemon("the NameNode", command, home, self._is_ready)
        self.data_nodes = [
            _data_node(f"DataNode {number}", folder / f"data_node_{number}", common)
            for number in range(data_nodes)
        ]

    def start(self) -> None:
        """Start all that does not run, side by side, and wait until files can be written."""
        daemons = (self.name_node, *self.data_nodes)
        for daemon in daemons:
            daemon.launch()
        wait(*daemons)

    def stop(self) -> None:
        """Kill all processes; what is stored stays."""
        for daemon in (*self.data_nodes, self.name_node):
            daemon.kill()

    def put(self, files: Sequence[Path], folder: str) -> None:
        """Copy files and folders into a new folder, by Hadoop's own command."""
        for shell in (["-mkdir", folder], ["-put", *map(str, files), folder]):
            command = hadoop_command(self._home, "org.apache.hadoop.fs.FsShell", *shell)
            run("copying to HDFS", command, self._home / "log", self._home, hadoop_environment())

    def _is_ready(self) -> bool:
        """Tell whether files can be written."""
        state = _bean(self._name_node_http, "NameNode", "FSNamesystemState")
        alive = state.get("NumLiveDataNodes", 0)
        return state.get("FSState") == "Operational" and alive >= len(self.data_nodes)


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
    return hadoop_daemon(
        name, command, home, lambda: '"RUNNING"' in str(_bean(http_port, "DataNode", "DataNodeInfo"))
    )


def _command(home: Path, settings: dict[str, str], main: str) -> list[str]:
    """Write the configuration of a server, and return the command that starts it."""
    home.mkdir(parents=True, exist_ok=True)
    write_site(home, settings, "core-site.xml", "hdfs-site.xml")
    return hadoop_command(home, main)


def _bean(http_port: int, service: str, name: str) -> dict[str, Any]:
    """Return what a server says of itself; nothing if it does not answer."""
    beans = ask_json(http_port, f"/jmx?qry=Hadoop:service={service},name={name}").get("beans")
    return dict(beans[0]) if beans else {}
