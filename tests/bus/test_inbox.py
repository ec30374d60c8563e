"""What arrives is stored once, in its order, together with the position after it; redelivery changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import Connection, delete, select

from bus.agency_tables import cases, inbox
from bus.cases import KnownCases
from bus.database import Database
from bus.inbox import Inbox, Mark
from bus.inbox.reader import check_positions
from bus.inbox.rows import replay_rows, store_marks
from bus.inbox.views import parked_rows, read_waiting
from bus.records import Record
from schemas.envelope import Event
from schemas.failures import Misconfigured
from tests.support.events import case_id, comment, source

AGENCY = "public-works"
TOPIC = f"agency-{AGENCY}-in"
NOW = 1_790_000_000.0


@pytest.fixture
def box(database: Database) -> Inbox:
    agencies = {f"agency-{agency}-in": agency for agency in (AGENCY, "water-utility")}
    return Inbox(database, KnownCases(database), agency_of=agencies, source_of=source, clock=lambda: NOW)


def record(offset: int, event: Event, topic: str = TOPIC) -> Record:
    return Record(topic, 0, offset, 0, event.key, event.data, event.headers())


async def waiting(box: Inbox, agency: str = AGENCY) -> list[str]:
    rows = await box.database.run(
        lambda connection: read_waiting(connection, agency, after=0, rows_max=100, bytes_max=10_000_000)
    )
    return [row.event_id for row in rows]


async def mark(box: Inbox, marks: Mapping[str, str]) -> None:
    """Event id → state."""

    def unit(connection: Connection) -> list[Mark]:
        rows = connection.execute(select(inbox.c.id, inbox.c.event_id).where(inbox.c.event_id.in_(marks)))
        return [Mark(id, marks[event_id], 1, 0, NOW, None, "because") for id, event_id in rows]

    await box.mark(AGENCY, await box.database.run(unit))


async def test_records_are_stored_in_their_order_with_the_position_after_them(box: Inbox) -> None:
    await box.take([record(7, comment(id="a")), record(9, comment(id="b", case=2))])
    assert await waiting(box) == ["a", "b"]
    assert await box.positions() == {(TOPIC, 0): 10}
    assert box.waiting[AGENCY] == 2


async def test_ids_go_on_above_all_that_were_given_though_the_counter_went_back(box: Inbox) -> None:
    """As in an older copy: a system that asks for what is after its position must find what is read again."""
    await box.begin()
    await box.take([record(0, comment(id="a"))])
    given = await box.database.run(lambda connection: connection.scalar(select(inbox.c.id)))
    back = {
        "sqlite": "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'subak_inbox'",
        "postgresql": "SELECT setval('subak_inbox_id_seq', 1)",
    }
    await box.database.run(lambda connection: connection.exec_driver_sql(back[connection.dialect.name]).close())
    await box.database.run(lambda connection: connection.execute(delete(inbox)).close())
    box._clock = lambda: NOW + 60.0
    assert await box.begin() == {(TOPIC, 0): 1}
    await box.take([record(1, comment(id="b")), record(2, comment(id="c"))])
    ids = await box.database.run(lambda connection: list(connection.scalars(select(inbox.c.id))))
    assert len(ids) == 2
    assert min(ids) > given


async def test_redelivery_changes_nothing(box: Inbox) -> None:
    batch = [record(0, comment(id="a")), record(1, comment(id="b"))]
    await box.take(batch)
    await box.take(batch)
    await box.take([*batch, record(2, comment(id="c")), record(3, comment(id="a"))])
    assert await waiting(box) == ["a", "b", "c"]
    assert box.waiting[AGENCY] == 3


async def test_an_event_that_was_delivered_long_ago_is_known_when_it_comes_again(box: Inbox) -> None:
    await box.take([record(0, comment(id="a"))])
    await mark(box, {"a": "delivered"})
    box._clock = lambda: NOW + 1000.0
    await box.forget(AGENCY, keep_seconds=100.0)
    content = await box.database.run(lambda connection: connection.scalar(select(inbox.c.data)))
    assert content is None
    await box.take([record(1, comment(id="a"))])
    assert await waiting(box) == []


async def test_only_delivered_content_is_forgotten_and_only_when_its_time_is_over(box: Inbox) -> None:
    await box.take([record(n, comment(id=id, case=n)) for n, id in enumerate(["old", "parked", "waiting", "young"])])
    await mark(box, {"old": "delivered", "parked": "parked"})
    box._clock = lambda: NOW + 50.0
    await box.take([record(9, comment(id="late", case=9))])
    box._clock = lambda: NOW + 120.0
    await box.forget(AGENCY, keep_seconds=100.0)
    kept = await box.database.run(
        lambda connection: list(connection.scalars(select(inbox.c.event_id).where(inbox.c.data.is_not(None))))
    )
    assert sorted(kept) == ["late", "parked", "waiting", "young"]


async def test_the_same_id_from_two_senders_is_two_events(box: Inbox) -> None:
    await box.take([record(0, comment(id="1001")), record(1, comment(id="1001", agency="water-utility"))])
    assert await waiting(box) == ["1001", "1001"]


async def test_an_event_for_two_agencies_is_stored_for_each(box: Inbox) -> None:
    event = comment(id="a", agency="finance")
    await box.take([record(0, event), record(0, event, "agency-water-utility-in")])
    assert (await waiting(box), await waiting(box, "water-utility")) == (["a"], ["a"])
    assert await box.positions() == {(TOPIC, 0): 1, ("agency-water-utility-in", 0): 1}


async def test_where_storing_fails_the_position_stays_before(box: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    await box.take([record(0, comment(id="a"))])

    def fails(*_: object) -> None:
        raise OSError("cut off")

    monkeypatch.setattr("bus.inbox.inbox.store_positions", fails)
    with pytest.raises(OSError, match="cut off"):
        await box.take([record(1, comment(id="b"))])
    monkeypatch.undo()
    assert await waiting(box) == ["a"]
    assert await box.positions() == {(TOPIC, 0): 1}
    await box.take([record(1, comment(id="b"))])
    assert await waiting(box) == ["a", "b"]


async def test_behind_a_parked_event_its_case_waits_and_no_other(box: Inbox) -> None:
    arrivals = [("a-1", 1), ("b-1", 2), ("a-2", 1), ("b-2", 2)]
    await box.take([record(n, comment(id=id, case=case)) for n, (id, case) in enumerate(arrivals)])
    await mark(box, {"a-1": "parked"})
    assert await waiting(box) == ["b-1", "b-2"]
    (row,) = await box.database.run(lambda connection: parked_rows(connection, AGENCY, rows_max=10))
    assert (row["event_id"], row["reason"], row["waiting_behind"]) == ("a-1", "because", 1)
    assert await box.database.run(lambda c: replay_rows(c, AGENCY, "a-1")) == ([case_id(1)], False)
    assert await waiting(box) == ["a-1", "b-1", "a-2", "b-2"]
    assert await box.database.run(lambda c: replay_rows(c, AGENCY, "a-1")) == ([], False)


async def test_a_mark_that_comes_late_does_not_undo_a_replay(box: Inbox) -> None:
    await box.take([record(0, comment(id="a"))])
    await mark(box, {"a": "delivered"})
    late = Mark(1, "waiting", 1, 1, NOW, NOW + 5, "refused")
    await box.database.run(lambda connection: store_marks(connection, [late]))
    assert await waiting(box) == []


async def test_a_record_that_is_no_event_is_kept_and_stops_nobody(box: Inbox) -> None:
    broken = Record(TOPIC, 0, 5, 0, b"k", b"\x00\xff", [("ce_id", b"x")])
    await box.take([record(4, comment(id="a")), broken, record(6, comment(id="b"))])
    assert await waiting(box) == ["a", "b"]
    (row,) = await box.database.run(lambda connection: parked_rows(connection, AGENCY, rows_max=10))
    assert (row["type"], row["event_id"]) == ("unreadable", f"{TOPIC}/0/5")
    assert await box.database.run(lambda c: replay_rows(c, AGENCY, f"{TOPIC}/0/5")) == ([], True)


async def test_what_is_heard_of_a_case_is_kept(box: Inbox) -> None:
    await box.take([record(0, comment(id="a", jurisdiction="51.71.01"))])
    rows = await box.database.run(lambda c: [tuple(row) for row in c.execute(select(cases))])
    assert rows == [(AGENCY, case_id(1), "51.71.01", None)]


@pytest.mark.parametrize("wrong", [{("t", 0): 4}, {("t", 0): 11}])
def test_a_position_outside_its_topic_is_never_taken_in_silence(wrong: Mapping[tuple[str, int], int]) -> None:
    with pytest.raises(Misconfigured, match=r"t-0 stands at \d+, and the topic holds 5 to 10"):
        check_positions(wrong, {("t", 0): 5}, {("t", 0): 10})
    check_positions({("t", 0): 5}, {("t", 0): 5}, {("t", 0): 10})
    check_positions({("t", 0): 10}, {("t", 0): 5}, {("t", 0): 10})


async def test_a_batch_for_many_agencies_is_counted_for_each(box: Inbox) -> None:
    woken: list[str] = []
    for agency in (AGENCY, "water-utility"):
        box.wake(agency, lambda agency=agency: woken.append(agency))  # type: ignore[misc]
    batch: Sequence[Record] = [
        record(0, comment(id="a")),
        record(0, comment(id="b"), "agency-water-utility-in"),
        record(1, comment(id="c"), "agency-water-utility-in"),
    ]
    await box.take(batch[:2])
    await box.take(batch)
    assert dict(box.waiting) == {AGENCY: 1, "water-utility": 2}
    assert set(woken) == {AGENCY, "water-utility"}
