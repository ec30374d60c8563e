"""Workflows with one sickness each, made from a sound one: what lint must find."""

from __future__ import annotations

from datetime import timedelta

from schemas.envelope import Event
from schemas.types.requests import RequestAcknowledged, RequestRated, RequestSubmitted, RequestWithdrawn
from services.workflows.definition import CLOSED, CaseState, Step, Workflow

DAY = timedelta(days=1)
ASKED, WAITING, LOST = "asked", "waiting", "lost"


def close(case: CaseState, data: object, step: Step) -> CaseState:
    return CaseState(id=case.id, workflow=case.workflow, state=CLOSED)


def sound() -> Workflow:
    """A small workflow that is in order: asked, then closed, or reminded each day."""
    workflow = Workflow("small", version=1, case=CaseState, opened_by=RequestSubmitted, begins_in=[ASKED])

    @workflow.opens
    def opened(event: Event, data: RequestSubmitted, step: Step) -> CaseState:
        step.start_timer("remind", DAY)
        return CaseState(id=event.subject, workflow=workflow.id, state=ASKED)

    @workflow.on_timer("remind", states=[ASKED], to="same")
    def remind(case: CaseState, data: object, step: Step) -> CaseState:
        step.start_timer("remind", DAY)
        step.emit(RequestRated(score=1), to="public-works")
        return case

    workflow.on(RequestWithdrawn, states=[ASKED], to=[CLOSED])(close)
    return workflow


def unreachable() -> Workflow:
    workflow = sound()
    workflow.on(RequestWithdrawn, states=[LOST], to=[CLOSED])(close)
    return workflow


def no_way_out() -> Workflow:
    workflow = sound()

    @workflow.on(RequestAcknowledged, states=[ASKED], to=[LOST])
    def lose(case: CaseState, data: object, step: Step) -> CaseState:
        step.stop_timer("remind")
        return CaseState(id=case.id, workflow=case.workflow, state=LOST)

    return workflow


def timer_unhandled() -> Workflow:
    workflow = sound()

    @workflow.on(RequestAcknowledged, states=[ASKED], to="same")
    def forget(case: CaseState, data: object, step: Step) -> CaseState:
        step.start_timer("nobody", DAY)
        return case

    return workflow


def timer_never_started() -> Workflow:
    workflow = sound()
    workflow.on_timer("never", states=[ASKED], to=[CLOSED])(close)
    return workflow


def timer_not_stopped() -> Workflow:
    workflow = sound()

    @workflow.on(RequestAcknowledged, states=[ASKED], to=[WAITING])
    def wait(case: CaseState, data: object, step: Step) -> CaseState:
        if data is None:
            step.stop_timer("remind")
        return CaseState(id=case.id, workflow=case.workflow, state=WAITING)

    workflow.on(RequestWithdrawn, states=[WAITING], to=[CLOSED])(close)
    return workflow


def timer_reckoned() -> Workflow:
    workflow = sound()

    @workflow.on(RequestAcknowledged, states=[ASKED], to="same")
    def reckon(case: CaseState, data: object, step: Step) -> CaseState:
        step.start_timer(f"remind-{case.id}", DAY)
        return case

    return workflow


def loop_without_person() -> Workflow:
    workflow = Workflow("small", version=1, case=CaseState, opened_by=RequestSubmitted, begins_in=[ASKED])

    @workflow.opens
    def opened(event: Event, data: RequestSubmitted, step: Step) -> CaseState:
        step.start_timer("on", DAY)
        return CaseState(id=event.subject, workflow=workflow.id, state=ASKED)

    @workflow.on_timer("on", states=[ASKED], to=[WAITING])
    def on(case: CaseState, data: object, step: Step) -> CaseState:
        step.start_timer("back", DAY)
        return CaseState(id=case.id, workflow=case.workflow, state=WAITING)

    @workflow.on_timer("back", states=[WAITING], to=[ASKED])
    def back(case: CaseState, data: object, step: Step) -> CaseState:
        step.start_timer("on", DAY)
        return CaseState(id=case.id, workflow=case.workflow, state=ASKED)

    workflow.on(RequestWithdrawn, states=[WAITING], to=[CLOSED])(close)
    return workflow


def declared_and_not_done() -> Workflow:
    workflow = sound()
    workflow.on(RequestAcknowledged, states=[ASKED], to=[CLOSED, WAITING])(close)
    workflow.on(RequestWithdrawn, states=[WAITING], to=[CLOSED])(close)
    return workflow


SICK = {
    "unreachable_state": unreachable,
    "no_way_out": no_way_out,
    "timer_unhandled": timer_unhandled,
    "timer_never_started": timer_never_started,
    "timer_not_stopped": timer_not_stopped,
    "unreadable": timer_reckoned,
    "loop_without_person": loop_without_person,
    "declared_and_not_done": declared_and_not_done,
}
