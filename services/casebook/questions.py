"""The questions that the API asks the tables, each in one transaction that sees one moment. Read-only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    tuple_,
)

from schemas.types.cases import CaseReplayed
from services.casebook import tables
from services.casebook.entry import Entry
from services.casebook.filters import (
    NO_TYPE,
    ActFilters,
    CaseFilters,
    Cursor,
    Grouping,
    Page,
    ParkedFilters,
    RejectionFilters,
)
from services.casebook.parkings import Held, held
from services.casebook.statements import timelines

Found = Sequence[Row[Any]]

_case, _party, _line, _rejected = tables.cases.c, tables.case_parties.c, tables.timeline.c, tables.rejected.c
_act = tables.acts.c
_REPLAYED = CaseReplayed.registered.name


class Questions:
    """Asks. Safe for several threads at once: each question takes a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            yield connection

    # -- cases

    def cases(self, filters: CaseFilters, areas: Sequence[str], now: str) -> Found:
        """One row more than the page holds, where there is more. `areas`: the filter's area and all that lie in it."""
        question = select(tables.cases).where(*_conditions(filters, areas, now))
        question = _page(question, filters, _case.opened_at, _case.id, newest_first=True)
        with self._asking() as connection:
            return connection.execute(question).all()

    def case(self, id: str) -> tuple[Row[Any] | None, Held | None]:
        """The case, and how it is held where it is parked."""
        with self._asking() as connection:
            found = connection.execute(select(tables.cases).where(_case.id == id)).one_or_none()
            return found, held(connection, [id]).get(id) if found is not None else None

    def whole_timeline(self, case_id: str) -> list[Entry]:
        """All entries of a case, in the log's order."""
        with self._asking() as connection:
            return [entry for _, entries in timelines(connection, [case_id]) for entry in entries]

    def parked(self, page: ParkedFilters) -> tuple[Found, dict[str, Held]]:
        """Parked cases, the longest waiting first, one more than the page holds; and how each is held."""
        question = select(tables.cases).where(_case.parked_at.is_not(None))
        if page.event_type is not None:
            question = question.where(_case.parked_event_type == page.event_type)
        if page.error is not None:
            question = question.where(_case.parked_error == page.error)
        if page.agency is not None:
            question = question.where(_case.holder == page.agency)
        question = _page(question, page, _case.parked_at, _case.id, newest_first=False)
        with self._asking() as connection:
            found = connection.execute(question).all()
            return found, held(connection, [row.id for row in found])

    def parked_causes(self, by: Grouping, limit: int) -> Found:
        """Rows of what they are grouped by, `cases` and `oldest`, the most first."""
        count = func.count().label("cases")
        columns = {
            "cause": {"event_type": _case.parked_event_type, "error": _case.parked_error},
            "type": {"event_type": _case.parked_event_type},
            "agency": {"agency": _case.holder},
        }[by]
        cause: list[Any] = [column.label(name) for name, column in columns.items()]
        question: Select[Any] = select(*cause, count, func.min(_case.parked_at).label("oldest"))
        question = question.where(_case.parked_at.is_not(None)).group_by(*columns.values())
        with self._asking() as connection:
            return connection.execute(question.order_by(count.desc(), *cause).limit(limit)).all()

    def has_agency(self, agency: str) -> bool:
        """Whether any case knows this agency."""
        return self._any(exists().where(_party.agency == agency))

    def has_service(self, service_code: str) -> bool:
        """Whether any case is of this service."""
        return self._any(exists().where(_case.service_code == service_code))

    def has_refused(self, agency: str) -> bool:
        """Whether anything was refused of this sender."""
        return self._any(exists().where(_rejected.agency == agency))

    def _any(self, condition: Any) -> bool:
        with self._asking() as connection:
            return bool(connection.execute(select(condition)).scalar())

    # -- timelines

    def timeline(self, case_id: str, *, after_seq: int, limit: int) -> tuple[bool, Found]:
        """Whether the case has a timeline at all, and its entries behind `after_seq`, one more than `limit`."""
        of_case = _line.case_id == case_id
        question = select(tables.timeline).where(of_case, _line.seq > after_seq).order_by(_line.seq).limit(limit + 1)
        with self._asking() as connection:
            found = connection.execute(question).all()
            known = bool(found) or bool(connection.execute(select(exists().where(of_case))).scalar())
            return known, found

    def events(self, event_id: str) -> Found:
        """The entries of this event id."""
        question = select(tables.timeline).where(_line.event_id == event_id).order_by(_line.case_id, _line.seq)
        with self._asking() as connection:
            return connection.execute(question.limit(100)).all()

    # -- refusals

    def rejections(self, page: RejectionFilters) -> Found:
        """Rejections, the newest first, one more than the page holds."""
        question = select(tables.rejected)
        if page.settled is not None:
            question = question.where(_settled() if page.settled else not_(_settled()))
        if page.agency is not None:
            question = question.where(_rejected.agency == page.agency)
        if page.event_type is not None:
            is_of_type = _rejected.event_type == page.event_type
            question = question.where(_rejected.event_type.is_(None) if page.event_type == NO_TYPE else is_of_type)
        if page.code is not None:
            question = question.where(_rejected.code == page.code)
        question = _page(question, page, _rejected.rejected_at, _rejected.id, newest_first=True)
        with self._asking() as connection:
            return connection.execute(question).all()

    def rejection_causes(self, settled: bool | None, limit: int, agency: str | None = None) -> Found:
        """Rows of (code, agency, event_type, rejected, newest), the most first; of one agency where it is named."""
        count = func.count().label("rejected")
        cause = (_rejected.code, _rejected.agency, _rejected.event_type)
        question = select(*cause, count, func.max(_rejected.rejected_at).label("newest")).group_by(*cause)
        if settled is not None:
            question = question.where(_settled() if settled else not_(_settled()))
        if agency is not None:
            question = question.where(_rejected.agency == agency)
        with self._asking() as connection:
            return connection.execute(question.order_by(count.desc(), *cause).limit(limit)).all()

    def rejection(self, id: str) -> Row[Any] | None:
        """One rejection."""
        with self._asking() as connection:
            return connection.execute(select(tables.rejected).where(_rejected.id == id)).one_or_none()

    # -- acts

    def acts(self, page: ActFilters) -> Found:
        """What operators did, the newest first, one more than the page holds."""
        place = and_(_line.case_id == _act.case_id, _line.seq == _act.seq)
        after = tables.timeline.alias().c
        ran = select(func.min(after.seq)).where(
            after.case_id == _act.case_id, after.seq > _act.seq, after.type == _REPLAYED,
            after.causationid == _line.event_id,
        )  # fmt: skip
        columns = (_line.refusal_id, _line.event_id.label("id"), ran.scalar_subquery().label("ran_seq"))
        question = select(tables.acts, *columns).join(tables.timeline, place)
        for column, wanted in (
            (_act.case_id, page.case_id),
            (_act.rejection_id, page.rejection_id),
            (_act.kind, page.kind),
            (_act.by, page.by),
        ):
            if wanted is not None:
                question = question.where(column == wanted)
        question = _page(question, page, _act.at, _line.event_id, newest_first=True)
        with self._asking() as connection:
            return connection.execute(question).all()

    def acts_on(self, rejections: Sequence[str]) -> dict[str, Row[Any]]:
        """What was done about these rejections: to each the first act."""
        question = select(tables.acts).where(_act.rejection_id.in_(rejections)).order_by(_act.at.desc())
        with self._asking() as connection:
            return {row.rejection_id: row for row in connection.execute(question)} if rejections else {}

    # -- the whole

    def open_cases(self, now: str) -> Found:
        """Rows of (agency, state, cases, overdue) of what is not closed."""
        agency = func.coalesce(_case.holder, _case.agency, _case.opened_by).label("agency")
        overdue = func.sum(case((_overdue(now), 1), else_=0)).label("overdue")
        counts = select(agency, _case.state, func.count().label("cases"), overdue)
        with self._asking() as connection:
            return connection.execute(counts.where(_case.closed_at.is_(None)).group_by(agency, _case.state)).all()

    def summary(self, now: str) -> tuple[Found, int, int]:
        """Rows of (agency, state, closed, cases, overdue); how many are parked; how many events were refused.

        A case counts for the agency that holds it, or that did the work where it is closed.
        """
        agency = func.coalesce(_case.holder, _case.agency, _case.opened_by).label("agency")
        closed = case((_case.closed_at.is_(None), 0), else_=1).label("closed")
        overdue = func.sum(case((_overdue(now), 1), else_=0)).label("overdue")
        counts = select(agency, _case.state, closed, func.count().label("cases"), overdue).group_by(
            agency, _case.state, closed
        )
        with self._asking() as connection:
            found = connection.execute(counts).all()
            parked = connection.execute(select(func.count()).where(_case.parked_at.is_not(None))).scalar_one()
            rejected = connection.execute(select(func.count()).select_from(tables.rejected)).scalar_one()
            return found, parked, rejected


