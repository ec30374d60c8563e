"""`subak city`: what is wrong with a city in sentences or JSON, with an exit code; what it says in tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.city import app
from tests.city.control import HARBOUR, changed_harbour

run = CliRunner().invoke


def test_check_of_a_right_city_says_so() -> None:
    result = run(app, ["check", "--city", str(HARBOUR)])

    assert result.exit_code == 0
    assert result.output == "Harbour: 4 areas, 9 agencies, 3 services. Everything fits together.\n"


def test_check_of_a_wrong_city_tells_all_and_fails(tmp_path: Path) -> None:
    folder = changed_harbour(tmp_path, ("city.toml", '"NL"', '"NLD"'), ("services.toml", '"P2W"', '"2W"'))

    result = run(app, ["check", "--city", str(folder)])

    assert result.exit_code == 1
    told = result.output.splitlines()
    assert told[0].startswith("services.toml: targets.resolve_within: ")
    assert told[1].startswith("city.toml: country: ")
    assert told[2] == f"2 problems in {folder}."


def test_check_looks_at_the_feed_too(tmp_path: Path) -> None:
    result = run(app, ["check", "--city", str(changed_harbour(tmp_path, ("feed.toml", '"quay"', '"key"')))])

    assert result.exit_code == 1
    assert result.output.startswith('feed.toml: services."Quay_Wall": ')


def test_check_in_json_is_one_object(tmp_path: Path) -> None:
    folder = changed_harbour(tmp_path, ("city.toml", '"NL"', '"NLD"'))

    result = run(app, ["check", "--city", str(folder), "--json"])

    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "city": None,
        "folder": str(folder),
        "ok": False,
        "problems": [
            {
                "file": "city.toml",
                "key": "country",
                "problem": '"NLD" is no ISO 3166-1 alpha-2 country',
                "fix": 'Did you mean "NL"?',
            }
        ],
    }


def test_city_of_the_settings_is_checked_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBAK_CITY", str(HARBOUR))

    assert run(app, ["check"]).output.startswith("Harbour: ")


def test_show_tells_who_is_asked_where() -> None:
    shown = run(app, ["show", "--city", str(HARBOUR), "--by", "service"]).output

    quay = shown[shown.index("quay") : shown.index("lamp")]
    assert [line.split()[0] for line in quay.splitlines() if line.strip()] == ["quay", "diver", "docks"]
    assert "elsewhere" in quay
    assert "4 h" in quay


def test_show_tells_every_agency_with_its_part() -> None:
    shown = run(app, ["show", "--city", str(HARBOUR), "--by", "level"]).output

    assert "quarter-old-quay" in shown
    assert "citizens' channel" in shown
    assert "Diver Ltd, Old Quay h-1" in shown
    assert "operations" not in shown


def test_show_speaks_the_language_asked_for() -> None:
    assert "Lampe" in run(app, ["show", "--city", str(HARBOUR), "--language", "fy"]).output
