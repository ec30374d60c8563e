"""Each role sees and does what is its own, at the console and at the casebook, and is told so where it is not."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from bus.city import City
from bus.identity.callers import RIGHTS, ROLES
from bus.identity.speaking import HEADER, said
from schemas.envelope import Event
from services.console.doings import Batch
from tests.console.conftest import CITY
from tests.doors.conftest import Locked, sign_in
from tests.doors.test_signing_in import token_of
from tests.support.logbook import PERSONAL


@pytest.fixture
def sent(locked: Locked, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The acts that would have gone to Kafka."""
    found: list[Event] = []

    async def do(acts: Sequence[Event], **known: Any) -> Batch:
        found.extend(acts)
        return Batch("x", known["by"], known["reason"], locked.logbook.now, acts)

    monkeypatch.setattr(locked.parts.doings, "do", do)
    return found


async def test_the_act_of_an_operator_bears_the_name_that_the_provider_gave_and_no_other(
    locked: Locked, sent: list[Event]
) -> None:
    id = locked.logbook.case_id("parked")
    async with locked.browser() as browser:
        page = await sign_in(browser, "wayan", f"/parked/replay?id={id}")
        assert "wayan did this" in page.text
        assert 'name="by"' not in page.text
        form = {"token": token_of(page), "id": id, "by": "somebody else", "reason": "mended"}
        assert (await browser.post("/parked/replay", data=form)).status_code == 303
    assert [b'"by":"wayan"' in act.data for act in sent] == [True]


@pytest.mark.parametrize("name", ["made", "nyoman", "ketut"])
@pytest.mark.parametrize("address", ["/parked/replay", "/parked/discard", "/parked/edit", "/rejected/replay",
                                     "/rejected/discard", "/rejected/edit"])  # fmt: skip
async def test_who_is_no_operator_acts_never(locked: Locked, sent: list[Event], name: str, address: str) -> None:
    id = locked.logbook.case_id("parked")
    async with locked.browser() as browser:
        page = await sign_in(browser, name)
        form = {"token": token_of(page), "id": id, "by": "wayan", "reason": "x", "data": "{}"}
        refused = await browser.post(address, data=form)
        assert refused.status_code == 403
        assert "Your role may not do this" in refused.text
        assert (await browser.get(address, params={"id": id})).status_code == 403
    assert sent == []


@pytest.mark.parametrize(
    ("name", "open", "closed"),
    [
        ("ketut", ["/", "/cases", "/catalogue"], ["/parked", "/rejected", "/acts", "/entitled/x"]),
        ("nyoman", ["/", "/cases", "/parked", "/rejected"], ["/acts"]),
        ("made", ["/", "/cases", "/parked", "/rejected", "/acts"], ["/entitled/x"]),
        ("gede", [], ["/", "/cases", "/catalogue", "/now/figures", "/nothing"]),
        ("komang", [], ["/", "/cases"]),
    ],
)
async def test_each_role_sees_its_pages_and_no_link_to_others(
    locked: Locked, name: str, open: list[str], closed: list[str]
) -> None:
    async with locked.browser() as browser:
        await sign_in(browser, name)
        for page in open:
            answer = await browser.get(page)
            assert answer.status_code == 200, page
            assert not [each for each in closed if f'href="{each}"' in answer.text]
            assert not re.search(r'href="/(parked|rejected)/(replay|discard|edit)', answer.text), page
        for page in closed:
            assert (await browser.get(page)).status_code == 403, page
    async with locked.browser(**{"accept-language": "id"}) as browser:
        await sign_in(browser, name)
        for page in closed[:1]:
            refused = (await browser.get(page)).text
            assert "Peran Anda tidak boleh melakukan ini" in refused or "tidak dapat melihat apa pun" in refused


async def test_a_part_of_a_page_whose_session_ended_loads_the_whole_anew(locked: Locked) -> None:
    async with locked.browser() as browser:
        part = await browser.get("/now/figures", headers={"hx-request": "true"})
        assert (part.status_code, part.headers["hx-refresh"]) == (401, "true")
        assert (await browser.get("/now/events")).status_code == 401
        posted = await browser.post("/parked/replay", data={"id": "x"})
        assert posted.status_code == 401
        assert "Nothing was done." in posted.text


async def test_an_agency_sees_the_refusals_of_what_it_sent_and_nobody_else_s(locked: Locked) -> None:
    theirs = locked.provider.token("public-works")
    async with locked.asking(locked.provider.token("operations")) as all_of_it, locked.asking(theirs) as own:
        rows = (await all_of_it.get("/api/rejected")).json()["rejected"]
        senders = {row["agency"] for row in rows}
        assert CITY.citizens_channel in senders - {"public-works"}
        found = (await own.get("/api/rejected")).json()["rejected"]
        assert {row["agency"] for row in found} <= {"public-works"}
        assert (await own.get("/api/rejected", params={"agency": CITY.citizens_channel})).status_code == 403
        for row in rows:
            seen = (await own.get(f"/api/rejected/{row['id']}")).status_code
            assert seen == (200 if row["agency"] == "public-works" else 404)
        causes = (await own.get("/api/rejected/causes")).json()["causes"]
        assert {cause["agency"] for cause in causes} <= {"public-works"}
        assert (await own.get("/api/acts")).status_code == 403


