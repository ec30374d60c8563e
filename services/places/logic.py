"""The places stage's decisions: requests that tell of one matter, and works of two agencies at one place. Pure.

A case lies in its own partition, and so does not see its neighbours. This stage reads the log, and notes each request
and each order that has a spot under the cells that it touches, in `city-places`: there, neighbours are in one partition
and are compared in order.

- An older open request of the same service is near: the newer case is told (`DuplicateFound`). Its workflow asks the
  other and follows it, or does not: this stage decides nothing about a case.
- Two agencies' orders are near within the city's period: each agency is told about its own (`WorkOrderClashFound`).

Of two requests the newer one is told, whatever the order in which they are read; of the cells that both touch the one
counts in which the older lies. So each pair is told once. Everything travels in the stage's transactions; a case that
has ended before it hears says nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from bus.city import City
from bus.logic import Decided
from bus.logs import get_logger
from bus.records import Output, Record, partition_for
from bus.topics import EVENTS, PLACES
from schemas.envelope import Event
from schemas.failures import Unprocessable
from schemas.identifiers import derived_id
from schemas.registry import EventData, registry
from schemas.types.merging import DuplicateFound, RequestJoined
from schemas.types.requests import RequestClosed, RequestSubmitted
from schemas.types.workorders import (
    WorkOrderCancelled,
    WorkOrderClashFound,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderIssued,
)
from schemas.values import Point
from services.places.ground import cell_of, cells_around, metres_between
from services.places.matters import ORDER, REQUEST, Key, Matter
from services.places.memory import Memory, Note, View, note_key

log = get_logger("places")

WORKFLOWS = "workflows"
"""The recipient of what a case's workflow is told."""

ENDS_MAX = 1000
"""Matters that end in one transaction; the rest follows at once in the next."""

TOLD_MAX = 20
"""Neighbours of one request, or of one order, that are told of: the nearest. A pile of reports needs no more."""

_DAY_MS = 24 * 3600 * 1000
_READ = frozenset(
    kind.registered.name.encode()
    for kind in (
        RequestSubmitted,
        RequestJoined,
        RequestClosed,
        WorkOrderIssued,
        WorkOrderDeclined,
        WorkOrderCancelled,
        WorkOrderCompleted,
    )
)
_decode_note = msgspec.json.Decoder(Note).decode
_decode_matter = msgspec.json.Decoder(Matter).decode


