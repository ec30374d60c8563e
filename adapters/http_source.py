"""What an agency's system asks its adapter: take these events, what became of one, what is new, what is parked.

POST /agencies/<id>/events                          202 once they are on disk; 422 with every reason
GET  /agencies/<id>/events/<event id>               stored, relayed, accepted, or rejected with the reasons
GET  /agencies/<id>/inbox?after=&limit=             what concerns the agency, in order, for systems without a webhook
GET  /agencies/<id>/parked                          what its system refused for good
POST /agencies/<id>/parked/<event id>/replay        try that again, and then what waits behind it
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection

from adapters.completion import read_idempotency_key
from adapters.delivery import Delivery
from adapters.http_app import Answer, Asked, Route, answer, refusal
from adapters.intake import Intake
from adapters.status import EventStatus, moment
from bus.inbox import Inbox
from bus.inbox.rows import take_up_to
from bus.inbox.views import parked_rows, read_page
from bus.outbox import Receipt
from schemas.failures import Reason, Refused
from schemas.structured import BATCH_CONTENT_TYPE, STRUCTURED_CONTENT_TYPE

CONTENT_TYPES = ("application/json", STRUCTURED_CONTENT_TYPE, BATCH_CONTENT_TYPE)
NOT_JSON = frozenset({"not_json", "too_deep"})

PAGE_EVENTS, PAGE_EVENTS_MAX = 100, 500
PARKED_SHOWN_MAX = 500


class HttpSource:
    """The answers to one adapter's agencies."""

    def __init__(
        self,
        intake: Intake,
        inbox: Inbox,
        deliveries: Mapping[str, Delivery],
        *,
        source_of: Callable[[str], str],
        status: EventStatus | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._intake = intake
        self._inbox = inbox
        self._deliveries = deliveries
        self._status = status or EventStatus(inbox.database, source_of)
        self._clock = clock

    def routes(self) -> list[Route]:
        """What there is under `/agencies/<id>/`."""
        return [
            Route("POST", "events", "", False, self.post_events),
            Route("GET", "events", "", True, self.get_event),
            Route("GET", "inbox", "", False, self.get_inbox),
            Route("GET", "parked", "", False, self.get_parked),
            Route("POST", "parked", "replay", True, self.post_replay),
        ]

    async def post_events(self, asked: Asked) -> Answer:
        """Take one event or many."""
        stated = (asked.header(b"content-type") or "").lower()
        kind, _, parameters = stated.partition(";")
        charset = parameters.partition("charset=")[2].strip().strip('"')
        if kind.strip() not in CONTENT_TYPES or charset not in ("", "utf-8", "utf8"):
            fix = f"Send {CONTENT_TYPES[0]} or {CONTENT_TYPES[1]}, in UTF-8."
            return refusal(415, Reason("content_type", "Content-Type", f"{stated[:100]!r} is not taken here", fix))
        key = asked.header(b"idempotency-key")
        try:
            receipts = await self._intake.take(
                asked.agency, asked.body, read_idempotency_key(key) if key is not None else None
            )
        except Refused as refused:
            is_json = not any(reason.field == "body" and reason.code in NOT_JSON for reason in refused.reasons)
            return refusal(422 if is_json else 400, *refused.reasons)
        told = [self._receipt(asked.agency, receipt) for receipt in receipts]
        return answer(202, told if asked.body.lstrip()[:1] == b"[" else told[0])

    def _receipt(self, agency: str, receipt: Receipt) -> dict[str, Any]:
        return {
            "id": receipt.id,
            "subject": receipt.subject,
            "status_url": f"/agencies/{agency}/events/{quote(receipt.id, safe='')}",
            "recorded_at": moment(receipt.recorded_at),
            "known": receipt.known,
        }

    async def get_event(self, asked: Asked) -> Answer:
        """What became of an event."""
        told = await self._status.of(asked.agency, asked.id)
        if told is None:
            fix = "Check the id; the status of an event can be asked for some days after it left."
            return refusal(404, Reason("not_found", "id", "this adapter has no such event", fix))
        return answer(200, told)

    async def get_inbox(self, asked: Asked) -> Answer:
        """What concerns the agency, after a position. A system that has no webhook takes everything before it so."""
        after = asked.number("after", 0, 2**62)
        limit = asked.number("limit", PAGE_EVENTS, PAGE_EVENTS_MAX)
        takes = after > 0 and asked.agency not in self._deliveries
        now = self._clock()

        def unit(connection: Connection) -> tuple[list[bytes], int, int]:
            taken = take_up_to(connection, asked.agency, after, now) if takes else 0
            page = read_page(connection, asked.agency, after=after, rows_max=limit)
            return [event.body for event in page], page[-1].id if page else after, taken

        bodies, last, taken = await self._inbox.database.run(unit)
        self._inbox.taken(asked.agency, taken)
        return Answer(200, b'{"events":[%s],"next":%d}' % (b",".join(bodies), last))

    async def get_parked(self, asked: Asked) -> Answer:
        """What the agency's system refused for good, and what waits behind it."""
        rows = await self._inbox.database.run(
            lambda connection: parked_rows(connection, asked.agency, rows_max=PARKED_SHOWN_MAX)
        )
        for row in rows:
            row["id"] = row.pop("event_id")
            row["received_at"], row["parked_at"] = moment(row["received_at"]), moment(row["parked_at"])
        return answer(200, {"parked": rows})

    async def post_replay(self, asked: Asked) -> Answer:
        """Try a parked event again."""
        delivery = self._deliveries.get(asked.agency)
        if delivery is None:
            problem = "this agency has no webhook, so nothing of it is delivered or parked"
            return refusal(409, Reason("no_webhook", "request", problem, "Ask GET /agencies/<id>/inbox."))
        replayed, unreadable = await delivery.replay(asked.id)
        if unreadable:
            problem = "this record is no event, so it cannot be delivered"
            return refusal(409, Reason("unreadable", "id", problem, "Look at it in the inbox table, and report it."))
        if not replayed:
            fix = "GET /agencies/<id>/parked lists what is."
            return refusal(404, Reason("not_found", "id", "no event of this id is parked", fix))
        return answer(202, {"id": asked.id, "replayed": replayed})
