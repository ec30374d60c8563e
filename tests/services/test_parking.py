"""A decision that fails harms its own case only: later events wait, a replay runs them in order, memory comes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bus.logic import Decided
from bus.repairing import replay_of
from bus.topics import CASES, EVENTS
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.types.acts import CorrectionRequested, DiscardRequested, ReplayRequested
from schemas.types.cases import CaseParked, TimerFired
from schemas.types.requests import RequestAcknowledged, RequestClosed, RequestSubmitted, RequestWithdrawn
from schemas.types.workorders import WorkOrderAccepted, WorkOrderIssued, WorkOrderStarted
from services.workflows.catalogue import WORKFLOWS
from services.workflows.deciding import Deciding
from services.workflows.definition import CLOSED
from services.workflows.logic import Workflows
from services.workflows.memory import Memory
from services.workflows.rehearsal import Rehearsal
from services.workflows.repair import joint as repair_module
from tests.services.test_repair import AREA, CITIZENS, CITY, FIRST, SERVICE
from tests.support.matter import Matter


@pytest.fixture
def matter() -> Matter:
    found = Matter(CITY)
    found.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA))
    return found


def defect(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a defect in the workflow")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Ordering work fails, until the fixture's patch is undone."""
    monkeypatch.setattr(repair_module, "order", defect)
    return monkeypatch


def parked(matter: Matter) -> list[str]:
    return [waiting.event.type.split(".")[2] for waiting in matter.logic.memory.parked.get(matter.id, ())]


def test_a_failed_decision_parks_its_case_and_no_other(matter: Matter, broken: pytest.MonkeyPatch) -> None:
    other = derived_id("another", "case")
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderAccepted())
    matter.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA), subject=other)
    assert parked(matter) == ["acknowledged", "accepted"]
    assert matter.state() == "forwarded"
    assert matter.state(other) == "forwarded"
    assert "a defect in the workflow" in matter.said(CaseParked).error


def test_a_replay_after_the_repair_runs_what_waits_in_order(matter: Matter, broken: pytest.MonkeyPatch) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderAccepted())
    matter.say(FIRST, WorkOrderStarted())
    broken.undo()
    matter.say("operations", ReplayRequested(reason="fixed"))
    assert (parked(matter), matter.state()) == ([], "in_progress")
    assert matter.said(WorkOrderIssued).attempt == 1


def test_a_replay_before_the_repair_parks_again_at_the_same_event(matter: Matter, broken: pytest.MonkeyPatch) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderAccepted())
    matter.say("operations", ReplayRequested())
    assert parked(matter) == ["acknowledged", "accepted"]
    assert len(matter.sent(CaseParked)) == 2


def test_a_parked_case_keeps_its_deadlines(matter: Matter, broken: pytest.MonkeyPatch) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.wait(CITY.services[SERVICE].acknowledge_within)
    assert parked(matter) == ["acknowledged", "timerfired"]
    broken.undo()
    matter.say("operations", ReplayRequested())
    assert matter.state() == "ordered", "the stale deadline was acted on"


def test_a_replay_of_a_case_that_is_not_parked_is_refused(matter: Matter) -> None:
    matter.say("operations", ReplayRequested())
    assert [reason.code for reason in matter.refusals()[0].reasons] == ["not_parked"]


def test_memory_read_back_is_the_memory_that_was(matter: Matter, broken: pytest.MonkeyPatch) -> None:
    closed = derived_id("closed", "case")
    matter.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA), subject=closed)
    matter.say(CITIZENS, RequestWithdrawn(), subject=closed)
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderAccepted())
    again = Memory(WORKFLOWS)
    again.restore(matter.changelog())
    memory = matter.logic.memory
    assert again.cases == memory.cases
    assert again.parked == memory.parked
    assert again.closed_case(closed) == memory.closed_case(closed) is not None
    assert again.next_due_ms() == memory.next_due_ms() is not None


def test_the_changelog_forgets_what_is_no_longer_parked(matter: Matter, broken: pytest.MonkeyPatch) -> None:
    matter.say(FIRST, RequestAcknowledged())
    broken.undo()
    matter.say("operations", ReplayRequested())
    latest = {record.key: record.value for record in matter.changelog()}
    waiting = [value for key, value in latest.items() if b"|parked|" in (key or b"")]
    assert waiting == [None]


