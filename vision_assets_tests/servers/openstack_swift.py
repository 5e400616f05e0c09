"""OpenStack Swift with its S3 interface: one device, one copy of everything."""

import hashlib
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import OK
from pathlib import Path

from vision_assets_tests.servers.environments import environment
from vision_assets_tests.servers.loopback import HOST, ask, free_ports
from vision_assets_tests.servers.process import Daemon, run, wait
from vision_assets_tests.servers.s3 import REGION, S3

_PACKAGES = (
    "swift==2.38.3",
    "eventlet==0.41.3",
    "PasteDeploy==3.1.0",
    "pyeclib==1.8.0",
    "xattr==1.3.0",
)
_STORAGE_KINDS = ("account", "container", "object")
_KINDS = (*_STORAGE_KINDS, "proxy")
_ACCOUNT, _USER, _KEY = "test", "tester", "testing"

_RINGS = """
import sys
from swift.common.ring import RingBuilder
folder, host, *rings = sys.argv[1:]
for ring in rings:
    kind, port = ring.split(":")
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=0)
    builder.add_dev({"region": 1, "zone": 1, "ip": host, "port": int(port), "device": "device",
                     "weight": 1, "replication_ip": host, "replication_port": int(port)})
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{kind}.ring.gz")
"""

_SWIFT = """
[swift-hash]
swift_hash_path_prefix = test
swift_hash_path_suffix = test
"""

_COMMON = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
user = {user}
bind_ip = {host}
bind_port = {port}
workers = 0
log_level = INFO
"""

# A listing is right after every PUT: an update of it that is late is waited for, as nothing repeats it.
_STORAGE = """
[pipeline:main]
pipeline = healthcheck {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
fallocate_reserve = 0
container_update_timeout = 60
[filter:healthcheck]
use = egg:swift#healthcheck
"""

_FILTERS = ("catch_errors", "gatekeeper", "healthcheck", "listing_formats", "copy", "slo", "dlo")
_PROXY = f"""
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_{_ACCOUNT}_{_USER} = {_KEY} .admin
[filter:s3api]
use = egg:swift#s3api
location = {REGION}
""" + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in _FILTERS)


@contextmanager
def swift(folder: Path) -> Iterator[S3]:
    """Run Swift on free ports of this machine until the block is left.

    `S3.stop` kills the proxy, which is what clients speak with.

    Parameters
    ----------
    folder : Path
        For all that it writes; on a file system with extended attributes.

    Yields
    ------
    S3
    """
    folder = folder.absolute()
    (folder / "devices" / "device").mkdir(parents=True, exist_ok=True)
    (folder / "swift.conf").write_text(_SWIFT)
    python = swift_python()
    ports = dict(zip(_KINDS, free_ports(len(_KINDS)), strict=True))
    rings = [f"{kind}:{ports[kind]}" for kind in _STORAGE_KINDS]
    command = [str(python), "-I", "-c", _RINGS, str(folder), HOST, *rings]
    run("building Swift's rings", command, folder / "rings.log")
    servers = {kind: _server(kind, folder, python, port) for kind, port in ports.items()}
    with ExitStack() as stack:
        for server in servers.values():
            stack.callback(server.stop)
            server.launch()
        wait(*servers.values())
        yield S3(ports["proxy"], f"{_ACCOUNT}:{_USER}", _KEY, servers["proxy"], servers["object"])


def swift_python() -> Path:
    """Return the interpreter of an environment with Swift, which is made once and kept.

    Raises
    ------
    RuntimeError
        If it cannot be made, or if a library of the system is missing.
    """
    name = hashlib.sha256(repr((sys.version, _PACKAGES)).encode()).hexdigest()[:12]
    python = environment(f"swift-{name}", _PACKAGES)
    command = [str(python), "-I", "-c", "import pyeclib.ec_iface"]
    imported = subprocess.run(command, capture_output=True, text=True, check=False)
    if imported.returncode:
        raise RuntimeError(
            "Swift's pyeclib cannot be imported; it needs the library liberasurecode, which apt calls "
            f"liberasurecode1:\n{imported.stderr}"
        )
    return python


def _server(kind: str, folder: Path, python: Path, port: int) -> Daemon:
    values = {
        "folder": folder,
        "host": HOST,
        "kind": kind,
        "port": port,
        "user": pwd.getpwuid(os.getuid()).pw_name,
    }
    configuration = folder / f"{kind}.conf"
    configuration.write_text((_COMMON + (_PROXY if kind == "proxy" else _STORAGE)).format_map(values))
    name = f"swift-{kind}-server"
    return Daemon(
        name,
        # By the interpreter, as the script names one where the environment was made.
        [str(python), "-I", str(python.with_name(name)), str(configuration), "--verbose"],
        folder / f"{kind}.log",
        lambda: ask(port, "/healthcheck").status == OK,
    )
