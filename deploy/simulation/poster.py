"""Sends each waiting post to its agency's adapter when it is due, until it has an answer.

A case's posts of one agency go one after the other, in their order; different cases go side by side, at most
`connections_max` at once. An adapter that is away is asked again with growing pauses; nothing is given up, since the
post stands in the agency's database and its id makes a repetition harmless.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import aiohttp

from bus.logs import get_logger
from deploy.simulation.records import AgencyRecords, Sent
from deploy.simulation.wire import CONTENT_TYPE, body_of

log = get_logger(__name__)

RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
PAUSE_SECONDS_FIRST, PAUSE_SECONDS_MAX = 0.1, 2.0


@dataclass(frozen=True, slots=True)
class Door:
    """Where one agency posts: its adapter's address for events, the token, and how it signs itself."""

    url: str
    token: str
    source: str


class Poster:
    """The outgoing half of all simulated systems."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        doors: Mapping[str, Door],
        records: Mapping[str, AgencyRecords],
        *,
        zone: ZoneInfo,
        connections_max: int = 32,
        answer_within_seconds: float = 30,
    ) -> None:
        self._session = session
        self._doors = doors
        self._records = records
        self._zone = zone
        self._free = asyncio.Semaphore(connections_max)
        self._timeout = aiohttp.ClientTimeout(total=answer_within_seconds)
        self._due: list[tuple[float, int, str, Sent]] = []
        self._newest: dict[str, int] = {}
        self._lines: dict[tuple[str, str], deque[Sent]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def add(self, agency_id: str, posts: Sequence[Sent]) -> None:
        """Send these when they are due."""
        for post in posts:
            heapq.heappush(self._due, (post.due_at, post.number, agency_id, post))
            self._newest[agency_id] = max(self._newest.get(agency_id, 0), post.number)
        self._changed.set()

    def look_again(self) -> None:
        """Take up what others have planned in the databases since."""
        for agency_id, records in self._records.items():
            newest = self._newest.get(agency_id, 0)
            self.add(agency_id, [post for post in records.waiting() if post.number > newest])

    async def run(self) -> None:
        """Send what falls due, for ever. Cancelled, it leaves what has no answer in the databases."""
        try:
            while True:
                self._changed.clear()
                now = time.time()
                while self._due and self._due[0][0] <= now:
                    _, _, agency_id, post = heapq.heappop(self._due)
                    self._enqueue(agency_id, post)
                pause = max(0.001, self._due[0][0] - now) if self._due else None
                try:
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
                except TimeoutError:
                    continue
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _enqueue(self, agency_id: str, post: Sent) -> None:
        line = self._lines.get((agency_id, post.case))
        if line is not None:
            line.append(post)
            return
        self._lines[agency_id, post.case] = deque([post])
        task = asyncio.create_task(self._send_line(agency_id, post.case))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_line(self, agency_id: str, case: str) -> None:
        line = self._lines[agency_id, case]
        while line:
            await self._send(agency_id, line[0])
            line.popleft()
        del self._lines[agency_id, case]

    async def _send(self, agency_id: str, post: Sent) -> None:
        records, door = self._records[agency_id], self._doors[agency_id]
        body = body_of(post, source=door.source, zone=self._zone)
        headers = {
            "Authorization": f"Bearer {door.token}",
            "Content-Type": CONTENT_TYPE,
            "Idempotency-Key": post.event_id,
        }
        pause = PAUSE_SECONDS_FIRST
        while True:
            async with self._free:
                if not records.is_waiting(post.number):
                    return  # dropped: the case came to its end while this waited for its turn
                records.began(post.number)
                try:
                    async with self._session.post(
                        door.url, data=body, headers=headers, timeout=self._timeout
                    ) as answer:
                        text = await answer.text()
                        if answer.status not in RETRY_STATUSES:
                            problem = None if answer.ok else f"{answer.status} {text[:1000]}"
                            records.answered(post.number, accepted=answer.ok, problem=problem)
                            if problem:
                                log.warning("post_refused", agency=agency_id, type=post.type, problem=problem)
                            return
                        problem = f"{answer.status} {text[:200]}"
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    problem = repr(error)
            log.info("post_unanswered", agency=agency_id, type=post.type, problem=problem, pause_seconds=pause)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(PAUSE_SECONDS_MAX, pause * 2)
