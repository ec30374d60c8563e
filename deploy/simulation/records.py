"""One agency's own database: what it heard and what it sent, in one SQLite file that nothing of the bus touches.

An event that is heard and the posts that it leads to are stored in one transaction, before the webhook is answered. So
a simulator killed at any moment goes on where it stood: a post that has no answer yet is sent again under its own id,
which makes that harmless. `synchronous=NORMAL` in WAL mode outlives a killed process; a power cut may take the last
commits.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.simulation.behaviour import ENDS_ALL, Heard, Post, Told
from schemas.identifiers import derived_id

SCHEMA = """
CREATE TABLE IF NOT EXISTS heard (
    number INTEGER PRIMARY KEY,          -- the order of arrival
    received_at REAL NOT NULL,           -- seconds since 1970
    redeliveries INTEGER NOT NULL DEFAULT 0,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    source TEXT NOT NULL,
    case_id TEXT NOT NULL,
    time TEXT NOT NULL,
    data TEXT NOT NULL,
    recipient TEXT,
    jurisdiction TEXT,
    parties TEXT,
    causation TEXT,
    sequence TEXT,
    UNIQUE (source, event_id)
);
CREATE INDEX IF NOT EXISTS heard_case ON heard (case_id);
CREATE TABLE IF NOT EXISTS sent (
    number INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,       -- the agency's own id for it, also its Idempotency-Key
    type TEXT NOT NULL,
    case_id TEXT NOT NULL,
    jurisdiction TEXT,
    data TEXT NOT NULL,
    cause TEXT,                          -- the event heard that led to it
    due_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',  -- waiting, accepted, refused (with its problem), dropped
    posted_at REAL,                      -- when its first POST began
    answered_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    problem TEXT
);
CREATE INDEX IF NOT EXISTS sent_case ON sent (case_id);
CREATE INDEX IF NOT EXISTS sent_answered ON sent (answered_at) WHERE answered_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS sent_waiting ON sent (due_at) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS place (           -- how far the agency's register of letters has been read, where it has one
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL
);
"""

REJECTED = "subak.event.rejected.v1"

CHANGES_POSTS = ENDS_ALL | {REJECTED}
"""What is heard and changes posts that are there already."""


Ids = Callable[[str, str, int], str | None]
"""(type, case, step) → the id of the event that a step of the agency's becomes; None: the agency names it itself. A
step is the place of a post among all that the agency means to send about the case, from 1."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One event that the agency sent or means to send: a row of `sent`, in its columns' order."""

    number: int
    event_id: str
    type: str
    case: str
    jurisdiction: str | None
    data: str
    cause: str | None
    due_at: float
    state: str
    posted_at: float | None
    answered_at: float | None
    attempts: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class Received:
    """One event that the agency heard, with its place in the order of arrival."""

    number: int
    received_at: float
    redeliveries: int
    event: Heard


