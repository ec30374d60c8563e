"""A case keeps its workflow's version; a newer one takes cases over only where every live one is covered."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from bus.records import Record
from schemas.envelope import Event
from schemas.failures import Misconfigured
from schemas.identifiers import derived_id
from schemas.types.requests import RequestAcknowledged, RequestCommented, RequestSubmitted, RequestWithdrawn
from schemas.types.workorders import WorkOrderAccepted, WorkOrderCompleted, WorkOrderDefectFound
from services.workflows.definition import CLOSED, CaseState, Step, Workflow
from services.workflows.lint import lint
from services.workflows.logic import Workflows
from tests.services.test_repair import CITIZENS, CITY, REQUEST
from tests.support.matter import Matter

DAY = timedelta(days=1)
change = msgspec.structs.replace


class Newer(CaseState, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The second version remembers more."""

    seen: int = 0


def version(number: int, *, case: type[CaseState] = CaseState, begins_in: str = "asked") -> Workflow:
    workflow = Workflow("small", version=number, case=case, opened_by=RequestSubmitted, begins_in=[begins_in])

    @workflow.opens
    def opened(event: Event, data: RequestSubmitted, step: Step) -> CaseState:
        step.start_timer("remind", DAY)
        return case(id=event.subject, workflow=workflow.id, state=begins_in)

    @workflow.on_timer("remind", states=[begins_in], to="same")
    def remind(one: CaseState, data: object, step: Step) -> CaseState:
        step.start_timer("remind", DAY)
        return one

    @workflow.on(RequestAcknowledged, states=[begins_in], to=["kept"])
    def keep(one: CaseState, data: object, step: Step) -> CaseState:
        return change(one, state="kept")

    @workflow.on(RequestWithdrawn, states=[begins_in, "kept"], to=[CLOSED])
    def close(one: CaseState, data: object, step: Step) -> CaseState:
        return change(one, state=CLOSED)

    return workflow


def catalogue(*workflows: Workflow) -> dict[str, Workflow]:
    return {workflow.id: workflow for workflow in workflows}


def played(*workflows: Workflow, cases: int = 1) -> Matter:
    """A stage with so many open cases."""
    matter = Matter(CITY)
    matter.logic = Workflows(0, city=CITY, workflows=catalogue(*workflows))
    for number in range(cases):
        matter.say(CITIZENS, REQUEST, subject=derived_id("pinned", number))
    return matter


def read_back(changelog: list[Record], *workflows: Workflow) -> Workflows:
    logic = Workflows(0, city=CITY, workflows=catalogue(*workflows))
    for record in changelog:
        logic.restore([record])
    logic.restore(())
    return logic


def test_two_versions_run_side_by_side_and_a_case_keeps_its_own() -> None:
    old, new = version(1), version(2, begins_in="begun")
    matter = played(old)
    matter.logic = read_back(matter.changelog(), old, new)
    matter.say(CITIZENS, REQUEST, subject=derived_id("pinned", "later"))
    assert matter.state(derived_id("pinned", 0)) == "asked"
    assert matter.state(derived_id("pinned", "later")) == "begun"
    matter.say(CITIZENS, RequestWithdrawn(), subject=derived_id("pinned", 0))
    assert matter.state(derived_id("pinned", 0)) == CLOSED


def test_a_version_that_is_gone_while_cases_live_on_it_stops_the_start_with_a_sentence() -> None:
    changelog = played(version(1), cases=7).changelog()
    with pytest.raises(Misconfigured, match=r"^7 live cases are \(.* and 2 more\) pinned to the workflow 'small@1'"):
        read_back(changelog, version(2))


def test_a_version_whose_cases_are_all_closed_may_go() -> None:
    matter = played(version(1))
    matter.say(CITIZENS, RequestWithdrawn(), subject=derived_id("pinned", 0))
    logic = read_back(matter.changelog(), version(2))
    assert logic.sizes() == {"live": 0, "closed": 1, "parked": 0}


def migrating(states: dict[str, str], *, to: str = "begun") -> Workflow:
    new = version(2, case=Newer, begins_in="begun")

    @new.migrates("small@1", case=CaseState, states=states)
    def move(one: CaseState) -> Newer:
        return Newer(id=one.id, workflow="small@2", state=to, timers=one.timers, seen=1)

    return new


def test_a_migration_moves_every_case_with_its_timers_and_the_old_version_may_go() -> None:
    matter = played(version(1), cases=3)
    logic = read_back(matter.changelog(), migrating({"asked": "begun", "kept": "kept"}))
    moved = logic.memory.cases[derived_id("pinned", 1)]
    assert isinstance(moved, Newer)
    assert (moved.workflow, moved.state, moved.seen) == ("small@2", "begun", 1)
    assert logic.next_due() is not None
    matter.logic = logic
    matter.say(CITIZENS, RequestWithdrawn(), subject=derived_id("pinned", 1))
    assert matter.state(derived_id("pinned", 1)) == CLOSED


