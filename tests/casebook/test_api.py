"""What may be asked of the casebook, and what it answers: pages that miss nothing, filters, and refusals in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import Gauge
from sqlalchemy import Engine

from bus import metrics
from bus.city import load_city
from bus.city.load import city_path
from bus.records import Record
from bus.topics import out_topic
from schemas.failures import Reason
from schemas.types.acts import ReplayRequested
from schemas.types.requests import RequestAcknowledged, RequestRated, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted, WorkOrderCompleted, WorkOrderSuspended
from services.casebook.api import casebook_api
from services.casebook.filters import Cursor
from services.casebook.measuring import measure
from services.casebook.questions import Questions
from services.casebook.writer import Writer
from services.workflows.repair import joint as repair_module
from services.workflows.repair import repair
from tests.casebook.tables import fill, rows
from tests.support.logbook import START, Logbook

CITY = load_city(city_path("denpasar"))
SERVICE, OTHER = "road-damage", "sidewalk"
SOUTH, RENON, EAST = "51.71.01", "51.71.01.1005", "51.71.02"
HOLDER = CITY.candidates(SERVICE, RENON)[0]


class Clock:
    """The moment for which the API reckons, which the test sets."""

    def __init__(self) -> None:
        self.now = START.replace(day=25)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logbook() -> Logbook:
    """Twelve cases: of two services in three areas, at every step."""
    found = Logbook(CITY)
    for number in range(12):
        service, area = (SERVICE, OTHER)[number % 2], (RENON, SOUTH, EAST)[number % 3]
        found.repair(number, service=service, area=area, steps=number % 7 + 1)
    return found


@pytest.fixture
async def client(reading: Engine, clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    app = casebook_api(Questions(reading), CITY, why_not_ready=lambda: None, clock=clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://casebook") as found:
        yield found


async def ask(client: httpx.AsyncClient, address: str, **parameters: Any) -> Any:
    answer = await client.get(address, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ids(client: httpx.AsyncClient, **parameters: Any) -> set[str]:
    return {found["id"] for found in (await ask(client, "/api/cases", limit=500, **parameters))["cases"]}


async def pages(client: httpx.AsyncClient, address: str, name: str, **parameters: Any) -> AsyncIterator[list[Any]]:
    cursor = None
    while True:
        page = await ask(client, address, **parameters, **({"cursor": cursor} if cursor else {}))
        yield page[name]
        cursor = page["next"]
        if cursor is None:
            return


async def test_paging_shows_each_case_once_while_others_arrive_and_change(
    writing: Engine, client: httpx.AsyncClient, logbook: Logbook
) -> None:
    writer = fill(writing, logbook)
    positions = writer.positions()
    before = {row["id"] for row in rows(writing, "cases")}
    seen: list[str] = []
    count = 100
    async for page in pages(client, "/api/cases", "cases", limit=2):
        seen += [found["id"] for found in page]
        known = len(logbook.records)
        logbook.repair(count, service=SERVICE, area=RENON)  # a new one, and an old one moves
        logbook.say(CITY.citizens_channel, RequestRated(score=5), case=count % 12)
        positions.update(writer.take(logbook.records[known:], positions).positions)
        count += 1
    assert len(seen) == len(set(seen)), "a case came twice"
    assert set(seen) == before, "a case that was there at the beginning is missing"


async def test_pages_are_the_newest_first_and_cases_of_one_moment_are_told_apart(
    writing: Engine, client: httpx.AsyncClient
) -> None:
    logbook = Logbook(CITY)
    for number in range(7):
        logbook.now = START
        logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=RENON), case=number)
    logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=RENON), case="last")
    fill(writing, logbook)
    found = [case["id"] async for page in pages(client, "/api/cases", "cases", limit=1) for case in page]
    assert found[0] == logbook.case_id("last")
    assert len(found) == len(set(found)) == 8


async def test_filters_say_which_cases(writing: Engine, client: httpx.AsyncClient, logbook: Logbook) -> None:
    fill(writing, logbook)
    cases = rows(writing, "cases")
    assert len(cases) == 12

    def those(check: Any) -> set[str]:
        found = {case["id"] for case in cases if check(case)}
        assert 0 < len(found) < 12, "the test's own choice must say something"
        return found

    assert await ids(client) == {case["id"] for case in cases}
    assert await ids(client, state="accepted") == those(lambda case: case["state"] == "accepted")
    assert await ids(client, state=["accepted", "closed"]) == those(
        lambda case: case["state"] in ("accepted", "closed")
    )
    assert await ids(client, service_code=OTHER) == those(lambda case: case["service_code"] == OTHER)
    assert await ids(client, area=RENON) == those(lambda case: case["area"] == RENON)
    assert await ids(client, area=SOUTH) == those(lambda case: case["area"] in (SOUTH, RENON)), "what lies in it"
    assert await ids(client, area="51.71.0") == {case["id"] for case in cases}, "a beginning of a code"
    assert await ids(client, agency=CITY.citizens_channel, role="holder") == those(
        lambda case: case["holder"] == CITY.citizens_channel
    )
    ward = CITY.inspector_of(RENON)
    assert await ids(client, agency=ward) == those(lambda case: ward in case["parties"].split(","))
    assert await ids(client, open=False) == those(lambda case: case["closed_at"] is not None)
    assert await ids(client, open=True) == those(lambda case: case["closed_at"] is None)
    middle = sorted(case["opened_at"] for case in cases)[6]
    assert await ids(client, opened_after=middle) == those(lambda case: case["opened_at"] >= middle)
    local = datetime.fromisoformat(middle).astimezone(CITY.zone).isoformat()
    assert await ids(client, opened_before=local) == those(lambda case: case["opened_at"] < middle), (
        "any offset will do"
    )
    prefix = cases[0]["id"][:4]
    assert await ids(client, id=prefix) == those(lambda case: case["id"].startswith(prefix))
    both = {"state": "accepted", "service_code": SERVICE}
    assert await ids(client, **both) == {
        case["id"] for case in cases if (case["state"], case["service_code"]) == ("accepted", SERVICE)
    }


async def test_overdue_is_reckoned_for_the_moment_of_the_question(
    writing: Engine, client: httpx.AsyncClient, clock: Clock
) -> None:
    logbook = Logbook(CITY)
    logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=RENON), case="silent")
    logbook.repair("done", service=SERVICE, area=RENON)
    logbook.repair("at work", service=SERVICE, area=RENON, steps=3)
    fill(writing, logbook)
    service = CITY.services[SERVICE]
    clock.now = CITY.calendar.due(START, service.acknowledge_within) - timedelta(minutes=1)
    assert await ids(client, overdue=True) == set()
    assert len(await ids(client, overdue=False)) == 3
    clock.now = CITY.calendar.due(START, service.acknowledge_within) + timedelta(minutes=1)
    assert await ids(client, overdue=True) == {logbook.case_id("silent")}, "the step's deadline has passed"
    clock.now = CITY.calendar.due(START, service.resolve_within) + timedelta(minutes=1)
    assert await ids(client, overdue=True) == {logbook.case_id("silent"), logbook.case_id("at work")}
    assert await ids(client, overdue=False) == {logbook.case_id("done")}, "a closed case is never overdue"
    assert (await ask(client, f"/api/cases/{logbook.case_id('at work')}"))["overdue"] is True
    assert (await ask(client, "/api/summary"))["overdue"] == 2


async def test_a_case_and_its_timeline_say_what_who_when_and_caused_by_what(
    writing: Engine, client: httpx.AsyncClient, logbook: Logbook
) -> None:
    fill(writing, logbook)
    id = logbook.case_id(6)
    case = await ask(client, f"/api/cases/{id}")
    assert (case["state"], case["outcome"], case["service_name"]["en"]) == (
        "closed",
        "rated",
        "Damaged road or pothole",
    )
    assert case["cost"] == {"amount": "1000", "currency": "IDR"}
    timeline = await ask(client, f"/api/cases/{id}/timeline")
    entries = timeline["entries"]
    assert [entry["seq"] for entry in entries] == list(range(1, case["events"] + 1))
    forwarded = entries[1]
    assert (forwarded["type"], forwarded["agency"]) == ("subak.request.forwarded.v1", "workflows")
    assert forwarded["causationid"] == entries[0]["event_id"]
    name = CITY.agencies[HOLDER].name
    assert forwarded["summary"] == {"id": f"Diteruskan ke {name['id']}", "en": f"Forwarded to {name['en']}"}
    assert forwarded["data"]["agency"] == HOLDER
    paged = [entry async for page in pages(client, f"/api/cases/{id}/timeline", "entries", limit=2) for entry in page]
    assert paged == entries
    [event] = (await ask(client, f"/api/events/{forwarded['event_id']}"))["events"]
    assert event == forwarded


async def test_the_metrics_of_open_and_overdue_cases_are_what_the_summary_says(
    writing: Engine, reading: Engine, client: httpx.AsyncClient, logbook: Logbook, clock: Clock
) -> None:
    fill(writing, logbook)
    clock.now = START + timedelta(days=400)
    summary = await ask(client, "/api/summary")
    measure(Questions(reading), clock.now)

    def total(gauge: Gauge) -> float:
        return sum(sample.value for metric in gauge.collect() for sample in metric.samples)

    assert total(metrics.cases_open) == summary["open"] > 0
    assert total(metrics.cases_overdue) == summary["overdue"] > 0


async def test_the_summary_counts_every_case_once(writing: Engine, client: httpx.AsyncClient, logbook: Logbook) -> None:
    fill(writing, logbook)
    found = await ask(client, "/api/summary")
    assert (found["cases"], found["open"] + found["closed"]) == (12, 12)
    assert sum(row["cases"] for row in found["by_state"]) == 12
    assert sum(row["open"] + row["closed"] for row in found["by_agency"]) == 12
    cases = rows(writing, "cases")
    for row in found["by_agency"]:
        of_agency = [case for case in cases if (case["holder"] or case["agency"]) == row["agency"]]
        assert sum(row["states"].values()) == len(of_agency)
        assert row["name"]["en"]


async def test_a_parked_case_shows_its_error_and_what_waits_behind_it(
    writing: Engine, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    logbook = Logbook(CITY)
    monkeypatch.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
    for name in ("parked", "replayed"):
        logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=RENON), case=name)
        logbook.say(HOLDER, RequestAcknowledged(), case=name)
        logbook.say(HOLDER, WorkOrderAccepted(), case=name)
        logbook.say(HOLDER, WorkOrderCompleted(), case=name)
    monkeypatch.undo()
    logbook.say("operations", ReplayRequested(), case="replayed")
    fill(writing, logbook)
    [found] = (await ask(client, "/api/parked"))["parked"]
    assert found["id"] == logbook.case_id("parked")
    assert "ZeroDivisionError" in found["parked"]["error"]
    assert found["parked"]["waiting"] == 2
    assert (await ask(client, f"/api/cases/{found['id']}"))["parked"]["waiting"] == 2
    assert await ids(client, parked=True) == {found["id"]}
    assert await ids(client, parked=False) == {logbook.case_id("replayed")}
    assert found["parked"]["workflow"] == found["workflow"] == repair.id


async def test_a_case_that_runs_again_says_so_in_its_timeline_and_beside_the_act_that_did_it(
    writing: Engine, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    logbook = Logbook(CITY)
    with monkeypatch.context() as broken:
        broken.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
        logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=RENON), case="replayed")
        failed = logbook.say(HOLDER, RequestAcknowledged(), case="replayed")
        logbook.say("operations", ReplayRequested(by="ops-1", reason="too early"), case="replayed")
    logbook.say("operations", ReplayRequested(by="ops-1", reason="mended"), case="replayed")
    logbook.say("operations", ReplayRequested(by="ops-2", reason="once more"), case="replayed")
    fill(writing, logbook)
    entries = (await ask(client, f"/api/cases/{logbook.case_id('replayed')}/timeline"))["entries"]
    [word] = [entry for entry in entries if entry["type"] == "subak.case.replayed.v1"]
    assert word["summary"] == {
        "id": "Berjalan lagi, peristiwa yang dijalankan: 1: mended",
        "en": "Runs again, events run: 1: mended",
    }
    assert word["data"]["event_ids"] == [failed.id]
    acts = {act["reason"]: act for act in (await ask(client, "/api/acts"))["acts"]}
    assert {reason: act["ran_seq"] for reason, act in acts.items()} == {
        "too early": None, "mended": word["seq"], "once more": None,
    }  # fmt: skip
    assert acts["once more"]["refusal_id"] is not None


async def test_rejections_show_every_reason_and_the_record(
    writing: Engine, client: httpx.AsyncClient, logbook: Logbook
) -> None:
    event = logbook.say(CITY.citizens_channel, RequestRated(score=5), case="unknown")
    reasons = [Reason(f"code-{n}", "data.x", "it is wrong", "Correct it.") for n in range(3)]
    logbook.refuse_at_the_door(HOLDER, event, reasons)
    fill(writing, logbook)
    door, case = (await ask(client, "/api/rejected"))["rejected"]
    assert {door["rejected_by"], case["rejected_by"]} == {"gateway", "workflows"}
    [of_holder] = (await ask(client, "/api/rejected", agency=HOLDER))["rejected"]
    assert [reason["code"] for reason in of_holder["reasons"]] == ["code-0", "code-1", "code-2"]
    whole = await ask(client, f"/api/rejected/{of_holder['id']}")
    assert whole["original"]["data"] == {"score": 5}
    assert {"name": "ce_type", "value": "subak.request.rated.v1"} in whole["original"]["headers"]
    found = [row["id"] async for page in pages(client, "/api/rejected", "rejected", limit=1) for row in page]
    assert len(found) == len(set(found)) == 2


async def test_refusals_and_parked_cases_are_counted_by_cause_and_each_cause_leads_to_its_rows(
    writing: Engine, client: httpx.AsyncClient, logbook: Logbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = logbook.say(CITY.citizens_channel, RequestRated(score=5), case="unknown")
    for code in ("late", "late", "wrong"):
        logbook.refuse_at_the_door(HOLDER, event, [Reason(code, "data.x", "it is wrong", "Correct it.")])
    nameless = Record(out_topic(HOLDER), 0, 90, 1, event.key, b"{}", [])
    logbook.refuse(nameless, [Reason("wrong", "type", "it says no type", "Say one.")], HOLDER)
    with monkeypatch.context() as broken:
        broken.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
        for name in ("parked", "parked too"):
            logbook.repair(name, service=SERVICE, area=RENON, steps=3)
    fill(writing, logbook)
    causes = (await ask(client, "/api/rejected/causes"))["causes"]
    for cause in causes:
        chosen = {name: cause[name] or "-" for name in ("code", "agency", "event_type")}
        rows = (await ask(client, "/api/rejected", **chosen))["rejected"]
        assert len(rows) == cause["rejected"]
        assert {row["reasons"][0]["code"] for row in rows} == {cause["code"]}
        assert max(row["rejected_at"] for row in rows) == cause["newest"]
    assert [cause["rejected"] for cause in causes if cause["agency"] == HOLDER] == [2, 1, 1]
    parked = (await ask(client, "/api/parked"))["parked"]
    [cause] = (await ask(client, "/api/parked/causes"))["causes"]
    chosen = {"event_type": cause["event_type"], "error": cause["error"]}
    assert (await ask(client, "/api/parked", **chosen))["parked"] == parked
    assert (cause["cases"], cause["oldest"]) == (len(parked), parked[0]["parked"]["at"])
    assert (await ask(client, "/api/parked", error="another"))["parked"] == []


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/api/cases?stat=closed", "stat: there is no parameter 'stat'. Did you mean state?"),
        ("/api/cases?state=finished", "there is no state 'finished'. The states are submitted, forwarded"),
        ("/api/cases?state=close", "there is no state 'close'. Did you mean closed?"),
        ("/api/cases?limit=501", "limit: input should be less than or equal to 500. Ask for 1 to 500 rows"),
        ("/api/cases?limit=many", "limit: input should be a valid integer"),
        ("/api/cases?limit=0", "Ask for 1 to 500 rows"),
        ("/api/cases?agency=public-work", "denpasar has no agency 'public-work'. Did you mean \"public-works\"?"),
        (
            "/api/cases?service_code=road-damages",
            "no service 'road-damages'. Did you mean \"road-damage\"?",
        ),
        ("/api/cases?agency=%27;drop", "agency: it has another form than these values have"),
        ("/api/cases?opened_after=yesterday", "'yesterday' is not a time of RFC 3339"),
        ("/api/cases?opened_before=2026-11-24T08:00:00", "has no offset from UTC"),
        ("/api/cases?overdue=perhaps", "overdue: input should be a valid boolean"),
        ("/api/cases?cursor=abc", "this is not a cursor that an answer gave"),
        ("/api/cases?id=XYZ", "Send the beginning of a case id"),
        ("/api/rejected?state=x", "there is no parameter 'state'"),
        ("/api/parked?colour=x", "The parameters are limit, cursor"),
        ("/api/cases/x/timeline?cursor=WyJhIiwiYiJd", "this cursor is of another list"),
        (f"/api/cases/x/timeline?cursor={Cursor('9' * 10, 'x').encode()}", "this cursor is of another list"),
        ("/api/cases/x?asof=2026-11-24T08:00:00Z", "asof: there is no parameter 'asof'. Did you mean as_of?"),
        ("/api/rejected/causes?agency=x", "The parameters are settled."),
        ("/api/parked/causes?agency=public-works", "The parameters are by."),
        ("/api/summary?agency=public-works", "Leave it out: there are no parameters here."),
    ],
)
async def test_a_wrong_question_is_refused_in_words(
    writing: Engine, client: httpx.AsyncClient, address: str, sentence: str
) -> None:
    fill(writing, Logbook(CITY))
    answer = await client.get(address)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert sentence in answer.json()["detail"]
    assert answer.json()["errors"][0]["fix"]


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("/api/cases/nothing", "There is no case nothing. Look its id up with /api/cases?id="),
        ("/api/cases/nothing/timeline", "There is no event of a case nothing."),
        ("/api/events/a/b:c", "There is no event a/b:c in the city's log."),
        ("/api/rejected/nothing", "There is no rejection nothing."),
        ("/api/nothing", "/docs and /openapi.json show what can be asked."),
    ],
)
async def test_what_is_not_there_is_missed_in_words(
    writing: Engine, client: httpx.AsyncClient, address: str, sentence: str
) -> None:
    fill(writing, Logbook(CITY))
    answer = await client.get(address)
    assert answer.status_code == 404
    assert sentence in answer.json()["detail"]


async def test_the_api_can_only_be_read(client: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = await client.request(method, "/api/cases")
        assert answer.status_code == 405
        assert "ask with GET" in answer.json()["detail"]


async def test_before_the_tables_are_made_the_answer_is_not_yet(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/cases")
    assert answer.status_code == 503
    assert "Ask again in a moment" in answer.json()["detail"]


async def test_health_and_metrics_answer_beside_the_api(reading: Engine) -> None:
    app = casebook_api(Questions(reading), CITY, why_not_ready=lambda: "the broker is away")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://casebook") as client:
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["output"]) == (503, "the broker is away")
        metrics.casebook_events.labels("taken").inc(0)
        assert "subak_casebook_events_total" in (await client.get("/metrics")).text


async def test_every_address_is_documented(client: httpx.AsyncClient) -> None:
    document = await ask(client, "/openapi.json")
    assert set(document["paths"]) == {
        "/api/cases", "/api/cases/{case_id}", "/api/cases/{case_id}/timeline", "/api/summary", "/api/parked",
        "/api/rejected", "/api/rejected/{rejection_id}", "/api/events/{event_id}", "/api/rejected/causes",
        "/api/parked/causes", "/api/trace/{ref}", "/api/vanished", "/api/acts",
        "/api/cases/{case_id}/deliveries", "/api/deliveries/{event_id}", "/api/entitled/{event_id}",
    }  # fmt: skip
    for path, operations in document["paths"].items():
        operation = operations["get"]
        assert operation["description"], path
        assert "422" in operation["responses"], path
        for parameter in operation.get("parameters", []):
            assert parameter.get("description") or parameter["schema"].get("description"), (path, parameter["name"])
    for name, schema in document["components"]["schemas"].items():
        assert schema.get("description"), name


async def test_a_time_of_the_casebook_is_utc(writing: Engine, client: httpx.AsyncClient, logbook: Logbook) -> None:
    fill(writing, logbook)
    for case in (await ask(client, "/api/cases"))["cases"]:
        for name in ("opened_at", "updated_at", "closed_at", "due_at", "answer_by", "held_since"):
            assert case[name] is None or datetime.fromisoformat(case[name]).tzinfo == UTC


async def test_a_writer_at_work_does_not_stop_readers(
    writing: Engine, client: httpx.AsyncClient, logbook: Logbook
) -> None:
    writer = fill(writing, logbook)
    logbook.repair("new", service=SERVICE, area=RENON)
    with writing.begin() as connection:
        connection.exec_driver_sql("UPDATE positions SET next_offset = next_offset")
        assert len(await ids(client)) == 12
    writer.take(logbook.records, writer.positions())
    assert len(await ids(client)) == 13
    assert isinstance(writer, Writer)


async def test_each_partys_share_of_the_working_time_is_told_and_a_pause_counts_for_whoever_is_responsible(
    writing: Engine, client: httpx.AsyncClient, clock: Clock
) -> None:
    logbook = suspended()
    fill(writing, logbook)
    clock.now = logbook.now
    found = await ask(client, f"/api/cases/{logbook.case_id('held')}")
    held = {delay["agency"]: delay["working_hours"] for delay in found["delays"]}
    assert held["transport"] == pytest.approx(14.5, abs=0.1), "Thursday, and Friday until four in the afternoon"
    assert held[HOLDER] == pytest.approx(7.5, abs=0.1), "one working day until it was acknowledged"
    assert sum(delay["share"] for delay in found["delays"]) == pytest.approx(1, abs=0.01)
    assert (await ask(client, "/api/cases"))["cases"][0]["delays"] == [], "a list need not read every timeline"


async def test_a_case_is_told_as_the_city_knew_it_and_as_it_had_happened(
    writing: Engine, client: httpx.AsyncClient
) -> None:
    logbook = suspended()
    fill(writing, logbook)
    address = f"/api/cases/{logbook.case_id('held')}"
    assert (await ask(client, address))["state"] == "suspended"
    then = await ask(client, address, as_of=(START + timedelta(hours=12)).isoformat())
    assert (then["state"], then["holder"], then["agency"]) == ("forwarded", HOLDER, None)
    before = await client.get(address, params={"as_of": (START - timedelta(days=1)).isoformat()})
    assert before.status_code == 404
    assert "had not begun at that moment" in before.json()["detail"]
    wrong = await client.get(address, params={"as_of": "yesterday"})
    assert wrong.status_code == 422


async def test_what_happened_earlier_and_was_told_later_counts_by_when_it_happened(
    writing: Engine, client: httpx.AsyncClient
) -> None:
    logbook = Logbook(CITY)
    logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=RENON), case="late")
    happened = logbook.now + timedelta(hours=1)
    logbook.wait(timedelta(days=1))
    logbook.say(HOLDER, RequestAcknowledged(), case="late", time=happened.isoformat())
    fill(writing, logbook)
    address, at = f"/api/cases/{logbook.case_id('late')}", (happened + timedelta(minutes=1)).isoformat()
    assert (await ask(client, address, as_of=at))["state"] == "forwarded", "the city did not know yet"
    assert (await ask(client, address, happened_by=at))["state"] == "acknowledged", "but it had happened"


async def test_an_overdue_case_tells_by_how_many_working_days(
    writing: Engine, client: httpx.AsyncClient, clock: Clock
) -> None:
    logbook = Logbook(CITY)
    logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=RENON), case="silent")
    fill(writing, logbook)
    due = CITY.calendar.due(START, CITY.services[SERVICE].acknowledge_within)  # Thursday
    clock.now = due + timedelta(days=4, hours=1)  # Monday, over a weekend
    (found,) = (await ask(client, "/api/cases", overdue=True))["cases"]
    assert found["overdue_days"] == 2


def suspended() -> Logbook:
    """A case that was acknowledged after a working day, and then rested for two because of another agency."""
    logbook = Logbook(CITY)
    logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=RENON), case="held")
    logbook.now += timedelta(days=1)
    rests = WorkOrderSuspended(reason="A cable.", responsible="transport")
    for data in (RequestAcknowledged(), WorkOrderAccepted(), rests):
        logbook.say(HOLDER, data, case="held")
    logbook.now += timedelta(days=2)
    return logbook


async def test_who_must_have_each_event_is_told_for_a_case_and_for_an_event(
    writing: Engine, client: httpx.AsyncClient, logbook: Logbook
) -> None:
    fill(writing, logbook)
    case = logbook.case_id(0)
    told = await ask(client, f"/api/cases/{case}/deliveries")
    entries = (await ask(client, f"/api/cases/{case}/timeline"))["entries"]
    assert [one["event_id"] for one in told["events"]] == [entry["event_id"] for entry in entries]
    forwarded = next(one for one in told["events"] if one["type"] == "subak.request.forwarded.v1")
    recipient = next(entry["recipient"] for entry in entries if entry["event_id"] == forwarded["event_id"])
    assert recipient in {one["agency"] for one in forwarded["deliveries"]}
    assert {one["state"] for one in forwarded["deliveries"]} == {"unknown"}
    assert forwarded["due"] == forwarded["unknown"] == len(forwarded["deliveries"]) > 0
    assert (await ask(client, f"/api/deliveries/{forwarded['event_id']}"))["events"] == [forwarded]
    for nothing in ("/api/deliveries/none", "/api/cases/none/deliveries"):
        assert (await client.get(nothing)).status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        "/api/cases?id=%00",
        "/api/cases/a%00b",
        "/api/cases/%00/timeline",
        "/api/rejected?event_type=x%00",
        "/api/trace/%00",
    ],
)
async def test_a_nul_is_refused_and_the_database_is_not_called_away(client: httpx.AsyncClient, address: str) -> None:
    answer = await client.get(address)
    assert answer.status_code == 422, answer.text
    assert "NUL" in answer.json()["detail"]
