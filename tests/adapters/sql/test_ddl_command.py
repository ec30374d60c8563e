"""`subak adapter sql-ddl` prints what the database's own client takes, and says what does not fit."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.failures import Misconfigured
from services.cli.adapter import app

ADAPTER = """
[adapter]
name = "works"

[[agency]]
id = "public-works"
token = "a-long-enough-token"

  [[agency.source]]
  kind = "sql"
  name = "orders"
  url = "sqlite:///works.sqlite3"

    [[agency.source.table]]
    name = "Surat Tugas"
    columns = ["nomor", "foto", "nama jalan"]
    operations = ["insert", "update", "delete"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "works.sqlite3") as connection:
        connection.execute('CREATE TABLE "Surat Tugas" (nomor INTEGER PRIMARY KEY, foto BLOB, "nama jalan" TEXT)')
    connection.close()
    path = tmp_path / "adapter.toml"
    path.write_text(ADAPTER, encoding="utf-8")
    return path


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["sql-ddl", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_what_it_prints_works_whatever_the_rows_hold_and_goes_away_again(file: Path) -> None:
    connection = sqlite3.connect(file.parent / "works.sqlite3")
    connection.executescript(printed(str(file)))
    connection.executescript(printed(str(file), "--offline"))
    hostile = 'it\'s "quoted", \\ and \n new; DROP TABLE x'
    connection.execute('INSERT INTO "Surat Tugas" VALUES (1, ?, ?)', (b"\x00\xff", hostile))
    connection.execute('INSERT INTO "Surat Tugas" VALUES (2, 9e999, CAST(? AS TEXT))', (b"not \xff utf-8",))
    connection.execute('UPDATE "Surat Tugas" SET "nama jalan" = NULL')
    connection.execute('DELETE FROM "Surat Tugas"')
    connection.commit()
    assert connection.execute("SELECT count(*) FROM subak_changes").fetchone() == (6,)
    connection.executescript(printed(str(file), "--drop"))
    connection.execute('INSERT INTO "Surat Tugas" VALUES (3, NULL, NULL)')
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE '%subak%'").fetchone() == (0,)
    connection.close()


def test_a_column_or_a_table_that_is_not_there_is_named_with_the_nearest(file: Path) -> None:
    for right, wrong in (('"foto"', '"photo"'), ('"Surat Tugas"', '"Surat"')):
        file.write_text(ADAPTER.replace(right, wrong), encoding="utf-8")
        with pytest.raises(Misconfigured, match=wrong.strip('"')):
            CliRunner().invoke(app, ["sql-ddl", str(file)], catch_exceptions=False)


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a`b", "a;b", "a\\\\b", "a\\nb", "a.b.c", "x" * 200])
def test_a_name_that_could_leave_its_quotes_is_refused(file: Path, name: str) -> None:
    text = ADAPTER.replace('name = "Surat Tugas"', f"name = '''{name}'''" if "\\" not in name else f'name = "{name}"')
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Misconfigured):
        CliRunner().invoke(app, ["sql-ddl", "--offline", str(file)], catch_exceptions=False)


def test_an_agency_that_the_file_lacks_is_named(file: Path) -> None:
    with pytest.raises(Misconfigured, match="public-works"):
        CliRunner().invoke(app, ["sql-ddl", str(file), "--agency", "public-work"], catch_exceptions=False)