async def test_the_names_of_operators_are_for_those_who_may_see_acts(locked: Locked) -> None:
    id = locked.logbook.case_id("replayed")
    console = locked.provider.token("console")
    from bus.identity import Caller

    async with locked.asking(console) as asking:
        told = {}
        for role in ("citizen", "auditor"):
            caller = said(Caller("x", "x", frozenset({role})))
            entries = (await asking.get(f"/api/cases/{id}/timeline", headers={HEADER: caller})).json()["entries"]
            kinds = ("subak.case.replayrequested.v1", "subak.case.replayed.v1")
            told[role] = [each["data"] for kind in kinds for each in entries if each["type"] == kind]
            assert len(told[role]) == 2
            assert ("ops-7" in json.dumps(entries)) == (role == "auditor"), "a summary names the operator"
        assert "reason" in told["citizen"][0]
        assert all("by" not in data for data in told["citizen"])
        assert all(data["by"] == "ops-7" for data in told["auditor"])
        assert told["auditor"] == [{**data, "by": "ops-7"} for data in told["citizen"]]


async def personal_event(locked: Locked) -> str:
    """The id of the event that tells who reported."""
    id = locked.logbook.case_id("personal")
    async with locked.asking(locked.provider.token("operations")) as asking:
        entries = (await asking.get(f"/api/cases/{id}/timeline")).json()["entries"]
    assert not [value for value in PERSONAL.values() if value in str(entries)]
    return str(next(each["event_id"] for each in entries if each["type"] == "subak.request.submitted.v1"))


def as_agency(id: str) -> dict[str, str]:
    """A person of that agency, as the console says."""
    from bus.identity import Caller

    return {HEADER: said(Caller("x", "x", frozenset({"agency"}), id))}


async def test_an_agency_s_person_reads_the_personal_fields_that_the_city_entitles_it_to(locked: Locked) -> None:
    event = await personal_event(locked)
    teller = CITY.citizens_channel
    async with locked.asking(locked.provider.token("console")) as asking:
        answer = await asking.get(f"/api/entitled/{event}", headers=as_agency(teller))
        assert answer.status_code == 200, answer.text
        [found] = answer.json()["events"]
        assert found["data"]["reporter"] == PERSONAL
        assert "reporter.phone" in found["personal"] or "reporter" in found["personal"]


async def test_another_agency_s_personal_fields_are_refused_and_so_is_every_other_role(locked: Locked) -> None:
    event = await personal_event(locked)
    refused, redacted = [], []
    async with locked.asking(locked.provider.token("console")) as asking:
        for id in sorted(CITY.agencies):
            if id == CITY.citizens_channel:
                continue
            answer = await asking.get(f"/api/entitled/{event}", headers=as_agency(id))
            if answer.status_code == 403:
                refused.append(id)
                assert not [value for value in PERSONAL.values() if value in answer.text]
            else:
                may = reads(CITY, id)
                redacted.append(id)
                assert [name for name, value in PERSONAL.items() if value in answer.text] == sorted(
                    may, key=list(PERSONAL).index
                )
        assert refused, "each agency hears of it: this test shows nothing"
        for machine, status in (("operations", 403), ("console", 403), ("stranger", 403)):
            async with locked.asking(locked.provider.token(machine)) as other:
                assert (await other.get(f"/api/entitled/{event}")).status_code == status
    async with locked.browser() as browser:
        await sign_in(browser, "made")
        assert (await browser.get(f"/entitled/{event}")).status_code == 403


def reads(city: City, agency: str) -> set[str]:
    """The names in PERSONAL that the agency may read of a request."""
    may = city.reads(agency, "subak.request.submitted.v1")
    return set(PERSONAL) if may is None else {each.partition(".")[2] for each in may if each.startswith("reporter.")}


async def test_a_case_shows_its_agency_where_the_personal_fields_are(locked: Locked) -> None:
    async with locked.browser() as browser:
        await sign_in(browser, "nyoman")
        page = (await browser.get(f"/cases/{locked.logbook.case_id('personal')}")).text
        link = re.findall(r'href="(/entitled/[^"]+)"', page)[0]
        assert not [value for value in PERSONAL.values() if value in page]
        answer = await browser.get(html.unescape(link))
        assert answer.status_code in (200, 403)
    async with locked.browser() as browser:
        await sign_in(browser, "made")
        assert "/entitled/" not in (await browser.get(f"/cases/{locked.logbook.case_id('personal')}")).text


def test_nobody_but_operators_may_act_and_only_the_console_speaks_for_others() -> None:
    assert [role for role in ROLES if "act" in RIGHTS[role]] == ["operator"]
    assert [role for role in ROLES if "speak_for" in RIGHTS[role]] == ["console"]
    assert [role for role in ROLES if "entitled" in RIGHTS[role]] == ["agency"]
