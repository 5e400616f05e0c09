"""Ports of this machine's loopback interface, and what answers there."""

import json
import random
import socket
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

HOST = "127.0.0.1"
_CHOICE = random.SystemRandom()  # other than that of another process


class Answer(NamedTuple):
    """What a server says; status 0 if it says nothing."""

    status: int
    body: bytes = b""


def free_ports(count: int) -> list[int]:
    """Return different ports that nothing listens on.

    They are below those that systems give to connections: one of those could be taken until a server starts.
    """
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < count:
            probe = stack.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind((HOST, _CHOICE.randrange(10_000, 32_000)))
                ports.append(probe.getsockname()[1])
    return ports


def ask(
    port: int, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, seconds: float = 5
) -> Answer:
    """Send a request without a body by HTTP."""
    connection = HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    except (OSError, HTTPException):
        return Answer(0)
    finally:
        connection.close()


def ask_json(port: int, path: str) -> dict[str, Any]:
    """Return the JSON object that is answered; an empty one if there is none."""
    try:
        return dict(json.loads(ask(port, path).body))
    except ValueError:
        return {}
