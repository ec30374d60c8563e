"""A PostgreSQL of the tests' own: a free port, a temporary folder, a user that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def server() -> Iterator[str]:
    """Start a server, give its address (`postgresql+psycopg://...` without a database), stop it. Skips where absent."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    found = shutil.which("postgres")
    binaries = Path(found).parent if found else (folders[-1] if folders else None)
    if binaries is None:
        pytest.skip("PostgreSQL is not installed here: apt-get install postgresql")
    user = _user()
    if user is None:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
    home = Path(_made_by(user, ["mktemp", "-d", "/tmp/subak-postgres-XXXXXX"]).strip())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        _made_by(user, [f"{binaries}/initdb", "-D", f"{home}/data", "-U", "subak", "-A", "trust", "-N", "-E", "UTF8"])
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={home} -c fsync=off"
        start = [f"{binaries}/pg_ctl", "-D", f"{home}/data", "-w", "-l", f"{home}/log", "-o", options, "start"]
        _made_by(user, start)
        yield f"postgresql+psycopg://subak@127.0.0.1:{port}"
    finally:
        subprocess.run(
            [*_as(user), f"{binaries}/pg_ctl", "-D", f"{home}/data", "-m", "immediate", "-w", "stop"],
            capture_output=True,
            check=False,
        )
        time.sleep(0.1)
        shutil.rmtree(home, ignore_errors=True)


def _user() -> str | None:
    """Whose process it is to be: ours, or where we are root, another's."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


def _as(user: str) -> list[str]:
    return (
        ["setpriv", "--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"]
        if (os.geteuid() == 0)
        else []
    )


def _made_by(user: str, command: list[str]) -> str:
    done = subprocess.run([*_as(user), *command], capture_output=True, text=True, check=False, cwd="/tmp")
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr or done.stdout}")
    return done.stdout
