"""Ports on this machine: which are free, and who listens. An answer on a port is no proof of who answers, so we look.

Free ports are taken below the kernel's ephemeral range. Inside it, a client that keeps asking for a broker that is
down can be given the broker's own port as its local one: it then talks to itself, and the broker cannot come back.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

HOST = "127.0.0.1"
_PORTS = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_ports(count: int, *, preferred: Iterable[int] = (), taken: Iterable[int] = ()) -> list[int]:
    """`count` different free ports outside `taken`; those of `preferred` that are still free come first."""
    spoken_for = set(taken)
    found = [port for port in dict.fromkeys(preferred) if port not in spoken_for and is_free(port)][:count]
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if len(found) >= count:
            break
        if port not in spoken_for and port not in found and is_free(port):
            found.append(port)
    return found


def kept_ports(path: Path, names: Sequence[str]) -> list[int]:
    """A free port for each name, the same as `path` has from last time where it is free: then bookmarks stay right."""
    kept: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads(path.read_text(encoding="ascii"))
    for name in names:
        others = [port for other, port in kept.items() if other != name]
        wanted = [kept[name]] if name in kept else []
        kept[name] = free_ports(1, preferred=wanted, taken=others)[0]
    path.write_text(json.dumps(kept, indent=1), encoding="ascii")
    return [kept[name] for name in names]


def listens(pid: int, port: int) -> bool:
    """Whether exactly this process is the one that listens on the port."""
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port for c in connections)


def holder_of(port: int) -> str:
    """Who listens there, for an error message: `python (pid 12)`, or `another process` where we may not see it."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                if connection.pid is None:
                    break
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return "another process"
