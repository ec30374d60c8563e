"""An event travels through Kafka's headers unchanged, and what follows from it says so."""

from __future__ import annotations

import msgspec
import pytest

from schemas.envelope import OPTIONAL_ATTRIBUTES, REQUIRED_ATTRIBUTES, Event, NotAnEvent
from schemas.identifiers import derived_id, is_event_id, is_uuid, new_id
from schemas.types import RequestRated
from tests.schemas.good import CASE, FULL, GOOD, record


@pytest.mark.parametrize("event", [GOOD, FULL])
def test_an_event_comes_out_of_a_record_as_it_went_in(event: Event) -> None:
    assert Event.from_record(event.headers(), event.data) == event


def test_the_full_event_says_every_attribute() -> None:
    assert set(FULL.attributes()) == {*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES}


def test_reading_the_log_ignores_headers_that_it_does_not_know() -> None:
    headers = [*record(), ("ce_colour", b"red"), ("x-origin", b"\xff"), ("ce_recipient", None)]
    assert Event.from_record(headers, GOOD.data) == GOOD


@pytest.mark.parametrize("name", REQUIRED_ATTRIBUTES)
def test_a_record_without_what_every_event_has_is_not_an_event(name: str) -> None:
    with pytest.raises(NotAnEvent, match=name):
        Event.from_record(record(**{name: None}), b"{}")
    with pytest.raises(NotAnEvent):
        Event.from_record(record(**{name: b"\xff"}), b"{}")


def test_a_consequence_stays_in_its_case_and_names_its_cause() -> None:
    cause = msgspec.structs.replace(FULL, correlationid=None)
    rated = Event.of(RequestRated(score=4), source="urn:subak:denpasar:workflows", subject="other", time=FULL.time)
    follower = rated.follow(cause)
    assert (follower.subject, follower.causationid, follower.correlationid) == (CASE, cause.id, cause.id)
    assert (follower.jurisdiction, follower.traceparent) == (cause.jurisdiction, cause.traceparent)
    assert follower.follow(follower).correlationid == cause.id


def test_a_consequence_speaks_to_nobody_that_its_cause_spoke_to() -> None:
    rated = Event.of(RequestRated(score=4), source="urn:subak:denpasar:workflows", subject=CASE, time=FULL.time)
    follower = rated.follow(FULL)
    assert (follower.recipient, follower.parties, follower.workflowversion) == (None, None, None)
    assert (follower.sequence, follower.dataref, follower.signature) == (None, None, None)
    own = msgspec.structs.replace(rated, parties="finance", jurisdiction="51.71").follow(FULL)
    assert (own.parties, own.jurisdiction) == ("finance", "51.71")


def test_ids_begin_as_uuids_and_follow_from_their_cause() -> None:
    assert is_uuid(new_id())
    assert is_uuid(derived_id("a", 1))
    assert derived_id("a", 1) == derived_id("a", 1) != derived_id("a", 2)
    assert derived_id("a1", "") != derived_id("a", "1")


def test_an_id_is_judged_whole() -> None:
    assert not is_uuid(new_id() + "\n")
    assert not is_uuid(new_id().upper())
    assert is_event_id("DPU-11-2026/204")
    assert not is_event_id("DPU 204")
    assert not is_event_id("DPU\n")