class Places:
    """`bus.logic.Logic` for the stage `places`."""

    restores_from: str | None = PLACES
    restores_since_seconds: float | None = None

    def __init__(self, number: int, *, city: City, partitions: int) -> None:
        self._number = number
        self._city = city
        self._partitions = partitions
        self._source = city.source_of("places")
        self.memory = Memory()

    def restore(self, records: Sequence[Record], position: int | None = None) -> None:
        """Read notes and matters back. Notes are this lane's own, matters count from when they were compared.

        A matter that another lane has written and this one has not taken would hide the one that it replaces: what was
        compared with that one would be told again, or never.
        """
        for record in records:
            key = Key.read(record.key or b"")
            if key is None:
                case = (record.key or b"").decode().partition("|")[2]
                self.memory.put_note(case, _decode_note(record.value) if record.value else None)
            elif position is None or record.offset < position:
                self.memory.matters.put(key, _matter_in(record))

    def apply(self, decided: Decided) -> None:
        """The transaction stands: its view becomes the memory."""
        view = decided.changes
        assert isinstance(view, View)
        view.take()

    def sizes(self) -> dict[str, int]:
        """Open cases with a spot, and matters in cells."""
        return {"notes": len(self.memory.notes), "matters": len(self.memory.matters)}

    def next_due(self) -> datetime | None:
        """When a matter next ends."""
        end = self.memory.matters.next_end_ms()
        return datetime.fromtimestamp(end / 1000, UTC) if end is not None else None

    def decide_due(self, now: datetime) -> Decided:
        """Matters whose time is over are forgotten, in the topic too."""
        view = View(self.memory)
        outputs = []
        for key in self.memory.matters.ended(int(now.timestamp() * 1000), ENDS_MAX):
            view.put(key, None)
            outputs.append(Output(PLACES, key.text, None, [], self._number))
        return Decided(outputs, view, {"ended": len(outputs)})

    def decide(self, records: Sequence[Record], now: datetime) -> Decided:
        """What the log tells of places, and what cells tell of neighbours."""
        batch = _Batch(View(self.memory), now, Decided(counted={"passed": 0, "noted": 0, "told": 0, "failed": 0}))
        if self._city.nearby is None:
            batch.decided.counted["passed"] = len(records)
        else:
            for record in records:
                try:
                    self._handle(record, batch)
                except Exception:  # neither log nor topic may stop for one record: what is missed is a hint
                    log.exception("place_not_noted", topic=record.topic, offset=record.offset)
                    batch.decided.counted["failed"] += 1
        batch.decided.changes = batch.view
        return batch.decided

    def _handle(self, record: Record, batch: _Batch) -> None:
        if record.topic == PLACES:
            key = Key.read(record.key or b"")
            if key is not None:
                self._compare(key, _matter_in(record), batch)
            return
        type_ = next((value for name, value in record.headers if name == "ce_type"), None)
        if type_ not in _READ or any(name == "ce_history" for name, _ in record.headers):
            batch.decided.counted["passed"] += 1
            return
        try:
            event = Event.from_record(record.headers, record.value)
        except Unprocessable:
            return
        self._note(event, registry.get(event.type).read(event.data), record.timestamp_ms, batch)

    # -- from the log to the cells

    def _note(self, event: Event, data: EventData, at_ms: int, batch: _Batch) -> None:
        case = event.subject
        note = batch.view.note(case)
        if note is None:
            if isinstance(data, RequestSubmitted) and data.location is not None:
                note = Note(
                    spot=data.location.coordinates,
                    service_code=data.service_code,
                    area=event.jurisdiction or data.area,
                    correlation=event.correlationid or event.id,
                )
                self._keep(case, note, batch)
                self._put_request(case, note, event, at_ms, batch)
            return
        match data:
            case RequestJoined():
                self._drop_request(case, note, batch)
            case WorkOrderIssued():
                self._put_order(case, note, data.agency, event, at_ms, batch)
            case WorkOrderCancelled():
                self._drop_order(case, note, data.agency, batch)
            case WorkOrderDeclined():
                self._drop_order(case, note, self._city.agency_of(event.source) or "", batch)
            case WorkOrderCompleted():
                self._finish_order(case, note, self._city.agency_of(event.source) or "", batch)
            case RequestClosed():
                self._drop_request(case, note, batch)
                for agency in note.orders:
                    self._drop_order(case, batch.view.note(case) or note, agency, batch)
                self._keep(case, None, batch)

    def _put_request(self, case: str, note: Note, event: Event, at_ms: int, batch: _Batch) -> None:
        nearby = self._city.nearby
        if nearby is None or note.service_code not in nearby.same_matter_services:
            return
        matter = Matter(
            spot=note.spot,
            service_code=note.service_code,
            at_ms=at_ms,
            until_ms=at_ms + nearby.same_matter_days * _DAY_MS,
            area=note.area,
            correlation=note.correlation,
            cause=event.id,
        )
        for cell in cells_around(note.spot, nearby.same_matter_metres):
            self._send(Key(REQUEST, cell, case), matter, batch)
        batch.decided.counted["noted"] += 1

    def _drop_request(self, case: str, note: Note, batch: _Batch) -> None:
        nearby = self._city.nearby
        if nearby is not None and note.service_code in nearby.same_matter_services:
            for cell in cells_around(note.spot, nearby.same_matter_metres):
                self._send(Key(REQUEST, cell, case), None, batch)

    def _put_order(self, case: str, note: Note, agency: str, event: Event, at_ms: int, batch: _Batch) -> None:
        nearby = self._city.nearby
        if nearby is None or note.service_code not in nearby.clash_services:
            return
        matter = Matter(
            spot=note.spot,
            service_code=note.service_code,
            at_ms=at_ms,
            until_ms=at_ms + nearby.clash_days * _DAY_MS,
            area=note.area,
            correlation=note.correlation,
            cause=event.id,
            agency=agency,
        )
        for cell in cells_around(note.spot, nearby.clash_metres):
            self._send(Key(ORDER, cell, case, agency), matter, batch)
        told = msgspec.json.encode(matter).decode()
        self._keep(case, msgspec.structs.replace(note, orders={**note.orders, agency: told}), batch)
        batch.decided.counted["noted"] += 1

    def _drop_order(self, case: str, note: Note, agency: str, batch: _Batch) -> None:
        """An order that nobody follows any more. One that is done stays: its result lies in the ground."""
        nearby = self._city.nearby
        if nearby is None or not note.orders.get(agency):
            return
        for cell in cells_around(note.spot, nearby.clash_metres):
            self._send(Key(ORDER, cell, case, agency), None, batch)
        left = {other: told for other, told in note.orders.items() if other != agency}
        self._keep(case, msgspec.structs.replace(note, orders=left), batch)

    def _finish_order(self, case: str, note: Note, agency: str, batch: _Batch) -> None:
        nearby = self._city.nearby
        told = note.orders.get(agency)
        if nearby is None or not told:
            return
        matter = msgspec.structs.replace(_decode_matter(told), done=True)
        for cell in cells_around(note.spot, nearby.clash_metres):
            self._send(Key(ORDER, cell, case, agency), matter, batch)
        self._keep(case, msgspec.structs.replace(note, orders={**note.orders, agency: ""}), batch)

    def _keep(self, case: str, note: Note | None, batch: _Batch) -> None:
        batch.view.notes[case] = note
        value = msgspec.json.encode(note) if note is not None else None
        batch.decided.outputs.append(Output(PLACES, note_key(case), value, [], self._number))

    def _send(self, key: Key, matter: Matter | None, batch: _Batch) -> None:
        value = msgspec.json.encode(matter) if matter is not None else None
        number = partition_for(key.cell.encode(), self._partitions)
        batch.decided.outputs.append(Output(PLACES, key.text, value, [], number))

    # -- in a cell

    def _compare(self, key: Key, matter: Matter | None, batch: _Batch) -> None:
        known = batch.view.matter(key)
        batch.view.put(key, matter)
        nearby = self._city.nearby
        if matter is None or nearby is None or (known is not None and known.offset < matter.offset):
            return  # it ended, or was compared when it came
        reach = nearby.same_matter_metres if key.kind == REQUEST else nearby.clash_metres
        near: list[tuple[float, Key, Matter]] = []
        for other, found in batch.view.in_cell(key.kind, key.cell):
            if found.offset >= matter.offset or other.case == key.case:
                continue
            if key.kind == REQUEST and found.service_code != matter.service_code:
                continue
            if key.kind == ORDER and other.agency == key.agency:
                continue
            first = min((matter.at_ms, key.case, matter), (found.at_ms, other.case, found), key=lambda one: one[:2])[2]
            both = matter.at_ms < found.until_ms and found.at_ms < matter.until_ms
            if both and cell_of(first.spot) == key.cell:
                metres = metres_between(matter.spot, found.spot)
                if metres <= reach:
                    near.append((round(metres, 1), other, found))
        for metres, other, found in sorted(near, key=lambda one: (one[0], one[1].case))[:TOLD_MAX]:
            if key.kind == REQUEST:
                self._tell_duplicate((key, matter), (other, found), metres, batch)
            else:
                self._tell_clash((key, matter), (other, found), metres, batch)
                self._tell_clash((other, found), (key, matter), metres, batch)

    def _tell_duplicate(self, one: tuple[Key, Matter], other: tuple[Key, Matter], metres: float, batch: _Batch) -> None:
        (older, _), (newer, matter) = sorted((one, other), key=lambda each: (each[1].at_ms, each[0].case))
        data = DuplicateFound(from_case=older.case, metres=metres)
        self._say(newer.case, data, WORKFLOWS, matter, f"like {older.case}", batch)

    def _tell_clash(self, mine: tuple[Key, Matter], other: tuple[Key, Matter], metres: float, batch: _Batch) -> None:
        key, matter = mine
        data = WorkOrderClashFound(
            agency=key.agency,
            other_agency=other[0].agency,
            other_case=other[0].case,
            other_service_code=other[1].service_code,
            other_ordered_at=datetime.fromtimestamp(other[1].at_ms / 1000, UTC),
            other_done=other[1].done,
            metres=metres,
            location=Point(type="Point", coordinates=other[1].spot),
        )
        beside = f"{other[0].case} {other[0].agency} {other[1].at_ms}"
        self._say(key.case, data, key.agency, matter, f"{key.agency} beside {beside}", batch)

    def _say(self, case: str, data: EventData, recipient: str, matter: Matter, what: str, batch: _Batch) -> None:
        """The same finding has the same id for ever."""
        event = Event(
            id=derived_id(case, f"{what} {matter.at_ms}"),
            type=data.registered.name,
            source=self._source,
            subject=case,
            time=batch.now.isoformat(),
            data=data.encode(),
            correlationid=matter.correlation or None,
            # A clash has two causes, and one order may clash with several: it names the other case, and no cause.
            causationid=matter.cause if recipient == WORKFLOWS and matter.cause else None,
            recipient=recipient,
            jurisdiction=matter.area,
        )
        batch.decided.outputs.append(Output(EVENTS, event.key, event.data, event.headers()))
        batch.decided.counted["told"] += 1


class _Batch:
    """One batch's outcome while it grows."""

    def __init__(self, view: View, now: datetime, decided: Decided) -> None:
        self.view = view
        self.now = now
        self.decided = decided


def _matter_in(record: Record) -> Matter | None:
    if not record.value:
        return None
    return msgspec.structs.replace(_decode_matter(record.value), offset=record.offset)
