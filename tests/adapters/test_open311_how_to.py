"""docs/how-to/connect-an-open311-app.md can be followed word for word, and its adapter.toml is whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from defusedxml import ElementTree as Xml

from adapters.config import AdapterConfig
from adapters.kinds import Place
from adapters.sources.open311.config import Open311Config
from adapters.sources.open311.source import Open311Source
from schemas.failures import Misconfigured
from tests.adapters.test_how_to import shell
from tests.support.adapter import SmallAdapter
from tests.support.open311 import KEY, Open311

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "connect-an-open311-app.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference" / "open311.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def test_each_command_of_the_page_works_in_its_order(tmp_path: Path) -> None:
    commands = blocks("sh")
    assert len(commands) == 8
    async with Open311.opened(tmp_path) as open311:
        environment = {"OPEN311": open311.url, "KEY": KEY}
        discovery, services, definition, receipt = [await shell(command, environment) for command in commands[:4]]
        environment["REQUEST"] = json.loads(receipt)[0]["service_request_id"]
        one, several, update, updates = [await shell(command, environment) for command in commands[4:]]
    assert json.loads(discovery)["endpoints"][0]["url"] == open311.url
    assert len(json.loads(services)) == len(open311.adapter.city.services)
    assert Xml.fromstring(definition).findtext("attributes/attribute/code") == "SIZE"
    assert json.loads(one)[0]["status"] == "open"
    assert [found["service_request_id"] for found in json.loads(several)] == [environment["REQUEST"]]
    given = Xml.fromstring(update).findtext("request_update/update_id")
    assert [shown.findtext("update_id") for shown in Xml.fromstring(updates)] == [given]


def test_the_pages_adapter_toml_is_whole(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    (tmp_path / "adapter.toml").write_text(text, encoding="utf-8")
    (agency,) = AdapterConfig.load(tmp_path / "adapter.toml", {"COMMUNICATIONS_TOKEN": "t" * 48}).agencies
    assert [source.kind for source in agency.sources] == ["open311"]


def test_every_key_is_in_the_reference() -> None:
    missing = [name for name in Open311Config.model_fields if f"`{name}`" not in REFERENCE and name != "app"]
    assert missing == [], f"add to docs/reference/open311.md: {missing}"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"app": ({"name": "a"},)}, 'app "a": key is missing'),
        ({"app": ({"name": "a", "key": "short"},)}, "key has 5 characters, fewer than 16"),
        ({"app": ({"name": "a", "key": "k" * 20}, {"name": "b", "key": "k" * 20})}, '"a" and "b" have the same key'),
        ({"app": ({"name": "a", "key": "k" * 20}, {"name": "a", "key": "l" * 20})}, '"a" stands twice'),
        ({"app": ({"name": "a", "key_env": "NOT_THERE"},)}, "NOT_THERE, which is not set"),
    ],
)
async def test_a_wrong_key_stops_the_adapter_with_its_sentence(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    async with SmallAdapter.opened(tmp_path) as adapter:
        place = Place(
            agency="communications",
            name="open311",
            folder=tmp_path,
            environment={},
            city=adapter.city,
            database=adapter.database,
        )
        with pytest.raises(Misconfigured, match=re.escape(said)) as stopped:
            Open311Source(Open311Config.model_validate(keys), place, None)  # type: ignore[arg-type]  # not reached
        assert "k" * 20 not in str(stopped.value)
