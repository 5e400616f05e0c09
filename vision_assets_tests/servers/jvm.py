"""JVMs of servers: quick to start, small, and without files elsewhere."""

import os
import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

_OPTIONS = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
)
_LOG4J = """\
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c{1}: %m%n
"""


def java(folder: Path, classes: Sequence[Path], *arguments: str) -> list[str]:
    """Return the command that starts a JVM.

    Parameters
    ----------
    folder : Path
        For its temporary files and for how it logs.
    classes : sequence of Path
        Folders of classes, and of jars with ``/*`` at their end, searched in this order.
    *arguments : str
        Options, main class and the arguments of that.
    """
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    logging = folder / "log4j2.properties"
    logging.write_text(_LOG4J)
    return [
        str(java_home() / "bin" / "java"),
        *_OPTIONS,
        f"-Djava.io.tmpdir={temporary}",
        f"-Dlog4j2.configurationFile={logging.as_uri()}",
        "-cp",
        os.pathsep.join(map(str, classes)),
        *arguments,
    ]


def java_home() -> Path:
    """Return where Java is."""
    if named := os.environ.get("JAVA_HOME"):
        return Path(named)
    found = shutil.which("java")
    if found is None:
        raise FileNotFoundError("java is not on the path, and JAVA_HOME is not set")
    return Path(found).resolve().parents[1]


def spark_home() -> Path:
    """Return where PySpark has Spark."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("PySpark is not installed")
    return Path(spec.origin).parent
