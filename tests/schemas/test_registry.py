"""The registry knows each type once, by a well-formed name, and makes old versions new."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.envelope import Event
from schemas.failures import Misconfigured, Refused
from schemas.registry import EventData, Registry, UnknownType, event_type
from schemas.upcast import upcast
from tests.schemas.good import CASE, told


class Counted:
    """Three versions of one type in a registry of their own: a score of 1..5, then 0..10, then in words."""

    def __init__(self) -> None:
        self.types = types = Registry()

        @event_type("subak.test.scored.v1", owner="tests", types=types)
        class Scored(EventData):
            """A score."""

            score: int

        @event_type("subak.test.scored.v2", owner="tests", types=types)
        class ScoredV2(EventData):
            """A score out of ten."""

            score: int
            out_of: int

        @event_type("subak.test.scored.v3", owner="tests", types=types)
        class ScoredV3(EventData):
            """A score in words."""

            words: str

        self.latest = ScoredV3

    def upcast_all(self) -> Counted:
        """With both upcasters."""

        @upcast("subak.test.scored.v1", to="subak.test.scored.v2", types=self.types)
        def to_v2(data: dict[str, Any]) -> dict[str, Any]:
            return {"score": data["score"] * 2, "out_of": 10}

        @upcast("subak.test.scored.v2", to="subak.test.scored.v3", types=self.types)
        def to_v3(data: dict[str, Any]) -> dict[str, Any]:
            return {"words": f"{data['score']} of {data['out_of']}"}

        return self


def scored(version: int, data: bytes) -> Event:
    """An event of the type that `Counted` has."""
    return Event(
        id="1",
        type=f"subak.test.scored.v{version}",
        source="urn:subak:denpasar:communications",
        subject=CASE,
        time="2026-11-24T08:00:00Z",
        data=data,
    )


@pytest.mark.parametrize(
    ("version", "data", "words"),
    [(1, b'{"score":4}', "8 of 10"), (2, b'{"score":7,"out_of":10}', "7 of 10"), (3, b'{"words":"fine"}', "fine")],
)
def test_every_version_is_read_as_the_latest(version: int, data: bytes, words: str) -> None:
    counted = Counted().upcast_all()
    found = counted.types.read_latest(scored(version, data))
    assert found == counted.latest(words=words)


def test_old_data_with_fields_that_nobody_knows_is_upcast_without_them() -> None:
    counted = Counted().upcast_all()
    assert counted.types.read_latest(scored(1, b'{"score":4,"mood":"good"}')).words == "8 of 10"


def test_data_that_is_not_of_its_type_is_refused_before_an_upcaster_sees_it() -> None:
    counted = Counted().upcast_all()
    assert told(counted.types.read_latest, scored(1, b'{"score":"four"}')) == [("int_type", "data.score")]


def test_an_upcaster_that_makes_what_the_new_type_refuses_is_told_of() -> None:
    types = Counted().types
    upcast("subak.test.scored.v1", to="subak.test.scored.v3", types=types)(lambda data: {"word": "?"})
    with pytest.raises(Refused, match="words"):
        types.read_latest(scored(1, b'{"score":4}'))


def test_a_later_version_without_an_upcaster_is_found() -> None:
    assert Counted().types.without_upcaster() == ["subak.test.scored.v1", "subak.test.scored.v2"]
    assert Counted().upcast_all().types.without_upcaster() == []


def test_upcasting_leads_forward_and_from_each_version_once() -> None:
    counted = Counted().upcast_all()
    for old, new in (("v2", "v1"), ("v1", "v1")):
        with pytest.raises(Misconfigured, match="is no later version"):
            counted.types.add_upcaster(f"subak.test.scored.{old}", f"subak.test.scored.{new}", dict)
    with pytest.raises(Misconfigured, match="is no later version"):
        counted.types.add_upcaster("subak.test.scored.v1", "subak.test.other.v2", dict)
    with pytest.raises(Misconfigured, match="two functions"):
        counted.types.add_upcaster("subak.test.scored.v1", "subak.test.scored.v3", dict)


@pytest.mark.parametrize(
    "name", ["scored", "subak.test.scored", "subak.Test.scored.v1", "subak.test.scored.v01", "subak.test.scored.v1\n"]
)
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured, match="is not of the form"):
        event_type(name, owner="tests", types=Registry())(EventData)


def test_a_name_is_given_once() -> None:
    with pytest.raises(Misconfigured, match="two classes claim"):
        event_type("subak.test.scored.v1", owner="tests", types=Counted().types)(EventData)


def test_an_unknown_type_is_a_refusal() -> None:
    with pytest.raises(UnknownType, match=r"Send subak\.test\.scored\.v1 or"):
        Counted().types.read_latest(scored(9, b"{}"))
