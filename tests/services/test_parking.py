"""A decision that fails harms its own case only: later events wait, a replay runs them in order, memory comes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from bus.logic import Decided
from bus.repairing import replay_of
from bus.topics import CASES, EVENTS
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.types.acts import CorrectionRequested, DiscardRequested, ReplayRequested
from schemas.types.cases import CaseParked, CaseReplayed, TimerFired
from schemas.types.requests import RequestAcknowledged, RequestClosed, RequestSubmitted, RequestWithdrawn
from schemas.types.workorders import WorkOrderAccepted, WorkOrderIssued, WorkOrderStarted
from services.workflows import repairing
from services.workflows.catalogue import WORKFLOWS
from services.workflows.deciding import Deciding
from services.workflows.definition import CLOSED
from services.workflows.logic import Workflows
from services.workflows.memory import Memory
from services.workflows.rehearsal import Rehearsal
from services.workflows.repair import joint as repair_module
from services.workflows.repair import repair
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


def test_a_replay_that_succeeds_says_who_asked_why_and_how_many_events_ran_behind_what_follows_from_them(
    matter: Matter, broken: pytest.MonkeyPatch
) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderAccepted())
    matter.say(FIRST, WorkOrderAccepted())
    broken.undo()
    waited = tuple(each.event.id for each in matter.logic.memory.parked[matter.id])
    act = ReplayRequested(reason="fixed", by="ops-1", event_id=head(matter))
    decided = matter.say("operations", act, id="the-replay")
    told = matter.said(CaseReplayed)
    assert told == CaseReplayed(
        act_type=ReplayRequested.registered.name, by="ops-1", reason="fixed", events=3, event_ids=waited, refused=1
    ), "the second acceptance was refused, and counts all the same"
    log = [Event.from_record(each.headers, each.value) for each in decided.outputs if each.topic == EVENTS]
    assert (log[-1].type, log[-1].causationid) == (CaseReplayed.registered.name, "the-replay")
    assert (log[-1].jurisdiction, log[-1].recipient, log[-1].parties) == (AREA, None, None)


def test_a_replay_that_fails_again_or_is_refused_does_not_say_that_it_ran(
    matter: Matter, broken: pytest.MonkeyPatch
) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say("operations", ReplayRequested(reason="too early", by="ops-1"))
    assert matter.sent(CaseReplayed) == []
    broken.undo()
    matter.say("operations", ReplayRequested(reason="fixed", by="ops-1"))
    matter.say("operations", ReplayRequested(reason="once more", by="ops-2"))
    assert [told.reason for _, told in matter.sent(CaseReplayed)] == ["fixed"]


def test_what_runs_behind_a_discarded_event_is_told_and_that_nothing_did_where_nothing_waited(
    matter: Matter, broken: pytest.MonkeyPatch
) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say("operations", DiscardRequested(reason="twice", by="ops-1", event_id=head(matter)))
    told = matter.said(CaseReplayed)
    assert (told.act_type, told.events, told.event_ids) == (DiscardRequested.registered.name, 0, ())
    matter.say(FIRST, RequestAcknowledged())
    matter.say(CITIZENS, RequestWithdrawn(), id="the-withdrawal")
    matter.say("operations", DiscardRequested(reason="again", by="ops-1", event_id=head(matter)))
    told = matter.said(CaseReplayed)
    assert (told.reason, told.events, told.event_ids) == ("again", 1, ("the-withdrawal",))


def test_a_correction_tells_of_the_event_that_it_put_in_and_of_what_ran_behind_it(
    matter: Matter, broken: pytest.MonkeyPatch
) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderAccepted(), id="the-acceptance")
    broken.undo()
    act = CorrectionRequested(reason="wrong", by="ops-1", event_id=head(matter), data="{}")
    matter.say("operations", act, id="the-correction")
    told = matter.said(CaseReplayed)
    assert (told.events, told.event_ids) == (2, (derived_id("the-correction", "corrected"), "the-acceptance"))


def test_two_who_replay_at_once_in_one_batch_or_in_two_leave_one_word(
    matter: Matter, broken: pytest.MonkeyPatch
) -> None:
    matter.say(FIRST, RequestAcknowledged())
    broken.undo()
    acts = [replay_of(CITY, matter.id, event_id=head(matter), by=by, reason="fixed") for by in ("ops-1", "ops-2")]
    matter.take(acts)
    matter.take(acts)
    assert [(event.causationid, told.by) for event, told in matter.sent(CaseReplayed)] == [(acts[0].id, "ops-1")]


def test_a_replay_of_very_many_events_names_the_first_of_them_and_fits_into_a_record(
    matter: Matter, broken: pytest.MonkeyPatch
) -> None:
    for data in (RequestAcknowledged(), WorkOrderAccepted(), WorkOrderStarted()):
        matter.say(FIRST, data)
    waited = [each.event.id for each in matter.logic.memory.parked[matter.id]]
    broken.undo()
    broken.setattr(repairing, "RAN_NAMED_MAX", 2)
    matter.say("operations", ReplayRequested(reason="fixed", by="ops-1"))
    told = matter.said(CaseReplayed)
    assert (told.events, list(told.event_ids)) == (3, waited[:2])
    longest = CaseReplayed(
        act_type="x" * 200, by="x" * 200, reason="\U0001f6a7" * 1000, events=1000, event_ids=("x" * 128,) * 1000
    )
    assert len(longest.encode()) < 200_000


def test_a_case_that_never_began_has_the_word_of_its_replay_in_its_own_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matter = Matter(CITY)
    with monkeypatch.context() as sick:
        sick.setattr(repair, "_opens", defect)
        event = Event.of(
            RequestSubmitted(service_code=SERVICE, area=AREA), source=CITY.source_of(CITIZENS), subject=matter.id,
            time=matter.now.isoformat(),
        )  # fmt: skip
        matter.take([msgspec.structs.replace(event, jurisdiction=AREA)])
    [(parked_, _)] = matter.sent(CaseParked)
    matter.say("operations", DiscardRequested(reason="a trial", by="ops-1", event_id=event.id))
    [(word, _)] = matter.sent(CaseReplayed)
    assert matter.case() is None
    assert (word.subject, word.jurisdiction, word.correlationid) == (matter.id, AREA, event.id)
    assert (parked_.jurisdiction, parked_.correlationid) == (word.jurisdiction, word.correlationid)


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
