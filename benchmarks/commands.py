"""What is measured, as commands in processes of their own, so that memory and JVMs are apart."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.machine import cores
from benchmarks.memory import Peak, Watch
from vision_assets import settings
from vision_assets.pipelines import PIPELINE_OF_ASSET

ROOT = Path(__file__).parents[1]
ASSETS = ("image_seqfile", "sift_features", "kmeans_dictionary", "bow_encodings")

Config = Mapping[str, Mapping[str, Any]]
"""Asset to the fields of its configuration."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
# These describe the machine, not the project: a figure must not depend on them.
_NOT_PASSED_ON = (
    *("SPARK_CONF_DIR", "SPARK_HOME", settings.SOURCE, settings.KEEP_SNAPSHOTS, settings.EXTRACTORS),
    *_THREADS,
    *_KERNELS,
)
_LINES_OF_AN_ERROR = 30


class NotInstalledError(Exception):
    """A package that a peer is made of is not installed."""


class CommandError(Exception):
    """A command that failed; the message has the end of what it printed."""


@dataclass(frozen=True)
class Finished:
    """A command that has ended: its seconds from start to end, its last line of output, its memory."""

    seconds: float
    output: str
    peak: Peak


@dataclass(frozen=True)
class Called:
    """A measurement that has ended: `seconds` of its process and the figures it gave."""

    seconds: float
    figures: dict[str, Any]

    @property
    def with_start(self) -> float:
        """The seconds that it measured itself, and those that its process took to start and end."""
        return float(self.figures["seconds"] + self.seconds - self.figures["inside"])


@dataclass(frozen=True)
class Materialized:
    """A run of the project: `seconds` of its process, and the metadata of each asset that it made."""

    seconds: float
    metadata: dict[str, dict[str, Any]]
    peak: Peak


class Commands:
    """Runs commands, their history and logs in a folder; with Spark properties besides the project's own."""

    def __init__(self, folder: Path, spark_config: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._spark_config = dict(spark_config or {})
        self._home = folder / "dagster_home"
        self._home.mkdir(parents=True)
        (self._home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())

    def run(
        self,
        *command: str | Path,
        environment: Mapping[str, str] | None = None,
        threads: int | None = None,
        watched: bool = False,
    ) -> Finished:
        """Run a command.

        Its processes are watched only if that is asked for: adding up the pages of a large process
        takes time that would be missing elsewhere.
        """
        variables = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        variables |= {
            settings.SPARK_MASTER: f"local[{cores()}]",
            "DAGSTER_HOME": str(self._home),
            "PYTHONWARNINGS": "ignore::FutureWarning",
            **dict.fromkeys(_THREADS if threads else (), str(threads)),
            **(environment or {}),
        }
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as log:
            started = time.monotonic()
            process = subprocess.Popen(
                command, cwd=ROOT, env=variables, stdout=output, stderr=log, start_new_session=True
            )
            try:
                peak = _wait(process, watched=watched)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)  # with its JVM and workers
                process.wait()
                raise
            seconds = time.monotonic() - started
            output.seek(0)
            log.seek(0)
            lines = output.read().splitlines()
            if process.returncode:
                last = [*log.read().splitlines(), *lines][-_LINES_OF_AN_ERROR:]
                raise CommandError("\n".join([f"{' '.join(map(str, command))} failed:", *last]))
        return Finished(seconds, lines[-1] if lines else "", peak)

    def call(
        self, module: str, *, threads: int | None = None, kernel: str | None = None, **arguments: Any
    ) -> Called:
        """Run the function `measure` of a module, with arguments that JSON can hold.

        OpenBLAS chooses its kernel by the processor, unless one is named.
        """
        finished = self.run(
            *(sys.executable, "-m", "benchmarks.call", module, json.dumps(arguments, default=str)),
            threads=threads,
            environment={"OPENBLAS_CORETYPE": kernel} if kernel else None,
        )
        figures = json.loads(finished.output)
        if "missing" in figures:
            raise NotInstalledError(figures["missing"])
        return Called(finished.seconds, figures)

    def materialize(
        self, data: Path, *assets: str, config: Config | None = None, watched: bool = False
    ) -> Materialized:
        """Materialize assets as a user does; by default all up to the encodings."""
        wanted = assets or ASSETS
        ops = {name: {"config": fields} for name, fields in (config or {}).items() if name in wanted}
        file = self._folder / "run.yaml"
        resources = {"pyspark": {"config": {"spark_config": self._spark_config}}}
        file.write_text(json.dumps({"ops": ops, "resources": resources}))  # which is YAML as well
        extractors = {PIPELINE_OF_ASSET[asset].name for asset in wanted if asset in PIPELINE_OF_ASSET}
        finished = self.run(
            *(sys.executable, "-m", "dagster", "asset", "materialize", "--select", ",".join(wanted)),
            *("-m", "vision_assets.definitions", "-c", file),
            environment={settings.DATA: str(data), settings.EXTRACTORS: ",".join(sorted(extractors))},
            watched=watched,
        )
        return Materialized(finished.seconds, self._newest_metadata(wanted), finished.peak)

    def _newest_metadata(self, assets: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        metadata = {}
        with dg.DagsterInstance.from_config(str(self._home)) as instance:
            for asset in assets:
                event = instance.get_latest_materialization_event(dg.AssetKey(asset))
                if event is None or event.asset_materialization is None:
                    raise CommandError(f"the history has no materialization of {asset}")
                metadata[asset] = plain(event.asset_materialization.metadata)
        return metadata


def plain(metadata: Mapping[str, dg.MetadataValue]) -> dict[str, Any]:
    """Return metadata as numbers, texts and lists of records."""
    return {
        name: [dict(record.data) for record in value.records]
        if isinstance(value, dg.TableMetadataValue)
        else value.value
        for name, value in metadata.items()
    }


def _wait(process: "subprocess.Popen[bytes]", *, watched: bool) -> Peak:
    if not watched:
        process.wait()
        return Peak()
    with Watch(process.pid) as watch:
        process.wait()
    return watch.peak
