"""Brings a database's tables from an older version to the present one, step by step, with the data in them.

Each version after the first has one step, a plain function of alembic's operations that is never changed again: it
describes what was then, and not what the tables are now. A test upgrades an old database by them and has alembic
compare the outcome with the tables as they stand in code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from schemas.failures import Misconfigured

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
    """Take the steps, in the caller's transaction: all of them, or none.

    Raises:
        Misconfigured: what a step would make is there already.
    """
    from alembic.operations import Operations  # a process that has nothing to upgrade does not carry it
    from alembic.runtime.migration import MigrationContext

    operations = Operations(MigrationContext.configure(connection))
    try:
        for version in range(found + 1, wanted + 1):
            steps[version](operations)
    except DBAPIError as error:
        if "already exists" not in str(error.orig):
            raise
        raise Misconfigured(
            f"the tables are of version {found}, and tables of a newer one stand beside them "
            f"({str(error.orig).strip().splitlines()[0]}): an older copy was restored over a newer database. Restore "
            "it into an empty database."
        ) from error
