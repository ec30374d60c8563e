"""What one may ask of the cases, and where a page goes on: checked, with a sentence for each mistake. Pure.

Pages go by key, not by number: each begins behind the last case of the one before, in an order that no event changes
(when it was opened, then its id). So a reader who turns pages sees every case once, whatever arrives meanwhile.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from schemas.moments import NotAMoment, parse_moment
from services.casebook.moments import utc_text
from services.casebook.states import STATES

LIMIT_MAX = 500
"""Rows in one answer, at most."""


def _moment(text: str) -> str:
    try:
        return utc_text(parse_moment(text))
    except NotAMoment as error:
        raise ValueError(f"{error}; write it as 2026-11-24T08:00:00Z (a + must be sent as %2B)") from error


def _state(text: str) -> str:
    if text not in STATES:
        from difflib import get_close_matches

        near = get_close_matches(text, STATES, n=1)
        raise ValueError(
            f"there is no state {text[:64]!r}. "
            + (f"Did you mean {near[0]}?" if near else f"The states are {', '.join(STATES)}.")
        )
    return text


class NotACursor(ValueError):
    """A cursor that no answer of this API gave."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page: the next one begins behind it."""

    at: str
    id: str

    def encode(self) -> str:
        """As it travels: without characters that a URL must escape."""
        return base64.urlsafe_b64encode(msgspec.json.encode([self.at, self.id])).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """The cursor that `encode` made.

        Raises:
            NotACursor: another text.
        """
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return cls(*msgspec.json.decode(raw, type=tuple[str, str]))
        except (binascii.Error, msgspec.DecodeError, ValueError) as error:
            raise NotACursor(
                "this is not a cursor that an answer gave; send the `next` of the page before, or leave it out"
            ) from error


def _cursor(text: str) -> str:
    Cursor.decode(text)
    return text


Moment = Annotated[str, StringConstraints(max_length=64), AfterValidator(_moment)]
State = Annotated[str, AfterValidator(_state)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
CursorText = Annotated[str, StringConstraints(max_length=400), AfterValidator(_cursor)]


class Page(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    limit: int = Field(default=50, ge=1, le=LIMIT_MAX)
    """Rows in one answer."""
    cursor: CursorText | None = None
    """The `next` of the page before."""

    @property
    def after(self) -> Cursor | None:
        """The row behind which the page begins."""
        return Cursor.decode(self.cursor) if self.cursor is not None else None


class CaseFilters(Page):
    """Which cases. All that is given must hold."""

    state: list[State] = Field(default=[], max_length=len(STATES))
    """Any of these states; given several times, any of them."""
    agency: Code | None = None
    """Cases that this agency holds or takes part in."""
    role: Literal["holder", "party"] = "party"
    """With `agency`: only those that it holds now, or all in which it takes part."""
    service_code: Code | None = None
    """Cases of this service (Open311 service_code)."""
    area: Code | None = None
    """Cases in this area and in all that lie in it; for a code that the city does not have, codes that begin so."""
    overdue: bool | None = None
    """Open cases whose deadline, or whose step's deadline, has passed; false: all others."""
    open: bool | None = None
    """Only open ones, or only closed ones."""
    parked: bool | None = None
    """Only cases that wait for a person, or only others."""
    opened_after: Moment | None = None
    """Opened at or after this time (RFC 3339 with an offset)."""
    opened_before: Moment | None = None
    """Opened before this time (RFC 3339 with an offset)."""
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{1,36}$")] | None = None
    """Cases whose id begins so."""


class RejectionFilters(Page):
    """Which refusals. All that is given must hold."""

    agency: Code | None = None
    """Only what this agency sent."""
    event_type: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Only events that said they were of this type; `-`: only those that said none."""
    code: Code | None = None
    """Only those whose first reason has this code."""
    settled: bool | None = None
    """Only those that an operator has seen to (sent again, or set aside), or only others."""


NO_TYPE = "-"
"""Stands for the type of an event that said none."""


class SettledFilter(BaseModel):
    """Which refusals are counted."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    settled: bool | None = None
    """Only those that an operator has seen to, or only others."""


class NoFilter(BaseModel):
    """A question without parameters: one that is sent would be passed over, and the answer taken for another."""

    model_config = ConfigDict(extra="forbid")


class ActFilters(Page):
    """Which acts of operators. All that is given must hold."""

    case_id: Annotated[str, StringConstraints(max_length=128)] | None = None
    """Only those to this case."""
    rejection_id: Annotated[str, StringConstraints(max_length=128)] | None = None
    """Only those to this rejection."""
    kind: Literal["replay", "discard", "correction", "resend"] | None = None
    """Only what was done so."""
    by: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Only what this operator did."""


class ParkedFilters(Page):
    """Which parked cases. All that is given must hold."""

    event_type: Annotated[str, StringConstraints(max_length=200)] | None = None
    """Only those whose decision failed at an event of this type."""
    error: Annotated[str, StringConstraints(max_length=4000)] | None = None
    """Only those that failed with exactly this error."""
    agency: Code | None = None
    """Only those that are in this agency's hands."""


Grouping = Literal["cause", "type", "agency"]
"""By what parked cases are counted: by error and type, by type, by the agency in whose hands they are."""


class GroupingFilter(BaseModel):
    """How parked cases are counted."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    by: Grouping = "cause"
    """What they are counted by."""


CAUSES_MAX = 200
"""Causes in one answer, the most frequent first."""


def utc_now(now: datetime) -> str:
    """The moment of a question, as the tables write times."""
    return utc_text(now)


def mistake(detail: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, str]:
    """One of pydantic's complaints about a query, in words: which parameter, what is wrong, what to do."""
    field = str(detail["loc"][1]) if len(detail["loc"]) > 1 else str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        from difflib import get_close_matches

        near = get_close_matches(field, known, n=1)
        names = f"The parameters are {', '.join(known)}." if known else "Leave it out: there are no parameters here."
        fix = f"Did you mean {near[0]}?" if near else names
        return {"field": field, "problem": f"there is no parameter {field[:64]!r}", "fix": fix}
    problem = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "string_pattern_mismatch":
        problem = "it has another form than these values have"
    fix = _FIXES.get(field, "Correct the value, or leave the parameter out.")
    return {"field": field, "problem": problem[:1].lower() + problem[1:], "fix": fix}


_FIXES = {
    "limit": f"Ask for 1 to {LIMIT_MAX} rows, and follow `next` for more.",
    "overdue": "Send true or false.",
    "open": "Send true or false.",
    "parked": "Send true or false.",
    "cursor": "Send the `next` of the page before, unchanged.",
    "id": "Send the beginning of a case id: digits, a to f, hyphens.",
    "role": "Send holder or party.",
}