def test_an_outcome_that_is_thrown_away_has_changed_nothing(matter: Matter) -> None:
    event = Event.of(
        RequestAcknowledged(), source=CITY.source_of(FIRST), subject=matter.id, time=matter.now.isoformat()
    )
    before = (dict(matter.logic.memory.cases), matter.logic.memory.next_due_ms())
    first = matter.logic.decide([matter._record(event)], matter.now)
    assert first.outputs
    matter.logic.decide_due(matter.now + timedelta(days=9))
    assert (dict(matter.logic.memory.cases), matter.logic.memory.next_due_ms()) == before


def test_a_batch_sees_its_own_changes(matter: Matter) -> None:
    def event(data: Any, number: int) -> Event:
        return Event.of(
            data,
            id=derived_id("batch", number),
            source=CITY.source_of(FIRST),
            subject=matter.id,
            time=matter.now.isoformat(),
        )

    batch = [RequestAcknowledged(), WorkOrderAccepted(), WorkOrderStarted()]
    decided = matter.take([event(data, number) for number, data in enumerate(batch)])
    assert matter.state() == "in_progress"
    states = [output for output in decided.outputs if output.topic == CASES]
    assert len(states) == 1, "a case that changes three times in a batch is written once"


def test_a_timer_fires_once_also_when_the_stage_starts_anew_before_its_event_comes_back(matter: Matter) -> None:
    due = matter.logic.next_due()
    assert due is not None
    fired = matter.logic.decide_due(due)
    matter.logic.apply(fired)
    assert [output.topic for output in fired.outputs] == [EVENTS, CASES]
    again = Workflows(0, city=CITY, workflows=WORKFLOWS)
    matter.outputs += fired.outputs
    again.restore(matter.changelog())
    assert again.decide_due(due).outputs == []
    assert again.next_due() is None


def test_a_timer_that_was_stopped_after_it_fired_does_nothing(matter: Matter) -> None:
    due = matter.logic.next_due()
    assert due is not None
    fired = matter.logic.decide_due(due)
    matter.logic.apply(fired)
    matter.say(FIRST, RequestAcknowledged())
    timer = Event.from_record(fired.outputs[0].headers, fired.outputs[0].value)
    assert timer.type == TimerFired.registered.name
    matter.take([timer])
    assert matter.state() == "ordered"


def test_many_due_timers_fire_in_bounded_batches_and_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.workflows.logic.TIMERS_MAX", 10)
    matter = Matter(CITY)
    for number in range(35):
        matter.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA), subject=derived_id("many", number))
    later = CITY.calendar.due(matter.now, CITY.services[SERVICE].acknowledge_within)
    sizes = []
    while (due := matter.logic.next_due()) is not None and due <= later:
        fired = matter.logic.decide_due(later)
        matter.logic.apply(fired)
        sizes.append(sum(output.topic == EVENTS for output in fired.outputs))
    assert sizes == [10, 10, 10, 5]


def test_closing_forgets_the_timers(matter: Matter) -> None:
    matter.say(CITIZENS, RequestWithdrawn())
    assert matter.state() == CLOSED
    assert matter.said(RequestClosed).outcome == "withdrawn"
    assert matter.logic.next_due() is None


def test_what_parks_a_case_does_not_tell_what_a_person_sent(matter: Matter, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        return RequestSubmitted.model_validate({"service_code": SERVICE, "area": AREA, "reporter": {"name": ["Ana"]}})

    monkeypatch.setattr(repair_module, "order", broken)
    matter.say(FIRST, RequestAcknowledged())
    error = matter.said(CaseParked).error
    assert "reporter.name" in error, "the error does not say where"
    assert "Ana" not in error


# -- what operators do


def head(matter: Matter) -> str:
    return matter.logic.memory.parked[matter.id][0].event.id


def codes(matter: Matter) -> list[str]:
    return [reason.code for refused in matter.refusals() for reason in refused.reasons]


def test_a_discarded_event_counts_for_nothing_and_the_rest_runs(matter: Matter, broken: pytest.MonkeyPatch) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(CITIZENS, RequestWithdrawn())
    matter.say("operations", DiscardRequested(reason="sent by mistake", by="ops", event_id=head(matter)))
    assert (parked(matter), matter.state()) == ([], CLOSED)
    [refused] = matter.refusals()
    assert (refused.agency, refused.reasons[0].code) == (FIRST, "discarded")
    assert "sent by mistake" in refused.reasons[0].problem
    assert refused.original is not None, "the event is lost"


def test_of_two_who_discard_at_once_one_is_refused_and_no_second_event_is_left_out(
    matter: Matter, broken: pytest.MonkeyPatch
) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderAccepted())
    matter.say(CITIZENS, RequestWithdrawn())
    act = DiscardRequested(reason="x", by="ops", event_id=head(matter))
    for _ in range(2):
        matter.say("operations", act)
    assert codes(matter).count("discarded") == 1
    assert codes(matter)[-1] in ("not_parked", "parked_elsewhere")


