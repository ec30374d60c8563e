"""An event that `add` has answered for is on disk, once, until Kafka has had it for the stated time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, event, insert, select

from bus.agency_tables import NAME, TABLES, VERSION, outbox, outbox_positions
from bus.cases import KnownCase, KnownCases
from bus.database import Database
from bus.outbox import Outbox, OutboxFull, Receipt, Submission, insert_events
from bus.outbox.rows import read_rows
from schemas.envelope import Event
from schemas.failures import Refused
from tests.support.databases import sqlite_url
from tests.support.events import case_id, comment

NOW = 1_790_000_000.0


@pytest.fixture
async def box(database: Database) -> Outbox:
    box = Outbox(database, KnownCases(database), clock=lambda: NOW)
    await box.start(["public-works"])
    return box


async def stored(database: Database) -> list[tuple[str, bytes]]:
    query = select(outbox.c.event_id, outbox.c.data).order_by(outbox.c.id)
    return await database.run(lambda connection: [(row[0], row[1]) for row in connection.execute(query)])


async def relayed(database: Database, agency: str, position: int) -> None:
    statement = insert(outbox_positions).values(agency=agency, position=position, committed_at=0.0)
    await database.run(lambda connection: connection.execute(statement) and None)


async def test_an_event_that_was_added_is_stored_as_it_came(box: Outbox, database: Database) -> None:
    event = comment("Tersumbat — masih.", jurisdiction="51.71.01.1005")
    (receipt,) = await box.add("public-works", [event])
    assert receipt == Receipt(event.id, event.subject, NOW)
    (row,) = await database.run(
        lambda c: read_rows(c, "public-works", position=0, up_to=None, rows_max=10, bytes_max=1000)
    )
    assert Event(data=row.data, **row.attributes) == event


async def test_the_same_event_again_is_stored_once_and_gets_the_first_receipt(box: Outbox, database: Database) -> None:
    event = comment(id="e-1")
    await box.add("public-works", [event])
    box._clock = lambda: NOW + 60
    respelled = replace(event, data=b'{ "text" : "Still blocked." }', time="2026-11-24T09:00:00+08:00")
    for again in (event, respelled):
        (receipt,) = await box.add("public-works", [again])
        assert receipt == Receipt("e-1", event.subject, NOW, known=True)
    assert len(await stored(database)) == 1


@pytest.mark.parametrize("other", [comment("Else.", id="e-1"), comment(id="e-1", case=2)])
async def test_an_id_with_other_content_is_refused_and_the_first_stays(
    box: Outbox, database: Database, other: Event
) -> None:
    await box.add("public-works", [comment(id="e-1")])
    with pytest.raises(Refused) as caught:
        await box.add("public-works", [other])
    (reason,) = caught.value.reasons
    assert (reason.code, reason.field) == ("id_reused", "id")
    assert await stored(database) == [("e-1", b'{"text":"Still blocked."}')]


async def test_two_agencies_may_use_the_same_id(box: Outbox, database: Database) -> None:
    await box.add("public-works", [comment(id="1001")])
    await box.add("water-utility", [comment(id="1001", agency="water-utility")])
    assert len(await stored(database)) == 2


async def test_a_request_of_many_is_stored_whole_or_not_at_all(box: Outbox, database: Database) -> None:
    await box.add("public-works", [comment(id="taken")])
    with pytest.raises(Refused) as caught:
        await box.add("public-works", [comment(id="a"), comment("Other.", id="taken"), comment(id="b")])
    assert [reason.field for reason in caught.value.reasons] == ["[1].id"]
    assert [id for id, _ in await stored(database)] == ["taken"]


async def test_requests_that_share_a_commit_do_not_share_a_refusal(box: Outbox, database: Database) -> None:
    await box.add("public-works", [comment(id="taken")])
    commits: list[int] = []
    event.listen(database._engine, "commit", lambda connection: commits.append(1))
    outcomes = await asyncio.gather(
        box.add("public-works", [comment(id="a")]),
        box.add("public-works", [comment(id="b"), comment("Other.", id="taken")]),
        box.add("public-works", [comment(id="a")]),
        box.add("public-works", [comment("Else.", id="a")]),
        box.add("public-works", [comment(id="c")]),
        return_exceptions=True,
    )
    kinds = [type(one) for one in outcomes]
    assert kinds == [list, Refused, list, Refused, list]
    assert [id for id, _ in await stored(database)] == ["taken", "a", "c"]
    assert len(commits) == 2, "one for the five, one for the question"


async def test_concurrent_requests_share_a_commit(box: Outbox, database: Database) -> None:
    commits: list[int] = []
    event.listen(database._engine, "commit", lambda connection: commits.append(1))
    await asyncio.gather(*(box.add("public-works", [comment(id=f"e-{n}")]) for n in range(200)))
    assert len(commits) < 20
    assert len(await stored(database)) == 200


async def test_where_the_commit_fails_no_request_of_it_is_answered_as_stored(box: Outbox, database: Database) -> None:
    def fail(connection: Connection) -> None:
        raise OSError("the disk is gone")

    event.listen(database._engine, "commit", fail)
    outcomes = await asyncio.gather(
        *(box.add("public-works", [comment(id=f"e-{n}")]) for n in range(5)), return_exceptions=True
    )
    event.remove(database._engine, "commit", fail)
    assert all(isinstance(outcome, OSError) for outcome in outcomes)
    assert await stored(database) == []
    assert box.waiting["public-works"] == 0


async def test_a_full_outbox_refuses_and_keeps_what_it_has(database: Database) -> None:
    box = Outbox(database, KnownCases(database), rows_max=3)
    await box.start(["public-works"])
    await box.add("public-works", [comment(), comment()])
    with pytest.raises(OutboxFull, match="2 events wait for Kafka, and the outbox may hold 3"):
        await box.add("public-works", [comment(), comment()])
    await box.add("public-works", [comment()])
    box.relayed("public-works", 3)
    await box.add("public-works", [comment()])
    assert len(await stored(database)) == 4


async def test_what_waits_is_counted_again_after_a_restart(box: Outbox, database: Database) -> None:
    await box.add("public-works", [comment(), comment(), comment()])
    ids = await database.run(lambda c: list(c.scalars(select(outbox.c.id).order_by(outbox.c.id))))
    await relayed(database, "public-works", ids[0] + 1)
    again = Outbox(database, KnownCases(database))
    await again.start(["public-works", "water-utility"])
    assert dict(again.waiting) == {"public-works": 2, "water-utility": 0}


async def test_relayed_rows_are_kept_for_their_time_and_waiting_rows_for_ever(box: Outbox, database: Database) -> None:
    await box.add("public-works", [comment(id="relayed-old")])
    box._clock = lambda: NOW + 50
    await box.add("public-works", [comment(id="relayed-young"), comment(id="waiting")])
    ids = await database.run(lambda c: list(c.scalars(select(outbox.c.id).order_by(outbox.c.id))))
    await relayed(database, "public-works", ids[1] + 1)
    box._clock = lambda: NOW + 100
    assert await box.prune("public-works", keep_seconds=60) == 1
    assert [id for id, _ in await stored(database)] == ["relayed-young", "waiting"]
    box._clock = lambda: NOW + 1000
    await box.prune("public-works", keep_seconds=60)
    assert [id for id, _ in await stored(database)] == ["waiting"]


async def test_a_number_is_never_given_again(box: Outbox, database: Database) -> None:
    await box.add("public-works", [comment()])
    (first,) = await database.run(lambda c: list(c.scalars(select(outbox.c.id))))
    await relayed(database, "public-works", first + 1)
    box._clock = lambda: NOW + 1000
    assert await box.prune("public-works", keep_seconds=60) == 1
    again = Outbox(database, KnownCases(database), clock=lambda: NOW - 10_000_000)
    await again.start(["public-works"])
    await again.add("public-works", [comment()])
    (second,) = await database.run(lambda c: list(c.scalars(select(outbox.c.id))))
    assert second > first


async def test_a_new_database_numbers_its_rows_above_those_of_the_lost_one(tmp_path: Path) -> None:
    ids = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        database = Database(sqlite_url(tmp_path / str(number)), tables=TABLES, name=NAME, version=VERSION)
        await database.start()
        box = Outbox(database, KnownCases(database), clock=partial(float, NOW + 10 * number))
        await box.start(["public-works"])
        await asyncio.gather(*(box.add("public-works", [comment()]) for _ in range(100)))
        ids.append(await database.run(lambda c: list(c.scalars(select(outbox.c.id)))))
        await database.stop()
    assert min(ids[1]) > max(ids[0])


async def test_reading_is_bounded_in_rows_and_in_bytes(box: Outbox, database: Database) -> None:
    await box.add("public-works", [comment("x" * 1000, id=f"e-{n}") for n in range(10)])

    async def read(rows_max: int, bytes_max: int) -> int:
        rows = await database.run(
            lambda c: read_rows(c, "public-works", position=0, up_to=None, rows_max=rows_max, bytes_max=bytes_max)
        )
        return len(rows)

    assert await read(3, 1_000_000) == 3
    assert await read(100, 2500) == 3
    assert await read(100, 1) == 1, "one goes always, however large"


async def test_the_case_of_an_event_is_known_after_it(box: Outbox, database: Database) -> None:
    await box.add("public-works", [replace(comment(jurisdiction="51.71.01.1005"), correlationid="first")])
    await box.add("public-works", [comment()])
    for cases in (box._cases, KnownCases(database)):
        assert await cases.of("public-works", case_id(1)) == KnownCase("51.71.01.1005", "first")
        assert await cases.of("water-utility", case_id(1)) == KnownCase()
        assert await cases.of("public-works", case_id(2)) == KnownCase()


async def test_rows_of_another_process_are_noticed(box: Outbox, database: Database) -> None:
    woken: list[str] = []
    box.wake("public-works", lambda: woken.append("public-works"))
    submission = Submission("public-works", (comment(), comment()), NOW)
    await database.run(lambda connection: insert_events(connection, submission))
    assert woken == []
    await box.measure(["public-works"])
    assert woken == ["public-works"]
    assert box.waiting["public-works"] == 2


async def test_an_event_exists_exactly_when_the_agencys_own_change_does(box: Outbox, database: Database) -> None:
    submission = Submission("public-works", (comment(id="e-1"),), NOW)

    def changes_and_fails(connection: Connection) -> None:
        insert_events(connection, submission)
        raise ValueError("the agency's own change failed")

    with pytest.raises(ValueError, match="own change failed"):
        await database.run(changes_and_fails)
    assert await stored(database) == []


async def test_what_was_answered_outlives_a_process_killed_at_any_moment(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    program = f"""
import asyncio, sys
from bus.agency_tables import NAME, TABLES, VERSION
from bus.cases import KnownCases
from bus.database import Database
from bus.outbox import Outbox
from tests.support.events import comment
async def main():
    database = Database({url!r}, tables=TABLES, name=NAME, version=VERSION)
    await database.start()
    box = Outbox(database, KnownCases(database))
    await box.start(["public-works"])
    async def add(n):
        await box.add("public-works", [comment(id=f"e-{{n}}")])
        sys.stdout.write(f"e-{{n}}\\n"); sys.stdout.flush()
    for n in range(0, 100_000, 8):
        await asyncio.gather(*(add(n + k) for k in range(8)))
asyncio.run(main())
"""
    for seconds in (0.1, 0.23, 0.41):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            answered = {process.stdout.readline().strip()}
            threading.Timer(seconds, process.kill).start()
            answered |= {line.strip() for line in process.stdout if line.endswith("\n")}
        database = Database(url, tables=TABLES, name=NAME, version=VERSION)
        await database.start()
        kept = {id for id, _ in await stored(database)}
        await database.stop()
        assert answered <= kept
        (tmp_path / "adapter.sqlite3").unlink()
        for left in tmp_path.glob("adapter.sqlite3-*"):
            left.unlink()
