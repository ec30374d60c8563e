"""Each database that an adapter may have, fresh for each test."""

from __future__ import annotations

from pathlib import Path

KINDS = ("sqlite", "postgresql")


def sqlite_url(folder: Path) -> str:
    """A file that does not exist yet."""
    return f"sqlite:///{folder / 'adapter.sqlite3'}"
