"""A desk at a database: a row for each case, which every step changes, or a journal with a line for each step.

What the agency is told stands in a register, into which the adapter writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path

from sqlalchemy import Connection, MetaData, Table, insert, select, update

from adapters.agency_database import AgencyDatabase, agency_url
from adapters.mapping import AgencyRow
from adapters.targets.sql.fitting import fitted
from deploy.simulation.desk import Letter
from deploy.simulation.vocabulary import Words

LETTERS_MAX = 200
"""Letters read at once."""


class SqlDesk:
    """One agency's database."""

    def __init__(self, url: str, words: Words, register: str, zone: tzinfo) -> None:
        """
        Args:
            register: the table of letters; "" where the agency is told in another way.
            zone: what the clock in the office shows.
        """
        self._database = AgencyDatabase(agency_url(url, Path()))
        self._words = words
        self._register = register
        self._zone = zone
        self._tables: dict[str, Table] = {}

    async def put(self, row: AgencyRow) -> None:
        """Let the case's row say this step, unless it says a later one."""
        await self._database.run(lambda connection: self._write(connection, row), writes=True)

    async def letters(self, read_to: int) -> Sequence[Letter]:
        """The next letters of the register."""
        if not self._register:
            return ()
        return await self._database.run(lambda connection: self._read(connection, read_to))

    async def filed(self) -> None:
        """The number of the last letter stands in the agency's records: nothing to do here."""

    async def close(self) -> None:
        """Let the connection go."""
        self._database.close()

    def _write(self, connection: Connection, row: AgencyRow) -> None:
        """A column of which the step says nothing is emptied: it held another step's word."""
        own = self._table(connection, row.table)
        said = {
            **dict.fromkeys(self._words.columns),
            **row.key,
            **row.values,
        }
        values = {name: fitted(own.c[name], value, self._zone) for name, value in said.items()}
        step, case = own.c[self._words.step], own.c[self._words.case]
        is_case = case == values[self._words.case]
        if list(own.primary_key.columns) != [case]:  # a journal: its lines are never changed
            if connection.scalar(select(case).where(is_case, step == values[self._words.step])) is None:
                connection.execute(insert(own).values(values))
            return
        changed = connection.execute(update(own).where(is_case, step < values[self._words.step]).values(values))
        if not changed.rowcount and connection.scalar(select(case).where(is_case)) is None:
            connection.execute(insert(own).values(values))

    def _read(self, connection: Connection, read_to: int) -> list[Letter]:
        register = self._table(connection, self._register)
        (number,) = register.primary_key.columns
        asked = select(register).where(number > read_to).order_by(number).limit(LETTERS_MAX)
        return [Letter(row[number.name], dict(row)) for row in connection.execute(asked).mappings()]

    def _table(self, connection: Connection, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = Table(name, MetaData(), autoload_with=connection)
        return self._tables[name]
