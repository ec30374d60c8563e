"""Whether a broker serves: our own process listens on the port, it speaks Kafka's protocol there, and it knows us."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bus.kafka import KafkaSettings
from bus.kafka.refusal import why_refused
from deploy.local.children import Child, log_tail
from deploy.local.ports import HOST, listens
from schemas.failures import Misconfigured, Retryable

_POLL_SECONDS = 0.05


def wait_until_answers(broker: Child, port: int, *, seconds: float, tls: ssl.SSLContext | None = None) -> bool:
    """Wait until this very process serves Kafka's protocol on the port. False where it ended or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and broker.poll() is None:
        if listens(broker.pid, port) and answers(port, tls):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def wait_until_known(broker: Child, administrator: KafkaSettings, *, seconds: float) -> bool:
    """Wait until the broker takes its administrator. False where it ended or the time is up.

    Kafka answers ApiVersions on a SASL listener before it has read its users back: for a moment after each start it
    says of every password that it is wrong.
    """
    deadline = time.monotonic() + seconds
    with ThreadPoolExecutor(1) as apart:  # whoever starts a broker may have a loop of its own
        while time.monotonic() < deadline and broker.poll() is None:
            if apart.submit(asyncio.run, why_refused(administrator)).result() is None:
                return True
            time.sleep(_POLL_SECONDS)
    return False


def answers(port: int, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a broker answers an ApiVersions request there: without SASL it does only once it is wholly started."""
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


def did_not_start(child: Child, log: Path) -> Exception:
    """Why not: it was too slow, which a new try may mend, or it ended, for which its last words say the reason."""
    if child.poll() is None:
        return Retryable(f"Kafka was not ready in time. The last lines of {log}:\n{log_tail(log)}")
    return Misconfigured(f"Kafka ended while it started. The last lines of {log}:\n{log_tail(log)}")


def is_settled(log: Path) -> bool:
    """Whether the controller is active, knows the node as fenced, and has that on disk. Its log is all that tells."""
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    active_at = said.find("Performing controller activation")
    if active_at < 0:
        return False
    states = list(re.finditer(r"Broker(?:RegistrationChange)?Record\(.*?\bfenced=(true|false|1|-1)\b", said))
    fenced = not states or states[-1][1] in {"true", "1"}
    known_at = max(active_at, states[-1].end() if states else 0)
    return fenced and said.find("because the purgatory is empty", known_at) >= 0
