"""S3Proxy: an S3 interface to a folder of a local disk."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vision_assets_tests.servers.jvm import java
from vision_assets_tests.servers.libraries import server_jars
from vision_assets_tests.servers.loopback import HOST, ask, free_ports
from vision_assets_tests.servers.process import Daemon
from vision_assets_tests.servers.s3 import S3

_COORDINATES = ("org.gaul:s3proxy:4.1.0",)
_ACCESS_KEY = "tester"
_PROPERTIES = """\
s3proxy.endpoint=http://{host}:{port}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={access_key}
s3proxy.credential={secret_key}
s3proxy.ignore-unknown-headers=true
jclouds.provider=filesystem-nio2
jclouds.identity=none
jclouds.credential=none
jclouds.filesystem.basedir={buckets}
"""
_LOGBACK = """\
<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d %p %logger{0} - %m%n</pattern></encoder>
  </appender>
  <root level="warn"><appender-ref ref="console"/></root>
</configuration>
"""


@contextmanager
def s3proxy(folder: Path) -> Iterator[S3]:
    """Run S3Proxy on a free port of this machine until the block is left.

    Parameters
    ----------
    folder : Path
        For all that it writes; on a file system with extended attributes. It may be that of an earlier run.

    Yields
    ------
    S3
    """
    folder = folder.absolute()
    buckets = folder / "buckets"
    buckets.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    secret_key = secrets.token_hex(16)
    properties = folder / "s3proxy.conf"
    properties.write_text(
        _PROPERTIES.format(
            host=HOST, port=port, access_key=_ACCESS_KEY, secret_key=secret_key, buckets=buckets
        )
    )
    logback = folder / "logback.xml"
    logback.write_text(_LOGBACK)
    command = java(
        folder,
        [server_jars("s3proxy", _COORDINATES) / "*"],
        f"-Dlogback.configurationFile={logback}",
        "org.gaul.s3proxy.Main",
        "--properties",
        str(properties),
    )
    # Who does not sign is refused, by a server that serves.
    server = Daemon("S3Proxy", command, folder / "log", lambda: ask(port, "/").status > 0, folder)
    with ExitStack() as stack:
        stack.callback(server.kill)
        server.start()
        yield S3(port, _ACCESS_KEY, secret_key, server)
