"""What an event names beside its own case: other cases, contracts, payments, assets. Pure.

A link is read from the event's own fields, whoever sent it, so a rebuild finds the same ones. It counts where the event
counts: one that the case refused names nothing (whoever asks joins the timeline).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from services.casebook.entry import Entry

CASE = "case"

FIELDS: Mapping[str, str] = {
    "from_case": CASE,
    "into": CASE,
    "proposal": CASE,
    "to_line": CASE,
    "ocid": "ocid",
    "award_id": "award",
    "contract_id": "contract",
    "invoice_id": "invoice",
    "payment_id": "payment",
    "asset_id": "asset",
    "allocation_id": "allocation",
    "transfer_id": "transfer",
    "budget_line": "budget_line",
    "proposal_id": "proposal_id",
    "permit_id": "permit",
}
"""Fields of the shared language that name something, and what kind of thing it is."""

REF_LENGTH_MAX = 200


class Link(NamedTuple):
    """One row of `links`."""

    ref: str
    kind: str
    case_id: str
    seq: int


COLUMNS = Link._fields


def links_in(entry: Entry, content: Mapping[str, Any]) -> Iterator[Link]:
    """What this entry names. Each thing once."""
    seen: set[tuple[str, str]] = set()
    for field, kind in FIELDS.items():
        ref = content.get(field)
        if (
            isinstance(ref, str)
            and ref
            and len(ref) <= REF_LENGTH_MAX
            and "\x00" not in ref
            and (ref, kind) not in seen
        ):
            seen.add((ref, kind))
            yield Link(ref, kind, entry.case_id, entry.seq)
