"""What a restored copy may bring with it: tables without their keys, and numbers that were given out after it was made.

PostgreSQL's `pg_restore` makes the tables, then fills them, then adds the keys. One that ends in the middle leaves
tables that look well and hold a part, positions among it: what goes on from there skips events, and without its keys a
table takes the same event twice. So a program that opens tables asks for the keys first.

Numbers are held as SQLite and PostgreSQL hold them: a counter beside the table, as old as the copy.
"""

from __future__ import annotations

from sqlalchemy import Connection, MetaData, Table, UniqueConstraint, inspect, text

from schemas.failures import Misconfigured

HALF_RESTORED = (
    "a copy was restored only in part, or with errors. Restore a whole copy, in one transaction: "
    "`pg_restore --clean --if-exists --single-transaction` (docs/how-to/back-up.md)"
)


def tables_without_keys(connection: Connection, tables: MetaData) -> list[str]:
    """Those of the tables that lack their primary key or a unique constraint, by name. All of them must be there."""
    names = list(tables.tables)
    asked = inspect(connection)
    primary = {name: key for (_, name), key in asked.get_multi_pk_constraint(filter_names=names).items()}
    unique = {name: found for (_, name), found in asked.get_multi_unique_constraints(filter_names=names).items()}
    return sorted(
        table.name
        for table in tables.tables.values()
        if not primary[table.name]["constrained_columns"] or len(unique[table.name]) < _unique_constraints(table)
    )


def require_keys(connection: Connection, tables: MetaData, where: str) -> None:
    """Refuse tables that lack their keys.

    Raises:
        Misconfigured: naming the first.
    """
    if lacking := tables_without_keys(connection, tables):
        raise Misconfigured(f"in {where} {len(lacking)} tables have no keys, such as {lacking[0]}: {HALF_RESTORED}.")


def advance_ids(connection: Connection, table: Table, now: float) -> None:
    """Let the next row's id be at least the microsecond of now, in seconds since 1970.

    So ids grew and grow even over the loss of a database: where a new or an older copy of it takes over, no new row can
    bear an id that was given out before, and no old position can be taken for one among the new rows.
    """
    number = int(now * 1_000_000)
    if connection.dialect.name == "postgresql":
        sequence = f"{table.name}_id_seq"
        advance = f"SELECT setval('{sequence}', :n) FROM {sequence} WHERE last_value < :n"  # noqa: S608
        connection.execute(text(advance), {"n": number})
        return
    named = {"name": table.name, "n": number}
    connection.execute(text("UPDATE sqlite_sequence SET seq = max(seq, :n) WHERE name = :name"), named)
    connection.execute(
        text(
            "INSERT INTO sqlite_sequence (name, seq) SELECT :name, :n "
            "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :name)"
        ),
        named,
    )


def _unique_constraints(table: Table) -> int:
    return sum(isinstance(constraint, UniqueConstraint) for constraint in table.constraints)
