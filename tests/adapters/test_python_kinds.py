"""A function of the agency's own gives records and takes events: nothing lost, and its mistakes stay its own."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError
from sqlalchemy import text

from adapters.handlers import load_handler
from adapters.intake import Intake
from adapters.kinds import Place, source_kind, target_kind
from adapters.outcome import DELIVERED, Outcome
from bus.inbox import Arrived
from schemas.failures import Misconfigured
from tests.adapters.mapping.controls import COMPLAINTS, RECORD
from tests.support.adapter import SmallAdapter
from tests.support.events import case_id

AGENCY = "water-utility"


@pytest.fixture
def module(tmp_path: Path) -> Any:
    """Write the handlers of a test: a module of its own beside adapter.toml. Gives its name."""
    names: list[str] = []

    def write(code: str) -> str:
        name = f"handlers_{tmp_path.name.replace('-', '_')}_{len(names)}"
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]


def place(adapter: SmallAdapter, folder: Path) -> Place:
    return Place(
        agency=AGENCY, name="python", folder=folder, environment={}, city=adapter.city, database=adapter.database
    )


@asynccontextmanager
async def reading(adapter: SmallAdapter, folder: Path, **keys: Any) -> AsyncIterator[asyncio.Task[None]]:
    kind = source_kind("python")
    intake = Intake(adapter.city, adapter.outbox, adapter.cases)
    source = kind.build(kind.config(poll_seconds=0.05, **keys), place(adapter, folder), intake)
    task = asyncio.create_task(source.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def stored(adapter: SmallAdapter) -> list[tuple[str, bytes]]:
    rows = await adapter.database.run(
        lambda connection: connection.execute(text("SELECT type, data FROM subak_outbox ORDER BY id")).all()
    )
    return [(row.type, row.data) for row in rows]


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not (found := condition()) and not (asyncio.iscoroutine(found) and await found):
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.02)


async def until_stored(adapter: SmallAdapter, count: int) -> list[tuple[str, bytes]]:
    end = time.monotonic() + 30
    while len(found := await stored(adapter)) < count:
        assert time.monotonic() < end, found
        await asyncio.sleep(0.02)
    return found


KINDS = {
    "generator": "def read(cursor):\n    for n in range(cursor or 0, 3):\n        yield comment(n), n + 1\n",
    "async generator": "async def read(cursor):\n    for n in range(cursor or 0, 3):\n        yield comment(n), n+1\n",
    "function": "def read(cursor):\n    return [(comment(n), n + 1) for n in range(cursor or 0, 3)]\n",
    "coroutine": "async def read(cursor):\n    return [(comment(n), n + 1) for n in range(cursor or 0, 3)]\n",
}
COMMENT = f"""
calls = []
def comment(n):
    calls.append(n)
    return {{"type": "subak.request.commented.v1", "subject": "{case_id(1)}", "data": {{"text": str(n)}}}}
