"""What the agency's database must have for the way `triggers`: a table of changes, and triggers that fill it. Pure.

A trigger writes in the transaction that makes the change, so there is one row for each change that stands, and none for
one that was rolled back. It writes the named columns alone, as JSON. Each row gets an id at random besides its number:
event ids are made of it, so a table that was dropped and made anew, or a counter that began again, repeats none.

It may never make the agency's own statement fail where that can be helped: bytes become hex, and on PostgreSQL a column
that is gone is left out of the JSON (so that its rows are refused, with that reason). SQLite renames within triggers by
itself. MySQL cannot: there, make the triggers anew together with the column.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from hashlib import blake2b

from adapters.sources.sql.config import TableConfig

NAME_CHARACTERS_MAX = 60
"""PostgreSQL cuts names at 63 bytes, MySQL at 64 characters."""

Binary = Set[tuple[str, str]]
"""(table, column) whose values are bytes."""


def ddl(kind: str, changes: str, tables: Sequence[TableConfig], *, binary: Binary = frozenset()) -> list[str]:
    """The statements, in their order; each may be run again.

    Args:
        kind: `sqlite`, `postgresql` or `mysql`.
        changes: the name of the table of changes.
        binary: as the database says; where it was not asked, none.
    """
    statements = list(_CHANGES[kind](kind, changes))
    for table in tables:
        statements += _TRIGGERS[kind](changes, table, binary)
    return statements


def drop_ddl(kind: str, changes: str, tables: Sequence[TableConfig]) -> list[str]:
    """What takes all of it away again. The triggers go first: without the table the agency's own writes would fail."""
    statements = []
    for table in tables:
        for operation in ("insert", "update", "delete"):
            name = _short(f"{_plain(changes)}_{_plain(table.name)}_{operation}")
            on = f" ON {quoted(kind, table.name)}" if kind == "postgresql" else ""
            statements.append(f"DROP TRIGGER IF EXISTS {_sibling(kind, table.name, name)}{on}")
        if kind == "postgresql":
            statements.append(f"DROP FUNCTION IF EXISTS {_function(changes, table)}()")
    statements.append(f"DROP TABLE IF EXISTS {_changes(kind, changes)}")
    if kind == "postgresql":
        statements.append(f"DROP FUNCTION IF EXISTS {_waker(changes)}()")
    return statements


def quoted(kind: str, name: str) -> str:
    """A table's name as the database writes it."""
    mark = "`" if kind == "mysql" else '"'
    return ".".join(f"{mark}{part}{mark}" for part in name.split("."))


def changes_name(kind: str, changes: str) -> str:
    """Where the table of changes lies: on PostgreSQL in the schema `public`, unless another is named."""
    return f"public.{changes}" if kind == "postgresql" and "." not in changes else changes


def channel(changes: str) -> str:
    """The channel on which PostgreSQL tells of changes."""
    return _short(_plain(changes))


def _changes(kind: str, changes: str) -> str:
    return quoted(kind, changes_name(kind, changes))


def _make_sqlite(kind: str, changes: str) -> Sequence[str]:
    return [
        f"""CREATE TABLE IF NOT EXISTS {_changes(kind, changes)} (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL DEFAULT (lower(hex(randomblob(16)))),
  table_name TEXT NOT NULL,
  operation TEXT NOT NULL,
  row_data TEXT NOT NULL,
  old_data TEXT,
  changed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
)"""
    ]


def _make_postgresql(kind: str, changes: str) -> Sequence[str]:
    return [
        f"""CREATE TABLE IF NOT EXISTS {_changes(kind, changes)} (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uid varchar(36) NOT NULL DEFAULT gen_random_uuid()::text,
  table_name text NOT NULL,
  operation varchar(10) NOT NULL,
  row_data text NOT NULL,
  old_data text,
  changed_at text NOT NULL DEFAULT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
)""",
        f"""CREATE OR REPLACE FUNCTION {_waker(changes)}() RETURNS trigger LANGUAGE plpgsql AS $subak$
BEGIN
  PERFORM pg_notify('{channel(changes)}', '');
  RETURN NULL;
END $subak$""",
        f'DROP TRIGGER IF EXISTS "subak_wake" ON {_changes(kind, changes)}',
        f'CREATE TRIGGER "subak_wake" AFTER INSERT ON {_changes(kind, changes)}\n'
        f"  FOR EACH STATEMENT EXECUTE FUNCTION {_waker(changes)}()",
    ]


def _make_mysql(kind: str, changes: str) -> Sequence[str]:
    return [
        f"""CREATE TABLE IF NOT EXISTS {_changes(kind, changes)} (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  uid VARCHAR(36) NOT NULL,
  table_name VARCHAR(130) NOT NULL,
  operation VARCHAR(10) NOT NULL,
  row_data LONGTEXT NOT NULL,
  old_data LONGTEXT,
  changed_at VARCHAR(30) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"""
    ]


def _sqlite(changes: str, table: TableConfig, binary: Binary) -> list[str]:
    statements = []
    for operation in table.operations:
        side = "OLD" if operation == "delete" else "NEW"
        old = _sqlite_json("OLD", table) if operation == "update" else "NULL"
        name = quoted("sqlite", _short(f"{_plain(changes)}_{_plain(table.name)}_{operation}"))
        watched = " OR ".join(f'OLD."{c}" IS NOT NEW."{c}" COLLATE BINARY' for c in table.watch or table.columns)
        when = f"\nWHEN {watched}" if operation == "update" else ""
        statements += [
            f"DROP TRIGGER IF EXISTS {name}",
            f"CREATE TRIGGER {name} AFTER {operation.upper()} ON {quoted('sqlite', table.name)}{when}\n"
            f"BEGIN\n  INSERT INTO {_changes('sqlite', changes)} (table_name, operation, row_data, old_data)\n"
            f"  VALUES ('{table.name}', '{operation}', {_sqlite_json(side, table)}, {old});\nEND",
        ]
    return statements


