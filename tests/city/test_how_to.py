"""docs/how-to/describe-a-city.md, word by word: its files make a city, its commands print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bus.city import city_path, load_city, load_feed
from services.cli.city import app

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "describe-a-city.md").read_text(encoding="utf-8")
FOLDER = Path("cities/lakeside")


LATE = """
[[agency]]
id = "harbour-master"
name.en = "Harbour Master"
level = "town"
parent = "town-hall"
"""


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's files, in the folder that it makes."""
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir(parents=True)
    for file, text in re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL):
        (FOLDER / file).write_text(text, encoding="utf-8")


def command(name: str) -> list[str]:
    found = re.search(rf"^subak city {name}.*$", PAGE, flags=re.MULTILINE)
    assert found is not None
    return shlex.split(found.group())[2:]


def shown(number: int) -> str:
    blocks: list[str] = re.findall(r"^```text\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return blocks[number]


def words(text: str) -> str:
    """The text without the blanks at the end of lines and the empty lines that a table has."""
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def test_its_files_make_a_city_and_a_feed() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        "city.toml",
        "areas.csv",
        "agencies.toml",
        "services.toml",
        "feed.toml",
    }
    city = load_city(city_path(str(FOLDER)))
    load_feed(FOLDER, city)

    assert city.candidates("jetty", "L2") == ("works", "dredger")
    assert city.inspector_of("L1") == "village-upper-village"


def test_check_prints_what_the_page_shows() -> None:
    assert CliRunner().invoke(app, command("check")).output == shown(0)


def test_mistake_of_the_page_is_told_as_it_shows() -> None:
    services = FOLDER / "services.toml"
    services.write_text(services.read_text(encoding="utf-8").replace('"works"', '"workz"', 1), encoding="utf-8")

    result = CliRunner().invoke(app, command("check"))

    assert result.output == shown(1)
    assert result.exit_code == 1


def test_show_prints_what_the_page_shows() -> None:
    assert words(CliRunner().invoke(app, command("show")).output) == words(shown(2))


def test_its_subscriptions_and_personal_fields_are_taken() -> None:
    blocks: list[str] = re.findall(r"^```toml\n(\[\[agency\..*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    agencies = FOLDER / "agencies.toml"
    text = agencies.read_text(encoding="utf-8")
    agencies.write_text(text.replace("[[agency_for_each]]", "\n".join([LATE, *blocks, "[[agency_for_each]]"])), "utf-8")

    city = load_city(city_path(str(FOLDER)))

    assert [one.when is not None for one in city.agencies["harbour-master"].subscribes] == [False, True]
    assert city.reads("harbour-master", "subak.request.submitted.v1") == frozenset({"reporter.name", "reporter.phone"})


def test_each_name_of_a_condition_and_each_key_of_a_subscription_is_explained() -> None:
    from bus.city.conditions import NAMES
    from bus.city.files import ReadingEntry, SubscriptionEntry

    said = set(re.findall(r"`(\w+)`", PAGE))
    assert set(NAMES) | set(SubscriptionEntry.model_fields) - {"relation"} <= said
    assert set(ReadingEntry.model_fields) - {"purpose"} <= said


def test_every_key_of_a_city_and_of_an_agency_is_explained() -> None:
    from bus.city.files import AgencyEntry, CityEntry, RoleEntry

    keys = {*CityEntry.model_fields, *AgencyEntry.model_fields, *RoleEntry.model_fields} - {"level", "roles"}
    explained = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| `.*? \|", PAGE, flags=re.MULTILINE))))

    assert keys <= explained
