"""Rows and positions move together or not at all; one database has one casebook, one city, one log."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from bus.city import load_city
from bus.city.load import city_path
from bus.records import Record
from bus.topics import EVENTS
from schemas.failures import Misconfigured
from schemas.types.requests import RequestCommented, RequestSubmitted
from services.casebook import writer as writer_module
from services.casebook.database import DatabaseUnavailable, database_url, writer_engine
from services.casebook.positions import AnotherCasebook, Position
from services.casebook.writer import Writer
from tests.casebook.tables import contents, fill, portions, rows
from tests.support.logbook import Logbook

CITY = load_city(city_path("denpasar"))
SERVICE, AREA = "road-damage", "51.71.01.1005"


@pytest.fixture
def logbook() -> Logbook:
    found = Logbook(CITY)
    for number in range(6):
        found.repair(number, service=SERVICE, area=AREA)
    return found


@pytest.mark.parametrize("place", ["move", "_mark_late", "known_to", "project", "_tell_again"])
def test_a_batch_that_fails_leaves_rows_and_positions_as_they_were(
    writing: Engine, logbook: Logbook, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    first, second = logbook.records[:40], logbook.records[40:]
    writer = fill(writing, logbook, records=first)
    before = contents(writing)
    right = getattr(writer_module, place)

    def failing(*arguments: Any, **named: Any) -> Any:
        right(*arguments, **named)
        raise RuntimeError("in the middle of a batch")

    monkeypatch.setattr(writer_module, place, failing)
    positions = writer.positions()
    with pytest.raises(RuntimeError, match="in the middle"):
        writer.take(second, positions)
    assert contents(writing) == before
    monkeypatch.undo()
    writer.take(second, positions)
    after = contents(writing)
    fill(writing, logbook)
    assert contents(writing) == after


def test_a_second_casebook_on_the_database_is_refused_and_changes_nothing(url: str, logbook: Logbook) -> None:
    engines = [writer_engine(url), writer_engine(url)]
    one, other = Writer(engines[0]), Writer(engines[1])
    theirs = one.open(CITY.id, logbook.beginnings)
    ours = other.open(CITY.id, logbook.beginnings)
    one.take(logbook.records[:30], theirs)
    before = contents(engines[0])
    with pytest.raises(AnotherCasebook, match=r"another casebook has moved city-events/\d on from 0.*stop the other"):
        other.take(logbook.records[:30], ours)
    with pytest.raises(AnotherCasebook):
        other.take(logbook.records[:50], ours)
    assert contents(engines[0]) == before
    for engine in engines:
        engine.dispose()


def test_records_that_the_tables_have_already_are_passed_over(writing: Engine, logbook: Logbook) -> None:
    writer = fill(writing, logbook)
    before = contents(writing)
    taken = writer.take(logbook.records, writer.positions())
    assert (taken.entries, taken.rejections, taken.positions) == (0, 0, {})
    assert contents(writing) == before


def test_a_rebuild_forgets_all_rows_first(writing: Engine, logbook: Logbook) -> None:
    fill(writing, logbook)
    writer = Writer(writing)
    positions = writer.open(CITY.id, logbook.beginnings, rebuild=True)
    assert set(positions.values()) == {Position(0)}
    assert not any(rows(writing, table) for table in ("cases", "case_parties", "timeline", "rejected"))


def test_a_casebook_goes_on_where_the_tables_stand(url: str, logbook: Logbook) -> None:
    engine = writer_engine(url)
    Writer(engine).open(CITY.id, logbook.beginnings)
    for part in portions(logbook.records, 9):  # a new process for every batch
        engine.dispose()
        engine = writer_engine(url)
        writer = Writer(engine)
        writer.take(part, writer.open(CITY.id, dict.fromkeys(logbook.beginnings, 5)))
    found = contents(engine)
    fill(engine, logbook)
    assert contents(engine) == found
    engine.dispose()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("UPDATE meta SET value = '0' WHERE name = 'version'", "of version 0.*--rebuild"),
        ("UPDATE meta SET value = 'jakarta' WHERE name = 'city'", "belong to the city jakarta.*denpasar's"),
        ("DELETE FROM positions WHERE topic = 'city-events' AND partition = 3", "know 7 partitions.*bus has 8"),
    ],
)
def test_tables_that_are_not_these_are_refused_in_words(
    writing: Engine, logbook: Logbook, change: str, sentence: str
) -> None:
    fill(writing, logbook)
    with writing.begin() as connection:
        connection.execute(text(change))
    with pytest.raises(Misconfigured, match=sentence):
        Writer(writing).open(CITY.id, logbook.beginnings)
    Writer(writing).open(CITY.id, logbook.beginnings, rebuild=True)


def test_a_character_that_the_database_cannot_store_stops_nothing(writing: Engine, logbook: Logbook) -> None:
    logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=AREA), case="nul")
    event = logbook.say(CITY.citizens_channel, RequestCommented(text="x"), case="nul")
    number = next(record.partition for record in logbook.records if record.key == event.key)
    headers = [
        (name, b"a\x00b" if name in ("ce_source", "ce_id", "ce_type") else value) for name, value in event.headers()
    ]
    value = b'{"text":"\\u0000", "agency":"a\\u0000b"}'
    for type_ in (b"subak.request.commented.v1", b"subak.request.forwarded.v1", b"a\x00b"):
        changed = [(name, type_ if name == "ce_type" else old) for name, old in headers]
        logbook.append(Record(EVENTS, number, 0, 0, event.key, value, changed))
    fill(writing, logbook)
    assert [row["event_id"] for row in rows(writing, "timeline")].count("a\ufffdb") == 3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("what is this", "not a database URL"),
        ("mysql://host/casebook", "SQLite or PostgreSQL, and not in mysql"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_a_wrong_database_url_is_refused_in_words(given: str, sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        database_url(given)


def test_a_database_that_is_away_is_worth_waiting_for() -> None:
    writer = Writer(writer_engine("postgresql://nobody@127.0.0.1:1/none"))
    with pytest.raises(DatabaseUnavailable, match="the database failed while reading the positions"):
        writer.positions()


def test_readers_can_only_read(writing: Engine, reading: Engine, logbook: Logbook) -> None:
    fill(writing, logbook)
    with pytest.raises(Exception, match=r"(?i)read.?only"), reading.begin() as connection:
        connection.execute(text("DELETE FROM cases"))
    assert rows(reading, "cases") == rows(writing, "cases")