class AgencyRecords:
    """The database of one agency. Not for several threads."""

    def __init__(
        self,
        path: Path,
        agency_id: str,
        *,
        read_only: bool = False,
        clock: Callable[[], float] = time.time,
        ids: Ids = lambda *_: None,
    ) -> None:
        self.agency_id = agency_id
        self._ids = ids
        self._clock = clock
        self.path = path
        if read_only:
            self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def plan(self, posts: Iterable[tuple[str, str, str | None, Post, float]]) -> None:
        """Store posts that nothing led to, such as citizens' requests: (event id, case, jurisdiction, post, due at).

        One that is there already, from an earlier start, is left as it is.
        """
        self._db.execute("BEGIN IMMEDIATE")
        for event_id, case, jurisdiction, post, due_at in posts:
            self._insert_post(event_id, case, jurisdiction, post, None, due_at)
        self._db.execute("COMMIT")

    def hear(self, event: Heard, received_at: float) -> bool:
        """Store an event within the caller's transaction. False where it was there: then its redelivery is counted."""
        inserted = self._db.execute(
            "INSERT INTO heard (event_id, source, type, case_id, time, causation, recipient, jurisdiction, parties,"
            " sequence, data, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (source, event_id) DO NOTHING",
            (
                event.id,
                event.source,
                event.type,
                event.case,
                event.time,
                event.causation,
                event.recipient,
                event.jurisdiction,
                event.parties,
                event.sequence,
                json.dumps(event.data),
                received_at,
            ),
        )
        if inserted.rowcount:
            return True
        self._db.execute(
            "UPDATE heard SET redeliveries = redeliveries + 1 WHERE source = ? AND event_id = ?",
            (event.source, event.id),
        )
        return False

    def take(
        self, event: Heard, posts: Sequence[tuple[float, Post]], received_at: float, *, read_to: int | None = None
    ) -> list[Sent] | None:
        """Store an event with the posts that it leads to (seconds from now, post), all or nothing.

        Args:
            read_to: the letter's number in the agency's register, where it came from one.

        Returns:
            The posts as stored, or None where the event was there already: then nothing changed but a counter.
        """
        if not posts and event.type not in CHANGES_POSTS and read_to is None:
            return [] if self.hear(event, received_at) else None  # one statement is a transaction of its own
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if read_to is not None:
                self._db.execute("INSERT OR REPLACE INTO place (one, number) VALUES (1, ?)", (read_to,))
            if not self.hear(event, received_at):
                self._db.execute("COMMIT")
                return None
            if event.type in ENDS_ALL:
                self._db.execute(
                    "UPDATE sent SET state = 'dropped', problem = ? WHERE case_id = ? AND state = 'waiting'"
                    " AND attempts = 0",  # one that is under way gets its answer
                    (f"heard {event.type}", event.case),
                )
            if event.type == REJECTED:
                self._db.execute(
                    "UPDATE sent SET state = 'refused', problem = ? WHERE event_id = ?",
                    (_reasons(event.data), event.data.get("event_id")),
                )
            stored = []
            for index, (delay, post) in enumerate(posts):
                case = post.case or event.case
                event_id = self._ids(post.type, case, self._steps(case) + 1) or derived_id(
                    event.id, f"{self.agency_id}/{index}"
                )
                stored += self._insert_post(event_id, case, event.jurisdiction, post, event.id, received_at + delay)
            self._db.execute("COMMIT")
            return stored
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def file_of(self, case: str) -> list[Told]:
        """What the agency heard and decided to send about a case, oldest first within each of the two."""
        rows = self._db.execute(
            "SELECT type, data FROM heard WHERE case_id = ? UNION ALL SELECT type, data FROM sent WHERE case_id = ?",
            (case, case),
        )
        return [Told(type, json.loads(data)) for type, data in rows]

    def read_to(self) -> int:
        """How far the agency's register of letters has been read."""
        found = self._db.execute("SELECT number FROM place").fetchone()
        return int(found[0]) if found is not None else 0

    def step_of(self, post: Sent) -> int:
        """The post's place among all that the agency means to send about its case, from 1."""
        return self._steps(post.case, post.number)

    def is_waiting(self, number: int) -> bool:
        """Whether a post has no answer yet and was not dropped."""
        row = self._db.execute("SELECT state FROM sent WHERE number = ?", (number,)).fetchone()
        return row is not None and row[0] == "waiting"

    def waiting(self) -> list[Sent]:
        """All posts without an answer, in the order in which they are due."""
        rows = self._db.execute("SELECT * FROM sent WHERE state = 'waiting' ORDER BY due_at, number")
        return [Sent(*row) for row in rows]

    def began(self, number: int) -> bool:
        """Note that a POST begins; the first one's time stays. False where the post is answered or dropped: do not."""
        noted = self._db.execute(
            "UPDATE sent SET attempts = attempts + 1, posted_at = coalesce(posted_at, ?)"
            " WHERE number = ? AND state = 'waiting'",
            (self._clock(), number),
        )
        return noted.rowcount > 0

    def answered(self, number: int, *, accepted: bool, problem: str | None = None) -> None:
        """Note the adapter's answer. A refusal that came back through the bus in the meantime stands."""
        self._db.execute(
            "UPDATE sent SET state = ?, problem = ?, answered_at = ? WHERE number = ? AND state <> 'refused'",
            ("accepted" if accepted else "refused", problem, self._clock(), number),
        )

    def sent_since(self, number: int = 0) -> list[Sent]:
        """What it sent or means to send, after this number."""
        rows = self._db.execute("SELECT * FROM sent WHERE number > ? ORDER BY number", (number,))
        return [Sent(*row) for row in rows]

    def heard_since(self, number: int = 0) -> list[Received]:
        """What it heard after this number, in the order of arrival."""
        rows = self._db.execute("SELECT * FROM heard WHERE number > ? ORDER BY number", (number,))
        return [Received(row[0], row[1], row[2], _heard(row[3:])) for row in rows]

    def answered_after(self, moment: float) -> list[tuple[float, str, str, str]]:
        """(when, type, case, state) of the posts that were answered after this moment."""
        return self._db.execute(
            "SELECT answered_at, type, case_id, state FROM sent WHERE answered_at > ? ORDER BY answered_at", (moment,)
        ).fetchall()

    def kinds_after(self, number: int) -> list[tuple[int, str, str]]:
        """(number, type, case) of what was heard after this number."""
        return self._db.execute(
            "SELECT number, type, case_id FROM heard WHERE number > ? ORDER BY number", (number,)
        ).fetchall()

    def count_of(self, event_type: str) -> int:
        """How many posts of a type it sent or means to send."""
        count: int = self._db.execute("SELECT count(*) FROM sent WHERE type = ?", (event_type,)).fetchone()[0]
        return count

    def waiting_count(self) -> int:
        """How many posts have no answer."""
        count: int = self._db.execute("SELECT count(*) FROM sent WHERE state = 'waiting'").fetchone()[0]
        return count

    def refused_cases(self, event_type: str) -> set[str]:
        """The cases in which an event of this type was refused."""
        rows = self._db.execute("SELECT case_id FROM sent WHERE state = 'refused' AND type = ?", (event_type,))
        return {case for (case,) in rows}

    def states(self) -> dict[str, int]:
        """How many posts are in each state."""
        return dict(self._db.execute("SELECT state, count(*) FROM sent GROUP BY state").fetchall())

    def _steps(self, case: str, up_to: int = 2**62) -> int:
        asked = "SELECT count(*) FROM sent WHERE case_id = ? AND number <= ?"
        return int(self._db.execute(asked, (case, up_to)).fetchone()[0])

    def _insert_post(
        self, event_id: str, case: str, jurisdiction: str | None, post: Post, cause: str | None, due_at: float
    ) -> list[Sent]:
        data = json.dumps(post.data, ensure_ascii=False)
        row = self._db.execute(
            "INSERT INTO sent (event_id, type, case_id, jurisdiction, data, cause, due_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_id) DO NOTHING RETURNING number",
            (event_id, post.type, case, jurisdiction, data, cause, due_at),
        ).fetchone()
        if row is None:
            return []
        return [
            Sent(row[0], event_id, post.type, case, jurisdiction, data, cause, due_at, "waiting", None, None, 0, None)
        ]


def _heard(row: Sequence[Any]) -> Heard:
    id, type, source, case, time_, data, recipient, jurisdiction, parties, causation, sequence = row
    return Heard(
        id=id,
        type=type,
        source=source,
        case=case,
        time=time_,
        data=json.loads(data),
        recipient=recipient,
        jurisdiction=jurisdiction,
        parties=parties,
        causation=causation,
        sequence=sequence,
    )


def _reasons(rejection: Any) -> str:
    return "; ".join(f"{reason.get('field')}: {reason.get('problem')}" for reason in rejection.get("reasons", ()))
