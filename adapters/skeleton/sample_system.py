"""A sample system for an adapter of kind `sql`: a SQLite database of its own, made and filled by a script. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pprint import pformat
from typing import Any

_NUMBERS = {"number": "INTEGER PRIMARY KEY", "longitude": "REAL", "latitude": "REAL"}

_SCRIPT = '''"""A sample system, until yours is there: a SQLite database beside this file.

python sample_system.py make     make system.sqlite3, with its tables
python sample_system.py run      run SQL from the standard input in it
python sample_system.py add      add the next sample record, as the system would
python sample_system.py show     show what the adapter has written
"""

import sqlite3
import sys
from pathlib import Path

TABLES = """
{tables}
"""

RECORDS = {records}


def main(command: str) -> None:
    database = sqlite3.connect(Path(__file__).parent / "system.sqlite3", isolation_level=None)
    if command == "make":
        database.executescript(TABLES)
    elif command == "run":
        database.executescript(sys.stdin.read())
    elif command == "add":
        (count,) = database.execute("SELECT count(*) FROM records").fetchone()
        record = {{**RECORDS[count % len(RECORDS)], "number": count + 1}}
        marks = ", ".join(f":{{name}}" for name in record)
        database.execute(f"INSERT INTO records ({{', '.join(record)}}) VALUES ({{marks}})", record)
        print("added record", count + 1)
    elif command == "show":
        database.row_factory = sqlite3.Row
        for row in database.execute("SELECT * FROM {shown}"):
            print({{name: row[name] for name in row.keys() if row[name] is not None}})
    else:
        sys.exit(__doc__)
    database.close()


main(sys.argv[1] if len(sys.argv) > 1 else "")
'''


def columns_of(records: Sequence[dict[str, Any]]) -> list[str]:
    """The columns of the table `records`."""
    return list(records[0])


def sample_system(mapping: str, records: Sequence[dict[str, Any]], *, reads: bool, writes: bool) -> str:
    """sample_system.py, for a mapping.toml of this content."""
    tables = [_table("records", [(name, _NUMBERS.get(name, "TEXT")) for name in columns_of(records)])] if reads else []
    if writes:
        (row, *_) = tomllib.loads(mapping)["row"]
        columns = [(name, "TEXT PRIMARY KEY") for name in row["key"]]
        columns += [(name, _NUMBERS.get(name, "TEXT")) for name in row["values"]]
        tables.append(_table(row["table"], columns))
    shown = "incoming" if writes else "records"
    written = pformat(list(records), width=110, sort_dicts=False) if reads else "[]"
    return _SCRIPT.format(tables="\n".join(tables), records=written, shown=shown)


def _table(name: str, columns: Sequence[tuple[str, str]]) -> str:
    lines = ",\n".join(f"    {column} {kind}" for column, kind in columns)
    return f"CREATE TABLE {name} (\n{lines}\n);"
