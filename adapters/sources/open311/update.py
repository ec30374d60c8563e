"""A post of the update extension (mySociety's, as FixMyStreet and open311-adapter speak it), as an event. Pure.

A remark is `subak.request.commented.v1`. Where the app's status contradicts ours, the citizen means more than a remark:
`REOPEN`, or an open status later than our closing, is `subak.request.reopened.v1`; a closed status while the request is
open here is `subak.request.withdrawn.v1`, since nobody asks any longer.
"""

from __future__ import annotations

from typing import Any

from adapters.sources.open311.answers import Failed
from adapters.sources.open311.changes import COMMENTED, REOPENED, WITHDRAWN, Row, seconds
from adapters.sources.open311.form import Form
from schemas.moments import NotAMoment, parse_moment

REOPEN = "reopen"
OPEN = frozenset(
    {"open", "in_progress", "investigating", "action_scheduled", "internal_referral", "for_triage", REOPEN}
)
CLOSED = frozenset(
    {"closed", "fixed", "duplicate", "not_councils_responsibility", "no_further_action", "cancelled", "not_responsible"}
)

REASON_CHARACTERS_MAX = 1000
AHEAD_SECONDS_MAX = 300.0
"""How far an app's clock may be ahead of ours."""


def update_event(form: Form, row: Row, now: float) -> dict[str, Any]:
    """The event in the short form, without its id.

    Raises:
        Failed: 400, with everything that is wrong.
    """
    problems = []
    status, description = (form.one("status") or "").lower().replace(" ", "_"), form.one("description")
    if not status:
        problems.append("status: it is missing. Send open or closed.")
    elif status not in OPEN | CLOSED:
        problems.append(f"status: {status[:60]!r} is none. Send one of {', '.join(sorted(OPEN | CLOSED))}.")
    if description is None:
        problems.append("description: it is missing. Send what is new, in words.")
    moment = form.one("updated_datetime")
    if moment is not None:
        try:
            if parse_moment(moment).timestamp() > now + AHEAD_SECONDS_MAX:
                problems.append("updated_datetime: it lies in the future. Send when the update was made.")
        except NotAMoment as error:
            problems.append(f"updated_datetime: {error}. Send it as 2026-11-24T08:00:00+08:00.")
    if problems or description is None:
        raise Failed(400, *problems)
    said: dict[str, Any] = {"subject": row["service_request_id"]}
    if moment is not None:
        said["time"] = moment
    at = seconds(moment) if moment is not None else now
    closed_at = seconds(row["updated_datetime"]) or 0.0
    open_here = row["status"] == "open"
    if not open_here and (status == REOPEN or (status in OPEN and at is not None and at > closed_at)):
        return said | {"type": REOPENED, "data": {"reason": description[:REASON_CHARACTERS_MAX]}}
    if open_here and status in CLOSED:
        return said | {"type": WITHDRAWN, "data": {"reason": description[:REASON_CHARACTERS_MAX]}}
    pictures = "".join(f"\n{url}" for url in form.all("media_url"))
    author = " ".join(part for part in (form.one("first_name"), form.one("last_name")) if part not in (None, "-"))
    data = {"text": description + pictures} | ({"author": author} if author else {})
    return said | {"type": COMMENTED, "data": data}
