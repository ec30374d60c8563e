"""A workflow as a machine: its states, its arrows, and which timers may run where. For lint and for drawing. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from services.workflows.definition import CLOSED, Workflow
from services.workflows.reading import ANY, Way, effects_of

TIMER = "timer:"


@dataclass(frozen=True, slots=True)
class Arrow:
    """One declared way from one state to another."""

    source: str
    target: str
    trigger: str
    handler: Callable[..., Any]

    @property
    def by_timer(self) -> bool:
        """Whether time moves the case, and nobody."""
        return self.trigger.startswith(TIMER)

    @property
    def label(self) -> str:
        """The trigger, short: `acknowledged` of `subak.request.acknowledged.v1`; `accept ⏱` of a timer."""
        return short_name(self.trigger)


@dataclass(frozen=True, slots=True)
class Machine:
    """All that a workflow declares, arrow by arrow."""

    workflow: Workflow
    begins_in: frozenset[str]
    states: tuple[str, ...]
    """In the order in which one comes to them; those that none leads to last."""
    arrows: tuple[Arrow, ...]
    """In the order of the workflow's file."""

    def out_of(self, state: str) -> list[Arrow]:
        """The arrows that leave or stay in a state."""
        return [arrow for arrow in self.arrows if arrow.source == state]

    def takes(self, state: str, trigger: str) -> bool:
        """Whether a state has a handler for a trigger."""
        return any(arrow.trigger == trigger for arrow in self.out_of(state))

    def timers_in(self) -> dict[str, frozenset[str]]:
        """For each state that can be reached: the timers that may run while a case is in it."""
        return _running(self)


def short_name(trigger: str) -> str:
    """A trigger as a person says it."""
    if trigger.startswith(TIMER):
        return f"{trigger.removeprefix(TIMER)} ⏱"
    parts = trigger.split(".")
    return f"{parts[1]} {parts[2]}" if len(parts) == 4 else trigger


def machine_of(workflow: Workflow) -> Machine:
    """The machine that a workflow declares."""
    arrows = tuple(
        Arrow(source, target, transition.trigger, transition.handler)
        for transition in workflow.transitions
        for source in sorted(transition.states)
        for target in sorted(transition.to, key=lambda state: (state == CLOSED, state))
    )
    begins_in = workflow.begins_in
    if not begins_in and workflow.opener is not None:
        begins_in = frozenset(effects_of(workflow.opener).states)
    reached = reach(begins_in, ((arrow.source, arrow.target) for arrow in arrows))
    named = dict.fromkeys(state for arrow in arrows for state in (arrow.source, arrow.target))
    states = (*reached, *(state for state in named if state not in reached))
    return Machine(workflow, begins_in, (*(state for state in states if state != CLOSED), CLOSED), arrows)


def reach(first: Iterable[str], steps: Iterable[tuple[str, str]]) -> dict[str, None]:
    """The states that `steps` lead to from `first`, in the order in which they are met."""
    ways: dict[str, list[str]] = {}
    for source, target in steps:
        ways.setdefault(source, []).append(target)
    found = dict.fromkeys(sorted(first))
    waiting = list(found)
    while waiting:
        state = waiting.pop(0)
        for target in ways.get(state, ()):
            if target not in found:
                found[target] = None
                waiting.append(target)
    return found


def loops(ways: Mapping[str, Iterable[str]]) -> list[frozenset[str]]:
    """The sets of states that lead to one another (strongly connected, with at least one arrow inside)."""
    found = []
    reached = {state: set(reach(targets, ((s, t) for s, ts in ways.items() for t in ts)))
               for state, targets in ways.items()}  # fmt: skip
    left = [state for state, targets in reached.items() if state in targets]
    while left:
        one = left[0]
        together = frozenset(state for state in left if one in reached[state] and state in reached[one])
        found.append(together)
        left = [state for state in left if state not in together]
    return found


def _running(machine: Machine) -> dict[str, frozenset[str]]:
    opener = machine.workflow.opener
    running: dict[str, set[str]] = {state: set() for state in machine.begins_in}
    for way in effects_of(opener).ways if opener is not None else ():
        if way.state in running:
            running[way.state] |= _after(set(), way)
    waiting = list(running)
    while waiting:
        state = waiting.pop()
        for arrow in machine.out_of(state):
            timer = arrow.trigger.removeprefix(TIMER) if arrow.by_timer else None
            if arrow.target == CLOSED or (timer is not None and timer not in running[state]):
                continue
            for way in effects_of(arrow.handler).ways:
                if way.state != ANY and (way.state or state) != arrow.target:
                    continue
                after = _after(running[state] - {timer or ""}, way)
                known = running.get(arrow.target)
                if known is None or not after <= known:
                    running[arrow.target] = (known or set()) | after
                    waiting.append(arrow.target)
    return {state: frozenset(timers) for state, timers in running.items()}


def _after(timers: set[str], way: Way) -> set[str]:
    """The timers that run behind one way through a handler."""
    started = {name for name, started in way.timers if started}
    return (timers - {name for name, started in way.timers if not started}) | started
