"""`subak adapter check`: what each sample becomes, or every reason why not, before anything runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from schemas.failures import Misconfigured
from services.cli.adapter import app
from tests.adapters.mapping.controls import COMPLAINTS, RECORD

ADAPTER = """
[adapter]
name = "water"
database_env = "WATER_DATABASE"

[[agency]]
id = "water-utility"
token_env = "WATER_TOKEN"

[[agency.source]]
kind = "python"
name = "complaints"
handler = "water_handlers:read"
mapping = "mapping.toml"

[agency.target]
kind = "python"
handler = "water_handlers:take"
mapping = "mapping.toml"
"""
SET = {"WATER_TOKEN": "0123456789abcdef", "WATER_DATABASE": "sqlite:///water.sqlite3"}
DONE = {**RECORD, "status": "SELESAI", "kasus": "00000000-0000-8000-8000-000000000001"}
ORDER: dict[str, Any] = {
    "type": "subak.workorder.issued.v1",
    "data": {"agency": "water-utility", "service_code": "drain", "area": "51.71.01.1005", "attempt": 1},
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "adapter.toml").write_text(ADAPTER, encoding="utf-8")
    (tmp_path / "mapping.toml").write_text(COMPLAINTS, encoding="utf-8")
    (tmp_path / "water_handlers.py").write_text("def read(cursor): ...\ndef take(event, rows): ...\n", encoding="utf-8")
    sample(tmp_path / "samples/in/complaints/done.json", DONE)
    sample(tmp_path / "samples/out/python/order.json", ORDER)
    yield tmp_path
    sys.modules.pop("water_handlers", None)
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]


def sample(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def check(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["check", str(folder / "adapter.toml"), "--city", "denpasar", *options])


def told(folder: Path) -> dict[str, Any]:
    result = check(folder, "--offline", "--json")
    found: dict[str, Any] = json.loads(result.output)
    assert result.exit_code == (0 if found["ok"] else 1)
    return found


def test_samples_are_shown_as_what_they_become_both_ways(folder: Path) -> None:
    result = check(folder, "--offline")
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert (
        "✓ samples/in/complaints/done.json 1 workorder.completed of case 00000000-0000-8000-8000-000000000001" in text
    )
    assert 'cost = {"amount": "1250000.5", "currency": "IDR"}' in text
    assert "✓ samples/out/python/order.json 1 row of pekerjaan kasus = " in text
    assert "jenis = SALURAN" in text
    assert "2 samples are understood for Kota Denpasar." in text


def test_secrets_that_are_elsewhere_do_not_stop_an_offline_check_and_are_named(folder: Path) -> None:
    text = ADAPTER.replace('token_env = "WATER_TOKEN"', 'token_file = "token.txt"')
    (folder / "adapter.toml").write_text(text, encoding="utf-8")
    assert set(told(folder)["absent"]) == {"token.txt", "WATER_DATABASE"}
    with pytest.raises(Misconfigured, match=r"token\.txt"):
        CliRunner().invoke(app, ["check", str(folder / "adapter.toml")], catch_exceptions=False)


def test_every_reason_is_told_with_the_agencys_column_and_the_exit_code_says_it(folder: Path) -> None:
    sample(folder / "samples/in/complaints/wrong.json", [{**DONE, "biaya": "12.50", "kasus": "x"}, RECORD, {}, 7])
    sample(folder / "samples/out/python/wrong.json", {**ORDER, "data": {**ORDER["data"], "service_code": "noise"}})
    sample(folder / "samples/out/python/worse.json", {"type": "subak.workorder.isued.v1", "data": {}})
    found = told(folder)
    reasons = [(one["file"].rpartition("/")[2], one["number"], reason["code"], reason["field"])
               for one in found["samples"] for reason in one["reasons"]]  # fmt: skip
    assert reasons == [
        ("wrong.json", 1, "not_a_number", "biaya"),
        ("wrong.json", 1, "not_a_case", "kasus"),
        ("wrong.json", 2, "type_not_allowed", "type"),
        ("wrong.json", 3, "missing_column", "status"),
        ("wrong.json", 4, "not_a_record", "sample"),
        ("worse.json", 1, "unknown_type", "type"),
        ("wrong.json", 1, "unmapped_code", "jenis"),
    ]


@pytest.mark.parametrize(
    "content",
    ["{", "\x00", "[" * 100_000, '{"a": NaN}', "", "null", '"x"', '[{"status": "SELESAI", "nomor": Infinity}]'],
)
def test_a_sample_that_is_none_is_a_reason_and_no_traceback(folder: Path, content: str) -> None:
    sample(folder / "samples/in/complaints/bad.json", content)
    found = told(folder)
    assert found["ok"] is False


def test_csv_is_a_sample_too(folder: Path) -> None:
    sample(
        folder / "samples/in/complaints/rows.csv", "\ufeffnomor,status,kasus,keluhan,biaya\n5,SELESAI,,x,\n6,SELESAI\n"
    )
    found = [one for one in told(folder)["samples"] if one["file"].endswith(".csv")]
    assert found[0]["events"][0]["data"] == {"status_notes": "Selesai: x"}
    assert found[1]["reasons"]


def test_what_is_wrong_with_the_files_is_told_once_with_the_samples_left_out(folder: Path) -> None:
    (folder / "mapping.toml").write_text(COMPLAINTS.replace('key = "nomor"', ""), encoding="utf-8")
    (folder / "water_handlers.py").write_text("def raed(cursor): ...\ndef take(event, rows): ...\n", encoding="utf-8")
    problems = told(folder)["problems"]
    assert len(problems) == 2
    assert any('Did you mean "raed"?' in problem for problem in problems)
    assert any("mapping.toml: key: it is missing" in problem for problem in problems)


def test_an_agency_that_the_city_does_not_have_is_told(folder: Path) -> None:
    (folder / "adapter.toml").write_text(ADAPTER.replace("water-utility", "water-utilty"), encoding="utf-8")
    assert 'Did you mean "water-utility"?' in told(folder)["problems"][0]


def test_connections_are_tried_unless_it_is_offline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    result = check(folder, "--json")
    assert result.exit_code == 1
    (problem,) = json.loads(result.output)["problems"]
    assert problem.startswith("Kafka: ")
    assert (folder / "water.sqlite3").exists()


@pytest.mark.kafka
def test_topics_that_are_not_there_are_told(folder: Path, kafka: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SET.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    problems = json.loads(check(folder, "--json").output)["problems"]
    assert all("is not there" in problem for problem in problems), problems
