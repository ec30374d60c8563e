"""The permit workflow's law: all are heard at once, silence stalls nothing, and each permit has an end that is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.city import City, load_city
from bus.city.load import city_path
from schemas.registry import EventData
from schemas.types.cases import CaseEscalated
from schemas.types.permits import (
    ConsultationRequested,
    EvidenceGiven,
    EvidenceRequested,
    EvidenceSupplied,
    EvidenceWanted,
    OpinionGiven,
    PermitAccepted,
    PermitApplied,
    PermitClosed,
    PermitDecided,
    PermitDecisionRequested,
    PermitIssued,
    PermitReinstated,
    PermitRevoked,
    PermitSuspended,
    PermitWithdrawn,
)
from services.workflows.definition import CLOSED
from services.workflows.permit import EVIDENCE_ROUNDS_MAX
from tests.support.matter import Matter

CITY = load_city(city_path("denpasar"))
KIND = CITY.permits["building-permit"]
OFFICE, CONSULTED = KIND.office, KIND.consulted
CHANNEL, ABOVE = CITY.citizens_channel, "city-secretariat"
APPLICATION = PermitApplied(service_code="building-permit", area="51.71.01.1005", title="Rumah tinggal dua lantai")
WANTED = EvidenceRequested(evidence=(EvidenceWanted(code="IMB-02", name="Surat tanah"),), reason="Batas belum jelas.")
BROUGHT = EvidenceSupplied(evidence=(EvidenceGiven(code="IMB-02", document_url="https://files.example.org/a.pdf"),))
GOOD = OpinionGiven(opinion="favourable", reason="Sesuai tata ruang.")
AHEAD = datetime.fromisoformat("2028-01-01T00:00:00Z")
GRANTED = PermitDecided(decision="granted", reason="Syarat terpenuhi.")


def issue(matter: Matter, days: int = 365) -> PermitIssued:
    return PermitIssued(permit_id="PBG-001", valid_until=matter.now + timedelta(days=days))


@pytest.fixture
def matter() -> Matter:
    """An application that has come in."""
    found = Matter(CITY)
    found.say(CHANNEL, APPLICATION)
    return found


def consulting(matter: Matter) -> Matter:
    matter.say(OFFICE, PermitAccepted())
    return matter


def deciding(matter: Matter) -> Matter:
    consulting(matter)
    for agency in CONSULTED:
        matter.say(agency, GOOD)
    return matter


def issued(matter: Matter) -> Matter:
    deciding(matter).say(OFFICE, GRANTED)
    matter.say(OFFICE, issue(matter))
    return matter


def end(matter: Matter) -> tuple[str, str, str]:
    assert matter.state() == CLOSED
    (closed,) = [data for _, data in matter.sent(PermitClosed)]
    return closed.outcome, closed.decided_by_agency, closed.reason


def test_the_straight_way_to_the_permit_and_its_end(matter: Matter) -> None:
    issued(matter).wait(timedelta(days=366))
    assert matter.refusals() == []
    asked = [(event.recipient, data.step) for event, data in matter.sent(PermitDecisionRequested)]
    assert asked == [(OFFICE, "check"), (OFFICE, "decide"), (OFFICE, "issue")]
    assert end(matter) == ("expired", OFFICE, "The permit PBG-001 held until now.")


@pytest.mark.parametrize("order", list(permutations(CONSULTED)))
def test_all_are_asked_at_once_and_the_last_answer_leads_on_in_whatever_order(
    matter: Matter, order: tuple[str, ...]
) -> None:
    consulting(matter)
    assert [event.recipient for event, _ in matter.sent(ConsultationRequested)] == list(CONSULTED)
    for agency in order[:-1]:
        matter.say(agency, GOOD)
        assert matter.state() == "consulting"
    matter.say(order[-1], GOOD)
    assert matter.state() == "deciding"
    told = matter.said(PermitDecisionRequested).opinions
    assert told == tuple(f"{agency}: favourable: Sesuai tata ruang." for agency in order)


def test_an_opinion_counts_once(matter: Matter) -> None:
    consulting(matter).say(CONSULTED[0], GOOD)
    matter.say(CONSULTED[0], GOOD)
    assert matter.refusals()[-1].reasons[0].code == "not_your_case"
    assert matter.case().waiting_for == CONSULTED[1:]


def test_evidence_takes_the_applicants_time_and_not_the_offices(matter: Matter) -> None:
    matter.say(OFFICE, WANTED)
    matter.wait(timedelta(days=29))
    assert matter.sent(CaseEscalated) == []
    matter.say(CHANNEL, BROUGHT)
    assert (matter.state(), matter.said(PermitDecisionRequested).step) == ("checking", "check")


def test_an_application_lapses_when_its_evidence_does_not_come(matter: Matter) -> None:
    matter.say(OFFICE, WANTED)
    matter.wait(timedelta(days=31))
    assert end(matter) == ("lapsed", OFFICE, "The evidence was not brought in time.")


def test_evidence_is_not_asked_for_without_end(matter: Matter) -> None:
    for _ in range(EVIDENCE_ROUNDS_MAX):
        matter.say(OFFICE, WANTED)
        matter.say(CHANNEL, BROUGHT)
    matter.say(OFFICE, WANTED)
    assert matter.refusals()[-1].reasons[0].code == "too_often"


def test_the_parent_of_the_silent_may_answer_for_them(matter: Matter) -> None:
    consulting(matter).say(CONSULTED[0], GOOD)
    matter.wait(timedelta(days=11))
    assert [data.to_agency for _, data in matter.sent(CaseEscalated)] == [ABOVE]
    matter.say(ABOVE, GOOD)
    assert matter.state() == "deciding"


def test_silence_of_all_stalls_nothing_and_the_office_is_told_whose_opinion_is_missing(matter: Matter) -> None:
    consulting(matter).say(CONSULTED[0], GOOD)
    matter.wait(timedelta(days=21))
    assert matter.state() == "deciding"
    opinions = matter.said(PermitDecisionRequested).opinions
    assert opinions is not None
    assert opinions[1:] == tuple(f"{agency}: no opinion in time" for agency in CONSULTED[1:])


def test_a_silent_office_is_reported_upwards_and_who_is_above_may_act(matter: Matter) -> None:
    matter.wait(timedelta(days=6))
    assert matter.said(CaseEscalated).to_agency == ABOVE
    matter.say(ABOVE, PermitAccepted())
    assert matter.state() == "consulting"


def test_however_long_the_office_is_silent_somebody_is_asked(matter: Matter) -> None:
    matter.wait(timedelta(days=3 * 366))
    assert matter.case().timers["answer"] > 0
    assert len(matter.case().asked) == 3


def test_a_refusal_ends_it_with_its_reason(matter: Matter) -> None:
    deciding(matter).say(OFFICE, PermitDecided(decision="refused", reason="Di sempadan sungai."))
    assert end(matter) == ("refused", OFFICE, "Di sempadan sungai.")


def test_a_suspended_permit_holds_again_or_is_revoked_and_expires_meanwhile(matter: Matter) -> None:
    issued(matter).say(OFFICE, PermitSuspended(reason="Laporan warga."))
    assert matter.state() == "suspended"
    matter.say(OFFICE, PermitReinstated(reason="Tidak terbukti."))
    assert matter.state() == "issued"
    matter.say(OFFICE, PermitSuspended(reason="Laporan kedua."))
    matter.say(OFFICE, PermitRevoked(reason="Disalahgunakan."))
    assert end(matter) == ("revoked", OFFICE, "Disalahgunakan.")


def test_a_suspension_does_not_move_the_end(matter: Matter) -> None:
    issued(matter).say(OFFICE, PermitSuspended(reason="Laporan warga."))
    matter.wait(timedelta(days=366))
    assert end(matter)[0] == "expired"


def test_a_withdrawal_is_told_to_those_who_were_consulted(matter: Matter) -> None:
    consulting(matter).say(CHANNEL, PermitWithdrawn())
    event, _ = matter.sent(PermitClosed)[0]
    assert set(CONSULTED) <= set((event.parties or "").split(","))
    assert end(matter)[0] == "withdrawn"


def test_a_withdrawal_is_told_to_whoever_was_asked_in_place_of_the_silent(matter: Matter) -> None:
    consulting(matter).wait(timedelta(days=11))
    assert matter.case().standing_in.keys() == {ABOVE}
    matter.say(CHANNEL, PermitWithdrawn())
    event, _ = matter.sent(PermitClosed)[0]
    assert ABOVE in (event.parties or "").split(",")


def test_an_office_that_would_be_consulted_too_is_not_asked_what_it_thinks_itself() -> None:
    kind = KIND.model_copy(update={"consulted": (OFFICE, *CONSULTED)})
    fields = {name: getattr(CITY, name) for name in City.model_fields if name != "permits"}
    matter = Matter(City(**fields, permits={**CITY.permits, "building-permit": kind}))
    matter.say(CHANNEL, APPLICATION)
    consulting(matter)
    assert [event.recipient for event, _ in matter.sent(ConsultationRequested)] == list(CONSULTED)
    assert matter.case().waiting_for == CONSULTED


@pytest.mark.parametrize(
    ("agency", "data", "code"),
    [
        (OFFICE, GRANTED, "wrong_state"),
        (CONSULTED[0], GOOD, "wrong_state"),
        (CONSULTED[0], PermitAccepted(), "not_your_case"),
        (
            OFFICE,
            PermitIssued(permit_id="P", valid_until=datetime.fromisoformat("2027-01-01T00:00:00Z")),
            "wrong_state",
        ),
        (OFFICE, PermitWithdrawn(), "not_your_case"),
        (OFFICE, PermitRevoked(reason="x"), "wrong_state"),
    ],
)
def test_what_is_not_ones_turn_is_refused_and_changes_nothing(
    matter: Matter, agency: str, data: EventData, code: str
) -> None:
    before = matter.case()
    matter.say(agency, data)
    assert (matter.refusals()[-1].reasons[0].code, matter.case()) == (code, before)


def test_a_second_grant_and_a_permit_that_has_ended_already_are_refused(matter: Matter) -> None:
    deciding(matter).say(OFFICE, GRANTED)
    matter.say(OFFICE, GRANTED)
    assert matter.refusals()[-1].reasons[0].code == "wrong_state"
    for days in (-1, 0):
        matter.say(OFFICE, issue(matter, days=days))
        assert matter.refusals()[-1].reasons[0].code == "ended_already"
        assert matter.state() == "granted"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (PermitApplied(service_code="castle-permit", area="51.71", title="Puri"), "unknown_service"),
        (PermitApplied(service_code="building-permit", area="51", title="Rumah"), "unknown_area"),
    ],
)
def test_an_application_for_no_permit_or_place_of_the_city_opens_no_case(data: PermitApplied, code: str) -> None:
    matter = Matter(CITY)
    matter.say(CHANNEL, data)
    assert (matter.refusals()[-1].reasons[0].code, matter.state()) == (code, None)


AGENCIES = (CHANNEL, OFFICE, *CONSULTED, ABOVE)
ANYTHING = (
    WANTED, BROUGHT, PermitAccepted(), GOOD, GRANTED, PermitDecided(decision="refused", reason="Tidak."),
    PermitIssued(permit_id="P", valid_until=AHEAD),
    PermitSuspended(reason="x"), PermitReinstated(reason="x"), PermitRevoked(reason="x"), PermitWithdrawn(),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    said=st.lists(
        st.tuples(st.sampled_from(AGENCIES), st.sampled_from(ANYTHING), st.integers(0, 20)), min_size=5, max_size=50
    )
)
def test_whoever_says_what_a_permit_is_issued_only_after_all_were_heard_and_nothing_stalls(
    said: list[tuple[str, EventData, int]],
) -> None:
    matter = Matter(CITY)
    matter.say(CHANNEL, APPLICATION)
    for agency, data, days in said:
        matter.wait(timedelta(days=days))
        matter.say(agency, data)
        case = matter.case()
        if case.state == CLOSED:
            assert len(matter.sent(PermitClosed)) == 1
            return
        assert any(due > 0 for due in case.timers.values()), f"nothing ends the state {case.state}"
        if case.state in ("deciding", "granted", "issued", "suspended"):
            assert case.waiting_for == ()
            heard = " ".join(case.opinions)
            assert all(name in heard for name in CONSULTED) or ABOVE in heard
    assert matter.logic.memory.parked == {}
