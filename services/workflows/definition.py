"""How a workflow is written: states, transitions that name them, handlers that decide. Pure, versioned.

    repair = Workflow("repair", version=1, case=RepairCase, opened_by=RequestSubmitted)

    @repair.on(RequestAcknowledged, states={FORWARDED}, to={ORDERED, AWAITING_APPROVAL})
    def acknowledged(case: RepairCase, data: RequestAcknowledged, step: Step) -> RepairCase: ...

A handler gets the case as it is, the event's data, and a `Step` that collects what follows. It returns the case as it
will be. It looks at no clock, no database and no agency, so the same case and event give the same decision for ever:
that is what replay, simulation and tests rest on. Every transition says which states it may lead to, so that the
machine can be drawn and linted; a handler that leads elsewhere is a defect, and parks the case.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from bus.city import City
from schemas.envelope import Event
from schemas.failures import Misconfigured, Reason, Refused
from schemas.identifiers import derived_id
from schemas.registry import EventData
from services.workflows.step import WORKFLOWS, DefectInWorkflow, Emission, Step, moment_of

__all__ = [
    "CLOSED", "WORKFLOWS", "CaseState", "Decision", "DefectInWorkflow", "Emission", "Migration", "Role", "Step",
    "Transition", "Workflow", "consequence", "moment_of",
]  # fmt: skip

CLOSED = "closed"
"""The state in which every case ends. Nothing is remembered of a closed case but that it was."""


class CaseState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What every workflow remembers of a case. A workflow adds its own fields in a subclass."""

    id: str
    workflow: str
    """The workflow and version that the case began with, and keeps: `repair@1`."""
    state: str
    opened_ms: int = 0
    """When the log took its first event: milliseconds since 1970."""
    correlation: str = ""
    """The id of its first event."""
    jurisdiction: str | None = None
    """The area where it lies."""
    turns: int = 0
    """Timers that fired since an agency last said something. What other cases say does not count as that."""
    timers: dict[str, int] = {}
    """Name → when it is due, in milliseconds since 1970; negative once it has fired and its event is on its way."""


Case = TypeVar("Case", bound=CaseState)
Handler = Callable[[Any, Any, Step], Any]


@dataclass(frozen=True, slots=True)
class Transition:
    """One arrow bundle of the machine: an event (or timer) that some states take, and where it may lead."""

    trigger: str
    """An event type's name, or `timer:<name>`."""
    states: frozenset[str]
    to: frozenset[str]
    handler: Handler


FoundIn = Callable[[City], Iterable[tuple[str, str | None, tuple[str, ...]]]]
"""City → (where, in words; the area's code; who is asked there, in order: the last one is where escalation ends)."""


@dataclass(frozen=True, slots=True)
class Role:
    """Somebody whom a workflow waits for, such as the holder or the inspector."""

    name: str
    answers: tuple[str, ...]
    """Event types with any of which they move the case on."""
    found: FoundIn


@dataclass(frozen=True, slots=True)
class Migration:
    """How the cases of an older version go on in a newer one."""

    from_workflow: str
    case: type[CaseState]
    """What the older version remembered."""
    states: Mapping[str, str]
    """The older version's states, each with the state in which its cases go on. Every live one must be here."""
    move: Callable[[Any], CaseState]


class Decision(NamedTuple):
    """What a case and an event lead to."""

    case: CaseState
    emissions: tuple[Emission, ...]


