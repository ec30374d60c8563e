"""The versions of an adapter's tables (`bus/agency_tables.py`), each as a step from the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from bus.migrations import Steps

if TYPE_CHECKING:
    from alembic.operations import Operations

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _sources_remember(op: Operations) -> None:
    """2: what sources refused, how far they have come, what they have seen."""
    op.create_table(
        "subak_source_refused",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("agency", sa.String(64), nullable=False),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("uid", sa.String(64), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("refused_at", sa.Double, nullable=False),
        sa.UniqueConstraint("agency", "source", "uid"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "subak_source_positions",
        sa.Column("agency", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(100), primary_key=True),
        sa.Column("table", sa.String(130), primary_key=True),
        sa.Column("position", sa.Text, nullable=False),
    )
    op.create_table(
        "subak_source_seen",
        sa.Column("agency", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(100), primary_key=True),
        sa.Column("table", sa.String(130), primary_key=True),
        sa.Column("uid", sa.String(64), primary_key=True),
        sa.Column("position", sa.Text, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )


STEPS: Steps = {2: _sources_remember}