"""


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_function_is_read_once_and_goes_on_from_its_cursor(
    tmp_path: Path, module: Any, kind: str
) -> None:
    name = module(COMMENT + KINDS[kind])
    async with SmallAdapter.opened(tmp_path) as adapter:
        async with reading(adapter, tmp_path, handler=f"{name}:read"):
            found = await until_stored(adapter, 3)
            await asyncio.sleep(0.3)  # it is called several times more
        async with reading(adapter, tmp_path, handler=f"{name}:read"):
            await asyncio.sleep(0.2)
        assert [data for _, data in found] == [b'{"text":"0"}', b'{"text":"1"}', b'{"text":"2"}']
        assert await stored(adapter) == found
        assert sys.modules[name].calls == [0, 1, 2]


async def test_what_is_read_again_for_want_of_a_cursor_is_stored_once(tmp_path: Path, module: Any) -> None:
    name = module(COMMENT + "def read(cursor):\n    return [comment(1), comment(2)]\n")
    async with SmallAdapter.opened(tmp_path) as adapter, reading(adapter, tmp_path, handler=f"{name}:read"):
        await until(lambda: len(sys.modules[name].calls) >= 8)
        assert len(await stored(adapter)) == 2


async def test_a_record_is_stored_while_the_function_waits_for_the_next(tmp_path: Path, module: Any) -> None:
    blocking = module(COMMENT + "import time\ndef read(cursor):\n    yield comment(1)\n    time.sleep(20)\n")
    async with SmallAdapter.opened(tmp_path) as adapter:
        began = time.monotonic()
        async with reading(adapter, tmp_path, handler=f"{blocking}:read"):
            await until_stored(adapter, 1)
        assert time.monotonic() - began < 10


async def test_records_go_through_the_mapping_and_what_is_refused_is_told_by_its_column(
    tmp_path: Path, module: Any
) -> None:
    (tmp_path / "mapping.toml").write_text(COMPLAINTS, encoding="utf-8")
    records = [RECORD, {**RECORD, "nomor": 18, "jenis": "BOCR"}, {**RECORD, "nomor": 19, "bujur": "10,5"}, "no record"]
    name = module(
        f"told = []\ndef read(cursor):\n    if cursor is None:\n        for n, r in enumerate({records!r}):\n"
        "            yield r, n\n"
        "def refused(record, reasons):\n    told.append(reasons)\n    raise OSError('no matter')\n"
    )
    keys = {"handler": f"{name}:read", "refused": f"{name}:refused", "mapping": "mapping.toml"}
    async with SmallAdapter.opened(tmp_path) as adapter, reading(adapter, tmp_path, **keys):
        await until(lambda: len(sys.modules[name].told) == 3)
        assert len(await stored(adapter)) == 0, "water-utility may not submit requests: told as well"
    told = {(reason["code"], reason["field"]) for reasons in sys.modules[name].told for reason in reasons}
    assert ("unmapped_code", "jenis") in told
    assert ("not_a_record", "record") in told


async def test_a_record_that_json_cannot_carry_holds_up_no_other(tmp_path: Path, module: Any) -> None:
    name = module(
        COMMENT + "endless = []\nendless.append(endless)\ntold = []\ndef read(cursor):\n"
        "    for n in range(cursor or 0, 3):\n"
        "        yield {**comment(n), 'data': endless} if n == 1 else comment(n), n + 1\n"
        "def refused(record, reasons):\n    told.append(reasons[0]['code'])\n"
    )
    keys = {"handler": f"{name}:read", "refused": f"{name}:refused"}
    async with SmallAdapter.opened(tmp_path) as adapter, reading(adapter, tmp_path, **keys):
        await until_stored(adapter, 2)
        await until(lambda: sys.modules[name].told)
    assert sys.modules[name].told == ["not_json"]


@pytest.mark.parametrize("raised", ["ValueError('x')", "SystemExit(3)", "Retryable('away')", "Unprocessable('odd')"])
@pytest.mark.parametrize("head", ["def read(cursor):", "async def read(cursor):"])
async def test_whatever_the_function_raises_it_is_called_again_from_the_cursor(
    tmp_path: Path, module: Any, raised: str, head: str
) -> None:
    name = module(
        COMMENT + f"from schemas.failures import Retryable, Unprocessable\ncursors = []\n{head}\n"
        "    cursors.append(cursor)\n    yield comment(cursor or 0), (cursor or 0) + 1\n"
        f"    if len(cursors) < 3:\n        raise {raised}\n"
    )
    async with SmallAdapter.opened(tmp_path) as adapter, reading(adapter, tmp_path, handler=f"{name}:read") as task:
        found = await until_stored(adapter, 3)
        assert not task.done()
    assert sys.modules[name].cursors[:3] == [None, 1, 2]
    assert len(found) >= 3


@pytest.mark.parametrize(
    "code", ["def read(cursor):\n    yield {}, object()\n", "def read(cursor):\n    yield {}, 'x' * 20_000\n",
             "from schemas.failures import Misconfigured\ndef read(cursor):\n    raise Misconfigured('no password')\n"],
)  # fmt: skip
async def test_what_only_a_person_can_mend_stops_the_process(tmp_path: Path, module: Any, code: str) -> None:
    name = module(code)
    async with SmallAdapter.opened(tmp_path) as adapter, reading(adapter, tmp_path, handler=f"{name}:read") as task:
        with pytest.raises(Misconfigured):
            await asyncio.wait_for(task, 10)


def arrived(data: bytes = b'{"text":"x"}') -> Arrived:
    attributes = {
        "id": "e-1",
        "type": "subak.request.commented.v1",
        "source": "urn:subak:denpasar:communications",
        "subject": case_id(1),
        "time": "2026-11-24T08:00:00+08:00",
    }
    return Arrived(1, case_id(1), "e-1", msgspec.json.encode(attributes).decode(), data)


async def called(tmp_path: Path, handler: str, event: Arrived, **keys: Any) -> Outcome:
    kind = target_kind("python")
    async with SmallAdapter.opened(tmp_path) as adapter:
        target = kind.build(kind.config(handler=handler, **keys), place(adapter, tmp_path))
        assert await target.check() == []
        try:
            return await target.call(event)
        finally:
            await target.close()


@pytest.mark.parametrize("head", ["def take(event):", "async def take(event):"])
async def test_a_function_takes_the_event_as_a_dict(tmp_path: Path, module: Any, head: str) -> None:
    name = module(f"taken = []\n{head}\n    taken.append(event)\n")
    assert await called(tmp_path, f"{name}:take", arrived()) == DELIVERED
    (event,) = sys.modules[name].taken
    assert event["data"] == {"text": "x"}
    assert event["subject"] == case_id(1)


@pytest.mark.parametrize("head", ["def take(event):", "async def take(event):"])
@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        ("Retryable('the system sleeps')", "away"),
        ("Unprocessable('no such street')", "refused"),
        ("Misconfigured('no password')", "refused"),
        ("KeyError('x')", "refused"),
        ("SystemExit(1)", "refused"),
    ],
)
async def test_what_it_raises_is_the_outcome(tmp_path: Path, module: Any, head: str, raised: str, kind: str) -> None:
    imports = "from schemas.failures import Misconfigured, Retryable, Unprocessable\n"
    name = module(f"{imports}{head}\n    raise {raised}\n")
    outcome = await called(tmp_path, f"{name}:take", arrived())
    assert outcome.kind == kind
    assert outcome.reason


async def test_a_function_that_hangs_is_away(tmp_path: Path, module: Any) -> None:
    name = module("import asyncio\nasync def take(event):\n    await asyncio.sleep(30)\n")
    outcome = await called(tmp_path, f"{name}:take", arrived(), timeout_seconds=0.1)
    assert (outcome.kind, outcome.reason) == ("away", "the handler took longer than 0.1 s")


async def test_with_a_mapping_it_takes_the_rows_and_only_what_concerns_it(tmp_path: Path, module: Any) -> None:
    (tmp_path / "mapping.toml").write_text(
        '[[row]]\ntype = "subak.request.commented.v1"\nwhen = \'data.text != "no"\'\ntable = "catatan"\n'
        'key.kasus = { attribute = "subject" }\nvalues.isi = { field = "text", codes = { X = "x" } }\n',
        encoding="utf-8",
    )
    name = module("taken = []\ndef take(event, rows):\n    taken.append(rows)\n")
    for data, kind in ((b'{"text":"x"}', "delivered"), (b'{"text":"no"}', "delivered"), (b'{"text":"y"}', "refused")):
        assert (await called(tmp_path, f"{name}:take", arrived(data), mapping="mapping.toml")).kind == kind
    ((row,),) = sys.modules[name].taken
    assert (row.table, row.key, row.values) == ("catatan", {"kasus": case_id(1)}, {"isi": "X"})


@pytest.mark.parametrize("data", [b"{", b"\xff", b""])
async def test_an_event_that_is_no_json_does_not_end_the_adapter(tmp_path: Path, module: Any, data: bytes) -> None:
    name = module("def take(event):\n    event['data']['text']\n")
    assert (await called(tmp_path, f"{name}:take", arrived(data))).kind == "refused"


def test_a_handler_that_is_not_there_is_told_with_the_nearest(tmp_path: Path, module: Any) -> None:
    name = module("def read(cursor):\n    pass\n")
    assert load_handler(f"{name}:read", tmp_path)(None) is None
    for handler, told in (
        (f"{name}:raed", 'Did you mean "read"'),
        ("nowhere_at_all:read", "nowhere_at_all.py beside adapter.toml"),
        ("no handler", "is not package.module:function"),
        (module("import nothing_of_this_name\n") + ":read", "needs nothing_of_this_name"),
        (module("1 / 0\n") + ":read", "ZeroDivisionError"),
    ):
        with pytest.raises(Misconfigured) as caught:
            load_handler(handler, tmp_path)
        assert told in str(caught.value)


async def test_a_handler_with_the_wrong_parameters_is_found_before_it_is_called(tmp_path: Path, module: Any) -> None:
    name = module("def read():\n    pass\n")
    async with SmallAdapter.opened(tmp_path) as adapter:
        for kind, more in ((source_kind("python"), [Intake(adapter.city, adapter.outbox, adapter.cases)]),
                           (target_kind("python"), [])):  # fmt: skip
            with pytest.raises(Misconfigured, match="Change its parameters"):
                kind.build(kind.config(handler=f"{name}:read"), place(adapter, tmp_path), *more)
    with pytest.raises(ValidationError):
        source_kind("python").config(handler="../../etc/passwd:read")
