"""The test kit plays a case as the bus does, on the test's own clock, in milliseconds."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from hypothesis import given, settings

from schemas.registry import EventData
from schemas.types.cases import CaseEscalated, CaseWarned
from schemas.types.requests import RequestAcknowledged, RequestClosed, RequestCommented, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted, WorkOrderIssued
from services.workflows.definition import CLOSED
from services.workflows.testing import WorkflowTest
from tests.services.test_repair import ACTS, CITIZENS, CITY, REQUEST, play
from tests.support.matter import Matter


def ordered() -> WorkflowTest:
    case = WorkflowTest("repair", city=CITY).event(REQUEST, by=CITIZENS)
    return case.event(RequestAcknowledged(), by=case.case.holder)


def test_a_case_of_thirty_days_takes_under_ten_milliseconds() -> None:
    ordered().advance(days=30)  # the first one reckons the calendar's years
    began = time.process_time()
    case = ordered().advance(days=30)
    assert time.process_time() - began < 0.01
    assert case.said(RequestClosed).outcome == "unserviceable"


def test_a_warning_comes_before_the_target_and_the_breach_after_it() -> None:
    case = ordered()
    case.event(WorkOrderAccepted(), by=case.case.executor)
    due = case.due("resolve")
    assert due is not None
    case.advance((due - case.now) * 0.7)
    assert [data for data in case.emitted if isinstance(data, CaseWarned)] == []
    case.advance(due - case.now - timedelta(minutes=1))
    assert case.said(CaseWarned).due == due
    assert case.recipients(CaseWarned) == [case.case.executor]
    assert [data for data in case.emitted if isinstance(data, CaseEscalated)] == []
    case.advance(minutes=1)
    assert case.said(CaseEscalated).reason == "The work was not done by its target."


def test_a_comment_resets_nothing() -> None:
    case = ordered()
    before = case.case.timers
    case.advance(days=1).event(RequestCommented(text="Still there."), by=CITIZENS)
    assert (case.refused, case.case.timers) == ((), before)


def test_a_calendar_that_is_corrected_later_moves_no_deadline_that_was_set() -> None:
    case = ordered()
    due = case.due("resolve")
    object.__setattr__(case.city, "calendar", None)  # whoever asks it again now fails
    try:
        case._world.run_to(case._world.at_ms + 1000)
        assert case.due("resolve") == due == case.said(WorkOrderIssued).due
    finally:
        del case.city.__dict__["calendar"]


def test_an_agency_that_the_city_has_not_is_told() -> None:
    with pytest.raises(Exception, match='denpasar has no agency "public-work"'):
        WorkflowTest("repair", city=CITY).event(REQUEST, by="public-work")


@settings(max_examples=60, deadline=None)
@given(ACTS)
def test_the_kit_and_the_stage_come_to_the_same_case(acts: list[tuple[str, EventData, int]]) -> None:
    matter = Matter(CITY)
    matter.say(CITIZENS, REQUEST)
    case = WorkflowTest("repair", city=CITY, start=matter.now).event(REQUEST, by=CITIZENS)
    for who, data, days in acts:
        if matter.state() == CLOSED:
            break
        agency = play(matter, who, data)
        case.event(data, by=agency)
        matter.wait(timedelta(days=days))
        case.advance(days=days)
        assert case.state == matter.state()
    assert [data.registered.name for data in case.emitted] == [
        event.type for event in matter.events() if event.type != "subak.case.timerfired.v1"
    ]


def test_the_request_may_be_anything_that_the_city_takes() -> None:
    case = WorkflowTest("repair", city="san-francisco")
    data = RequestSubmitted(service_code="graffiti", area="06075")
    assert case.event(data, by=case.city.citizens_channel).state == "forwarded"