class Workflow:
    """One version of one kind of case."""

    def __init__(
        self,
        name: str,
        *,
        version: int,
        case: type[CaseState],
        opened_by: type[EventData],
        begins_in: Collection[str] = (),
    ) -> None:
        """
        Args:
            case: what is remembered of such a case.
            opened_by: the event that begins one.
            begins_in: the states in which it may begin; empty: those that the handler that opens it sets.
        """
        self.name = name
        self.version = version
        self.id = f"{name}@{version}"
        self.case = case
        self.opened_by = opened_by.registered.name
        self.begins_in = frozenset(begins_in)
        self.roles: list[Role] = []
        self.migrations: dict[str, Migration] = {}
        self.meanings: dict[str, dict[str, str]] = {}
        """State → what it means, in words, by language. Also of states that only the casebook tells, between two."""
        self.transitions: list[Transition] = []
        self._table: dict[tuple[str, str], Transition] = {}
        self._opens: Callable[[Event, Any, Step], CaseState] | None = None
        self._triggers: dict[str, list[str]] = {}

    # -- writing one

    def role(self, name: str, *, answers: Collection[type[EventData]], found: FoundIn) -> None:
        """Say who is waited for: the events by which they move the case, and who they are in a city.

        Lint asks `found` about each city, and says where nobody could answer.
        """
        self.roles.append(Role(name, tuple(kind.registered.name for kind in answers), found))

    def means(self, state: str, **texts: str) -> None:
        """Say what it means that a case stands in this state, by language: `means(KEPT, en="...", id="...")`."""
        self.meanings[state] = texts

    def migrates(
        self, from_workflow: str, *, case: type[CaseState], states: Mapping[str, str]
    ) -> Callable[[Callable[[Any], CaseState]], Callable[[Any], CaseState]]:
        """Take over the cases of an older version: the decorated function makes the new case from the old one.

        Nothing is moved before every live case was found to stand in one of `states`; else the stage does not start.
        """

        def register(move: Callable[[Any], CaseState]) -> Callable[[Any], CaseState]:
            self.migrations[from_workflow] = Migration(from_workflow, case, dict(states), move)
            return move

        return register

    def opens(self, handler: Callable[[Event, Any, Step], Case]) -> Callable[[Event, Any, Step], Case]:
        """The handler that makes the case from its first event."""
        self._opens = handler
        return handler

    def on(
        self, event: type[EventData], *, states: Collection[str], to: Collection[str] | Literal["same"]
    ) -> Callable[[Handler], Handler]:
        """Register the handler of an event in these states. `to="same"`: it changes no state."""
        return self._register(event.registered.name, states, to)

    def on_timer(
        self, name: str, *, states: Collection[str], to: Collection[str] | Literal["same"]
    ) -> Callable[[Handler], Handler]:
        """Register the handler of a timer. In other states the timer means nothing, and is dropped."""
        return self._register(f"timer:{name}", states, to)

    def _register(
        self, trigger: str, states: Collection[str], to: Collection[str] | Literal["same"]
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            for state in states:
                targets = frozenset([state]) if to == "same" else frozenset(to)
                transition = Transition(trigger, frozenset([state]), targets, handler)
                if (trigger, state) in self._table:
                    raise Misconfigured(f"{self.id}: two handlers claim {trigger} in the state {state}")
                self._table[trigger, state] = transition
                self._triggers.setdefault(trigger, []).append(state)
                self.transitions.append(transition)
            return handler

        return register

    # -- deciding

    def handles(self, trigger: str) -> bool:
        """Whether some state takes this event type or `timer:<name>`."""
        return trigger in self._triggers

    @property
    def opener(self) -> Callable[[Event, Any, Step], CaseState] | None:
        """The handler that makes a case."""
        return self._opens

    @property
    def triggers(self) -> frozenset[str]:
        """The event types and `timer:<name>`s that some state takes."""
        return frozenset(self._triggers)

    def open(self, event: Event, data: EventData, step: Step) -> Decision:
        """The case that `event` begins."""
        if self._opens is None:
            raise DefectInWorkflow(f"{self.id} has no handler that opens a case")
        case = self._opens(event, data, step)
        if self.begins_in and case.state not in self.begins_in:
            raise DefectInWorkflow(f"{self.id}: a case began in {case.state}, and declares {sorted(self.begins_in)}")
        return self._finish(None, case, step)

    def decide(self, case: CaseState, trigger: str, data: Any, step: Step) -> Decision | None:
        """What `trigger` leads to; None where a timer means nothing any more.

        Raises:
            Refused: the case cannot take this event now, in words for its sender.
            DefectInWorkflow: the handler led to a state that its transition does not name, or it refused a timer: the
                case must not lose its deadline in silence.
        """
        transition = self._table.get((trigger, case.state))
        if transition is None:
            if trigger.startswith("timer:"):
                return None
            raise Refused([self._wrong_state(case, trigger)])
        try:
            changed = transition.handler(case, data, step)
        except Refused as refused:
            if not trigger.startswith("timer:"):
                raise
            told = " ".join(f"{reason.problem}. {reason.fix}" for reason in refused.reasons)
            raise DefectInWorkflow(
                f"{self.id}: {trigger} in {case.state} has no sender to refuse it to: {told}"
            ) from refused
        if changed.state not in transition.to:
            raise DefectInWorkflow(
                f"{self.id}: {trigger} in {case.state} led to {changed.state}, and declares {sorted(transition.to)}"
            )
        return self._finish(case, changed, step)

    def _finish(self, before: CaseState | None, case: CaseState, step: Step) -> Decision:
        if case.state == CLOSED:
            case = msgspec.structs.replace(case, timers={})
        elif step.timers:
            timers = dict(case.timers)
            for name, due in step.timers.items():
                if due is None:
                    timers.pop(name, None)
                else:
                    timers[name] = due
            case = msgspec.structs.replace(case, timers=timers)
        return Decision(case, tuple(step.emissions))

    def _wrong_state(self, case: CaseState, trigger: str) -> Reason:
        states = self._triggers.get(trigger)
        problem = f"the case is in the state {case.state}"
        if states is None:
            problem = f"{self.id} knows no {trigger}"
            return Reason("not_for_this_case", "type", problem, "Check the type.")
        problem += f"; {trigger} is possible in {', '.join(sorted(states))}"
        return Reason(
            "wrong_state", "type", problem, "Look at the case first: `subak case show`, or the casebook's API."
        )


def consequence(
    emission: Emission, number: int | str, cause: Event, case: CaseState, *, source: str, now: str
) -> Event:
    """The event for an emission, as the `number`th consequence of `cause`: the same cause gives the same id."""
    data = emission.data
    return Event(
        id=derived_id(f"{cause.source} {cause.id}", number),
        type=data.registered.name,
        source=source,
        subject=emission.subject or case.id,
        time=now,
        data=data.encode(),
        correlationid=case.correlation,
        causationid=cause.id,
        recipient=emission.recipient,
        jurisdiction=case.jurisdiction,
        workflowversion=case.workflow or None,
        traceparent=cause.traceparent,
        parties=",".join(emission.parties) or None,
    )