def test_a_state_that_the_migration_does_not_cover_stops_the_start_and_nothing_is_moved() -> None:
    changelog = played(version(1), cases=2).changelog()
    ran: list[str] = []
    new = version(2, case=Newer)

    @new.migrates("small@1", case=CaseState, states={"kept": "kept"})
    def move(one: CaseState) -> Newer:
        ran.append(one.id)
        return Newer(id=one.id, workflow="small@2", state="kept")

    with pytest.raises(Misconfigured, match=r"2 live cases are .* in the state 'asked' of small@1"):
        read_back(changelog, new)
    assert ran == []


def test_a_migration_that_does_what_it_does_not_declare_stops_the_start() -> None:
    changelog = played(version(1)).changelog()
    with pytest.raises(Misconfigured, match="led to 'kept', and declares 'begun'"):
        read_back(changelog, migrating({"asked": "begun"}, to="kept"))


def test_lint_names_the_states_that_a_migration_leaves_out() -> None:
    found = lint([version(1), migrating({"asked": "begun"})])
    assert [one.where for one in found if one.rule == "migration_incomplete"] == ["state kept"]


# -- bounds


def hostile(behaviour: str) -> Workflow:
    workflow = version(1, case=Newer)

    @workflow.on(RequestCommented, states=["asked"], to="same")
    def misbehave(one: Newer, data: RequestCommented, step: Step) -> Newer:
        if behaviour == "floods":
            for _ in range(10_000):
                step.emit(RequestCommented(text="again"))
        if behaviour == "raises":
            raise ZeroDivisionError
        if behaviour == "spins":
            step.start_timer("remind", timedelta(0))
        if behaviour == "leads astray":
            return change(one, state="nowhere")
        return one

    if behaviour == "spins":
        workflow._table["timer:remind", "asked"] = workflow._table[RequestCommented.registered.name, "asked"]
    return workflow


@pytest.mark.parametrize("behaviour", ["floods", "raises", "leads astray"])
def test_a_workflow_that_misbehaves_parks_its_case_and_sends_nothing_and_others_flow_on(behaviour: str) -> None:
    matter = played(hostile(behaviour), cases=2)
    sick, well = derived_id("pinned", 0), derived_id("pinned", 1)
    matter.say(CITIZENS, RequestCommented(text="?"), subject=sick)
    assert list(matter.logic.memory.parked) == [sick]
    assert [event.type for event in matter.events()] == ["subak.case.parked.v1"]
    matter.say(CITIZENS, RequestWithdrawn(), subject=well)
    assert matter.state(well) == CLOSED


def test_timers_that_chase_one_another_park_their_case() -> None:
    matter = played(hostile("spins"))
    id = derived_id("pinned", 0)
    matter.say(CITIZENS, RequestCommented(text="?"), subject=id)
    matter.wait(timedelta(seconds=1))
    parked, *waiting = matter.logic.memory.parked[id]
    assert len(waiting) <= 1
    assert parked.event.type == "subak.case.timerfired.v1"
    assert "1000 timers fired in a row" in str(matter.events()[-1].data)


def test_a_case_that_grows_without_end_refuses_what_would_make_it_too_large() -> None:
    workflow = version(1, case=Newer)

    class Hoard(CaseState, frozen=True, kw_only=True, omit_defaults=True, gc=False):
        notes: tuple[str, ...] = ()

    workflow = version(1, case=Hoard)

    @workflow.on(RequestCommented, states=["asked"], to="same")
    def hoard(one: Hoard, data: RequestCommented, step: Step) -> Hoard:
        return change(one, notes=(*one.notes, data.text))

    matter = played(workflow)
    id = derived_id("pinned", 0)
    for number in range(30):
        matter.say(CITIZENS, RequestCommented(text=f"{number}".ljust(4000, ".")), subject=id)
    assert len(matter.case(id).notes) == 16
    assert {reason.code for refusal in matter.refusals() for reason in refusal.reasons} == {"case_too_large"}
    matter.say(CITIZENS, RequestWithdrawn(), subject=id)
    assert matter.state(id) == CLOSED, "it can still be ended"


def test_a_timer_that_was_stopped_and_started_again_for_the_same_moment_fires_once() -> None:
    matter = Matter(CITY)
    matter.say(CITIZENS, REQUEST)
    holder = matter.case().holder
    for data in (RequestAcknowledged(), WorkOrderAccepted(), WorkOrderCompleted()):
        matter.say(holder, data)
    matter.say(matter.case().inspectors[0], WorkOrderDefectFound(description="Loose."))  # ordered again, the same day
    matter.say(holder, WorkOrderAccepted())
    matter.wait(matter.city.services["road-damage"].resolve_within)
    fired = [event.data for event in matter.events() if event.type == "subak.case.timerfired.v1"]
    assert len([data for data in fired if b'"resolve"' in data]) == 1
