"""What Hadoop's servers have in common."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from vision_assets.spark.connectors import HADOOP
from vision_assets_tests.servers.jvm import java, java_home, spark_home
from vision_assets_tests.servers.libraries import server_jars
from vision_assets_tests.servers.process import Daemon

_COORDINATES = (
    f"org.apache.hadoop:hadoop-client-minicluster:{HADOOP}",
    "org.bouncycastle:bcpkix-jdk18on:1.82",  # which the ResourceManager uses, but the former does not name
)
# PySpark has them.
_EXCLUDED = (
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
    "org.xerial.snappy:snappy-java",
    "org.slf4j:slf4j-api",
    "commons-logging:commons-logging",
    "com.google.code.findbugs:jsr305",
)


def write_site(folder: Path, settings: Mapping[str, str], *names: str) -> None:
    """Write properties as files of Hadoop's configuration, such as ``core-site.xml``."""
    properties = "\n".join(
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>"
        for name, value in settings.items()
    )
    for name in names:
        (folder / name).write_text(f"<configuration>\n{properties}\n</configuration>\n")


def hadoop_command(home: Path, *arguments: str) -> list[str]:
    """Return the command that starts a class of Hadoop's servers, with the configuration in a folder."""
    jars = server_jars("hadoop", _COORDINATES, _EXCLUDED)
    return java(home, [home, jars / "*", spark_home() / "jars" / "*"], "-Xmx256m", *arguments)


def hadoop_environment() -> dict[str, str]:
    """Return this process's environment without what would make another user the superuser."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HADOOP_")}
    return ours | {"JAVA_HOME": str(java_home())}


def hadoop_daemon(name: str, command: list[str], home: Path, ready: Callable[[], bool]) -> Daemon:
    """Return a server that works and logs in a folder."""
    return Daemon(name, command, home / "log", ready, home, hadoop_environment())
