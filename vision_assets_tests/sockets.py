"""What processes of this machine listen on (Linux)."""

import ipaddress
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_LISTENING = "0A"
_EVERY = 0.1  # seconds


class Socket(NamedTuple):
    program: str
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int


def listening(pids: Iterable[int]) -> set[Socket]:
    """Return the TCP sockets that processes listen on now."""
    programs: dict[str, str] = {}
    for pid in pids:
        try:
            program = Path(f"/proc/{pid}/comm").read_text().strip()
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                programs[str(descriptor.readlink())] = program
        except OSError:  # it has ended meanwhile
            continue
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            owner = programs.get(f"socket:[{inode}]")
            if state == _LISTENING and owner:
                address, port = local.split(":")
                found.add(Socket(owner, _address(address), int(port, 16)))
    return found


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    words = bytes.fromhex(text)  # of four bytes each, in the machine's order
    address = ipaddress.ip_address(b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4)))
    return getattr(address, "ipv4_mapped", None) or address


@contextmanager
def watched(pids: Callable[[], Iterable[int]]) -> Iterator[set[Socket]]:
    """Collect the sockets that processes listen on while a `with` block lasts."""
    found: set[Socket] = set()
    over = threading.Event()

    def look_on() -> None:
        while not over.wait(_EVERY):
            found.update(listening(pids()))

    thread = threading.Thread(target=look_on, name="sockets", daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
