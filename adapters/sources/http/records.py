"""From a body to the agency's records, and back to the record and column that a refusal is about. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec

from adapters.mapping import Mapping
from adapters.sources.http.config import HttpSourceConfig
from bus.logs import get_logger
from schemas.failures import Reason, Refused
from schemas.strict import bounded_reasons
from schemas.structured import BATCH_EVENTS_MAX, parse_json

log = get_logger("http_source")

REQUEST = "request"
"""What a record has besides its own members, unless it has one of that name: `request.key`, the `Idempotency-Key` (or
what stands for the body, where there is none), and `request.number`, the record's place in it from 1."""

_position = re.compile(r"\[([0-9]{1,6})\]\.(.+)", re.DOTALL)


@dataclass(slots=True)
class Posted:
    """One body, read."""

    records: list[Any]
    several: bool
    """Whether a list was sent: then it is answered with a list, and a reason's field begins with the record's place."""
    said: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """The place of a record, and an event of it in the short form."""
    reasons: list[Reason] = field(default_factory=list)

    def note(self, place: int, refused: Refused) -> None:
        """A record was refused."""
        before = f"[{place}]." if self.several else ""
        self.reasons += [Reason(one.code, before + one.field, one.problem, one.fix) for one in refused.reasons]


def read_posted(body: bytes, config: HttpSourceConfig, idempotency_key: str | None) -> Posted:
    """The records in a body, none of them looked at yet.

    Raises:
        Refused: it is no JSON, or has no records where they should be, or too many.
    """
    parse_json(body)  # what JSON leaves open is refused there
    document = _decoder.decode(body)
    for step in config.records.split(".") if config.records is not None else ():
        if not isinstance(document, dict) or step not in document:
            problem = f"the body has nothing at {config.records}"
            fix = "Put the records there, or set records of the source in adapter.toml."
            raise Refused([Reason("missing", config.records or "body", problem, fix)])
        document = document[step]
    several = isinstance(document, list)
    records = document if several else [document]
    if not 1 <= len(records) <= config.records_max:
        problem = f"the list holds {len(records)} records, not 1 to {config.records_max}"
        raise Refused([Reason("batch_size", config.records or "body", problem, "Send them in several bodies.")])
    posted = Posted(records, several)
    key = idempotency_key if idempotency_key is not None else sha256(body).hexdigest()
    for place, record in enumerate(records):
        if isinstance(record, dict):
            record.setdefault(REQUEST, {"key": key, "number": place + 1})
        else:
            problem = "a record is a JSON object"
            posted.note(place, Refused([Reason("not_a_record", "record", problem, "Send an object in braces.")]))
    return posted


def shape(posted: Posted, places: Sequence[int], mapping: Mapping, source: str) -> None:
    """Map the records at these places."""
    for place in places:
        record = posted.records[place]
        if not isinstance(record, dict):
            continue
        try:
            posted.said += [(place, said) for said in mapping.to_shared(record, source=source)]
        except Refused as refused:
            posted.note(place, refused)
        except Exception as error:  # a defect: its record alone is refused, and its sender hears of it
            log.exception("mapping_failed", source=source)
            reason = Reason("failed", "record", f"the mapping failed: {type(error).__name__}", "Report it.")
            posted.note(place, Refused([reason]))


def check_number(posted: Posted) -> None:
    """
    Raises:
        Refused: a record was refused, or all together become more events than one request may have.
    """
    if len(posted.said) > BATCH_EVENTS_MAX:
        problem = f"the records become {len(posted.said)} events, more than {BATCH_EVENTS_MAX}"
        posted.reasons.append(Reason("batch_size", "body", problem, "Send them in several bodies."))
    if posted.reasons:
        raise Refused(bounded_reasons(posted.reasons))


def in_columns(posted: Posted, refused: Refused, mapping: Mapping) -> Refused:
    """What is wrong with the events, told with the record and the agency's own column."""
    of_events: dict[int, list[Reason]] = {}
    for reason in refused.reasons:
        found = _position.fullmatch(reason.field)
        if found is None or int(found[1]) >= len(posted.said):
            posted.reasons.append(reason)
            continue
        plain = Reason(reason.code, found[2], reason.problem, reason.fix)
        of_events.setdefault(int(found[1]), []).append(plain)
    for number, reasons in sorted(of_events.items()):
        place, said = posted.said[number]
        posted.note(place, mapping.in_columns(str(said["type"]), Refused(reasons)))
    return Refused(bounded_reasons(posted.reasons))


_decoder = msgspec.json.Decoder(float_hook=Decimal)
