"""Whose a home folder is: one process at a time, by a file lock that the kernel frees even after kill -9."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from schemas.failures import Misconfigured

LOCK_NAME = "owner.lock"


class HomeLock:
    """The right to work in one folder. Taken with `take`, kept until `release` or the end of the process."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._file: IO[str] | None = None

    def take(self) -> None:
        """Become the owner; does nothing where we are.

        Raises:
            Misconfigured: another process is; with its number.
        """
        if self._file is not None:
            return
        self._home.mkdir(parents=True, exist_ok=True)
        file = (self._home / LOCK_NAME).open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise Misconfigured(
                f"Another Subak runs on {self._home} already (process {owner}). Stop it, or use another home folder."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let another process have the folder."""
        if self._file is not None:
            self._file.close()
            self._file = None
