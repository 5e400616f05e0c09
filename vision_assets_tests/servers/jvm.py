"""JVMs of servers: quick to start, small, and without files elsewhere."""

import os
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
    home = os.environ.get("JAVA_HOME")
    return [
        str(Path(home, "bin", "java")) if home else "java",
        *_OPTIONS,
        f"-Djava.io.tmpdir={temporary}",
        f"-Dlog4j2.configurationFile={logging.as_uri()}",
        "-cp",
        os.pathsep.join(map(str, classes)),
        *arguments,
    ]


def spark_home() -> Path:
    """Return where PySpark has Spark."""
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("PySpark is not installed")
    return Path(spec.origin).parent
