"""What the casebook says of one case, and how it grows with each event. Pure.

The casebook decides nothing. It says what the log says, in the order of the log: the last word on a matter counts,
an event that the case refused counts for nothing (`projection.py` knows which), and after `closed` nothing follows.
What each type says stands in `telling.py`; a type that is not there is a line in the timeline and no more.
"""

from __future__ import annotations

import msgspec

from bus.city.model import RESERVED_AGENCY_IDS


class Case(msgspec.Struct, kw_only=True):
    """One row of `cases`. Fields stand in the order of the table's columns, which explain them."""

    id: str
    workflow: str | None = None
    kind: str
    title: str | None = None
    service_code: str
    area: str
    state: str
    outcome: str | None = None
    opened_by: str
    holder: str | None = None
    held_since: str | None = None
    agency: str | None = None
    parties: str = ""
    opened_at: str
    updated_at: str
    closed_at: str | None = None
    due_at: str | None = None
    answer_by: str | None = None
    estimate_amount: str | None = None
    estimate_currency: str | None = None
    cost_amount: str | None = None
    cost_currency: str | None = None
    escalation_step: int = 0
    parked_at: str | None = None
    parked_event_id: str | None = None
    parked_event_type: str | None = None
    parked_error: str | None = None
    parked_seq: int | None = None
    told_event_id: str | None = None
    events: int
    log_partition: int
    log_offset: int

    @property
    def agencies(self) -> tuple[str, ...]:
        """Who took part, sorted."""
        return tuple(self.parties.split(",")) if self.parties else ()

    @property
    def is_closed(self) -> bool:
        """Whether it has ended."""
        return self.closed_at is not None

    def held_by(self, agency: str | None, since: str) -> None:
        """It is in this agency's hands now; where it was already, the time stands."""
        if agency is not None and agency != self.holder:
            self.holder, self.held_since = agency, since
            self.joined(agency)

    def joined(self, *agencies: str | None) -> None:
        """These take part. The bus's own processes and the operators do not."""
        known = self.parties.split(",") if self.parties else []
        new = {name for name in agencies if name and name not in known and name not in RESERVED_AGENCY_IDS}
        if new:
            self.parties = ",".join(sorted({*known, *new}))


COLUMNS = Case.__struct_fields__
