"""Spark's own cluster: a master and workers, who have nothing of this project."""

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vision_assets.settings import SPARK_MASTER
from vision_assets_tests.servers.environments import environment
from vision_assets_tests.servers.jvm import java_home, spark_home
from vision_assets_tests.servers.loopback import HOST, ask_json, free_ports
from vision_assets_tests.servers.process import Daemon, running, wait

_DEPLOY = "org.apache.spark.deploy"
_LOCK = Path(__file__).parents[2] / "deploy" / "workers.lock"


class SparkCluster:
    """A cluster that runs.

    Attributes
    ----------
    master : str
        For instance ``spark://127.0.0.1:40001``.
    python : Path
        Interpreter of the workers.
    environment : dict
        What a job is told of both.
    workers : list of Daemon
    """

    def __init__(self, folder: Path, workers: int, cores: int, *, pinned: bool) -> None:
        port, self._http = free_ports(2)
        self.master = f"spark://{HOST}:{port}"
        self.python = worker_python()
        self.environment = {SPARK_MASTER: self.master, "PYSPARK_PYTHON": str(self.python)}
        settings = ["--host", HOST, "--port", str(port), "--webui-port", str(self._http)]
        self._master = self._daemon("Spark's master", folder / "master", "master.Master", settings)
        self._master.ready = lambda: bool(self._state())
        self.workers = []
        for number in range(workers):
            home = folder / f"worker_{number}"
            settings = ["--host", HOST, "--webui-port", "0", "--cores", str(cores), "--memory", "4g"]
            settings += ["--work-dir", str(home), self.master]
            # One core: without it the JVM beside the Python worker would take another one that is idle.
            core = sorted(os.sched_getaffinity(0))[number] if pinned else None
            worker = self._daemon(f"Spark's worker {number}", home, "worker.Worker", settings, core)
            worker.ready = self._all_known
            self.workers.append(worker)

    def start(self) -> None:
        """Start all that does not run, and wait until the master knows all workers."""
        self._master.start()
        for worker in self.workers:
            worker.launch()
        wait(*self.workers)

    def stop(self) -> None:
        """Kill all processes."""
        for number in range(len(self.workers)):
            self.lose(number)
        self._master.kill()

    def lose(self, number: int) -> None:
        """Kill a worker and all that runs in it, as when its machine goes."""
        worker = self.workers[number]
        if worker.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
        worker.kill()

    def _state(self) -> dict[str, object]:
        return ask_json(self._http, "/json/")

    def _all_known(self) -> bool:
        known = self._state().get("aliveworkers", 0)
        return known == sum(worker.pid is not None for worker in self.workers)

    def _daemon(
        self, name: str, home: Path, main: str, arguments: list[str], core: int | None = None
    ) -> Daemon:
        home.mkdir(parents=True, exist_ok=True)
        command = [str(spark_home() / "bin" / "spark-class"), f"{_DEPLOY}.{main}", *arguments]
        if core is not None:
            command = ["taskset", "--cpu-list", str(core), *command]
        # Nothing of the environment that the job is started with.
        theirs = {
            "HOME": str(home),
            "PATH": os.defpath,
            "SPARK_LOCAL_IP": HOST,
            "SPARK_DAEMON_MEMORY": "512m",
            "JAVA_HOME": str(java_home()),
        }
        return Daemon(name, command, home / "log", lambda: True, home, theirs)


@contextmanager
def spark_cluster(
    folder: Path, workers: int = 2, cores: int = 1, *, pinned: bool = False
) -> Iterator[SparkCluster]:
    """Run a cluster on free ports of this machine until the block is left.

    Parameters
    ----------
    folder : Path
        For all that it writes; each process works in a folder of its own there.
    workers : int
        How many.
    cores : int
        Cores of each worker.
    pinned : bool
        Whether all processes of a worker keep to one core of the machine, each worker to another.

    Yields
    ------
    SparkCluster
    """
    with running(SparkCluster(folder.absolute(), workers, cores, pinned=pinned)) as cluster:
        yield cluster


def worker_python() -> Path:
    """Return the interpreter of an environment with what the workers need, which is made once and kept."""
    name = hashlib.sha256(sys.version.encode() + _LOCK.read_bytes()).hexdigest()[:12]
    return environment(f"workers-{name}", ["--require-hashes", "-r", str(_LOCK)])
