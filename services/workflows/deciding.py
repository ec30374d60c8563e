"""Which workflow decides on an event of a case, and on what of it. Pure.

A case that is there goes on by the version that it began with, one that is not is opened by the newest. A timer is an
event like any other, and means nothing where it was stopped after it had fired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from schemas.envelope import Event
from schemas.failures import Misconfigured, Reason, Refused
from schemas.identifiers import derived_id
from schemas.registry import registry
from schemas.types.cases import Message, TimerFired
from services.workflows.definition import (
    CLOSED,
    CaseState,
    Decision,
    DefectInWorkflow,
    Step,
    Workflow,
)

TIMER_FIRED = TimerFired.registered.name

TURNS_MAX = 1000
"""Timers of a case that may fire in a row while no agency says anything: more is a loop, and parks it."""


def timer_event_id(case: str, timer: str, due_ms: int) -> str:
    """The id of the event by which this timer of a case fires."""
    return derived_id(case, f"{timer} {due_ms}")


class Deciding:
    """The workflows of a stage."""

    def __init__(self, workflows: Mapping[str, Workflow]) -> None:
        self._workflows = workflows
        self._openers = newest_by_opening_event(workflows.values())

    def decision(self, case: CaseState | None, event: Event, step: Step) -> Decision | None:
        """What the case's workflow decides; None where a timer means nothing any more.

        Raises:
            Refused: the case cannot take the event, which its sender must hear.
            DefectInWorkflow: timer follows timer without end. Whatever else a workflow raises is a defect too.
        """
        if case is None:
            workflow = self._openers.get(event.type)
            if workflow is None:
                problem = f"no case {event.subject} is known, and {event.type} does not open one"
                raise Refused([Reason("unknown_case", "subject", problem, "Use the case id that the bus gave you.")])
            return workflow.open(event, registry.get(event.type).read(event.data), step)
        if case.state == CLOSED:
            problem = f"the case {event.subject} is closed"
            raise Refused([Reason("case_closed", "subject", problem, "Open a new request where the matter goes on.")])
        return self._go_on(case, event, step)

    def _go_on(self, case: CaseState, event: Event, step: Step) -> Decision | None:
        workflow = self._workflows[case.workflow]
        data = step.cause = registry.get(event.type).read(event.data)
        if event.type != TIMER_FIRED:
            if case.turns and not isinstance(data, Message):  # another case's word is no agency's
                case = msgspec.structs.replace(case, turns=0)
            return workflow.decide(case, event.type, data, step)
        fired = int(data.due.timestamp() * 1000)
        if case.timers.get(data.timer) != -fired:
            return None  # it was stopped, or started anew, after it had fired
        timers = {name: due for name, due in case.timers.items() if name != data.timer}
        if case.turns >= TURNS_MAX:
            raise DefectInWorkflow(f"{TURNS_MAX} timers fired in a row ({data.timer} is the last), and no agency spoke")
        rested = msgspec.structs.replace(case, timers=timers, turns=case.turns + 1)
        return workflow.decide(rested, f"timer:{data.timer}", data, step) or Decision(rested, ())


def newest_by_opening_event(workflows: Iterable[Workflow]) -> dict[str, Workflow]:
    """For each event type that opens a case: the newest version of the workflow that it opens.

    Raises:
        Misconfigured: it would open cases of two workflows, and one of them would never get any.
    """
    newest: dict[str, Workflow] = {}
    for workflow in workflows:
        known = newest.get(workflow.opened_by)
        if known is not None and known.name != workflow.name:
            raise Misconfigured(
                f"{workflow.opened_by} opens cases of {known.id} and of {workflow.id}, and a case has one workflow. "
                f"Give one of them an event type of its own: `subak new event-type NAME --opens-case`."
            )
        if known is None or workflow.version > known.version:
            newest[workflow.opened_by] = workflow
    return newest