def _settled() -> ColumnElement[bool]:
    """A rejection that an operator has seen to."""
    return exists().where(_act.rejection_id == _rejected.id)


def _overdue(now: str) -> ColumnElement[bool]:
    """An open case whose deadline, or whose step's deadline, has passed. Never null: its contrary is true."""
    late_case = func.coalesce(_case.due_at < now, False)
    late_step = func.coalesce(_case.answer_by < now, False)
    return and_(_case.closed_at.is_(None), or_(late_case, late_step))


def _conditions(filters: CaseFilters, areas: Sequence[str], now: str) -> Iterator[ColumnElement[bool]]:
    if filters.state:
        yield _case.state.in_(filters.state)
    if filters.agency is not None and filters.role == "holder":
        yield _case.holder == filters.agency
    elif filters.agency is not None:
        yield _case.id.in_(select(_party.case_id).where(_party.agency == filters.agency))
    if filters.service_code is not None:
        yield _case.service_code == filters.service_code
    if filters.area is not None:
        yield _case.area.in_(areas) if areas else _begins(_case.area, filters.area)
    if filters.overdue is not None:
        yield _overdue(now) if filters.overdue else not_(_overdue(now))
    if filters.open is not None:
        yield _case.closed_at.is_(None) if filters.open else _case.closed_at.is_not(None)
    if filters.parked is not None:
        yield _case.parked_at.is_not(None) if filters.parked else _case.parked_at.is_(None)
    if filters.opened_after is not None:
        yield _case.opened_at >= filters.opened_after
    if filters.opened_before is not None:
        yield _case.opened_at < filters.opened_before
    if filters.id is not None:
        yield _begins(_case.id, filters.id)


def _begins(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Whether the column begins with `text`, as a range in the order of bytes, which the index answers."""
    return and_(column >= text, column < text + "\U0010ffff")


def _page(
    question: Select[Any], page: Page, at: ColumnElement[str], id: ColumnElement[str], *, newest_first: bool
) -> Select[Any]:
    """The part of `question` behind the page's cursor, in order, and one row more than the page holds."""
    after = page.after
    if after is not None:
        here, there = tuple_(at, id), tuple_(literal(after.at), literal(after.id))
        question = question.where(here < there if newest_first else here > there)
    order = (at.desc(), id.desc()) if newest_first else (at, id)
    return question.order_by(*order).limit(page.limit + 1)


def cursor_behind(found: Found, limit: int, at: str) -> tuple[Found, str | None]:
    """The rows of the page, and the cursor of the next one where there is more."""
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], Cursor(getattr(last, at), last.id).encode()
