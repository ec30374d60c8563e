"""Between an agency's records and the shared events, both ways, as mapping.toml says. Pure.

The same record gives the same events with the same ids, whenever it is read: ids are derived from the record's key.
What a record gives has been held against the shared schema here already, so that whatever is wrong is told with the
agency's own column. Whether the agency may say it is for the adapter's intake.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.mapping.cells import AgencyCell, EventView
from adapters.mapping.fields import SharedField
from adapters.mapping.records import RecordView, Wrong, wrong
from adapters.mapping.values import WrongValue, read_text
from bus.city.model import matches
from bus.expressions import Expression
from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.identifiers import derived_id, is_uuid
from schemas.registry import ReadData, registry
from schemas.strict import bounded_reason, bounded_reasons

if TYPE_CHECKING:
    from bus.city import City

REFERENCE_CHARACTERS_MAX = 500
"""How long the parts of a key may be together: it is repeated in logs and refusals."""


@dataclass(frozen=True)
class AgencyRow:
    """One row for the agency's system."""

    table: str
    key: dict[str, Any]
    """The columns that tell the row from others."""
    values: dict[str, Any]
    """The others. A column that is not here is left as it is."""


@dataclass(frozen=True, kw_only=True)
class CaseOf:
    """Which case an event is about."""

    column: str | None = None
    reference: tuple[str, ...] = ()
    of: str | None = None
    """The name of the source whose record opened it; None: this source's."""


@dataclass(frozen=True, kw_only=True)
class EventOf:
    """One `[[event]]`, compiled."""

    where: str
    """Its place in the file."""
    type: str | None
    """None: such a record becomes no event."""
    name: str
    when: Expression | None
    id: tuple[str, ...]
    case: CaseOf | None
    time: SharedField | None
    jurisdiction: SharedField | None
    data: tuple[SharedField, ...]


@dataclass(frozen=True, kw_only=True)
class RowOf:
    """One `[[row]]`, compiled."""

    where: str
    types: tuple[str, ...]
    when: Expression | None
    table: str
    key: tuple[AgencyCell, ...]
    values: tuple[AgencyCell, ...]

    def takes(self, type: str) -> bool:
        """Whether events of this type concern it."""
        return any(matches(pattern, type) for pattern in self.types)


class Mapping:
    """One mapping.toml."""

    def __init__(
        self,
        events: Sequence[EventOf],
        rows: Sequence[RowOf],
        *,
        match_all: bool,
        otherwise_skip: bool,
        missing_is_empty: bool,
    ) -> None:
        self.events, self.rows = tuple(events), tuple(rows)
        self._match_all = match_all
        self._otherwise_skip = otherwise_skip
        self._missing_is_empty = missing_is_empty

    @classmethod
    def load(cls, path: Path, city: City) -> Mapping:
        """The mapping in a file.

        Raises:
            Misconfigured: with everything that is wrong, a sentence each.
        """
        from adapters.mapping.load import load_mapping

        return load_mapping(path, city)

    def to_shared(self, record: collections.abc.Mapping[str, Any], *, source: str) -> list[dict[str, Any]]:
        """The events that a record becomes, in the short form that the intake takes; none where it is skipped.

        Args:
            record: the agency's columns, by name.
            source: the agency's URI, a slash and the source's name: ids are derived from it and the record's key.

        Raises:
            Refused: with every reason, each with the agency's column as its field.
        """
        view = RecordView(record, missing_is_empty=self._missing_is_empty)
        events: list[dict[str, Any]] = []
        reasons: list[Reason] = []
        fits = False
        for rule in self.events:
            try:
                if rule.when is not None and not view.holds(rule.when, f"{rule.where}.when"):
                    continue
            except Wrong as error:
                raise Refused([error.reason]) from error
            fits = True
            if rule.type is not None:
                try:
                    events.append(_event(rule, rule.type, view, source))
                except Refused as refused:
                    reasons += refused.reasons
            if not self._match_all:
                break
        if not fits and not self._otherwise_skip:
            columns = list(dict.fromkeys(name for rule in self.events if rule.when for name in rule.when.names))
            problem = "no [[event]] of the mapping takes this record"
            fix = 'Add a rule whose condition it meets, or state otherwise = "skip".'
            reasons.append(bounded_reason("no_rule", ", ".join(columns) or "record", problem, fix))
        if reasons:
            raise Refused(bounded_reasons(reasons))
        return events

    def to_agency(self, event: Event) -> list[AgencyRow]:
        """The rows that an event becomes in the agency's system; none where it does not concern it.

        Raises:
            Refused: with every reason, each with the agency's column as its field.
        """
        rules = [rule for rule in self.rows if rule.takes(event.type)]
        if not rules:
            return []
        try:
            data = msgspec.json.decode(event.data or b"null")
        except msgspec.DecodeError:
            data = None
        if not isinstance(data, dict):
            raise Refused(
                [Reason("not_json", "data", "the event's data is no JSON object", "It is the sender's fault.")]
            )
        view = EventView(data, event.attributes())
        rows: list[AgencyRow] = []
        reasons: list[Reason] = []
        for rule in rules:
            try:
                if rule.when is not None and not view.holds(rule.when, f"{rule.where}.when"):
                    continue
            except Wrong as error:
                reasons.append(error.reason)
                continue
            key = _cells(rule.key, view, reasons)
            for column in (cell.column for cell in rule.key if key.get(cell.column) is None):
                if not any(reason.field == column for reason in reasons):
                    fix = "State a default for it, or leave such events out with a condition (when)."
                    reasons.append(Reason("no_key", column, "the row's key is empty for this event", fix))
            rows.append(AgencyRow(rule.table, key, _cells(rule.values, view, reasons)))
        if reasons:
            raise Refused(bounded_reasons(reasons))
        return rows

    def in_columns(self, type: str, refused: Refused) -> Refused:
        """What is wrong with an event of this type, told with the agency's columns instead of the shared fields."""
        found: dict[str, str] = {}
        for rule in self.events:
            if rule.type == type:
                found |= _columns(rule)
        if "data.area" in found:  # where the mapping says no jurisdiction, it is the area
            found.setdefault("jurisdiction", found["data.area"])
        told = {(reason.code, reason.field): reason for one in refused.reasons for reason in [_in_columns(one, found)]}
        return Refused(list(told.values()))