def corrected(matter: Matter, data: str) -> Decided:
    return matter.say("operations", CorrectionRequested(reason="wrong", by="ops", event_id=head(matter), data=data))


def test_a_correction_keeps_sender_case_and_lineage_and_runs_before_what_waits(
    matter: Matter, broken: pytest.MonkeyPatch
) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderAccepted())
    wrong = matter.logic.memory.parked[matter.id][0].event
    broken.undo()
    corrected(matter, '{"status_notes": "Corrected by telephone."}')
    assert (parked(matter), matter.state()) == ([], "accepted")
    [event] = [each for each in matter.events() if each.source == CITY.source_of(FIRST)]
    assert (event.type, event.subject, event.time) == (wrong.type, wrong.subject, wrong.time)
    assert (event.causationid, event.id == wrong.id) == (wrong.id, False)
    assert b"telephone" in event.data
    order = [each.type.split(".")[2] for each in matter.events() if each.type.split(".")[1] != "case"]
    assert order.index("acknowledged") < order.index("issued")
    assert len(matter.sent(WorkOrderIssued)) == 1, "the corrected event came back from the log and was taken again"
    assert codes(matter) == ["corrected"]


@pytest.mark.parametrize(
    ("data", "code"),
    [('{"status_notes": 7}', "string_type"), ('{"source": "urn:subak:x:y"}', "unknown_field"), ("[]", "not_an_object")],
)
def test_a_correction_that_the_schema_refuses_changes_nothing(
    matter: Matter, broken: pytest.MonkeyPatch, data: str, code: str
) -> None:
    matter.say(FIRST, RequestAcknowledged())
    corrected(matter, data)
    assert parked(matter) == ["acknowledged"]
    assert codes(matter)[0] == code or data == "[]"
    assert not [each for each in matter.events() if each.source == CITY.source_of(FIRST)]


def test_a_correction_that_does_not_help_is_refused_and_the_case_waits_as_before(
    matter: Matter, broken: pytest.MonkeyPatch
) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderAccepted())
    corrected(matter, '{"status_notes": "still"}')
    assert parked(matter) == ["acknowledged", "accepted"]
    assert codes(matter) == ["fails_again"]


def test_what_the_bus_itself_says_cannot_be_edited(matter: Matter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deciding, "_go_on", defect)
    due = matter.logic.next_due()
    assert due is not None
    matter.wait(due - matter.now)
    assert parked(matter) == ["timerfired"]
    corrected(matter, "{}")
    assert codes(matter) == ["not_editable"]
    assert parked(matter) == ["timerfired"]


def test_each_parking_is_an_event_of_its_own(matter: Matter, broken: pytest.MonkeyPatch) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say("operations", ReplayRequested())
    broken.undo()
    matter.say("operations", ReplayRequested())
    ids = [event.id for event in matter.events()]
    assert len(ids) == len(set(ids)), "an inbox would take the second for a repetition of the first"


def test_a_rehearsal_decides_what_the_act_does_and_changes_nothing(matter: Matter, broken: pytest.MonkeyPatch) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderAccepted())
    act = replay_of(CITY, matter.id, event_id=head(matter), by="ops", reason="mended")
    assert Rehearsal(CITY, matter.changelog()).act(act, matter.now).outcome == "failed_again"
    broken.undo()
    found = Rehearsal(CITY, matter.changelog()).act(act, matter.now)
    assert (found.outcome, found.waiting, found.state) == ("unparked", 2, "accepted")
    assert "subak.workorder.issued.v1" in found.said
    assert parked(matter) == ["acknowledged", "accepted"]
    matter.take([act])
    assert matter.state() == found.state
