"""Sends each waiting post to its agency's adapter, or writes it into its agency's own system, when it is due, until it
has an answer: the adapter's, or that the row is where the adapter finds it.

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

from bus.city import City
from bus.logs import get_logger
from deploy.simulation.client import Client, NoAnswer
from deploy.simulation.open311 import App
from deploy.simulation.records import AgencyRecords, Sent
from deploy.simulation.requests import SUBMITTED
from deploy.simulation.staff import Staff
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
    app: App | None = None
    """The app that sends a part of its requests, through Open311."""
    staff: Staff | None = None
    """Who writes into its own system, where it has one, what that says in its own words."""


class Poster:
    """The outgoing half of all simulated systems."""

    def __init__(
        self,
        client: Client,
        doors: Mapping[str, Door],
        records: Mapping[str, AgencyRecords],
        *,
        city: City,
        connections_max: int = 32,
    ) -> None:
        self._client = client
        self._doors = doors
        self._records = records
        self._city = city
        self._free = asyncio.Semaphore(connections_max)
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
        if door.staff is not None and door.staff.means(post):
            await door.staff.write(post)
            return
        url, body, headers = self._request(door, post)
        pause = PAUSE_SECONDS_FIRST
        while True:
            async with self._free:
                if not records.began(post.number):
                    return  # dropped: the case came to its end while this waited for its turn
                try:
                    status, answer = await self._client.post(url, body, headers)
                except NoAnswer as error:
                    problem = str(error)
                else:
                    problem = f"{status} {answer[:1000].decode(errors='replace')}"
                    if status not in RETRY_STATUSES:
                        accepted = 200 <= status < 300
                        records.answered(post.number, accepted=accepted, problem=None if accepted else problem)
                        if not accepted:
                            log.warning("post_refused", agency=agency_id, type=post.type, problem=problem)
                        return
            log.info("post_unanswered", agency=agency_id, type=post.type, problem=problem, pause_seconds=pause)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(PAUSE_SECONDS_MAX, pause * 2)

    def _request(self, door: Door, post: Sent) -> tuple[str, bytes, dict[str, str]]:
        """URL, body and headers: the same for each attempt."""
        if door.app is not None and post.type == SUBMITTED and door.app.sends(post):
            return door.app.request(self._city, post)
        headers = {
            "Authorization": f"Bearer {door.token}",
            "Content-Type": CONTENT_TYPE,
            "Idempotency-Key": post.event_id,
        }
        return door.url, body_of(post, source=door.source, zone=self._city.zone), headers
