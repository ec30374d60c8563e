"""A sound adapter is certified; one that loses, doubles, reorders or lets things through is not, and is told why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from bus.city import city_path, load_city
from bus.records import Record
from deploy.certification.stand import Failed, Stand
from deploy.certification.system import Call
from deploy.certification.trials import TRIALS, _cases_in_order, _each_once, _in_order
from schemas.failures import Misconfigured
from services.cli.adapter_certify import certify_adapter

CITY = load_city(city_path("denpasar"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "adapter.toml"
    path.write_text(
        """
[adapter]
name = "x"
[[agency]]
id = "transport"
token = "0123456789abcdef0123"
[[agency]]
id = "finance"
token = "0123456789abcdef0123"
"""
    )
    return path


def run(*arguments: str) -> tuple[int, str, BaseException | None]:
    app = typer.Typer()
    app.command()(certify_adapter)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output, result.exception


@pytest.mark.kafka
@pytest.mark.slow
def test_an_adapter_withstands_every_trial_and_the_certificate_says_so(file: Path, tmp_path: Path) -> None:
    code, said, _ = run(str(file), "--city", "denpasar", "--report", str(tmp_path / "certificate.json"))
    assert code == 0, said
    kept = json.loads((tmp_path / "certificate.json").read_text())
    assert kept["passed"] is True
    assert [trial["name"] for trial in kept["trials"]] == [trial.name for trial in TRIALS]
    assert "withstood all" in said


@pytest.mark.kafka
def test_an_adapter_that_cannot_start_is_told_why(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Stand._write

    def wrongly(stand: Stand) -> None:
        write(stand)
        (stand._folder / "adapter.toml").write_text("[adapter]\nname = 3\n")

    monkeypatch.setattr(Stand, "_write", wrongly)
    _, _, error = run(str(file), "--city", "denpasar", "--only", "sent_twice", "--json")
    assert isinstance(error, Misconfigured)
    assert "the trials cannot begin: the adapter ended" in str(error)


def test_an_unknown_trial_or_agency_is_answered_with_those_there_are(file: Path) -> None:
    _, _, error = run(str(file), "--city", "denpasar", "--only", "juggling")
    assert isinstance(error, Misconfigured)
    assert "killed_while_taking" in str(error)
    _, _, error = run(str(file), "--city", "denpasar", "--agency", "health")
    assert isinstance(error, Misconfigured)
    assert "transport, finance" in str(error)


# -- the trials can fail


def record(id: str) -> Record:
    return Record("agency-x-out", 0, 0, 0, b"k", b"{}", [("ce_id", id.encode())])


def test_an_event_that_stands_twice_in_kafka_is_seen() -> None:
    with pytest.raises(Failed, match="more than once"):
        _each_once([record("a"), record("b"), record("a")], ["a", "b"])


def test_events_in_another_order_are_seen() -> None:
    with pytest.raises(Failed, match="another order"):
        _in_order([record("b"), record("a")], ["a", "b"])


@pytest.mark.parametrize(
    ("calls", "in_order"),
    [
        ([("a", "1"), ("b", "1"), ("c", "2")], True),
        ([("c", "2"), ("a", "1"), ("b", "1")], True),
        ([("a", "1"), ("b", "1"), ("a", "1")], True),  # the first again, after a crash
        ([("b", "1"), ("a", "1"), ("c", "2")], False),
    ],
)
def test_a_case_told_out_of_order_is_seen(calls: list[tuple[str, str]], in_order: bool) -> None:
    class Heard:
        class system:
            @staticmethod
            def taken() -> list[Call]:
                return [Call(id, id, case, 204, None, 0.0) for id, case in calls]

    if in_order:
        _cases_in_order(Heard, ["a", "b", "c"])  # type: ignore[arg-type]  # only what was taken is looked at
    else:
        with pytest.raises(Failed, match="after a later one"):
            _cases_in_order(Heard, ["a", "b", "c"])  # type: ignore[arg-type]
