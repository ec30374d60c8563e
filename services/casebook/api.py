"""The casebook's JSON API: what everybody may see of every case. Read-only, paged, each refusal in words (RFC 9457).

It asks the tables over connections that can only read, apart from the writer, and holds nothing in memory: an answer is
as fresh as the tables. No personal field is in them, so none can be in an answer, but for `/api/entitled`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, FastAPI, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from bus.city import City
from bus.deliveries import AdapterBook
from bus.health import Check, health_routes
from services.casebook.answers import (
    ActPage,
    CaseAnswer,
    CasePage,
    Events,
    ParkedCause,
    ParkedCauses,
    ParkedPage,
    RejectionCause,
    RejectionCauses,
    RejectionPage,
    RejectionWhole,
    Summary,
    Timeline,
)
from services.casebook.deliveries_api import add_deliveries
from services.casebook.entitled_api import ReadLog, add_entitled
from services.casebook.entrance import caller_in
from services.casebook.filters import (
    CAUSES_MAX,
    ActFilters,
    CaseFilters,
    Cursor,
    GroupingFilter,
    Moment,
    NoFilter,
    Page,
    ParkedFilters,
    RejectionFilters,
    SettledFilter,
    utc_now,
)
from services.casebook.hindsight import case_as_it_was, seen
from services.casebook.known import Known
from services.casebook.limiting import own, sees, without_name, without_names
from services.casebook.problems import MISSING, REFUSALS, NotAsked, NotFound, add_problems, require_no_nul
from services.casebook.questions import Questions, cursor_behind
from services.casebook.shaping import Shaper, act_of
from services.casebook.trace_api import add_traces
from services.casebook.trace_questions import TraceQuestions


class Hindsight(BaseModel):
    """The moment for which a case is told; without it, now."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    as_of: Moment | None = None
    """By what the city's log had taken in by then."""
    happened_by: Moment | None = None
    """By what had occurred by then, as the senders say, though it was told later."""


class TimelinePage(Page):
    """Which part of a timeline: its order is the case's."""

    @property
    def after_seq(self) -> int:
        """The place behind which the page begins."""
        if self.after is None:
            return 0
        if not self.after.at.isascii() or not self.after.at.isdigit() or len(self.after.at) > 9:
            raise NotAsked("cursor", "this cursor is of another list", "Send the `next` of this timeline.")
        return int(self.after.at)


CaseId = Annotated[str, Path(max_length=128, description="The case id.")]


def casebook_api(
    questions: Questions,
    city: City,
    *,
    why_not_ready: Check,
    warning: Check = lambda: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    adapters: AdapterBook | None = None,
    read_log: ReadLog | None = None,
) -> FastAPI:
    """The application.

    `clock` says for which moment `overdue` is reckoned, `adapters` who is asked for deliveries, `read_log` gives an
    event whole for an agency that may read it.
    """
    app = FastAPI(
        title="Subak casebook",
        version="1",
        summary="Every case of the city, in the state in which everybody sees it.",
        description=(__doc__ or "").partition("\n\n")[2],
        responses=REFUSALS,
        dependencies=[Depends(require_no_nul)],
    )
    shaper, known = Shaper(city), Known(city, questions)
    _add_cases(app, questions, shaper, known, clock)
    _add_timelines(app, questions, shaper)
    _add_refusals(app, questions, shaper, known)
    add_traces(app, TraceQuestions(questions.engine), shaper, city, clock)
    add_deliveries(app, questions, city, adapters or AdapterBook(None))
    add_entitled(app, questions, city, read_log)
    add_problems(app)
    app.router.routes.extend(health_routes(why_not_ready=why_not_ready, warning=warning))
    return app


