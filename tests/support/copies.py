"""Copies of a PostgreSQL database, made and restored by the very commands of docs/how-to/back-up.md."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.postgresql import PostgreSQL

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "back-up.md"
COPY = "public-works.dump"
"""The copy's name on the page."""


class Copies:
    """A folder with the copy in it."""

    def __init__(self, folder: Path, server: PostgreSQL) -> None:
        if not (server.programs / "pg_dump").exists():
            pytest.skip("PostgreSQL's pg_dump and pg_restore are not installed (apt install postgresql-client)")
        self.file = folder / COPY
        self._folder = folder
        self._path = f"{server.programs}:{os.environ['PATH']}"

    def make(self, url: str) -> None:
        """Copy the database, and read the copy to its end, as the page says."""
        self._done(self.run(url, "pg_dump"))
        self._done(self.check())

    def restore(self, url: str) -> None:
        """Put the copy in the place of what is there."""
        self._done(self.run(url, "pg_restore --clean"))

    def check(self) -> subprocess.CompletedProcess[str]:
        """Read the copy to its end."""
        return self.run("", "pg_restore --file=/dev/null")

    def run(self, url: str, begins: str, *, without: str = "") -> subprocess.CompletedProcess[str]:
        """The one command of the page that begins so; `$DATABASE` is the URL as the page writes it."""
        (command,) = [line for line in _commands() if line.startswith(begins)]
        assert without in command
        return subprocess.run(
            ["bash", "-c", command.replace(without, "")],
            cwd=self._folder,
            env=os.environ | {"PATH": self._path, "DATABASE": url.replace("+psycopg", "")},
            capture_output=True,
            text=True,
        )

    def cut(self, share: float) -> None:
        """Lose the end of the copy, as where a disk was full."""
        os.truncate(self.file, int(self.file.stat().st_size * share))

    @staticmethod
    def _done(process: subprocess.CompletedProcess[str]) -> None:
        assert process.returncode == 0, process.stderr


def _commands() -> list[str]:
    found = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), flags=re.S)
    return [line for block in found for line in block.splitlines()]
