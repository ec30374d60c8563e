"""Brings a database's tables from an older version to the present one, step by step, with the data in them.

Each version after the first has one step, a plain function of alembic's operations that is never changed again: it
describes what was then, and not what the tables are now. A test upgrades an old database by them and has alembic
compare the outcome with the tables as they stand in code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Connection

if TYPE_CHECKING:
    from alembic.operations import Operations

Step = Callable[["Operations"], None]
"""Changes the tables of the version before into those of its own."""

Steps = Mapping[int, Step]
"""By the version that each leads to."""


def can_upgrade(steps: Steps, found: int, wanted: int) -> bool:
    """Whether steps lead from one version to the other."""
    return found < wanted and all(version in steps for version in range(found + 1, wanted + 1))


def upgrade(connection: Connection, steps: Steps, found: int, wanted: int) -> None:
    """Take the steps, in the caller's transaction: all of them, or none."""
    from alembic.operations import Operations  # a process that has nothing to upgrade does not carry it
    from alembic.runtime.migration import MigrationContext

    operations = Operations(MigrationContext.configure(connection))
    for version in range(found + 1, wanted + 1):
        steps[version](operations)