def _event(rule: EventOf, type: str, record: RecordView, source: str) -> dict[str, Any]:
    reasons: list[Reason] = []
    data: dict[str, Any] = {}
    for field in rule.data:
        try:
            value = field.read(record)
        except Wrong as error:
            reasons.append(error.reason)
            continue
        if value is not None:
            _put(data, field, value)
    said: dict[str, Any] = {"type": type, "data": data}
    try:
        key = _reference(rule.id, record)
        said["id"] = derived_id(source, f"{rule.name} {key}")
        if (case := _case(rule, record, source, key)) is not None:
            said["subject"] = case
    except Wrong as error:
        reasons.append(error.reason)
    for name, place in (("time", rule.time), ("jurisdiction", rule.jurisdiction)):
        try:
            if place is not None and (found := place.read(record)) is not None:
                said[name] = found
        except Wrong as error:
            reasons.append(error.reason)
    if not reasons:
        try:
            raw = _encode(data)
            said["data"] = ReadData(data, raw, registry.get(type).read_strictly(raw, written_here=True))
        except Refused as refused:
            columns = _columns(rule, data)
            reasons = [_in_columns(reason, columns) for reason in refused.reasons]
    if reasons:
        raise Refused(bounded_reasons(reasons))
    return said


def _encode(data: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(data)
    except (TypeError, UnicodeEncodeError, RecursionError, msgspec.ValidationError) as error:
        problem = "the record holds a value that JSON cannot carry"
        raise Refused(
            [Reason("not_json", "data", f"{problem} ({error})"[:300], "Leave it out of the mapping.")]
        ) from error


def _reference(columns: tuple[str, ...], record: RecordView) -> str:
    """What these columns say together, as one text that no other values give."""
    parts = []
    for column in columns:
        try:
            part = read_text(record.get(column))
        except WrongValue as error:
            raise wrong(column, error) from error
        if part is None:
            fix = "Fill it: by the key a record is known when it is read again."
            raise Wrong(Reason("no_key", column, "the record's key is empty", fix))
        parts.append(part)
    if sum(map(len, parts)) > REFERENCE_CHARACTERS_MAX:
        problem = f"the key is longer than {REFERENCE_CHARACTERS_MAX} characters"
        raise Wrong(bounded_reason("too_long", ", ".join(columns), problem, "Choose a shorter key."))
    return msgspec.json.encode(parts).decode("utf-8", "replace")


def _case(rule: EventOf, record: RecordView, source: str, key: str) -> str | None:
    """The case. `key`: what the columns of the event's id say, which mostly are those of the case too."""
    case = rule.case
    if case is None:
        return None
    if case.column is not None:
        try:
            found = read_text(record.get(case.column))
        except WrongValue as error:
            raise wrong(case.column, error) from error
        if found is not None and not is_uuid(found.lower()):
            fix = "Store the case id that came with the event, or the mapping's case.reference."
            raise Wrong(Reason("not_a_case", case.column, "this is no case id", fix))
        if found is not None:
            return found.lower()
        if not case.reference:
            fix = "Store the case id there, or skip such records with a condition (when)."
            raise Wrong(Reason("no_case", case.column, "the record names no case", fix))
    home = source if case.of is None else f"{source.rpartition('/')[0]}/{case.of}"
    reference = key if case.reference == rule.id else _reference(case.reference, record)
    return derived_id(home, f"case {reference}")


def _put(data: dict[str, Any], field: SharedField, value: Any) -> None:
    if field.is_member:
        data[field.steps[0]] = value
        return
    *steps, last = field.steps
    if field.shape.kind == "attributes":
        data.setdefault(steps[0], []).append({"code": last, "value": value})
        return
    for step in steps:
        data = data.setdefault(step, {})
    data[last] = value


def _columns(rule: EventOf, data: collections.abc.Mapping[str, Any] | None = None) -> dict[str, str]:
    """The shared fields' paths, and the columns that they come from."""
    found = {field.path: field.where for field in rule.data}
    for index, attribute in enumerate((data or {}).get("attributes", ())):
        if isinstance(attribute, dict) and (column := found.get(f"data.attributes.{attribute.get('code')}")):
            found[f"data.attributes[{index}]"] = column
    return found


def _in_columns(reason: Reason, columns: dict[str, str]) -> Reason:
    path = reason.field
    while path:
        if (found := columns.get(path)) is not None:
            problem = reason.problem if path == reason.field else f"{reason.problem} ({reason.field})"
            return Reason(reason.code, found, problem, reason.fix)
        path = path.rpartition("[")[0] if path.endswith("]") else path.rpartition(".")[0]
    return reason


def _cells(cells: Sequence[AgencyCell], event: EventView, reasons: list[Reason]) -> dict[str, Any]:
    found = {}
    for cell in cells:
        try:
            value = cell.read(event)
        except Wrong as error:
            reasons.append(error.reason)
            continue
        if value is not None:
            found[cell.column] = value
    return found