def _sqlite_json(side: str, table: TableConfig) -> str:
    cells = [
        f"'{column}', CASE typeof({side}.\"{column}\") WHEN 'blob' THEN hex({side}.\"{column}\") "
        f'ELSE {side}."{column}" END'
        for column in table.columns
    ]
    return f"json_object({', '.join(cells)})"


def _postgresql(changes: str, table: TableConfig, binary: Binary) -> list[str]:
    columns = ", ".join(f"'{column}'" for column in table.columns)
    watched = ", ".join(f"'{column}'" for column in table.watch or table.columns)
    schema = changes_name("postgresql", changes).split(".")[0]

    def part(record: str, names: str) -> str:
        return f"(SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb({record})) WHERE key IN ({names}))"

    statements = [
        f"""CREATE OR REPLACE FUNCTION {_function(changes, table)}() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, "{schema}", pg_temp AS $subak$
DECLARE
  now_row jsonb;
  old_row jsonb;
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF {part("OLD", watched)} IS NOT DISTINCT FROM {part("NEW", watched)} THEN
      RETURN NULL;
    END IF;
    old_row := {part("OLD", columns)};
  END IF;
  IF TG_OP = 'DELETE' THEN
    now_row := {part("OLD", columns)};
  ELSE
    now_row := {part("NEW", columns)};
  END IF;
  INSERT INTO {_changes("postgresql", changes)} (table_name, operation, row_data, old_data)
  VALUES ('{table.name}', lower(TG_OP), coalesce(now_row, '{{}}')::text, old_row::text);
  RETURN NULL;
END $subak$"""
    ]
    for operation in table.operations:
        name = quoted("postgresql", _short(f"{_plain(changes)}_{_plain(table.name)}_{operation}"))
        on = quoted("postgresql", table.name)
        statements += [
            f"DROP TRIGGER IF EXISTS {name} ON {on}",
            f"CREATE TRIGGER {name} AFTER {operation.upper()} ON {on}\n"
            f"  FOR EACH ROW EXECUTE FUNCTION {_function(changes, table)}()",
        ]
    return statements


def _mysql(changes: str, table: TableConfig, binary: Binary) -> list[str]:
    statements = []
    for operation in table.operations:
        side = "OLD" if operation == "delete" else "NEW"
        old = _mysql_json("OLD", table, binary) if operation == "update" else "NULL"
        name = _sibling("mysql", table.name, _short(f"{_plain(changes)}_{_plain(table.name)}_{operation}"))
        watched = " AND ".join(
            f"CAST(OLD.`{c}` AS BINARY) <=> CAST(NEW.`{c}` AS BINARY)" for c in table.watch or table.columns
        )
        where = f" WHERE NOT ({watched})" if operation == "update" else ""
        statements += [
            f"DROP TRIGGER IF EXISTS {name}",
            f"CREATE TRIGGER {name} AFTER {operation.upper()} ON {quoted('mysql', table.name)} FOR EACH ROW\n"
            f"  INSERT INTO {_changes('mysql', changes)} (uid, table_name, operation, row_data, old_data, changed_at)\n"
            f"  SELECT UUID(), '{table.name}', '{operation}', {_mysql_json(side, table, binary)}, {old},\n"
            f"    CONCAT(REPLACE(UTC_TIMESTAMP(3), ' ', 'T'), 'Z') FROM DUAL{where}",
        ]
    return statements


def _mysql_json(side: str, table: TableConfig, binary: Binary) -> str:
    cells = []
    for column in table.columns:
        value = f"{side}.`{column}`"
        cells.append(f"'{column}', " + (f"HEX({value})" if (table.name, column) in binary else value))
    return f"JSON_OBJECT({', '.join(cells)})"


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _short(name: str) -> str:
    if len(name.encode()) <= NAME_CHARACTERS_MAX:
        return name
    return f"{name.encode()[:40].decode('utf-8', 'ignore')}_{blake2b(name.encode(), digest_size=8).hexdigest()}"


def _sibling(kind: str, table: str, name: str) -> str:
    """A trigger's name. On MySQL it lies in its table's schema; on PostgreSQL it belongs to the table."""
    schema = f"{table.split('.')[0]}." if kind == "mysql" and "." in table else ""
    return quoted(kind, f"{schema}{name}")


def _function(changes: str, table: TableConfig) -> str:
    schema = changes_name("postgresql", changes).split(".")[0]
    return quoted("postgresql", f"{schema}.{_short(f'{_plain(changes)}_{_plain(table.name)}')}")


def _waker(changes: str) -> str:
    schema = changes_name("postgresql", changes).split(".")[0]
    return quoted("postgresql", f"{schema}.{_short(f'{_plain(changes)}_wake')}")


_CHANGES = {"sqlite": _make_sqlite, "postgresql": _make_postgresql, "mysql": _make_mysql}
_TRIGGERS = {"sqlite": _sqlite, "postgresql": _postgresql, "mysql": _mysql}
