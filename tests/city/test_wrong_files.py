"""A wrong city file gives its sentence: file, key, what is wrong, the nearest name that is right. None hides another.

`mistakes.toml` holds the mistakes, each with all that must be told of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from bus.city import City, WrongCity, load_city
from schemas.failures import Misconfigured
from tests.city.control import changed_harbour, harbour

MISTAKES: dict[str, dict[str, Any]] = {
    mistake["name"]: mistake
    for mistake in tomllib.loads(Path(__file__).with_name("mistakes.toml").read_text(encoding="utf-8"))["mistake"]
}

INDEPENDENT = (
    "an unknown key",
    "no country",
    "no time zone",
    "a name in a language the city lacks",
    "half a centroid",
    "an unknown key of a subscription",
    "an agency's level that is none",
    "an entitlement that is none",
    "a threshold that is no amount",
    "a parent that is none",
    "the operators' type",
    "an unknown key of a service",
    "an unknown key of a responsibility",
    "a duration that is none",
    "an agency asked twice",
    "a target that is missing",
)
"""Mistakes in all four files that have nothing to do with one another."""


def told_of(folder: Path) -> list[str]:
    with pytest.raises(WrongCity) as wrong:
        load_city(folder)
    return [str(problem) for problem in wrong.value.problems]


def changes(names: Iterable[str]) -> list[tuple[str, str, str]]:
    return [(MISTAKES[name]["file"], MISTAKES[name]["old"], MISTAKES[name]["new"]) for name in names]


def assert_begin(told: list[str], sentences: list[str]) -> None:
    """Each sentence begins one that was told, and nothing else was told."""
    assert len(told) == len(sentences), told
    for sentence in sentences:
        assert any(one.startswith(sentence) for one in told), (sentence, told)


def test_control_has_no_mistake() -> None:
    assert isinstance(harbour(), City)


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_has_its_sentences_and_no_other(name: str, tmp_path: Path) -> None:
    assert_begin(told_of(changed_harbour(tmp_path, *changes([name]))), MISTAKES[name]["told"])


def test_no_mistake_hides_another(tmp_path: Path) -> None:
    folder = changed_harbour(tmp_path, *changes(INDEPENDENT))

    assert_begin(told_of(folder), [sentence for name in INDEPENDENT for sentence in MISTAKES[name]["told"]])


@pytest.mark.parametrize("file", ["city.toml", "areas.csv", "agencies.toml", "services.toml"])
def test_missing_file_is_told_and_hides_nothing_in_the_others(file: str, tmp_path: Path) -> None:
    other = "an unknown key of a service" if file != "services.toml" else "an unknown key"
    folder = changed_harbour(tmp_path, *changes([other]))
    (folder / file).unlink()

    told = told_of(folder)

    assert f"{file}: the file is missing. Write it in {folder}; docs/how-to/describe-a-city.md says how." in told
    assert MISTAKES[other]["told"][0] in told


@pytest.mark.parametrize("file", ["city.toml", "areas.csv", "agencies.toml", "services.toml"])
def test_file_that_is_not_utf8_is_told(file: str, tmp_path: Path) -> None:
    folder = changed_harbour(tmp_path)
    (folder / file).write_bytes(b"\xff\xfe\x00")

    assert any(one.startswith(f"{file}: the file cannot be read: ") for one in told_of(folder))


def test_empty_files_are_told_without_a_crash(tmp_path: Path) -> None:
    folder = changed_harbour(tmp_path)
    for file in ("city.toml", "areas.csv", "agencies.toml", "services.toml"):
        (folder / file).write_text("", encoding="utf-8")

    assert "city.toml: approver: it is missing. Add it." in told_of(folder)


def test_all_problems_are_in_the_error_a_process_stops_with(tmp_path: Path) -> None:
    folder = changed_harbour(tmp_path, *changes(["no country", "an agency asked twice"]))

    with pytest.raises(Misconfigured) as error:
        load_city(folder)

    assert str(error.value).splitlines() == [
        f"the city in {folder} has 2 problems:",
        *(f"- {MISTAKES[name]['told'][0]}" for name in ("no country", "an agency asked twice")),
    ]
