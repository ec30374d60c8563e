"""Whether every event is where it must be, counted from what outboxes, topics and inboxes hold, not counters. Pure.

Each place is reduced to one `Tally` for an agency and a day: how many events, and the sum of a hash of each event's
(source, id). Two places hold the same events exactly when their tallies are equal (to one in 2^64), in any order. So a
million events are compared by a few hundred numbers; only where two tallies differ are the events themselves named.

The day is that of the event's own `recordedtime` (`time`, for what the bus says itself), in the city's zone: it travels
with the event, so it is the same everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from zoneinfo import ZoneInfo

UNDATED = "undated"
"""The day of what cannot be read so far that it has one."""

_MODULUS = 1 << 64


def fingerprint(source: str, event_id: str) -> int:
    """A number for one event, the same in every process: 64 bits of BLAKE2b."""
    return int.from_bytes(blake2b(f"{source}\n{event_id}".encode(), digest_size=8).digest(), "big")


@dataclass(slots=True)
class Tally:
    """How many events, and which: equal tallies stand for the same events, as often."""

    count: int = 0
    total: int = 0

    def add(self, mark: int) -> None:
        """One event more."""
        self.count += 1
        self.total = (self.total + mark) % _MODULUS

    def with_(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(self.count + other.count, (self.total + other.total) % _MODULUS)

    @property
    def digest(self) -> str:
        """The total as 16 hexadecimal digits, for JSON."""
        return f"{self.total:016x}"

    @classmethod
    def read(cls, count: int, digest: str) -> Tally:
        """A tally from JSON."""
        return cls(count, int(digest, 16))


class Days:
    """The day of a moment in one zone; moments after `until` belong to no day yet."""

    def __init__(self, zone: ZoneInfo, until: datetime) -> None:
        self._zone = zone
        self._until = until
        self._hours: dict[tuple[str, str], str] = {}
        self._until_hour = until.timestamp() // 3600 * 3600

    def of(self, moment: str | None) -> str | None:
        """`2026-11-24` for an RFC 3339 moment; None for one that is too young; `undated` for none at all."""
        if not moment:
            return UNDATED
        hour = (moment[:13], moment[19:] if "." not in moment else moment[moment.rfind(".") :].lstrip(".0123456789"))
        known = self._hours.get(hour)
        if known is not None:
            return known
        try:
            at = datetime.fromisoformat(moment)
        except ValueError:
            return UNDATED
        if at.tzinfo is None:
            return UNDATED
        if at > self._until:
            return None
        day = at.astimezone(self._zone).date().isoformat()
        whole_hours = (at.utcoffset() or at - at).total_seconds() % 3600 == 0
        if whole_hours and at.timestamp() < self._until_hour:
            self._hours[hour] = day
        return day


@dataclass(slots=True)
class Sent:
    """What one agency sent on one day."""

    outbox: Tally | None = None
    """In its outbox; None where its adapter was not asked, or no longer keeps that day."""
    out: Tally = field(default_factory=Tally)
    """In its out topic."""
    accepted: Tally = field(default_factory=Tally)
    """In the city's log."""
    refused: Tally = field(default_factory=Tally)
    """Refused by the gateway."""
    refused_by_case: int = 0
    """Of those accepted: what the case could not take."""
    reasons: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    """In the outbox, for Kafka."""

    @property
    def relayed(self) -> bool:
        """Whether all of the outbox is in the topic."""
        return self.outbox is None or self.outbox == self.out

    @property
    def answered(self) -> bool:
        """Whether all of the topic was accepted or refused."""
        return self.out == self.accepted.with_(self.refused)


@dataclass(slots=True)
class Told:
    """What one agency must hear of what another said on one day."""

    due: Tally = field(default_factory=Tally)
    """By the log and the city's directory."""
    routed: Tally = field(default_factory=Tally)
    """In its in topic."""
    received: Tally | None = None
    """In its inbox; None where its adapter was not asked, or no longer keeps that day."""
    applied: int = 0
    waiting: int = 0
    parked: int = 0

    @property
    def complete(self) -> bool:
        """Whether all that is due is in the topic, and all of that in the inbox."""
        return self.due == self.routed and (self.received is None or self.received == self.routed)


Key = tuple[str, str]
"""An agency and a day."""


@dataclass
class Book:
    """Everything that was counted."""

    sent: dict[Key, Sent] = field(default_factory=dict)
    told: dict[tuple[str, str, str], Told] = field(default_factory=dict)
    """By who is told, who said it, and the day."""

    def of(self, agency: str, day: str) -> Sent:
        """What `agency` sent that day."""
        found = self.sent.get((agency, day))
        if found is None:
            found = self.sent[agency, day] = Sent()
        return found

    def to(self, agency: str, sender: str, day: str) -> Told:
        """What `agency` is told of `sender` that day."""
        found = self.told.get((agency, sender, day))
        if found is None:
            found = self.told[agency, sender, day] = Told()
        return found


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Events that are not where they must be, or are there too often."""

    kind: str
    """`not_relayed`, `not_answered`, `not_routed`, `not_received`; `twice`, `unexplained`: too much."""
    agency: str
    """Whose events (not relayed, not answered), or who should have heard (not routed, not received)."""
    sender: str
    day: str
    events: tuple[str, ...]
    """Their ids."""


def differences(must: Iterable[tuple[str, int]], found: Iterable[tuple[str, int]]) -> tuple[list[str], list[str]]:
    """Ids that are missing from `found`, and ids that are there too often; each as (id, fingerprint)."""
    names: dict[int, str] = {}
    wanted: Counter[int] = Counter()
    there: Counter[int] = Counter()
    for id, mark in must:
        names[mark] = id
        wanted[mark] += 1
    for id, mark in found:
        names.setdefault(mark, id)
        there[mark] += 1
    return (
        [names[mark] for mark in (wanted - there)],
        [names[mark] for mark in (there - wanted)],
    )


def header_texts(headers: Iterable[tuple[str, bytes | None]]) -> Mapping[str, str]:
    """The attributes of a record that may be anything: what cannot be read is left out."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name.startswith("ce_") and value is not None and name not in found:
            found[name] = value.decode("utf-8", "replace")
    return found
