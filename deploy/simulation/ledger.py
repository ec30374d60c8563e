"""What one agency's database holds, read out for counting, and where each stands among the others'."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from deploy.simulation.records import AgencyRecords, Received, Sent


@dataclass(frozen=True, slots=True)
class Ledger:
    """One agency's side of the story: in the order of sending and of arrival."""

    sent: tuple[Sent, ...]
    heard: tuple[Received, ...]


def read_ledgers(records: Iterable[AgencyRecords]) -> dict[str, Ledger]:
    """Everything in these databases, by agency."""
    return {each.agency_id: Ledger(tuple(each.sent_since()), tuple(each.heard_since())) for each in records}


def of_cases(ledgers: Mapping[str, Ledger], cases: Collection[str]) -> dict[str, Ledger]:
    """The part that concerns these cases."""
    chosen = frozenset(cases)
    return {
        agency: Ledger(
            tuple(sent for sent in ledger.sent if sent.case in chosen),
            tuple(received for received in ledger.heard if received.event.case in chosen),
        )
        for agency, ledger in ledgers.items()
    }
