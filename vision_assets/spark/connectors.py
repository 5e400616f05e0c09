"""Storages whose clients are not part of PySpark: their Java libraries and Spark properties.

``python -m vision_assets.spark.connectors FOLDER LIBRARIES EXCLUDED`` fetches libraries into ``FOLDER/jars``.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyspark.conf import SparkConf
from pyspark.java_gateway import launch_gateway

from vision_assets import settings
from vision_assets.errors import UserError

HADOOP = "3.5.0"
"""Version of the client in PySpark."""
_AWS_SDK = "2.35.4"
"""Version that this Hadoop was built with."""
_CLOUD = "4.1.2"
"""Newest published version; the classes that bind Spark's writers have not changed since."""

_SECONDS_TO_FETCH = 900

_IVY_SETTINGS = """\
<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true"/></resolvers>
</ivysettings>
"""
"""Spark's own settings also search Maven's folder on this machine, which may have an incomplete library."""


@dataclass(frozen=True)
class Connector:
    """What it takes to reach one kind of storage.

    Parameters
    ----------
    libraries : tuple of str
        Maven coordinates, the client's first.
    excluded : tuple of str
        Group and artifact of dependencies that Spark already has, or that nothing here uses.
    properties : mapping
        Spark properties.
    """

    libraries: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def client(self) -> str:
        """Name of the artifact, which is part of its file name."""
        return self.libraries[0].split(":")[1]


CONNECTORS = {
    "s3a": Connector(
        libraries=(
            f"org.apache.hadoop:hadoop-aws:{HADOOP}",
            # Instead of the bundled SDK, which is fifty times as large.
            f"software.amazon.awssdk:s3-transfer-manager:{_AWS_SDK}",
            f"software.amazon.awssdk:apache-client:{_AWS_SDK}",
            f"software.amazon.awssdk:sts:{_AWS_SDK}",
            f"software.amazon.awssdk:netty-nio-client:{_AWS_SDK}",
            f"org.apache.spark:spark-hadoop-cloud_2.13:{_CLOUD}",
        ),
        excluded=(
            "software.amazon.awssdk:bundle",
            "com.google.cloud.bigdataoss:gcs-connector",
            *(
                f"org.apache.hadoop:{name}"
                for name in (
                    "hadoop-client-api",
                    "hadoop-client-runtime",
                    "hadoop-azure",
                    "hadoop-azure-datalake",
                    "hadoop-cloud-storage",
                    "hadoop-cos",
                    "hadoop-huaweicloud",
                    "hadoop-tos",
                    "hadoop-aliyun",
                )
            ),
            *(
                f"io.netty:netty-{name}"
                for name in (
                    "buffer",
                    "codec",
                    "codec-http",
                    "codec-http2",
                    "common",
                    "handler",
                    "resolver",
                    "transport",
                    "transport-classes-epoll",
                    "transport-native-unix-common",
                )
            ),
            # Dependencies of Spark's committer for object stores that S3 does not need.
            "com.fasterxml.jackson.core:jackson-annotations",
            "com.fasterxml.jackson.core:jackson-core",
            "com.fasterxml.jackson.core:jackson-databind",
            "com.fasterxml.jackson.dataformat:jackson-dataformat-cbor",
            "com.squareup.okhttp3:okhttp",
            "com.squareup.okio:okio",
            "joda-time:joda-time",
            "org.eclipse.jetty:jetty-util",
            "org.eclipse.jetty:jetty-util-ajax",
            "org.slf4j:slf4j-api",
            "org.apache.httpcomponents:httpclient",
            "org.apache.httpcomponents:httpcore",
            "commons-codec:commons-codec",
            "commons-logging:commons-logging",
        ),
        properties={
            # Nothing is renamed: files of tasks appear when the job is committed.
            "spark.hadoop.fs.s3a.committer.name": "magic",
            "spark.sql.sources.commitProtocolClass": (
                "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol"
            ),
            "spark.sql.parquet.output.committer.class": (
                "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter"
            ),
            # Unfinished uploads of a dead run are removed with its folder.
            "spark.hadoop.fs.s3a.directory.operations.purge.uploads": "true",
            # This stream tries again when a connection breaks within a file.
            "spark.hadoop.fs.s3a.input.stream.type": "classic",
        },
    ),
    "alluxio": Connector(
        libraries=("org.alluxio:alluxio-shaded-client:2.9.3",),
        properties={
            "spark.hadoop.fs.alluxio.impl": "alluxio.hadoop.FileSystem",
            # Committed files are in the storage below, not only in the memory of one worker.
            "spark.hadoop.alluxio.user.file.writetype.default": "CACHE_THROUGH",
            "spark.hadoop.alluxio.user.metrics.collection.enabled": "false",
        },
    ),
}


