"""An operator sees where every case stands, what befell it, what was refused, what waits; or is told what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bus.runfile import RunFile
from schemas.failures import Misconfigured, Retryable, Unprocessable
from services.cli.showing import money, span
from tests.cli.command import found, run, said
from tests.cli.conftest import CITY, HOLDER, SECOND, Filled
from tests.support.logbook import PERSONAL


def test_list_shows_the_newest_cases_first_with_who_holds_them(casebook: Filled) -> None:
    shown = said("case", "list")
    cases = found("case", "list")["cases"]
    assert [case["opened_at"] for case in cases] == sorted((case["opened_at"] for case in cases), reverse=True)
    assert len(cases) == 11
    for case in cases:
        assert case["id"] in shown, "an id that is cut cannot be copied"
    assert "Damaged road or pothole" in shown
    assert HOLDER in shown
    assert "parked" in shown


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--state", "closed"], 2),
        (["--state", "closed", "--state", "resolved"], 3),
        (["--closed"], 2),
        (["--open"], 9),
        (["--parked"], 1),
        (["--holder", CITY.citizens_channel], 1),
        (["--agency", SECOND], 0),
        (["--area", "51.71.01"], 11),
        (["--service", "road-damage", "--limit", "4"], 4),
        (["--before", "2026-11-24T08:00:00Z"], 0),
    ],
)
def test_list_takes_the_filters_of_the_api(casebook: Filled, options: list[str], count: int) -> None:
    assert len(found("case", "list", *options)["cases"]) == count


def test_a_long_list_is_turned_page_by_page(casebook: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.cli.asking.PAGE_ROWS_MAX", 3)
    ids = [case["id"] for case in found("case", "list", "--limit", "10")["cases"]]
    assert len(ids) == len(set(ids)) == 10


def test_show_tells_what_who_when_and_caused_by_what(casebook: Filled) -> None:
    id = casebook.logbook.case_id(7)
    shown = said("case", "show", id[:13])
    assert f"case {id}" in shown
    assert "closed (rated)" in shown
    name = CITY.agencies[HOLDER].name["en"]
    assert f"Forwarded to {name} #1" in shown, "what, and because of which entry"
    assert "IDR 1,000" in shown
    assert "2026-11-24 16:0" in shown, "in the city's own time"
    assert "Asia/Makassar" in shown
    whole = found("case", "show", id)
    assert whole["case"]["id"] == id
    assert [entry["seq"] for entry in whole["timeline"]] == list(range(1, whole["case"]["events"] + 1))


def test_show_says_for_whom_an_open_case_waits_and_since_when(casebook: Filled) -> None:
    shown = said("case", "show", casebook.logbook.case_id(2))
    assert f"waiting for {HOLDER}, for " in shown
    assert "due 2026-12-04" in shown


def test_show_marks_what_the_case_refused(casebook: Filled) -> None:
    shown = said("case", "show", casebook.logbook.case_id(3))
    entries = found("case", "show", casebook.logbook.case_id(3))["timeline"]
    [refused] = [entry for entry in entries if entry["refusal_id"]]
    assert f"(refused: `subak rejected show {refused['refusal_id']}`)" in shown
    assert refused["agency"] == SECOND


def test_an_id_that_several_cases_begin_with_is_answered_with_the_choice(casebook: Filled) -> None:
    ids = [case["id"] for case in found("case", "list")["cases"]]
    beginning = next(id[0] for id in ids if sum(other[0] == id[0] for other in ids) > 1)
    result = run("case", "show", beginning)
    assert isinstance(result.exception, Unprocessable)
    assert f"cases begin with {beginning}:" in str(result.exception)


@pytest.mark.parametrize("command", [("case", "show"), ("parked", "show"), ("parked", "replay", "--reason", "x")])
def test_an_id_that_no_case_begins_with_is_said(casebook: Filled, command: tuple[str, str]) -> None:
    result = run(*command, "00000000-0000-0000")
    assert isinstance(result.exception, Unprocessable)
    assert "no case begins with 00000000-0000-0000. `subak case list` shows them." in str(result.exception)


def test_a_wrong_filter_is_answered_in_the_api_s_words(casebook: Filled) -> None:
    result = run("case", "list", "--state", "close")
    assert isinstance(result.exception, Unprocessable)
    assert "there is no state 'close'. Did you mean closed?" in str(result.exception)


def test_rejected_list_shows_whose_and_why(casebook: Filled) -> None:
    shown = said("rejected", "list")
    assert "data.service_code: the city's catalogue has no service x (and 1 more)" in shown
    assert "workflows" in shown
    rows = found("rejected", "list")["rejected"]
    assert {row["agency"] for row in rows} == {CITY.citizens_channel, SECOND}
    assert [row["agency"] for row in found("rejected", "list", "--agency", SECOND)["rejected"]] == [SECOND]


def test_rejected_show_gives_every_reason_the_headers_and_the_data_without_personal_fields(casebook: Filled) -> None:
    [row] = [row for row in found("rejected", "list")["rejected"] if len(row["reasons"]) == 2]
    shown = said("rejected", "show", row["id"][:9])
    for reason in row["reasons"]:
        assert reason["problem"] in shown
        assert reason["fix"] in shown
    assert "ce_type subak.request.submitted.v1" in shown
    assert '"service_code": "road-damage"' in shown
    assert "--original" in shown
    whole = found("rejected", "show", row["id"])
    assert whole["original"]["data"]["reporter"] == {}
    for text in (shown, json.dumps(whole)):
        assert not [value for value in PERSONAL.values() if value in text]


def test_parked_list_shows_the_error_and_what_waits(casebook: Filled) -> None:
    shown = said("parked", "list")
    [case] = found("parked", "list")["parked"]
    assert case["id"] == casebook.logbook.case_id("parked")
    assert case["id"] in shown
    assert "ZeroDivisionError" in shown
    assert case["parked"]["waiting"] == 2
    assert "2 more events wait behind it" in said("parked", "show", case["id"])


def test_a_case_that_is_not_parked_is_not_replayed(casebook: Filled) -> None:
    result = run("parked", "replay", casebook.logbook.case_id("replayed"), "--reason", "x")
    assert isinstance(result.exception, Unprocessable)
    assert "is not parked. `subak parked list` shows those that are." in str(result.exception)


WITH_AN_AGENCY = [
    ("case", "list"),
    ("parked", "list"),
    ("parked", "replay", "--reason", "mended"),
    ("rejected", "list"),
    ("rejected", "replay", "--reason", "mended"),
]


@pytest.mark.parametrize("command", WITH_AN_AGENCY)
def test_an_agency_that_nobody_knows_is_told_with_the_nearest(casebook: Filled, command: tuple[str, ...]) -> None:
    result = run(*command, "--agency", "publicworks")
    assert isinstance(result.exception, Unprocessable), result.output
    assert "denpasar has no agency 'publicworks'. Did you mean \"public-works\"?" in str(result.exception)


COMMANDS = [("case", "list"), ("case", "show", "x"), ("rejected", "list"), ("parked", "list"), ("lag",), ("tail",)]


@pytest.mark.parametrize("command", COMMANDS)
def test_where_nothing_runs_it_says_how_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SUBAK_HOME", str(tmp_path))
    monkeypatch.delenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    result = run(*command)
    assert isinstance(result.exception, Misconfigured)
    assert "Start one with `subak up`" in str(result.exception)


@pytest.mark.parametrize("command", COMMANDS[:4])
def test_where_the_casebook_has_gone_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SUBAK_HOME", str(tmp_path))
    RunFile(city="denpasar", bootstrap_servers="127.0.0.1:1", partitions=2, casebook_url="http://127.0.0.1:1").write(
        tmp_path / "denpasar"
    )
    result = run(*command)
    assert isinstance(result.exception, Retryable)
    assert "the casebook at http://127.0.0.1:1 does not answer" in str(result.exception)
    assert "`subak up`" in str(result.exception)


def test_the_run_file_tells_where_the_casebook_is(
    casebook: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUBAK_CASEBOOK_URL")
    monkeypatch.setenv("SUBAK_HOME", str(tmp_path))
    RunFile(city="denpasar", bootstrap_servers="127.0.0.1:1", partitions=2, casebook_url=casebook.url).write(
        tmp_path / "denpasar"
    )
    assert len(found("case", "list")["cases"]) == 11


def test_a_cluster_without_a_known_casebook_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBAK_HOME", str(tmp_path))
    monkeypatch.setenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    result = run("case", "list")
    assert isinstance(result.exception, Misconfigured)
    assert "Set SUBAK_CASEBOOK_URL" in str(result.exception)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.44, "0.4 s"),
        (9.99, "10.0 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (90_061, "1 d 1 h"),
        (86_460, "1 d"),
        (-60, "-1 min"),
    ],
)
def test_a_span_is_told_by_its_two_largest_parts(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1250000.50", "IDR 1,250,000.50"),
        ("228050000.00", "IDR 228,050,000"),
        ("0.1", "IDR 0.1"),
        ("-1000", "IDR -1,000"),
        ("999999999999999.9999", "IDR 999,999,999,999,999.9999"),
    ],
)
def test_money_is_shown_exactly(amount: str, text: str) -> None:
    assert money({"amount": amount, "currency": "IDR"}) == text


def test_show_tells_a_case_as_it_was(casebook: Filled) -> None:
    longest = max(found("case", "list")["cases"], key=lambda case: int(case["events"]))
    whole = found("case", "show", longest["id"])
    then = found("case", "show", longest["id"], "--as-of", whole["timeline"][0]["logged_at"])
    assert 1 <= len(then["timeline"]) < len(whole["timeline"])
    assert then["case"]["state"] != whole["case"]["state"]
    assert "as the city knew it on 2" in said(
        "case", "show", longest["id"], "--as-of", whole["timeline"][0]["logged_at"]
    )
    assert HOLDER in [delay["agency"] for delay in whole["case"]["delays"]]
    assert "working hours" in said("case", "show", longest["id"])


def test_a_day_that_is_no_day_is_told_with_the_way_to_write_one() -> None:
    for option in ("--as-of", "--happened-by"):
        error = run("case", "show", "0" * 36, option, "yesterday").exception
        assert f"{option} yesterday is no moment: write 2026-05-03" in str(error)


def test_show_says_who_must_have_an_event_and_is_not_known_to(casebook: Filled) -> None:
    id = casebook.logbook.case_id(7)
    assert "1 must" in said("case", "show", id)
    named = said("case", "show", id, "--deliveries")
    assert "nothing says where its adapter is" in named
    assert HOLDER in named
    told = found("case", "show", id)["deliveries"]
    assert {one["type"] for one in told} >= {"subak.request.submitted.v1", "subak.request.forwarded.v1"}
