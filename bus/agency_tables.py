"""The tables of one adapter's database: outbox, inbox, their positions, what is known of cases, what sources remember.

SQLite and PostgreSQL alike. Times are seconds since 1970 (UTC). `agency` is in every key, since one database may serve
many agencies, none of which sees another's rows.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)

VERSION = 2
"""With each new one comes a step in `bus/agency_migrations.py`."""
NAME = "adapter"

TABLES = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")
"""64 bits on both: SQLite's INTEGER PRIMARY KEY has them, and no other type of it numbers rows by itself."""

outbox = Table(
    "subak_outbox",
    TABLES,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("agency", String(64), nullable=False),
    Column("source", String(200), nullable=False),
    Column("event_id", String(128), nullable=False),
    Column("type", String(200), nullable=False),
    Column("subject", String(36), nullable=False),
    Column("attributes", Text, nullable=False),  # all of the envelope, as a JSON object
    Column("data", LargeBinary, nullable=False),
    Column("recorded_at", Double, nullable=False),
    Column("rejected", Text),  # the reasons of a subak.event.rejected that came back, as a JSON list
    UniqueConstraint("source", "event_id"),
    Index("subak_outbox_agency", "agency", "id"),
    # A number is never given again, also when its row was pruned: positions only grow.
    sqlite_autoincrement=True,
)

OUTBOX_SEQUENCE = "subak_outbox_id_seq"
"""PostgreSQL's own sequence behind `outbox.id`."""

event.listen(
    outbox,
    "after_create",
    # The transaction gets its number first and the row its own after that: `bus/outbox/horizon.py` rests on this order.
    DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        "ALTER TABLE subak_outbox ALTER COLUMN id SET DEFAULT "
        f"CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('{OUTBOX_SEQUENCE}') END"
    ).execute_if(dialect="postgresql"),
)

outbox_positions = Table(
    "subak_outbox_positions",
    TABLES,
    Column("agency", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),  # rows below it are in Kafka
    Column("committed_at", Double, nullable=False),
)

inbox = Table(
    "subak_inbox",
    TABLES,
    Column("id", _Number, primary_key=True, autoincrement=True),  # the order of arrival
    Column("agency", String(64), nullable=False),
    Column("source", String(200), nullable=False),
    Column("event_id", String(128), nullable=False),
    Column("type", String(200), nullable=False),
    Column("subject", String(36), nullable=False),
    Column("attributes", Text),  # null, like data, when its content is no longer kept
    Column("data", LargeBinary),
    Column("received_at", Double, nullable=False),
    Column("state", String(10), nullable=False, server_default="waiting"),  # waiting, delivered, parked
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("refusals", Integer, nullable=False, server_default="0"),
    Column("next_try_at", Double),
    Column("delivered_at", Double),
    Column("parked_at", Double),
    Column("reason", Text),
    UniqueConstraint("agency", "source", "event_id"),
    Index("subak_inbox_agency", "agency", "id"),
    sqlite_autoincrement=True,
)
_waiting = text("state = 'waiting'")
_parked = text("state = 'parked'")
Index("subak_inbox_waiting", inbox.c.agency, inbox.c.id, sqlite_where=_waiting, postgresql_where=_waiting)
Index("subak_inbox_case", inbox.c.agency, inbox.c.subject, inbox.c.id, sqlite_where=_waiting, postgresql_where=_waiting)
Index("subak_inbox_parked", inbox.c.agency, inbox.c.subject, sqlite_where=_parked, postgresql_where=_parked)

inbox_positions = Table(
    "subak_inbox_positions",
    TABLES,
    Column("topic", String(249)),
    Column("partition", Integer),
    Column("next_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("topic", "partition"),
)

cases = Table(
    "subak_cases",
    TABLES,
    Column("agency", String(64)),
    Column("subject", String(36)),
    Column("jurisdiction", String(64)),
    Column("correlationid", String(128)),
    PrimaryKeyConstraint("agency", "subject"),
    sqlite_with_rowid=False,
)

source_refused = Table(
    "subak_source_refused",
    TABLES,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("agency", String(64), nullable=False),
    Column("source", String(100), nullable=False),
    Column("uid", String(64), nullable=False),  # of the row's change
    Column("record", Text, nullable=False),  # JSON: table, operation, changed_at, row, old
    Column("reasons", Text, nullable=False),  # JSON: code, field, problem, fix
    Column("refused_at", Double, nullable=False),
    UniqueConstraint("agency", "source", "uid"),
    sqlite_autoincrement=True,
)

source_positions = Table(
    "subak_source_positions",
    TABLES,
    Column("agency", String(64), primary_key=True),
    Column("source", String(100), primary_key=True),
    Column("table", String(130), primary_key=True),  # the agency's
    Column("position", Text, nullable=False),  # JSON: rows below it are final
)

source_seen = Table(
    "subak_source_seen",
    TABLES,
    Column("agency", String(64), primary_key=True),
    Column("source", String(100), primary_key=True),
    Column("table", String(130), primary_key=True),
    Column("uid", String(64), primary_key=True),
    Column("position", Text, nullable=False),
    Column("seen_at", Double, nullable=False),
    sqlite_with_rowid=False,
)
