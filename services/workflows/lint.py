"""What is wrong with a workflow before it runs: each finding a sentence with the place and the way out. Pure.

An *error* would make a case stall, loop or go to nobody; CI refuses it. A *warning* is worth a look: it may be meant.
Lint reads what a workflow declares (`machine.py`) and what its handlers may do (`reading.py`). That what is declared is
also what happens is held at run time by `definition.py`, and by tests over random events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from bus.city import City
from bus.city.model import OPERATIONS_TYPES
from schemas.registry import registry
from schemas.types.cases import Message, MessageRefused
from services.workflows.definition import CLOSED, Workflow
from services.workflows.machine import TIMER, Machine, loops, machine_of, reach, short_name
from services.workflows.pinning import states_without_migration
from services.workflows.reading import ANY, effects_of, place_of

Level = Literal["error", "warning"]

PLACES_SHOWN_MAX = 3
MESSAGE_REFUSED = MessageRefused.registered.name


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    level: Level
    rule: str
    """Stable, for machines: `unreachable_state`, `timer_unhandled` ..."""
    workflow: str
    where: str
    """The state, timer, role or handler."""
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.workflow}: {self.where}: {self.problem}. {self.fix}"

    def as_dict(self) -> dict[str, str]:
        """As plain strings."""
        return asdict(self)


def lint(workflows: Iterable[Workflow], city: City | None = None) -> list[Finding]:
    """Everything that is wrong with these workflows, and with their roles in a city; errors first."""
    all_workflows = list(workflows)
    found = [finding for workflow in all_workflows for finding in lint_workflow(workflow)]
    found += _migrations(all_workflows)
    found += _openings(all_workflows)
    if city is not None:
        found += [finding for workflow in all_workflows for finding in lint_roles(workflow, city)]
    return sorted(dict.fromkeys(found), key=lambda finding: (finding.level, finding.workflow))


def _migrations(workflows: list[Workflow]) -> Iterator[Finding]:
    """Migrations that leave a state of the older version out, where that version is still there to compare."""
    by_id = {workflow.id: workflow for workflow in workflows}
    for workflow in workflows:
        for migration in workflow.migrations.values():
            older = by_id.get(migration.from_workflow)
            for state in states_without_migration(older, migration) if older is not None else ():
                problem = f"the migration from {migration.from_workflow} does not say how a case goes on from it"
                yield _error("migration_incomplete", workflow.id, f"state {state}", problem, "Name it in `states`.")


def _openings(workflows: list[Workflow]) -> Iterator[Finding]:
    """Event types that would open cases of several workflows: each case has one, so the others would get none."""
    for workflow in workflows:
        others = [w.id for w in workflows if w.opened_by == workflow.opened_by and w.name != workflow.name]
        if others:
            problem = f"it opens cases of {', '.join(others)} too, and a case has one workflow"
            fix = "Give one of them an event type of its own: `subak new event-type NAME --opens-case`."
            yield _error("opened_by_two", workflow.id, f"event {workflow.opened_by}", problem, fix)


def lint_workflow(workflow: Workflow) -> list[Finding]:
    """What is wrong with one workflow, in any city."""
    machine = machine_of(workflow)
    checks = (_states, _loops, _handlers, _timers, _silence)
    return [finding for check in checks for finding in check(machine)]


def unhandled_events(workflows: Iterable[Workflow]) -> list[Finding]:
    """Event types that agencies may publish and that no workflow takes: each would come back refused."""
    all_workflows = list(workflows)
    taken = {trigger for workflow in all_workflows for trigger in workflow.triggers}
    taken |= {workflow.opened_by for workflow in all_workflows} | set(OPERATIONS_TYPES)
    problem = "agencies may publish it, and no workflow takes it: it would come back refused"
    fix = "Write a handler for it, or let the bus be its publisher."
    return [
        Finding("warning", "event_unhandled", "all", kind.name, problem, fix)
        for kind in registry
        if kind.publisher == "agency" and kind.name not in taken
    ]


# -- states


def _states(machine: Machine) -> Iterator[Finding]:
    id = machine.workflow.id
    if machine.workflow.opener is None:
        yield Finding("error", "no_opening", id, "the workflow", "nothing opens a case", "Decorate one with .opens.")
        return
    ways = [(arrow.source, arrow.target) for arrow in machine.arrows]
    reached = reach(machine.begins_in, ways)
    ending = reach([CLOSED], ((target, source) for source, target in ways))
    for state in machine.states:
        if state not in reached and state != CLOSED:
            problem = "no transition leads to this state"
            yield _error("unreachable_state", id, f"state {state}", problem, "Lead to it, or remove it.")
        elif state not in ending:
            problem = "no way leads from this state to the end of the case"
            fix = "Let an event or a timer lead out of it, on to closed."
            yield _error("no_way_out", id, f"state {state}", problem, fix)


def _silence(machine: Machine) -> Iterator[Finding]:
    """A state that only an agency can end, and where no timer may run: its silence would leave the case for ever."""
    for state, timers in machine.timers_in().items():
        if not any(machine.takes(state, f"{TIMER}{timer}") for timer in timers):
            problem = "no timer runs here, so if all are silent the case stays for ever"
            fix = "Start a timer on the way in, and handle it here."
            yield Finding("warning", "no_deadline", machine.workflow.id, f"state {state}", problem, fix)


def _loops(machine: Machine) -> Iterator[Finding]:
    """Round and round by timers alone: somebody must be told on the way, and be able to end it."""
    ways: dict[str, list[str]] = {}
    for arrow in machine.arrows:
        if arrow.by_timer:
            ways.setdefault(arrow.source, []).append(arrow.target)
    for loop in loops(ways):
        shown = " → ".join(state for state in machine.states if state in loop)
        inside = [a for a in machine.arrows if a.by_timer and a.source in loop and a.target in loop]
        person = any(not a.by_timer and a.source in loop and a.target not in loop for a in machine.arrows)
        told = any(effects_of(arrow.handler).addresses for arrow in inside)
        if person and told:
            continue
        problem = "timers lead round here, and no agency's event leads out" if not person else (
            "timers lead round here, and nobody is told of it"
        )  # fmt: skip
        fix = "Let an agency's event end it." if not person else "Emit an event with `to=` whoever must act."
        yield _error("loop_without_person", machine.workflow.id, f"loop {shown}", problem, fix)


# -- handlers and timers


def _handlers(machine: Machine) -> Iterator[Finding]:
    id = machine.workflow.id
    told = False
    for handler in dict.fromkeys([machine.workflow.opener, *(arrow.handler for arrow in machine.arrows)]):
        if handler is None:
            continue
        effects = effects_of(handler)
        told |= bool(effects.tells)
        for unread in sorted(effects.unread):
            yield _error("unreadable", id, place_of(handler), unread, "Write the timer's name as it is.")
        mine = {(arrow.source, arrow.target) for arrow in machine.arrows if arrow.handler is handler}
        for target in sorted({target for source, target in mine if source != target}):
            if effects.states.isdisjoint({target, ANY}):
                problem = f"it declares that it may lead to {target}, and no line of it sets that state"
                fix = "Take the state out of `to`, or set it."
                yield Finding("warning", "declared_and_not_done", id, place_of(handler), problem, fix)
    for trigger in sorted(machine.workflow.triggers):
        if trigger.startswith(TIMER):
            continue
        kind = registry.get(trigger)
        if kind.publisher == "bus" and not issubclass(kind.model, Message):
            problem = "the bus itself publishes it, and no case is told of it"
            yield _error("never_told", id, f"event {trigger}", problem, "Remove the handler, or make it a Message.")
    if told and MESSAGE_REFUSED not in machine.workflow.triggers:
        problem = "it tells other cases, and does not take their refusal"
        yield _error("refusal_unhandled", id, "the workflow", problem, f"Handle {MESSAGE_REFUSED}.")


def _timers(machine: Machine) -> Iterator[Finding]:
    id = machine.workflow.id
    handlers = [handler for handler in (machine.workflow.opener, *(a.handler for a in machine.arrows)) if handler]
    started = {timer for handler in handlers for timer in effects_of(handler).starts}
    stopped = {timer for handler in handlers for timer in effects_of(handler).stops}
    handled = {trigger.removeprefix(TIMER) for trigger in machine.workflow.triggers if trigger.startswith(TIMER)}
    for timer in sorted(started - handled):
        problem = "it is started, and no state handles it: it would fire for nothing"
        yield _error("timer_unhandled", id, f"timer {timer}", problem, "Write an on_timer for it, or start none.")
    for timer in sorted((handled | stopped) - started):
        problem = "nothing starts it"
        yield _error("timer_never_started", id, f"timer {timer}", problem, "Start it, or remove its handler.")
    for state, timers in machine.timers_in().items():
        for timer in sorted(timers & handled):
            if not machine.takes(state, f"{TIMER}{timer}"):
                problem = f"it may still run in the state {state}, where no handler takes it: it would be dropped"
                fix = f"Stop it on the way to {state}, or handle it there."
                yield _error("timer_not_stopped", id, f"timer {timer}", problem, fix)


# -- roles in a city


def lint_roles(workflow: Workflow, city: City) -> Iterator[Finding]:
    """Roles that nobody holds in a city, and escalations that could find nobody. Silent where nobody may open one."""
    if not any(agency.publishes_type(workflow.opened_by) for agency in city.agencies.values()):
        return
    known = {answer for role in workflow.roles for answer in role.answers}
    for trigger in sorted(workflow.triggers - known):
        if trigger.startswith(TIMER) or registry.get(trigger).publisher != "agency":
            continue
        if not any(agency.publishes_type(trigger) for agency in city.agencies.values()):
            fix = "Let an agency or a role publish it, in agencies.toml."
            yield Finding("warning", "nobody_says", workflow.id, f"event {trigger} in {city.id}",
                          "no agency of the city may publish it", fix)  # fmt: skip
    for role in workflow.roles:
        nobody: dict[str, list[str]] = {}
        for place, area, asked in role.found(city):
            if problem := _who_cannot(city, role.answers, area, asked):
                nobody.setdefault(problem, []).append(place)
        for problem, places in nobody.items():
            more = f" and {len(places) - PLACES_SHOWN_MAX} more" if len(places) > PLACES_SHOWN_MAX else ""
            where = f"role {role.name} in {city.id}, {', '.join(places[:PLACES_SHOWN_MAX])}{more}"
            fix = "Give an agency the right in agencies.toml, or ask another in services.toml."
            yield _error("role_unheld", workflow.id, where, problem, fix)


def _who_cannot(city: City, answers: tuple[str, ...], area: str | None, asked: tuple[str, ...]) -> str | None:
    """Why a role has nobody at one place, in words; None where it has."""
    says = " or ".join(short_name(answer) for answer in answers)
    if not asked:
        return "nobody is found to ask"
    able = [id for id in asked if any(city.may_publish(id, answer, area) is None for answer in answers)]
    if not able:
        return f"none of those asked ({', '.join(asked)}) may publish {says}"
    if asked[-1] not in able:
        return f"the escalation ends with {asked[-1]}, who may publish no {says}"
    return None


def _error(rule: str, workflow: str, where: str, problem: str, fix: str) -> Finding:
    return Finding("error", rule, workflow, where, problem, fix)