def connector_config(configured: Mapping[str, str]) -> dict[str, str]:
    """Return the Spark properties for the storages that are used, and fetch missing libraries.

    Parameters
    ----------
    configured : mapping
        Spark properties of the user. If their libraries include a client, that client is used; their other
        libraries stay beside those of the connectors.

    Returns
    -------
    dict
        Property to value.

    Raises
    ------
    UserError
        If a name is unknown, or libraries are missing and cannot be fetched.
    """
    config: dict[str, str] = {}
    theirs = [configured[name] for name in ("spark.jars", "spark.jars.packages") if name in configured]
    jars: list[str] = []
    for scheme in sorted({*settings.schemes(), *_named()}):
        connector = CONNECTORS.get(scheme)
        if connector and not any(connector.client in named for named in theirs):
            jars += map(str, sorted(libraries(scheme).glob("*.jar")))
            config |= connector.properties
    if jars:
        config["spark.jars"] = ",".join(filter(None, [configured.get("spark.jars"), *jars]))
    return config


def _named() -> list[str]:
    named = settings.connectors()
    if unknown := sorted(set(named) - set(CONNECTORS)):
        raise UserError(
            f"{settings.CONNECTORS} names {', '.join(unknown)}, but the connectors are "
            f"{', '.join(CONNECTORS)}. HDFS and local folders need no connector."
        )
    return named


def libraries(scheme: str) -> Path:
    """Return the folder of the Java libraries for a URI scheme; fetch them if it does not exist.

    Raises
    ------
    UserError
        If they cannot be fetched.
    """
    connector = CONNECTORS[scheme]
    return fetched(settings.jars_folder(), scheme, connector.libraries, connector.excluded)


def fetched(folder: Path, name: str, libraries: Sequence[str], excluded: Sequence[str] = ()) -> Path:
    """Return a folder with Java libraries and their dependencies; fetch them if it does not exist.

    Parameters
    ----------
    folder : Path
        Parent of the folders of libraries.
    name : str
    libraries : sequence of str
        Maven coordinates.
    excluded : sequence of str
        Group and artifact of dependencies that are left out.

    Raises
    ------
    UserError
        If they cannot be fetched.
    """
    folder /= folder_name(name, libraries, excluded)
    if folder.is_dir():
        return folder
    print(f"fetching Java libraries into {folder}, once ...", file=sys.stderr, flush=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
            # In a separate JVM: this process may already have one, or may not want one yet.
            command = [
                sys.executable,
                "-m",
                __spec__.name,
                unfinished,
                ",".join(libraries),
                ",".join(excluded),
            ]
            subprocess.run(  # noqa: S603 - constants and a path
                command, check=True, capture_output=True, timeout=_SECONDS_TO_FETCH
            )
            Path(unfinished, "jars").rename(folder)
    except (OSError, subprocess.SubprocessError) as error:
        if folder.is_dir():  # another process was first
            return folder
        raise UserError(
            f"cannot fetch {libraries[0]} into {folder}: {_said(error)}\nRun make jars on a machine with "
            f"network access and copy the folder; {settings.JARS} names another place."
        ) from error
    return folder


def folder_name(name: str, libraries: Sequence[str], excluded: Sequence[str] = ()) -> str:
    """Return the name of a folder of libraries, which changes when the libraries change."""
    content = repr((sorted(libraries), sorted(excluded))).encode()
    return f"{name}-{hashlib.sha256(content).hexdigest()[:8]}"


def _said(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no end after {error.timeout:g} s"
    said = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else ""
    cause = re.search(r"^Exception in thread \S+ [\w.]+: (.+)", said, re.MULTILINE)
    return cause[1] if cause else (said or str(error)).strip().splitlines()[-1]


def _resolve(folder: str, libraries: str, excluded: str) -> None:
    """Let Spark resolve libraries, as for `spark.jars.packages`, into the subfolder ``jars`` of a folder."""
    settings_file = Path(folder, "ivysettings.xml")
    settings_file.write_text(_IVY_SETTINGS)
    conf = SparkConf(loadDefaults=False)
    conf.set("spark.master", "local[1]").set("spark.jars.ivy", folder)
    conf.set("spark.jars.ivySettings", str(settings_file))
    conf.set("spark.jars.packages", libraries).set("spark.jars.excludes", excluded)
    launch_gateway(conf).shutdown()


if __name__ == "__main__":
    _resolve(*sys.argv[1:])
