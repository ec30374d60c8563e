"""One simulated system's own words: what its staff writes for what it decides, what it reads in what it is told. Pure.

What it writes is in the example's `system.toml`, what the adapter makes of that in `mapping.toml`: two files that do
not know of each other. The id of the event that a step must become is known before anybody has read it, so what is
counted as sent is what others must hear.
"""

from __future__ import annotations

from collections.abc import Mapping as Columned
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from adapters.mapping import AgencyRow, Mapping
from adapters.mapping.cells import AgencyCell
from adapters.spreadsheets import armed
from bus.city import City
from deploy.simulation.behaviour import Heard
from deploy.simulation.own_system import OwnSystem
from deploy.simulation.records import REJECTED, Sent
from schemas.envelope import Event
from schemas.failures import Misconfigured
from schemas.identifiers import derived_id

SUBJECT, STEP = "subject", "sequence"
"""The attributes that the staff's rows must have in their keys: the case, and the step."""


@dataclass(frozen=True)
class Words:
    """The columns of one table in their order, and which of them hold the case and the step."""

    columns: tuple[str, ...]
    case: str
    step: str


class Vocabulary:
    """The words of one agency's system."""

    def __init__(self, own: OwnSystem, city: City, agency: str) -> None:
        """
        Raises:
            Misconfigured: the example's files are wrong, or do not say what a simulation needs.
        """
        folder = Path(own.example)
        self._city = city
        self._agency = agency
        self._source = f"{city.source_of(agency)}/{own.source_name}"
        self._writes = Mapping.load(folder / "system.toml", city)
        self._types = {type for rule in self._writes.rows for type in rule.types}
        self.words = _words(self._writes, folder)
        self.register = ""
        self._read: Columned[str, AgencyCell] = {}
        if own.target is not None:
            self.register, self._read = _register(Mapping.load(folder / "mapping.toml", city), folder)

    def speaks(self, type: str) -> bool:
        """Whether its system says such things in its own words; other programs of the agency say the rest, by HTTP."""
        return type in self._types

    def event_id(self, type: str, case: str, step: int) -> str | None:
        """The id of the event that a step becomes, as a mapping derives it from the key (case, step)."""
        if not self.speaks(type):
            return None
        return derived_id(self._source, f"{type} {msgspec.json.encode([case, str(step)]).decode()}")

    def row(self, post: Sent, step: int) -> AgencyRow:
        """What the staff writes: the same whenever it is asked."""
        moment = datetime.fromtimestamp(int(post.due_at), self._city.zone).isoformat()
        event = Event(
            id=post.event_id,
            type=post.type,
            source=self._city.source_of(self._agency),
            subject=post.case,
            time=moment,
            sequence=str(step),
            data=post.data.encode(),
        )
        (row,) = self._writes.to_agency(event)
        return row

    def heard(self, record: Columned[str, Any]) -> Heard:
        """The event that a letter of the register tells of, as far as it tells of it.

        Raises:
            KeyError: the register lacks what every letter has.
        """
        attributes: dict[str, str] = {}
        data: dict[str, Any] = {}
        said = ""
        for column, cell in self._read.items():
            if (text := _text(record.get(column))) == "":
                continue
            if cell.attribute is not None:
                attributes[cell.attribute] = text
            elif cell.field is not None:
                _put(data, cell.field, text)
            else:
                said = text
        if attributes["type"] == REJECTED:
            data["reasons"] = [{"field": "", "problem": said}]
        return Heard(
            id=attributes["id"],
            type=attributes["type"],
            source=attributes["source"],
            case=attributes["subject"],
            time=attributes["time"],
            data=data,
            recipient=attributes.get("recipient"),
            jurisdiction=attributes.get("jurisdiction"),
            parties=attributes.get("parties"),
            causation=attributes.get("causationid"),
            sequence=attributes.get("sequence"),
        )


def _words(writes: Mapping, folder: Path) -> Words:
    columns = dict.fromkeys(cell.column for rule in writes.rows for cell in (*rule.key, *rule.values))
    keys = {cell.attribute: cell.column for rule in writes.rows for cell in rule.key}
    if SUBJECT not in keys or STEP not in keys:
        raise Misconfigured(f"{folder}/system.toml: each row's key must be the case (subject) and the step (sequence).")
    return Words(tuple(columns), keys[SUBJECT], keys[STEP])


def _register(mapping: Mapping, folder: Path) -> tuple[str, dict[str, AgencyCell]]:
    """The table in which every letter stands, and its columns that say something as it came."""
    for rule in mapping.rows:
        cells = {cell.column: cell for cell in (*rule.key, *rule.values) if cell.codes is None}
        if {"id", "source", "type"} <= {cell.attribute for cell in cells.values()}:
            return rule.table, cells
    raise Misconfigured(
        f"{folder}/mapping.toml has no [[row]] with id, source and type: its staff could not tell letters."
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float | Decimal):
        return f"{Decimal(str(value)):f}"
    return armed(str(value))


def _put(data: dict[str, Any], path: str, text: str) -> None:
    *steps, last = path.split(".")
    for step in steps:
        data = data.setdefault(step, {})
    data[last] = text
