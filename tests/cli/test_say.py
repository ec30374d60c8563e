"""`subak say` makes data of words, and refuses what it cannot make anything of, before anything leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from bus.runfile import RunFile
from schemas.failures import Misconfigured, Refused, Retryable
from services.cli.say import data_of, say

CASE = "0b53e9f0-0000-8000-8000-000000000001"


def test_words_make_data() -> None:
    words = [
        "service_code=drain",
        "cost.amount=120",
        "cost.currency=IDR",
        "score:=5",
        "location.at:=[115, -8]",
    ]
    assert data_of(words) == {
        "service_code": "drain",
        "cost": {"amount": "120", "currency": "IDR"},
        "score": 5,
        "location": {"at": [115, -8]},
    }
    assert data_of(["reason=a=b"]) == {"reason": "a=b"}
    assert data_of(["reason="]) == {"reason": ""}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["score"], "says no field and value"),
        (["=5"], "says no field and value"),
        ([":=5"], "says no field and value"),
        (["score:=five"], "no JSON"),
        (["cost=1", "cost.amount=1"], "has a value already"),
        (["score=1", "score=2"], "said twice"),
        (["cost.amount=1", "cost=1"], "said twice"),
    ],
)
def test_words_that_make_none_are_refused(words: list[str], problem: str) -> None:
    with pytest.raises(Refused, match=problem):
        data_of(words)


def typed(*words: str) -> Result:
    app = typer.Typer()
    app.command()(say)
    return CliRunner().invoke(app, words)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A city that was up, and of which nothing answers any more."""
    door = {"url": "http://127.0.0.1:9/agencies/sf311/events", "token": "t"}
    run = RunFile(
        city="san-francisco",
        bootstrap_servers="127.0.0.1:9",
        partitions=2,
        casebook_url="http://127.0.0.1:9",
        adapters={"sf311": door},
    )
    run.write(tmp_path)
    monkeypatch.setenv("SUBAK_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("home")
def test_who_and_what_are_unknown_is_told_with_what_is_near() -> None:
    error = typed("sf11", "request.submitted").exception
    assert isinstance(error, Misconfigured)
    assert 'Did you mean "sf311"?' in str(error)
    error = typed("sf311", "request.submited").exception
    assert isinstance(error, Refused)
    assert 'Did you mean "request.submitted"?' in str(error)


@pytest.mark.usefixtures("home")
def test_an_event_of_a_case_needs_its_case() -> None:
    error = typed("sf311", "request.rated", "score:=5").exception
    assert isinstance(error, Refused)
    assert "Add --case ID" in str(error)


@pytest.mark.usefixtures("home")
def test_an_adapter_that_is_away_is_told() -> None:
    error = typed("sf311", "request.submitted", "area=06075").exception
    assert isinstance(error, Retryable)
    assert "Does `subak up` run?" in str(error)


def test_where_no_city_runs_it_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBAK_HOME", str(tmp_path))
    error = typed("sf311", "request.submitted").exception
    assert isinstance(error, Misconfigured)
    assert "`subak up`" in str(error)
