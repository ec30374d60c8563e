"""A changed workflow over the recorded log tells which cases would have gone otherwise; an unchanged one tells none."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from bench.simulate import log
from bus.city import City, city_path, load_city
from bus.records import Record
from schemas.failures import Misconfigured
from schemas.identifiers import derived_id
from schemas.types.requests import RequestSubmitted
from schemas.values import Point
from services.cli import simulate as command
from services.cli.finding import Whereabouts
from services.workflows.catalogue import WORKFLOWS
from services.workflows.simulation import Report, Simulation, in_order
from tests.cli.command import found as answer
from tests.cli.command import run, said
from tests.support.in_flight import InFlight

CITY = load_city(city_path("denpasar"))
REPAIR = WORKFLOWS["repair@2"]
RECORDS = log(CITY, 20)


def simulated(records: list[Record], city: City = CITY, since_ms: int = 0) -> Report:
    simulation = Simulation(city, WORKFLOWS, only=REPAIR, since_ms=since_ms)
    simulation.take(records)
    return simulation.report()


def changed(tmp_path: Path, file: str, *swaps: tuple[str, str]) -> Path:
    """A copy of Denpasar's folder, with the text of one file changed."""
    folder = tmp_path / "denpasar"
    shutil.copytree(city_path("denpasar"), folder)
    text = (folder / file).read_text("utf-8")
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new)
    (folder / file).write_text(text, "utf-8")
    return folder


def test_the_same_rules_over_the_log_change_nothing() -> None:
    report = simulated(RECORDS)
    assert (report.cases, report.events, report.recorded) == (20, 140, len(RECORDS))
    assert report.differences == ()


def test_a_log_in_any_mixture_of_partitions_gives_the_same_report() -> None:
    assert simulated(in_order(list(reversed(RECORDS)))).as_dict() == simulated(RECORDS).as_dict()


def test_a_shorter_target_shows_the_deadlines_that_would_have_been_missed(tmp_path: Path) -> None:
    folder = changed(tmp_path, "services.toml", ('resolve_within = "8 working days"', 'resolve_within = "PT2H"'))
    report = simulated(RECORDS, load_city(folder))
    assert report.counts() == {"more_breaches": 20}
    assert (report.breaches_then, report.breaches_now) == (0, 20)
    assert report.differences[0].why == "0 missed deadlines would be 1"


def test_another_agency_in_the_catalogue_shows_who_would_have_been_asked_and_what_would_stand(tmp_path: Path) -> None:
    folder = changed(
        tmp_path, "services.toml", ('agencies = ["public-works", "road-contractor"]', 'agencies = ["transport"]')
    )
    report = simulated(RECORDS, load_city(folder))
    assert report.counts() == {"agencies": 20, "stuck": 20}
    difference = report.differences[0]
    assert difference.then.agencies[0] == "public-works"
    assert difference.now.agencies[0] == "transport"
    assert "it would stand in forwarded, and" in difference.why


def test_what_a_case_says_to_another_is_said_to_no_agency(tmp_path: Path) -> None:
    city = InFlight(CITY)
    spot = Point(type="Point", coordinates=(115.2126, -8.6705))
    for n in range(2):
        report = RequestSubmitted(service_code="road-damage", area="51.71.01.1005", location=spot)
        city.say(CITY.citizens_channel, report, derived_id("simulated", n))
        city.settle()
    folder = changed(
        tmp_path, "services.toml", ('agencies = ["public-works", "road-contractor"]', 'agencies = ["transport"]')
    )
    report_ = simulated(in_order([record for log in city.logs for record in log]), load_city(folder))
    assert [difference.then.agencies for difference in report_.differences] == [["public-works"]] * 2
    assert [difference.now.agencies for difference in report_.differences] == [["transport"]] * 2


def test_cases_that_began_before_the_day_are_left_out() -> None:
    report = simulated(RECORDS, since_ms=RECORDS[0].timestamp_ms + int(timedelta(minutes=10).total_seconds() * 1000))
    assert report.cases == 10
    assert report.differences == ()


def test_what_is_no_event_is_passed_over() -> None:
    rubbish = [Record("city-events", 0, 10**9, RECORDS[-1].timestamp_ms, b"x", b"{", [("ce_type", b"\xff")])]
    assert simulated(RECORDS + rubbish).differences == ()


