"""What is published is what the code says, nothing published is ever broken, and every earlier form is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import create_model

import schemas.types
from bus.topics import CITY_TOPICS, in_topic, out_topic
from schemas.publishing import PUBLISHED, SKELETON_DESCRIPTION, Publication, Unpublishable, schema_of
from schemas.registry import EventData, Registry, event_type, registry
from schemas.values import Personal, Text200
from tests.schemas.good import CASE

NAME = "subak.test.sent.v1"

assert schemas.types


def test_everything_published_is_current_compatible_and_lawful() -> None:
    assert Publication().findings() == []


def test_every_type_is_published_and_nothing_else_is() -> None:
    found = {path.stem for path in PUBLISHED.glob("subak.*.json")}
    assert found == {event_type.name for event_type in registry}


def test_a_published_schema_says_whose_it_is_and_what_is_personal() -> None:
    schema = json.loads((PUBLISHED / "subak.request.submitted.v1.json").read_text())
    assert (schema["x-owner"], schema["x-kind"], schema["x-opens-case"]) == ("citizens-channel", "event", True)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["description"].startswith("A citizen asked")
    assert len(schema["examples"]) >= 2
    phone = schema["$defs"]["Reporter"]["properties"]["phone"]["anyOf"][0]
    assert phone["x-personal"] is True


class Press:
    """A publication of one type in a folder of its own, whose class can change from one edition to the next."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for kind, name, content in (
            ("valid", "full", {"data": {"text": "a", "more": "b"}}),
            ("valid", "minimal", {"data": {"text": "a"}}),
            ("refused", "none", {"data": {}, "reasons": [["missing", "data.text"]]}),
            ("refused", "number", {"data": {"text": 1}, "reasons": [["string_type", "data.text"]]}),
        ):
            path = home / "examples" / NAME / kind / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))

    def edition(self, says: str = "Something was sent.", **fields: Any) -> Publication:
        """The type with these fields beside `text` and `more`, each described."""
        types = Registry()
        all_fields = {"text": (Text200, ...), "more": (Text200 | None, None), **fields}
        model = create_model(
            "TestSent", __base__=EventData, __doc__=says, **{name: field for name, field in all_fields.items() if field}
        )
        for field in model.model_fields.values():
            field.description = "It is described."
        model.model_rebuild(force=True)
        event_type(NAME, owner="tests", types=types)(model)
        return Publication(types, self.home / "published", self.home / "examples", reference=None)


@pytest.fixture
def press(tmp_path: Path) -> Press:
    """With a first edition published."""
    press = Press(tmp_path)
    press.edition().write()
    assert press.edition().findings() == []
    return press


def history(press: Press) -> list[str]:
    """The names of the revisions that are kept."""
    return sorted(path.name for path in (press.home / "published" / "history").rglob("*.json"))


def test_publishing_twice_writes_nothing(press: Press) -> None:
    assert press.edition().write() == []


def test_a_change_that_is_not_published_is_found(press: Press) -> None:
    grown = press.edition(colour=(Text200 | None, None))
    kinds = {finding.kind for finding in grown.findings()}
    assert "stale" in kinds
    assert not grown.breaking()


def test_an_optional_field_is_published_and_the_form_before_is_kept(press: Press) -> None:
    press.edition(colour=(Text200 | None, None)).write()
    press.edition(colour=(Text200 | None, None), size=(Text200 | None, None)).write()
    assert history(press) == ["1.json", "2.json"]
    assert len(press.edition().revisions(NAME)) == 3


def test_a_change_of_words_is_published_without_a_revision(press: Press) -> None:
    press.edition(says="Something was sent by somebody.").write()
    assert history(press) == []
    assert "by somebody" in (press.home / "published" / f"{NAME}.json").read_text()


def test_a_breaking_change_is_not_published_and_leaves_all_as_it_was(press: Press) -> None:
    before = (press.home / "published" / f"{NAME}.json").read_bytes()
    with pytest.raises(Unpublishable, match="`priority` is new and required: old events lack it"):
        press.edition(priority=(Text200, ...)).write()
    assert (press.home / "published" / f"{NAME}.json").read_bytes() == before
    assert history(press) == []


def test_a_field_that_came_and_went_is_held_against_the_revision_that_had_it(press: Press) -> None:
    press.edition(colour=(Text200 | None, None)).write()
    (finding,) = press.edition().breaking()
    assert finding.problem.startswith("`colour` was removed")


def test_a_revision_in_the_history_counts_as_much_as_the_current_one(press: Press) -> None:
    press.edition(colour=(Text200 | None, None)).write()
    current = press.home / "published" / f"{NAME}.json"
    kept = press.home / "published" / "history" / NAME / "1.json"
    first = kept.read_text()
    kept.write_text(current.read_text())
    current.write_text(first)
    (finding,) = press.edition().breaking()
    assert finding.problem.startswith("`colour` was removed")


def test_a_type_whose_class_is_gone_is_found(press: Press) -> None:
    empty = Publication(Registry(), press.home / "published", press.home / "examples", reference=None)
    assert [(finding.type, finding.kind) for finding in empty.breaking()] == [(NAME, "removed")]


@pytest.mark.parametrize("says", ["", SKELETON_DESCRIPTION])
def test_a_type_that_does_not_say_what_happened_is_not_published(press: Press, says: str) -> None:
    with pytest.raises(Unpublishable, match="say in the docstring of TestSent what happened"):
        press.edition(says=says).write()


def test_a_personal_field_that_is_required_is_found(tmp_path: Path) -> None:
    edition = Press(tmp_path).edition(text=(Personal[Text200], ...))
    found = [finding for finding in edition.findings() if finding.kind == "personal"]
    assert "without its personal fields (text)" in found[0].problem


def test_the_documents_name_the_topics_that_the_bus_makes() -> None:
    channels = json.loads((PUBLISHED / "asyncapi.json").read_text())["channels"]
    addresses = {channel["address"].replace("{agency}", "finance") for channel in channels.values()}
    assert addresses == {*CITY_TOPICS, in_topic("finance"), out_topic("finance")}


def test_agencies_may_send_what_they_publish_and_hear_everything() -> None:
    channels = json.loads((PUBLISHED / "asyncapi.json").read_text())["channels"]
    agencies = {each.name for each in registry if each.publisher != "bus"}
    assert len(channels["agencyOut"]["messages"]) == len(agencies)
    assert len(channels["agencyIn"]["messages"]) == len(list(registry))


def test_a_schema_does_not_depend_on_the_order_of_making() -> None:
    first = [schema_of(each) for each in registry]
    assert first == [schema_of(each) for each in reversed(list(registry))][::-1]
    assert CASE not in json.dumps(first[0])
