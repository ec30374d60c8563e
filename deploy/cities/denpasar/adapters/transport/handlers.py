"""Dishub's two functions, beside its adapter.toml: what its journal says, and what goes into its box of letters."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

LETTER = """
INSERT OR IGNORE INTO kotak_masuk (
  id_surat, pengirim, jenis, kasus, waktu, sebab, penerima, wilayah, para_pihak, urutan, dinas,
  layanan, uraian, nilai, mata_uang, hasil, id_dikembalikan, alasan
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
KOLOM = LETTER.partition("(")[2].partition(")")[0].replace(",", " ").split()
"""The box's columns, in the order of the statement."""


def jurnal(cursor: int | None) -> Iterator[tuple[dict[str, Any], int]]:
    """What stands in the journal behind the cursor, each line with the cursor to go on from."""
    with closing(_open()) as database:
        lines = database.execute("SELECT * FROM jurnal WHERE nomor > ? ORDER BY nomor", (cursor or 0,))
        for line in lines.fetchall():
            yield dict(line), line["nomor"]


def terima(event: dict[str, Any], rows: Sequence[Any]) -> None:
    """Put a letter into the box: once, however often it comes."""
    with closing(_open()) as database, database:
        for row in rows:
            cells = {**dict.fromkeys(KOLOM), **row.key, **row.values}
            database.execute(LETTER, [cells[name] for name in KOLOM])


def _open() -> sqlite3.Connection:
    database = sqlite3.connect(os.environ["TRANSPORT_DATABASE"], timeout=10)
    database.row_factory = sqlite3.Row
    return database
