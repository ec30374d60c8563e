"""Whether a broker serves: our own process listens on the port, and what answers there speaks Kafka's protocol."""

from __future__ import annotations

import socket
import ssl
import struct
import time

from deploy.local.children import Child
from deploy.local.ports import HOST, listens

_POLL_SECONDS = 0.05


def wait_until_answers(broker: Child, port: int, *, seconds: float, tls: ssl.SSLContext | None = None) -> bool:
    """Wait until this very process serves Kafka's protocol on the port. False where it ended or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and broker.poll() is None:
        if listens(broker.pid, port) and answers(port, tls):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def answers(port: int, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a broker answers an ApiVersions request there. It serves requests only once it is wholly started."""
    request = struct.pack(">hhih", 18, 0, 1, -1)  # api key, version, correlation id, no client id
    try:
        with _connected(port, tls) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(10)
    except OSError:
        return False
    return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (1, 0)


def _connected(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    plain = socket.create_connection((HOST, port), timeout=2)
    if tls is None:
        return plain
    try:
        return tls.wrap_socket(plain, server_hostname=HOST)
    except BaseException:
        plain.close()
        raise
