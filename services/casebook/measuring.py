"""How many cases are open and overdue, as metrics: what an operator is woken for. Measured, so a little old."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from sqlalchemy.exc import DBAPIError

from bus import metrics
from bus.logs import get_logger
from services.casebook.moments import utc_text
from services.casebook.questions import Questions

log = get_logger("casebook")

MEASURE_SECONDS = 15.0


async def measure_often(questions: Questions, *, opened: asyncio.Event, seconds: float = MEASURE_SECONDS) -> None:
    """Measure for ever, once the tables are there. A database that is away leaves the figures as they were."""
    await opened.wait()
    while True:
        try:
            await asyncio.to_thread(measure, questions)
        except DBAPIError as error:
            log.warning("casebook_not_measured", error=str(error))
        await asyncio.sleep(seconds)


def measure(questions: Questions, now: datetime | None = None) -> None:
    """Set the gauges to what the tables say now."""
    rows = questions.open_cases(utc_text(now or datetime.now(UTC)))
    metrics.cases_open.clear()
    metrics.cases_overdue.clear()
    overdue: dict[str, int] = {}
    for row in rows:
        metrics.cases_open.labels(row.agency, row.state).set(row.cases)
        overdue[row.agency] = overdue.get(row.agency, 0) + int(row.overdue)
    for agency, count in overdue.items():
        metrics.cases_overdue.labels(agency).set(count)
