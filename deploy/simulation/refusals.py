"""What an agency's own system said that its adapter could not take: told to that agency alone, each with its reasons.

Such a row never reached the bus. It stands where the agency finds it: in the adapter's database (`subak adapter refused
list`), or in a file beside the one that it came in. Here it is read from there, for the demo's report and the tests.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from adapters.sources.files.table import REASONS_COLUMN, ROW_COLUMN
from deploy.simulation.own_system import OwnSystem


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row."""

    row: str
    """Which one: its file and number, or the table."""
    reasons: str


def refusals(own: OwnSystem, agency: str, adapter_database: Path) -> list[Refusal]:
    """What was refused of one agency's own system, the oldest first."""
    if own.outgoing is not None:
        return list(_of_files(Path(own.outgoing) / "done", own.delimiters[0]))
    return list(_of_tables(adapter_database, agency, own.source_name))


def _of_files(done: Path, delimiter: str) -> Iterator[Refusal]:
    for path in sorted(done.glob("*.errors.csv")):
        with open(path, encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file, delimiter=delimiter):
                yield Refusal(f"{path.name}, row {row[ROW_COLUMN]}", row[REASONS_COLUMN])


def _of_tables(database: Path, agency: str, source: str) -> Iterator[Refusal]:
    if not database.exists():
        return
    connection = sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)
    try:
        found = connection.execute(
            "SELECT record, reasons FROM subak_source_refused WHERE agency = ? AND source = ? ORDER BY refused_at",
            (agency, source),
        ).fetchall()
    finally:
        connection.close()
    for record, reasons in found:
        told = " | ".join(f"{one['field']}: {one['problem']}. {one['fix']}" for one in json.loads(reasons))
        yield Refusal(json.loads(record)["table"], told)
