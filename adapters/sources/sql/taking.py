"""A batch of changes into the outbox: each for itself, so that a bad one is kept with its reasons and stops none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adapters.agency_database import AgencyDatabase
from adapters.intake import Intake
from adapters.sources.sql.changes import Change
from adapters.sources.sql.memory import Memory
from adapters.sources.sql.shaping import Shaping
from bus import metrics
from bus.logs import get_logger
from schemas.failures import Misconfigured, Reason, Refused, Retryable

log = get_logger("sql_source")

Shaped = list[dict[str, Any]] | Refused
"""The events of a change, or why it becomes none."""


class Taking:
    """How changes of one source come into the outbox."""

    def __init__(self, agency: str, database: AgencyDatabase, shaping: Shaping, intake: Intake, memory: Memory) -> None:
        self._agency = agency
        self._database = database
        self._shaping = shaping
        self._intake = intake
        self._memory = memory

    async def shape(self, changes: Sequence[Change]) -> list[Shaped]:
        """What each of these becomes, made in the agency database's thread: the outbox may write meanwhile."""
        return await self._database.call(lambda: [self._shaping.events(change) for change in changes])

    async def take(self, changes: Sequence[Change], shaped: Sequence[Shaped] | None = None) -> None:
        """Return once each of these is in the outbox, or kept as refused.

        Args:
            shaped: what `shape` made of them, where that was called before.

        Raises:
            Retryable: take the same again; what was stored is known by its id.
        """
        try:
            refused = await self.store(changes, shaped if shaped is not None else await self.shape(changes))
        except (Retryable, Misconfigured):
            raise
        except Exception as error:  # a defect: it may hold up its own row alone
            if len(changes) > 1:
                for change in changes:
                    await self.take([change])
                return
            log.exception("row_failed", agency=self._agency, table=changes[0].table, change=changes[0].uid)
            problem = f"the adapter itself failed: {type(error).__name__}"
            refused = [(changes[0], Refused([Reason("failed", "row", problem, "Report it, with this row.")]))]
        if refused:
            await self._memory.keep_refused(refused)
        metrics.source_rows.labels(self._agency, "taken").inc(len(changes) - len(refused))

    async def store(self, changes: Sequence[Change], shaped: Sequence[Shaped]) -> list[tuple[Change, Refused]]:
        """Have the events of these in the outbox; returns those that were refused, with the reasons.

        Raises:
            Retryable: store the same again; what was stored is known by its id.
        """
        refused: dict[str, tuple[Change, Refused]] = {}
        said = []
        for change, events in zip(changes, shaped, strict=True):
            if isinstance(events, Refused):
                refused[change.uid] = (change, events)
            else:
                said += [(change, event) for event in events]
        outcomes = await self._intake.take_each(self._agency, [event for _, event in said])
        for (change, event), outcome in zip(said, outcomes, strict=True):
            if isinstance(outcome, Refused):
                told = self._shaping.told(event, outcome)
                earlier = refused[change.uid][1].reasons if change.uid in refused else ()
                refused[change.uid] = (change, Refused([*earlier, *told.reasons]))
        return [refused[change.uid] for change in changes if change.uid in refused]
