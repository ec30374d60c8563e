"""Samples of what an agency's system says and is told: what each becomes, or every reason why it does not. Pure but for
reading the files.

`samples/in/<source>/` holds records as that source reads them: JSON (one object, or a list) or CSV with a line of
column names. `samples/out/<target>/` holds events as JSON, from which may be left out what says nothing here (`source`,
`subject`, `time`, `id`). A source without a mapping takes events themselves. Where one adapter serves several agencies,
`samples/<agency>/in` and `samples/<agency>/out` hold those of one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from adapters.completion import completion
from adapters.mapping import AgencyRow, Mapping
from bus.admission import reasons_against
from bus.city import City
from schemas.envelope import Event
from schemas.failures import Misconfigured, Reason, Refused
from schemas.identifiers import derived_id
from schemas.registry import registry
from schemas.structured import read_structured, to_structured

SAMPLE_BYTES_MAX = 10 * 1024 * 1024
RECORDS_MAX = 1000
"""Records of one sample file: more are cut, since samples are read by people."""


@dataclass
class Sample:
    """One record or event of a sample file, and what became of it."""

    file: Path
    number: int
    """Which one of the file, from 1."""
    place: str
    """The source or target."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """From a record: the events, in structured mode."""
    rows: list[AgencyRow] = field(default_factory=list)
    """From an event: the agency's rows."""
    reasons: list[Reason] = field(default_factory=list)
    direction: str = "in"

    @property
    def skipped(self) -> bool:
        """Whether it becomes nothing, as the mapping says."""
        return not (self.events or self.rows or self.reasons)

    def as_dict(self, folder: Path) -> dict[str, Any]:
        """For machines."""
        found: dict[str, Any] = {
            "file": str(self.file.relative_to(folder)),
            "number": self.number,
            "place": self.place,
            "reasons": [reason.as_dict() for reason in self.reasons],
        }
        if self.direction == "in":
            return found | {"events": self.events}
        rows = [{"table": row.table, "key": row.key, "values": row.values} for row in self.rows]
        return found | {"rows": json.loads(json.dumps(rows, default=str))}


def source_samples(
    folder: Path, place: str, mapping: Mapping | None, agency: str, city: City, now: datetime
) -> Iterator[Sample]:
    """What each record under `folder`, the samples of one source, becomes: mapped, completed, and held against the
    shared schema and the city's rules, as when it comes."""
    source = f"{city.source_of(agency)}/{place}"
    for file in sample_files(folder):
        for number, record in _records(file):
            sample = Sample(file, number, place)
            try:
                if isinstance(record, Refused):
                    raise record
                said = mapping.to_shared(record, source=source) if mapping is not None else [record]
                for one in said:
                    sample.events.append(_admitted(one, mapping, agency, city, now))
            except Refused as refused:
                sample.reasons += refused.reasons
            yield sample


def target_samples(folder: Path, place: str, mapping: Mapping, city: City, now: datetime) -> Iterator[Sample]:
    """What each event under `folder`, the samples of one target, becomes in the agency's system."""
    for file in sample_files(folder):
        for number, said in _records(file):
            sample = Sample(file, number, place, direction="out")
            try:
                if isinstance(said, Refused):
                    raise said
                sample.rows += mapping.to_agency(_arriving(said, city, now))
            except Refused as refused:
                sample.reasons += refused.reasons
            yield sample


def sample_files(folder: Path) -> list[Path]:
    """The sample files of a folder, by name."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in (".json", ".csv") and path.is_file())


def _admitted(said: dict[str, Any], mapping: Mapping | None, agency: str, city: City, now: datetime) -> dict[str, Any]:
    """The event, complete, as the bus would have it.

    Raises:
        Refused: with the agency's columns where a mapping made it.
    """
    try:
        body = msgspec.json.encode(said)
        (event,) = read_structured(body, complete=completion(city.source_of(agency), None, now))
        if reasons := reasons_against(event, agency, city):
            raise Refused(reasons)
    except Refused as refused:
        raise mapping.in_columns(str(said.get("type")), refused) if mapping is not None else refused from refused
    return to_structured(event)


def _arriving(said: dict[str, Any], city: City, now: datetime) -> Event:
    """The event of a back-sample, with what it leaves out filled in as the bus might."""

    def complete(given: dict[str, Any], position: int) -> dict[str, Any]:
        moment = now.isoformat(timespec="milliseconds")
        known = {"specversion": "1.0", "source": city.source_of("workflows"), "time": moment}
        known |= {"id": derived_id("sample", "event"), "subject": derived_id("sample", "case")}
        return known | given

    (event,) = read_structured(msgspec.json.encode(said), complete=complete, from_bus=True)
    registry.get(event.type).read(event.data)
    return event


def _records(file: Path) -> Iterator[tuple[int, Any]]:
    """The records of one file, each with its number; a refusal where one is none."""
    if file.stat().st_size > SAMPLE_BYTES_MAX:
        raise Misconfigured(f"{file} has more than {SAMPLE_BYTES_MAX} bytes: keep samples small.")
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix.lower() == ".csv":
            found: list[Any] = [dict(row) for row in csv.DictReader(text.splitlines(keepends=True), strict=True)]
        else:
            document = json.loads(text)
            found = document if isinstance(document, list) else [document]
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        fix = "Write JSON (one object, or a list) or CSV, in UTF-8."
        yield 1, Refused([Reason("unreadable", "sample", f"the file cannot be read: {error}"[:300], fix)])
        return
    for number, record in enumerate(found[:RECORDS_MAX], start=1):
        if isinstance(record, dict) and None not in record:
            yield number, record
        else:
            fix = "A sample is an object in braces; in CSV, a line with as many cells as there are columns."
            yield number, Refused([Reason("not_a_record", "sample", "this is no record", fix)])
