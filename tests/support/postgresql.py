"""The tests' PostgreSQL: a server of our own on a free port, in a folder that goes afterwards; one database for
each test.

PostgreSQL refuses to run as root, so where the tests run as root the server runs as `nobody`. Where its programs
are not installed the tests that need it are skipped, and say so.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from deploy.local.children import Child, log_tail, start_child, stop_child
from deploy.local.ports import HOST, free_ports

_SETTINGS = {
    "listen_addresses": HOST,
    "fsync": "off",  # a test's data need not survive the machine; what survives a kill is the same
    "max_connections": "60",
    "log_min_messages": "warning",
}


class PostgreSQL:
    """One server."""

    def __init__(self, programs: Path, home: Path) -> None:
        self.programs = programs
        """The folder of `postgres`, `pg_dump` and `pg_restore`, all of one version."""
        self._home = home
        self._data = home / "data"
        self._log = home / "postgresql.log"
        self._port = free_ports(1)[0]
        self._child: Child | None = None

    def new_database(self, owner: str = "tester") -> str:
        """An empty database of the caller's own, as SQLAlchemy's URL. Another owner may do nothing outside of it."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [owner]).fetchone():
                connection.execute(f'CREATE ROLE "{owner}" LOGIN')
            connection.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"')
        return f"postgresql+psycopg://{owner}@{HOST}:{self._port}/{name}"

    def start(self) -> None:
        """Start it on the same data and the same port, and wait until it answers."""
        if not (self._data / "PG_VERSION").exists():
            self._make_data()
        options = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [self.programs / "postgres", "-D", self._data, "-p", self._port, "-k", self._home, *options]
        self._child = start_child(_unprivileged(command), log=self._log)
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self._address("postgres"), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{log_tail(self._log)}") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once (SIGTERM waits for clients; SIGINT ends their connections). Data stay."""
        child, self._child = self._child, None
        if child is not None and child.poll() is None:
            child.send_signal(2)
            stop_child(child, grace_seconds=10)

    def _make_data(self) -> None:
        """With a language's rules of comparison where this PostgreSQL has them, as most servers do."""
        program = self.programs / "initdb"
        options = ["-D", self._data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"]
        known = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
        if "--icu-locale" in known:
            options += ["--locale-provider=icu", "--icu-locale=en"]
        subprocess.run(_unprivileged([program, *options]), check=True, capture_output=True, cwd="/")

    def _address(self, database: str) -> str:
        return f"host={HOST} port={self._port} user=tester dbname={database}"


def postgresql_server() -> Iterator[PostgreSQL]:
    """Start a server, hand it over, stop it and drop its data. Skips where PostgreSQL is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql): its half of the tests does not run")
    home = Path(tempfile.mkdtemp(prefix="subak-postgresql-"))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
    server = PostgreSQL(programs, home)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _programs() -> Path | None:
    """The folder of `initdb` and `postgres`: on the path, or where Debian puts them."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def _unprivileged(command: Sequence[object]) -> list[str]:
    """The command, as `nobody` where we are root."""
    words = [str(word) for word in command]
    if os.geteuid() != 0:
        return words
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("the tests run as root, and PostgreSQL does not: util-linux's setpriv is missing")
    return [setpriv, "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--pdeathsig=KILL", *words]
