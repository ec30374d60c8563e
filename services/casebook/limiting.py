"""What a caller sees of an answer that others see whole: an agency its own refusals, few the operators' names. Pure."""

from __future__ import annotations

from typing import TypeVar

from bus.identity import Caller
from schemas.types.cases import CaseReplayed
from services.casebook.acts import KINDS
from services.casebook.answers import EntryAnswer, RejectionAnswer
from services.casebook.filters import RejectionFilters
from services.casebook.problems import NotForCaller

Refusal = TypeVar("Refusal", bound=RejectionAnswer)

_NAMING = frozenset({*KINDS, CaseReplayed.registered.name})
"""Types whose events name an operator."""


def own(filters: RejectionFilters, caller: Caller) -> RejectionFilters:
    """The question, for the caller's own agency where they see no other's.

    Raises:
        NotForCaller: another agency's are asked for.
    """
    if caller.own_agency is None:
        return filters
    if filters.agency not in (None, caller.own_agency):
        raise NotForCaller(f"You are signed in for {caller.own_agency}: what {filters.agency} sent is not for you.")
    return filters.model_copy(update={"agency": caller.own_agency})


def sees(agency: str, caller: Caller) -> bool:
    """Whether a refused event of this agency may be seen."""
    return caller.own_agency in (None, agency)


def without_names(entry: EntryAnswer, caller: Caller) -> EntryAnswer:
    """An operator's act, and the word that it helped, say who acted only to those who may see acts."""
    if caller.may("acts") or entry.type not in _NAMING or entry.data is None:
        return entry
    return entry.model_copy(update={"data": {name: value for name, value in entry.data.items() if name != "by"}})


def without_name(refusal: Refusal, caller: Caller) -> Refusal:
    """The same for what an operator did about a refused event."""
    if caller.may("acts") or refusal.act is None:
        return refusal
    return refusal.model_copy(update={"act": refusal.act.model_copy(update={"by": None})})
