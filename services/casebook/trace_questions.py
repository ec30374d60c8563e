"""What a trace asks the tables: which case a reference leads to, its links both ways, and all proposals. Read-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select

from services.casebook import tables
from services.casebook.links import CASE
from services.casebook.questions import Found, Questions
from services.casebook.tracing import LINES_MAX

_case, _line, _link = tables.cases.c, tables.timeline.c, tables.links.c

ENTRIES_MAX = 4 * LINES_MAX
"""Entries of a case that one trace reads: the story's lines, and what it leaves out."""

LINKS_MAX = 200
PROPOSALS_MAX = 100_000
"""Proposals that are looked at for those that vanished."""

PREFIX_LENGTH_MIN = 6
"""Characters of a case id by which it may be asked for."""

_FOLLOWED = ("case", "ocid", "contract", "invoice", "payment", "asset", "allocation", "budget_line", "permit")

_CLOSED = "subak.proposal.closed.v1"
_MERGED = "subak.proposal.merged.v1"


class TraceQuestions(Questions):
    """Asks for traces."""

    def resolve(self, ref: str) -> list[tuple[str, Row[Any]]]:
        """The cases that this names, and how: by id, by what a link of theirs says, or by the beginning of the id.

        A link to a proposal goes before one to a budget line: whoever has a payment asks for the proposal.
        """
        with self._asking() as connection:
            by_id = connection.execute(select(tables.cases).where(_case.id == ref)).all()
            if by_id:
                return [("case", row) for row in by_id]
            named = _counting().where(_link.ref == ref, _link.kind != CASE).distinct().limit(LINKS_MAX)
            kinds = {row.case_id: row.kind for row in connection.execute(named)}
            rows = _cases(connection, list(kinds))
            for kind in ("proposal", "permit", "budget", "request"):
                if found := [(kinds[row.id], row) for row in rows if row.kind == kind]:
                    return found
            if len(ref) < PREFIX_LENGTH_MIN:
                return []
            begins = and_(_case.id >= ref, _case.id < ref + "\U0010ffff")
            return [("case", row) for row in connection.execute(select(tables.cases).where(begins).limit(6))]

    def whole(self, case_id: str) -> tuple[Found, int]:
        """The entries of the case, as many as a trace reads, and how many there are."""
        with self._asking() as connection:
            of_case = _line.case_id == case_id
            rows = connection.execute(select(tables.timeline).where(of_case).order_by(_line.seq).limit(ENTRIES_MAX))
            count = connection.execute(select(func.count()).select_from(tables.timeline).where(of_case)).scalar_one()
            return rows.all(), count

    def links(self, case_id: str) -> tuple[list[tuple[str, str]], dict[str, Row[Any]]]:
        """What the case names and what names it, as (kind, ref) in the order of the log; and the cases among them."""
        with self._asking() as connection:
            out = _counting().where(_link.case_id == case_id, _link.kind.in_(_FOLLOWED))
            found = dict.fromkeys(
                (row.kind, row.ref) for row in connection.execute(out.order_by(_link.seq).limit(LINKS_MAX))
            )
            back = _counting().where(_link.ref == case_id, _link.kind == CASE).order_by(_link.case_id).limit(LINKS_MAX)
            found.update(dict.fromkeys((CASE, row.case_id) for row in connection.execute(back)))
            found.pop((CASE, case_id), None)
            ids = [ref for kind, ref in found if kind == CASE]
            return list(found), {row.id: row for row in _cases(connection, ids)}

    def proposals(self) -> tuple[Found, dict[str, str | None], dict[str, str], set[str]]:
        """All proposals, the oldest first, one more than the bound where there are more; why each closed one says
        that it ended; into which case each merged one went; and which of those cases there are."""
        with self._asking() as connection:
            every = select(tables.cases).where(_case.kind == "proposal").order_by(_case.opened_at, _case.id)
            rows = connection.execute(every.limit(PROPOSALS_MAX + 1)).all()
            ends = select(_line.case_id, _line.data).where(_line.type == _CLOSED, _line.refusal_id.is_(None))
            closed = {row.id for row in rows if row.closed_at is not None}
            reasons = {row.case_id: row.data for row in connection.execute(ends) if row.case_id in closed}
            went = (
                select(_link.case_id, _link.ref)
                .join(tables.timeline, and_(_line.case_id == _link.case_id, _line.seq == _link.seq))
                .where(_line.type == _MERGED, _line.refusal_id.is_(None))
                .order_by(_link.seq)
            )
            merged = {row.case_id: row.ref for row in connection.execute(went)}
            known = {row.id for row in _cases(connection, sorted(set(merged.values())))}
            return rows, reasons, merged, known


def _counting() -> Any:
    """Links of entries that count."""
    same = and_(_line.case_id == _link.case_id, _line.seq == _link.seq)
    return (
        select(_link.kind, _link.ref, _link.case_id)
        .select_from(tables.links.join(tables.timeline, same))
        .where(_line.refusal_id.is_(None))
    )


def _cases(connection: Connection, ids: Sequence[str]) -> list[Row[Any]]:
    found: list[Row[Any]] = []
    for start in range(0, len(ids), 500):
        part = list(ids[start : start + 500])
        found += connection.execute(select(tables.cases).where(_case.id.in_(part))).all()
    return found