WORKFLOW = """
from services.workflows import repair as original
from services.workflows.definition import CLOSED, Workflow
from schemas.types.requests import RequestSubmitted

repair = Workflow("repair", version=2, case=original.RepairCase, opened_by=RequestSubmitted)

@repair.opens
def submitted(event, data, step):
    raise RuntimeError("not thought through")
"""


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's log is the recorded one: how it is read from Kafka is `TopicReader`'s promise."""

    async def read(kafka: object) -> list[Record]:
        return RECORDS

    monkeypatch.setattr(command, "read_log", read)
    monkeypatch.setattr(Whereabouts, "kafka", None)
    monkeypatch.setenv("SUBAK_CITY", "denpasar")
    monkeypatch.setenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS", "nowhere:9092")


@pytest.mark.usefixtures("recorded")
def test_the_command_plays_a_changed_file_and_tells_a_workflow_that_raises(tmp_path: Path) -> None:
    file = tmp_path / "repair2.py"
    never = "repair.on_timer('never', states=['kept'], to=[CLOSED])(submitted)\n"
    file.write_text(WORKFLOW + never, encoding="utf-8")
    assert answer("workflow", "simulate", "repair")["otherwise"] == 0
    found = answer("workflow", "simulate", "repair", "--with", str(file))
    assert found["counts"] == {"agencies": 20, "stuck": 20}
    assert "not thought through" in found["differences"][0]["why"]
    assert "in repair2.py, line 10" in found["differences"][0]["why"]
    assert (found["workflow"], found["changed"]) == ("repair@2", ["repair@2"])
    assert {finding["workflow"] for finding in found["findings"]} == {"repair@2"}, "lint says nothing of it"
    assert "stuck" in (shown := said("workflow", "simulate", "repair", "--with", str(file)))
    assert shown.startswith("lint repair@2: ")


@pytest.mark.usefixtures("recorded")
def test_the_same_rules_and_a_day_without_cases_are_told_in_words() -> None:
    assert "20 cases, 140 events of agencies; none would have gone otherwise" in said(
        "workflow", "simulate", "repair@2", "--since", "2026-01-01"
    )
    assert "No case of repair began there since 2030-01-01" in said(
        "workflow", "simulate", "repair", "--since", "2030-01-01"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def broken(:\n", "line 1: invalid syntax: def broken(:"),
        ("x = 1\nimport no_such_thing\n", "line 2: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("x = 1\n", "defines no workflow of its own"),
        ("import sys\nsys.exit(3)\n", "line 2: it ends the process"),
        (WORKFLOW.replace('"repair"', '"fancy"'), "defines fancy@2, and the catalogue has no fancy"),
        (
            WORKFLOW + "for _ in range(2):\n    repair.on_timer('late', states=['kept'], to='same')(submitted)\n",
            "line 12: repair@2: two handlers claim timer:late in the state kept",
        ),
        ("\x00", "null bytes"),
    ],
)
@pytest.mark.usefixtures("recorded")
def test_a_workflow_file_that_is_wrong_says_in_which_line_and_why(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "changed.py"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Misconfigured) as wrong:
        answer_or_raise("--with", str(file))
    assert told in str(wrong.value)
    assert str(file) in str(wrong.value)


@pytest.mark.usefixtures("recorded")
def test_the_command_plays_a_changed_city_and_refuses_another_ones(tmp_path: Path) -> None:
    folder = changed(tmp_path, "services.toml", ('resolve_within = "8 working days"', 'resolve_within = "PT2H"'))
    assert answer("workflow", "simulate", "repair", "--city", str(folder))["counts"] == {"more_breaches": 20}
    with pytest.raises(Misconfigured, match="the log is of denpasar"):
        answer_or_raise("--city", "san-francisco")
    with pytest.raises(Misconfigured, match="--since yesterday is no date"):
        answer_or_raise("--since", "yesterday")


def answer_or_raise(*arguments: str) -> None:
    error = run("workflow", "simulate", "repair", *arguments).exception
    raise error if isinstance(error, Exception) else AssertionError(error)
