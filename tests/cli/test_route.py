"""`subak route explain` says who hears of an event, who not and why: the same that the router does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bus.city import city_path, load_city
from bus.explaining import explain
from bus.hearing import heard_by
from schemas.envelope import Event
from schemas.failures import Unprocessable
from schemas.registry import registry
from services.cli.route import app
from tests.city.control import changed_harbour, harbour
from tests.cli.command import run
from tests.cli.conftest import Filled

DENPASAR = load_city(city_path("denpasar"))
TYPES = sorted(known.name for known in registry)


@settings(deadline=None)
@given(st.data())
def test_who_hears_in_the_explanation_hears_from_the_router(data: st.DataObject) -> None:
    city = data.draw(st.sampled_from([harbour(), DENPASAR]))
    agencies = st.sampled_from(sorted(city.agencies))
    parties = data.draw(st.lists(agencies, max_size=3, unique=True))
    event = Event(
        id="e-1",
        type=data.draw(st.sampled_from(TYPES)),
        source=city.source_of(data.draw(agencies | st.just("workflows"))),
        subject="c-1",
        time="2026-11-24T08:00:00Z",
        data=json.dumps({"service_code": data.draw(st.sampled_from([*sorted(city.services), "none"]))}).encode(),
        jurisdiction=data.draw(st.none() | st.sampled_from([*sorted(city.areas), "nowhere"])),
        recipient=data.draw(st.none() | agencies),
        parties=",".join(parties) or None,
        history=data.draw(st.none() | st.just("old")),
    )
    verdicts = explain(city, event)
    assert tuple(sorted(one.agency for one in verdicts if one.hears)) == heard_by(city, event).agencies
    assert all(one.grounds for one in verdicts)
    assert all({ground.takes for ground in one.grounds} == {one.hears} for one in verdicts)


def explained(file: Path, city: Path | str, *more: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["explain", str(file), "--city", str(city), "--json", *more])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def written(folder: Path, **told: object) -> Path:
    file = folder / "event.json"
    file.write_text(json.dumps({"type": "subak.request.submitted.v1", **told}), encoding="utf-8")
    return file


def test_a_file_is_explained_without_a_bus(tmp_path: Path) -> None:
    when = "when = 'service != \"lamp\" || int(data.description) > 5'"
    text = f'areas = ["h-2"]\n[[agency.subscribes]]\ntypes = ["subak.request.*"]\nrelation = "all"\n{when}'
    city = changed_harbour(tmp_path, ("agencies.toml", 'areas = ["h-2"]', text))
    file = written(tmp_path, source="desk", jurisdiction="h-1", data={"service_code": "lamp", "description": "dark"})
    found = explained(file, city)
    grounds = {one["agency"]: one["grounds"] for one in found["agencies"]}
    assert found["hears"] == ["archive"]
    assert grounds["desk"] == [
        {"takes": False, "subscription": None, "says": "the agency said so itself", "failed": False}
    ]
    assert grounds["docks"][0]["says"] == "it is about other services: quay"
    (failed,) = grounds["ferry"]
    assert failed["failed"]
    assert "cannot say" in failed["says"]
    assert failed["subscription"] == 'agency "ferry".subscribes[0]'
    assert grounds["diver"][0]["says"] == "none of its subscriptions is about this type"
    archive = next(one for one in found["agencies"] if one["agency"] == "archive")
    assert archive["reads"] == []
    assert "reporter.phone" in archive["withheld"]


def test_the_table_says_the_same_in_words(tmp_path: Path) -> None:
    file = written(tmp_path, source="desk", jurisdiction="h-1", data={"service_code": "quay"})
    city = changed_harbour(tmp_path)
    result = CliRunner().invoke(app, ["explain", str(file), "--city", str(city)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    for words in ("docks", "its areas hold h-1", "the agency said so itself", "left out", "(--all)", "reporter.phone",
                  "2 of 10 agencies hear of it; 7 subscribe"):  # fmt: skip
        assert words in result.output, words
    assert "event " not in result.output, "it has no id"


def test_those_who_do_not_hear_for_one_reason_stand_in_one_row(tmp_path: Path) -> None:
    file = written(tmp_path, type="subak.request.closed.v1", parties="public-works,agriculture", data={})
    arguments = ["explain", str(file), "--city", "denpasar"]
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "80"}).output
    assert shown.count("it is no party of the case") == 1
    assert "3 of 64 agencies hear of it; 3 subscribe to nothing of this type (--all)." in " ".join(shown.split())
    assert "…" not in shown, "where it is written is cut off"
    few = CliRunner().invoke(app, [*arguments, "--agency", "health", "--agency", "finance"]).output
    assert "None of the 2 agencies asked about hears of it." in few


def test_an_event_that_is_not_on_the_bus_is_told_with_the_way_to_name_one(casebook: Filled) -> None:
    case = casebook.logbook.case_id(3)
    for ref, words in {
        case: f"{case} is a case, and a case has many events: name one as {case[:8]}#1",
        f"{case[:8]}#99": "and none with the number 99",
        "0000#1": "no case begins with 0000",
        "none#1": "Send the beginning of a case id",
        "12345678": "there is no event '12345678' in the city's log. Name one by its case as CASE#5",
        "a/../b?x=%00#": "there is no event 'a/../b?x=%00#'",
        "": "there is no event ''",
        "x" * 300: "at most 128 characters",
    }.items():
        assert words in str(run("route", "explain", ref).exception), ref


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "is not JSON"),
        ("[]", "tells no event"),
        ('{"type":"subak.request.submited.v1"}', "subak.request.submitted.v1"),
        ('{"type":"subak.request.submitted.v1","jurisdction":"h-1"}', "jurisdiction"),
        ('{"type":"subak.request.submitted.v1","jurisdiction":"h-9"}', "has no area h-9"),
        ('{"type":"subak.request.submitted.v1","recipient":7}', "must be a text"),
    ],
)
def test_a_file_that_tells_no_event_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "event.json"
    file.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["explain", str(file), "--city", str(changed_harbour(tmp_path))])
    assert isinstance(result.exception, Unprocessable)
    assert said in str(result.exception)


def test_the_pages_own_example_is_explained(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "operate.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    file = tmp_path / "event.json"
    file.write_text(block, encoding="utf-8")
    assert explained(file, "denpasar")["hears"] == [DENPASAR.inspector_of("51.71.01.1005")]
