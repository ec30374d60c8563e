"""Where a lane goes on: the position that its last transaction wrote into the log with what it covers."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bus.kafka.offsets import committed
from bus.kafka.reader import TopicReader
from bus.kafka.settings import KafkaSettings
from bus.kafka.topics import position_key
from bus.topics import POSITIONS
from schemas.failures import Misconfigured

TAIL_RECORDS = 2000
"""Where the newest copy nearly always is; else the whole partition is read."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in `city-positions` for one stage and partition number."""

    positions: dict[str, int] = {}
    """Topic → the next offset to read. A topic that is not here begins at its beginning: it is new to the stage."""
    transaction: str = ""
    """The transaction that wrote this: tells a lane whose outcome is unknown what became of it."""


async def standing_position(kafka: KafkaSettings, stage: str, number: int, topics: Iterable[str]) -> Position:
    """Where each topic goes on: the copy in the log counts, since it was written with what it covers.

    Raises:
        Misconfigured: there is none, and nobody stated that the stage begins at the beginning.
    """
    copy = await _copied(kafka, stage, number)
    if copy is not None:
        return copy
    offsets = await committed(kafka, stage, [(topic, number) for topic in topics])
    known = {topic: offset for (topic, _), offset in offsets.items() if offset is not None}
    if known:
        return Position(positions=known)
    raise Misconfigured(
        f"{stage} has no position for partition {number}: neither in {POSITIONS} nor among Kafka's group offsets. It "
        f"will not start over in silence. For a first start run `subak topics create --first-start {stage}`, which "
        f"states that it begins at the beginning."
    )


async def _copied(kafka: KafkaSettings, stage: str, number: int) -> Position | None:
    key, place = position_key(stage, number), (POSITIONS, number)
    reader = TopicReader(kafka, name=f"{stage}-{number}-position")
    await reader.start({place: 0})
    try:
        first, end = (await reader.beginning_offsets())[place], (await reader.end_offsets())[place]
        for start in (max(first, end - TAIL_RECORDS), first):
            await reader.seek({place: start})
            found = None
            async for records in reader.to_end():
                found = next((record.value for record in reversed(records) if record.key == key), found)
            if found is not None:
                return msgspec.json.decode(found, type=Position)
    finally:
        await reader.stop()
    return None
