"""Anyone follows a proposal to the payment and back, sees where it stopped, why and who decided; none vanishes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, update

from bus.city import load_city
from bus.city.load import city_path
from deploy.local.ports import free_ports
from schemas.types.budgets import BudgetPaid
from schemas.types.permits import OpinionGiven, PermitAccepted, PermitApplied, PermitDecided, PermitIssued
from schemas.types.proposals import ProposalMerged, ProposalRejected
from services.casebook import tables
from services.casebook.api import casebook_api
from services.casebook.database import reader_engine, writer_engine
from services.casebook.questions import Questions
from services.cli.asking import NotThere
from tests.casebook.tables import contents, fill
from tests.cli.command import found, run, said
from tests.cli.conftest import Filled, serving
from tests.support.logbook import Logbook
from tests.support.musrenbang import AREA, DISTRICT, FINANCE, PLANNING, WARD, WORKS, idr, in_logbook, line_in_logbook

CITY = load_city(city_path("denpasar"))


def musrenbang() -> Logbook:
    """Proposals: realised, rejected, merged, in works, waiting, and one that nobody answered; and two repairs."""
    log = Logbook(CITY)
    line_in_logbook(log)
    in_logbook(log, "silent", steps=1)
    log.repair("rated", service="road-damage", area=AREA, steps=7)
    log.repair("unrated", service="road-damage", area=AREA, steps=6)
    log.wait(timedelta(days=20))
    in_logbook(log, "realised")
    in_logbook(log, "rejected", steps=7)
    log.say(PLANNING, ProposalRejected(reason="Jalan nasional, bukan kota."), case="rejected")
    in_logbook(log, "works", steps=12)
    payment = BudgetPaid(contract_id="SPK-works", payment_id="SP2D-works", amount=idr(151))
    log.say(FINANCE, payment, case="works")
    in_logbook(log, "waiting", steps=2)
    in_logbook(log, "merged", steps=1)
    log.say(WARD, ProposalMerged(into=log.case_id("waiting"), reason="Saluran yang sama."), case="merged")
    permit = CITY.permits["building-permit"]
    applied = PermitApplied(service_code=permit.service_code, area="51.71.01.1005", title="Rumah tinggal")
    log.say(CITY.citizens_channel, applied, case="permit")
    log.say(permit.office, PermitAccepted(), case="permit")
    for agency in permit.consulted:
        log.say(agency, OpinionGiven(opinion="favourable", reason="Sesuai tata ruang."), case="permit")
    log.say(permit.office, PermitDecided(decision="granted", reason="Syarat terpenuhi."), case="permit")
    until = log.now + timedelta(days=365)
    log.say(permit.office, PermitIssued(permit_id="PBG-2026-001", valid_until=until), case="permit")
    return log


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Filled, Engine]]:
    log = musrenbang()
    url = f"sqlite:///{tmp_path_factory.mktemp('traced') / 'casebook.sqlite3'}"
    engine, reading = writer_engine(url), reader_engine(url)
    fill(engine, log)
    port = free_ports(1)[0]
    with serving(casebook_api(Questions(reading), CITY, why_not_ready=lambda: None, clock=lambda: log.now), port):
        yield Filled(f"http://127.0.0.1:{port}", log), engine
    reading.dispose()
    engine.dispose()


@pytest.fixture
def city(traced: tuple[Filled, Engine], monkeypatch: pytest.MonkeyPatch) -> Logbook:
    """The log, with its casebook where the commands find it."""
    monkeypatch.setenv("SUBAK_CASEBOOK_URL", traced[0].url)
    monkeypatch.setenv("SUBAK_CITY", "denpasar")
    return traced[0].logbook


def of(trace: dict[str, Any], kind: str) -> list[str]:
    return [link["ref"] for link in trace["links"] if link["kind"] == kind]


def test_a_proposal_is_told_from_the_meeting_to_the_asset(city: Logbook) -> None:
    trace = found("trace", city.case_id("realised"))
    chapters = list(dict.fromkeys(line["chapter"] for line in trace["story"]))
    assert chapters == ["proposed", "deliberated", "budgeted", "procured", "built", "paid", "ended"]
    assert trace["stopped"] == {
        "ended": True, "step": "register", "agency": FINANCE, "since": trace["case"]["closed_at"], "until": None,
        "overdue": False, "outcome": "realised", "reason": "Saluran is the city's asset KIB-realised.",
    }  # fmt: skip
    assert [(one["id"], one["value"]["amount"], one["billed"], one["paid"]) for one in trace["money"]["contracts"]] == [
        ("SPK-realised", "150", "150", "150")
    ]
    assert (trace["money"]["given"]["amount"], trace["money"]["paid"]["amount"]) == ("200", "150")
    assert of(trace, "case") == [city.case_id("line")]
    shown = said("trace", city.case_id("realised"))
    assert trace["agencies"][FINANCE] == CITY.agencies[FINANCE].name
    assert {WARD, DISTRICT, PLANNING, WORKS} < set(trace["agencies"])
    for words in ("Saluran air realised", "How it was ranked", "ended realised", "SPK-realised",
                  "brought by Renon Urban Ward kelurahan-renon", "decided by Regional Finance and Assets finance",
                  "Drainase", "IDR 150", "Regional Finance and Assets pays IDR 150"):  # fmt: skip
        assert words in " ".join(shown.split()), words


@pytest.mark.parametrize(
    ("ref", "kind"),
    [("SP2D-realised", "payment"), ("SPK-realised", "contract"), ("KIB-realised", "asset"), ("INV-realised", "invoice"),
     ("ocds-213czf-PBJ-2027-0017-realised", "ocid")],
)  # fmt: skip
def test_from_a_payment_a_contract_a_bill_or_an_asset_one_comes_back_to_the_proposal(
    city: Logbook, ref: str, kind: str
) -> None:
    trace = found("trace", ref)
    assert (trace["case"]["id"], trace["found_by"], trace["asked"]) == (city.case_id("realised"), kind, ref)


def test_from_a_budget_line_one_comes_to_all_that_it_funded(city: Logbook) -> None:
    for ref in (city.case_id("line"), "1.03.02"):
        trace = found("trace", ref)
        assert (trace["case"]["kind"], trace["case"]["title"]) == ("budget", "Drainase")
        assert set(of(trace, "case")) == {city.case_id("realised"), city.case_id("works")}
        funded = [link["case"]["title"] for link in trace["links"] if link["case"]]
        assert sorted(funded) == ["Saluran air realised", "Saluran air works"]


def test_where_it_stopped_why_and_who_decided(city: Logbook) -> None:
    stopped = found("trace", city.case_id("rejected"))["stopped"]
    assert (stopped["ended"], stopped["step"], stopped["agency"]) == (True, "budget", PLANNING)
    assert (stopped["outcome"], stopped["reason"]) == ("rejected", "Jalan nasional, bukan kota.")
    shown = " ".join(said("trace", city.case_id("rejected")).split())
    assert "ended rejected" in shown
    assert "it waited for money of a budget line" in shown


def test_a_request_is_told_too_with_its_cost_and_whose_word_ended_it(city: Logbook) -> None:
    trace = found("trace", city.case_id("rated"))
    assert (trace["stopped"]["outcome"], trace["stopped"]["agency"]) == ("rated", CITY.citizens_channel)
    shown = said("trace", city.case_id("rated"))
    for words in ("Request received: Damaged road or pothole", "cost IDR", "decided by Communications"):
        assert words in shown, words
    assert found("trace", city.case_id("unrated"))["stopped"]["agency"] is None
    assert "decided by nobody: a deadline passed" in said("trace", city.case_id("unrated"))


def test_who_is_asked_next_and_until_when(city: Logbook) -> None:
    stopped = found("trace", city.case_id("silent")[:12])["stopped"]
    assert (stopped["ended"], stopped["step"], stopped["agency"]) == (False, "endorse", DISTRICT)
    assert f"{WARD} was silent" in stopped["reason"]
    works = found("trace", city.case_id("works"))["stopped"]
    assert (works["step"], works["agency"], works["overdue"]) == ("pay", FINANCE, False)


def test_a_refused_payment_counts_for_nothing_and_its_refusal_is_shown(city: Logbook) -> None:
    trace = found("trace", city.case_id("works"))
    assert trace["money"]["paid"] is None
    assert "SP2D-works" not in of(trace, "payment")
    (refused,) = [line for line in trace["story"] if line["refusal_id"]]
    assert f"subak rejected show {refused['refusal_id']}" in said("trace", city.case_id("works"))


def test_a_merged_proposal_leads_to_the_one_that_goes_on_and_back(city: Logbook) -> None:
    merged = found("trace", city.case_id("merged"))
    assert merged["stopped"]["outcome"] == "merged"
    assert of(merged, "case") == [city.case_id("waiting")]
    assert of(found("trace", city.case_id("waiting")), "case") == [city.case_id("merged")]


def test_nothing_vanished_where_each_waits_for_somebody_or_has_its_reason(city: Logbook) -> None:
    answer = found("trace", "--vanished")
    assert (answer["vanished"], answer["looked_at"]) == ([], 6)
    assert "None of the 6 proposals vanished" in said("trace", "--vanished")


def test_what_rests_or_ends_without_a_next_step_is_listed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = musrenbang()
    url = f"sqlite:///{tmp_path / 'casebook.sqlite3'}"
    engine, reading = writer_engine(url), reader_engine(url)
    fill(engine, log)
    gone: list[tuple[str, dict[str, str | None]]] = [
        (log.case_id("waiting"), {"holder": None}),
        (log.case_id("works"), {"parked_at": log.now.isoformat()}),
    ]
    with engine.begin() as connection:
        for id, values in gone:
            connection.execute(update(tables.cases).where(tables.cases.c.id == id).values(**values))
    port = free_ports(1)[0]
    monkeypatch.setenv("SUBAK_CASEBOOK_URL", f"http://127.0.0.1:{port}")
    later = log.now + timedelta(days=60)
    with serving(casebook_api(Questions(reading), CITY, why_not_ready=lambda: None, clock=lambda: later), port):
        listed = found("trace", "--vanished")["vanished"]
        why = {one["case"]["title"].removeprefix("Saluran air "): one["why"] for one in listed}
        assert why == {
            "silent": "overdue", "waiting": "nobody_asked", "works": "parked", "merged": "merged_into_vanished",
        }  # fmt: skip
        (silent,) = [one for one in listed if one["why"] == "overdue"]
        by = datetime.fromisoformat(silent["case"]["answer_by"]).astimezone(CITY.zone)
        names = CITY.agencies[DISTRICT].name
        assert silent["says"]["en"] == f"{names['en']} has not answered by {by:%Y-%m-%d %H:%M}"
        assert silent["says"]["id"].startswith(f"{names['id']} belum menjawab")
        shown = said("trace", "--vanished")
        assert "Nobody is asked for an answer" in shown
        assert f"{names['en']} {DISTRICT}" in shown
    reading.dispose()
    engine.dispose()


def test_the_tables_are_the_same_whatever_portions_the_log_is_read_in(tmp_path: Any) -> None:
    log, made = musrenbang(), []
    for portion in (1, 7, 10_000):
        engine = writer_engine(f"sqlite:///{tmp_path / f'{portion}.sqlite3'}")
        fill(engine, log, portion=portion)
        made.append(contents(engine))
        engine.dispose()
    assert made[0] == made[1] == made[2]
    assert made[0]["links"]


def test_what_nobody_knows_and_what_is_not_one_thing_is_told(city: Logbook) -> None:
    nothing, several = run("trace", "SP2D-0").exception, run("trace", "W-1").exception
    assert isinstance(nothing, NotThere)
    assert "Nothing in the casebook is called SP2D-0" in str(nothing)
    assert isinstance(several, NotThere)
    assert str(several).startswith("W-1 leads to several cases: ")
    for wrong in ((), (city.case_id("works"), "--vanished")):
        assert "say what to trace" in str(run("trace", *wrong).exception)


def test_a_permit_is_told_too_and_found_by_its_number(city: Logbook) -> None:
    trace = found("trace", "PBG-2026-001")
    assert (trace["case"]["kind"], trace["case"]["state"]) == ("permit", "issued")
    assert trace["story"][0]["chapter"] == "applied"
    shown = said("trace", "PBG-2026-001")
    for words in (
        "applies for a permit: Rumah tinggal",
        "favourable: Sesuai tata ruang.",
        "Permit PBG-2026-001 is issued",
    ):
        assert words in shown, words


def test_works_is_the_executor(city: Logbook) -> None:
    assert found("case", "show", city.case_id("works"))["case"]["agency"] == WORKS
