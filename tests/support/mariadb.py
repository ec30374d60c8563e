"""The tests' MariaDB: a server of our own on a free port, in a folder that goes afterwards; one database for each test.

Where its programs are not installed the tests that need it are skipped, and say so.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from deploy.local.children import Child, log_tail, start_child, stop_child
from deploy.local.ports import HOST, free_ports


class MariaDB:
    """One server."""

    def __init__(self, program: Path, home: Path) -> None:
        self._program = program
        self._home = home
        self._log = home / "mariadb.log"
        self._port = free_ports(1)[0]
        self._child: Child | None = None

    def new_database(self) -> str:
        """An empty database of the caller's own, as SQLAlchemy's URL."""
        name = f"test_{uuid.uuid4().hex}"
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return f"mysql+pymysql://tester@{HOST}:{self._port}/{name}"

    def start(self) -> None:
        """Start it on the same data and the same port, and wait until it answers."""
        user = pwd.getpwuid(os.geteuid()).pw_name
        if not (self._home / "data").exists():
            install = shutil.which("mariadb-install-db") or shutil.which("mysql_install_db")
            assert install is not None, "mariadb-install-db belongs to the package that has mariadbd"
            options = ["--no-defaults", f"--datadir={self._home}/data", "--auth-root-authentication-method=normal"]
            subprocess.run([install, *options, f"--user={user}", "--skip-test-db"], check=True, capture_output=True)
            (self._home / "users.sql").write_text(
                "CREATE USER tester@'127.0.0.1';\nGRANT ALL ON *.* TO tester@'127.0.0.1';\n"
            )
        command = [
            str(self._program),
            "--no-defaults",
            f"--user={user}",
            f"--datadir={self._home}/data",
            f"--socket={self._home}/socket",
            f"--pid-file={self._home}/pid",
            f"--port={self._port}",
            f"--bind-address={HOST}",
            "--innodb-flush-log-at-trx-commit=0",  # a test's data need not survive the machine
            "--innodb-buffer-pool-size=32M",
            "--skip-name-resolve",
            *([f"--init-file={self._home}/users.sql"] if self._child is None else []),
        ]
        self._child = start_child(command, log=self._log)
        deadline = time.monotonic() + 60
        while True:
            try:
                self._connect().close()
                return
            except pymysql.err.OperationalError:
                if self._child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"MariaDB did not start:\n{log_tail(self._log)}") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it. Data stay."""
        if self._child is not None and self._child.poll() is None:
            stop_child(self._child, grace_seconds=20)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def _connect(self) -> pymysql.connections.Connection:
        return pymysql.connect(host=HOST, port=self._port, user="tester", connect_timeout=2)


def mariadb_server() -> Iterator[MariaDB]:
    """Start a server, hand it over, stop it and drop its data. Skips where MariaDB is not installed."""
    found = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("MariaDB is not installed (apt install mariadb-server): its part of the tests does not run")
    home = Path(tempfile.mkdtemp(prefix="subak-mariadb-"))
    server = MariaDB(Path(found), home)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(home, ignore_errors=True)
