"""The Open311 source's own tables in the adapter's database: requests as apps may see them, and what became of each.

Nothing here says who reported: what an app may not be told is not kept. Times are seconds since 1970 (UTC), and beside
them the text as the event had it.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Double, Index, MetaData, PrimaryKeyConstraint, String, Table, Text

TABLES = MetaData()

requests = Table(
    "subak_open311_requests",
    TABLES,
    Column("agency", String(64)),
    Column("service_request_id", String(36)),  # the case
    Column("token", String(36), nullable=False),
    Column("opened_by", String(128), nullable=False),  # the event
    Column("status", String(6), nullable=False),  # open, closed
    Column("status_notes", Text),
    Column("service_code", String(64), nullable=False),
    Column("description", Text),
    Column("agency_responsible", String(64)),  # its id
    Column("requested_datetime", String(40), nullable=False),
    Column("requested_at", Double, nullable=False),
    Column("updated_datetime", String(40), nullable=False),
    Column("expected_datetime", String(40)),
    Column("address", Text),
    Column("area", String(64)),
    Column("latitude", Double),
    Column("longitude", Double),
    Column("media_url", Text),
    PrimaryKeyConstraint("agency", "service_request_id"),
    Index("subak_open311_requests_time", "agency", "requested_at"),
    Index("subak_open311_requests_token", "agency", "token"),
    sqlite_with_rowid=False,
)

updates = Table(
    "subak_open311_updates",
    TABLES,
    Column("agency", String(64)),
    Column("update_id", String(36)),  # of an event: so each is heard once
    Column("service_request_id", String(36), nullable=False),
    Column("status", String(6), nullable=False),
    Column("description", Text),
    Column("updated_at", Double, nullable=False),  # when it was learned here: nobody who asks again misses one
    Column("shown", Boolean, nullable=False),  # not where an app need not know it, or the bus refused it
    PrimaryKeyConstraint("agency", "update_id"),
    Index("subak_open311_updates_time", "agency", "updated_at"),
    sqlite_with_rowid=False,
)
