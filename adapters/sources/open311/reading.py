"""What an app asks of requests: the filters of GET requests and GET servicerequestupdates, and the answers' rows. Pure.

A window of time is 90 days at most, as the specification has it: the last 90 days where nothing is said, 90 days from
the start or up to the end where one of them is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.sources.open311.answers import Failed
from adapters.sources.open311.changes import Row
from adapters.sources.open311.projection import ROWS_MAX, Question
from bus.city import City
from schemas.identifiers import is_uuid
from schemas.moments import NotAMoment, parse_moment

SPAN_SECONDS = 90 * 86_400.0
STATUSES = ("open", "closed")
LISTED_MAX = 1000
PAGES_MAX = 10_000


def question(said: Mapping[str, str], now: float) -> Question:
    """What the query of GET requests asks for. An empty filter is none.

    Raises:
        Failed: 400, a filter cannot be read.
    """
    ids = _listed(said, "service_request_id")
    if ids is not None:
        return Question(ids=tuple(id for id in ids if is_uuid(id)))
    statuses = _listed(said, "status")
    if unknown := [status for status in statuses or () if status not in STATUSES]:
        raise Failed(400, f"status: {unknown[0][:60]!r} is none. Send open, closed, or both with a comma between.")
    since, until = window(said, now)
    size = _number(said, "page_size", ROWS_MAX, ROWS_MAX)
    return Question(
        service_codes=_listed(said, "service_code"),
        statuses=statuses,
        since=since,
        until=until,
        offset=(_number(said, "page", 1, PAGES_MAX) - 1) * size,
        rows_max=size,
    )


def window(said: Mapping[str, str], now: float) -> tuple[float, float]:
    """`start_date` and `end_date`, as seconds since 1970.

    Raises:
        Failed: 400, one of them cannot be read, or they lie more than 90 days apart.
    """
    since, until = _moment(said, "start_date"), _moment(said, "end_date")
    if since is not None and until is not None:
        if until < since:
            raise Failed(400, "end_date lies before start_date. Exchange them.")
        if until - since > SPAN_SECONDS + 1:
            raise Failed(400, "start_date and end_date lie more than 90 days apart. Ask in several parts.")
        return since, until
    if since is not None:
        return since, since + SPAN_SECONDS
    # Without an end it is now, and the second that has begun: an app that has just posted asks at once.
    until = until if until is not None else now + 1
    return until - SPAN_SECONDS, until


def shown_request(city: City, row: Row) -> dict[str, Any]:
    """A request as GET requests shows it."""
    service = city.services.get(row["service_code"])
    agency = city.agencies.get(row["agency_responsible"] or "")
    return {
        "service_request_id": row["service_request_id"],
        "status": row["status"],
        "status_notes": row["status_notes"],
        "service_name": city.text(service.service_name) if service else row["service_code"],
        "service_code": row["service_code"],
        "description": row["description"],
        "agency_responsible": city.text(agency.name) if agency else row["agency_responsible"],
        "service_notice": None,
        "requested_datetime": row["requested_datetime"],
        "updated_datetime": row["updated_datetime"],
        "expected_datetime": row["expected_datetime"],
        "address": row["address"],
        "address_id": row["area"],
        "zipcode": None,
        "lat": row["latitude"],
        "long": row["longitude"],
        "media_url": row["media_url"],
    }


def shown_update(row: Row) -> dict[str, Any]:
    """An update as GET servicerequestupdates shows it."""
    return {
        "update_id": row["update_id"],
        "service_request_id": row["service_request_id"],
        "status": row["status"],
        "description": row["description"],
        "media_url": None,
        "updated_datetime": datetime.fromtimestamp(row["updated_at"], UTC).isoformat(timespec="milliseconds"),
    }


def _listed(said: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    text = said.get(name, "").strip()
    if not text:
        return None
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if len(found) > LISTED_MAX:
        raise Failed(400, f"{name}: there are {len(found)} values, more than {LISTED_MAX}. Ask in several parts.")
    return found


def _moment(said: Mapping[str, str], name: str) -> float | None:
    text = said.get(name, "").strip()
    if not text:
        return None
    try:
        # A plus sign that was not percent-encoded arrives as a blank.
        return parse_moment(text.replace(" ", "+")).timestamp()
    except NotAMoment as error:
        raise Failed(400, f"{name}: {error}. Send it as 2026-11-24T00:00:00Z.") from error


def _number(said: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = said.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
        raise Failed(400, f"{name}: {text[:60]!r} is not a whole number from 1 to {most}.")
    return int(text)