def _add_cases(app: FastAPI, questions: Questions, shaper: Shaper, known: Known, clock: Callable[[], datetime]) -> None:
    @app.get("/api/cases", tags=["cases"])
    def list_cases(filters: Annotated[CaseFilters, Query()]) -> CasePage:
        """Cases, the newest first. Follow `next` for more: no case comes twice, whatever arrives meanwhile."""
        known.require_of_cases(filters.agency, filters.service_code)
        now = utc_now(clock())
        areas = shaper.areas_in(filters.area) if filters.area is not None else []
        found, following = cursor_behind(questions.cases(filters, areas, now), filters.limit, "opened_at")
        return CasePage(cases=[shaper.case(row, now) for row in found], next=following)

    @app.get("/api/cases/{case_id}", tags=["cases"], responses=MISSING)
    def show_case(case_id: CaseId, at: Annotated[Hindsight, Query()]) -> CaseAnswer:
        """One case, and who held it how long: as it is, or as it was."""
        found, held = questions.case(case_id)
        if found is None:
            raise NotFound(
                f"There is no case {case_id}. Look its id up with /api/cases?id=<its beginning>; a case that has just "
                "been opened is here a moment later."
            )
        now = utc_now(clock())
        entries = seen(questions.whole_timeline(case_id), as_of=at.as_of, happened_by=at.happened_by)
        if at.as_of is None and at.happened_by is None:
            return shaper.case(found, now, held, shaper.shares(entries, now))
        moment = min(text for text in (at.as_of, at.happened_by, now) if text is not None)
        then = case_as_it_was(entries)
        if then is None:
            raise NotFound(f"The case {case_id} had not begun at that moment. Ask for a later one.")
        return shaper.case(then, moment, None, shaper.shares(entries, moment))

    @app.get("/api/summary", tags=["cases"])
    def summarise(nothing: Annotated[NoFilter, Query()]) -> Summary:
        """The whole city: cases by state and by the agency that holds them."""
        now = utc_now(clock())
        return shaper.summary(*questions.summary(now), now)

    @app.get("/api/parked", tags=["cases"])
    def list_parked(page: Annotated[ParkedFilters, Query()]) -> ParkedPage:
        """Cases whose decision failed and that wait for a person, the longest waiting first."""
        known.require_of_cases(page.agency)
        now = utc_now(clock())
        rows, held = questions.parked(page)
        found, following = cursor_behind(rows, page.limit, "parked_at")
        return ParkedPage(parked=[shaper.case(row, now, held.get(row.id)) for row in found], next=following)

    @app.get("/api/parked/causes", tags=["cases"])
    def list_parked_causes(which: Annotated[GroupingFilter, Query()]) -> ParkedCauses:
        """Parked cases by what failed (or by type, or by agency), the most first."""
        found = questions.parked_causes(which.by, CAUSES_MAX)
        return ParkedCauses(causes=[ParkedCause(**row._mapping) for row in found])


def _add_timelines(app: FastAPI, questions: Questions, shaper: Shaper) -> None:
    @app.get("/api/cases/{case_id}/timeline", tags=["timelines"], responses=MISSING)
    def show_timeline(request: Request, case_id: CaseId, page: Annotated[TimelinePage, Query()]) -> Timeline:
        """What befell a case, in order."""
        known, rows = questions.timeline(case_id, after_seq=page.after_seq, limit=page.limit)
        if not known:
            raise NotFound(f"There is no event of a case {case_id}. Look its id up with /api/cases?id=<its beginning>.")
        found, following = rows[: page.limit], None
        if len(rows) > page.limit:
            following = Cursor(str(found[-1].seq), case_id).encode()
        entries = [without_names(shaper.entry(row), caller_in(request)) for row in found]
        return Timeline(case_id=case_id, entries=entries, next=following)

    @app.get("/api/events/{event_id:path}", tags=["timelines"], responses=MISSING)
    def show_event(
        request: Request, event_id: Annotated[str, Path(max_length=128, description="The event's id.")]
    ) -> Events:
        """The event of that id. Ids are unique for each source, so there may be more than one."""
        found = questions.events(event_id)
        if not found:
            raise NotFound(f"There is no event {event_id} in the city's log. What was refused is under /api/rejected.")
        return Events(events=[without_names(shaper.entry(row), caller_in(request)) for row in found])


def _add_refusals(app: FastAPI, questions: Questions, shaper: Shaper, known: Known) -> None:
    @app.get("/api/rejected", tags=["refusals"])
    def list_rejected(request: Request, filters: Annotated[RejectionFilters, Query()]) -> RejectionPage:
        """Refused events, the newest first, with every reason."""
        caller = caller_in(request)
        asked = own(filters, caller)
        known.require_sender(asked.agency)
        rows = questions.rejections(asked)
        found, following = cursor_behind(rows, filters.limit, "rejected_at")
        acts = questions.acts_on([row.id for row in found])
        shown = [without_name(shaper.rejection(row, acts.get(row.id)), caller) for row in found]
        return RejectionPage(rejected=shown, next=following)

    @app.get("/api/rejected/causes", tags=["refusals"])
    def list_rejection_causes(request: Request, which: Annotated[SettledFilter, Query()]) -> RejectionCauses:
        """Refused events by the first reason's code, by sender and type, the most first."""
        found = questions.rejection_causes(which.settled, CAUSES_MAX, caller_in(request).own_agency)
        return RejectionCauses(causes=[RejectionCause(**row._mapping) for row in found])

    @app.get("/api/rejected/{rejection_id}", tags=["refusals"], responses=MISSING)
    def show_rejected(
        request: Request,
        rejection_id: Annotated[str, Path(max_length=128, description="The rejection's id.")],
    ) -> RejectionWhole:
        """One refused event with its record, without personal fields. The topic city-rejected holds it whole."""
        found = questions.rejection(rejection_id)
        caller = caller_in(request)
        if found is None or not sees(found.agency, caller):
            raise NotFound(f"There is no rejection {rejection_id}. /api/rejected lists them all.")
        return without_name(shaper.rejection_whole(found, questions.acts_on([found.id]).get(found.id)), caller)

    @app.get("/api/acts", tags=["acts"])
    def list_acts(filters: Annotated[ActFilters, Query()]) -> ActPage:
        """What operators did to parked cases and rejected events: who, when, why, what came of it; the newest first."""
        found, following = cursor_behind(questions.acts(filters), filters.limit, "at")
        return ActPage(acts=[act_of(row, row.refusal_id, row.ran_seq) for row in found], next=following)
