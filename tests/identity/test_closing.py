"""A connection over TLS is closed soon, also where the broker's goodbye is missed: on uvloop it is, now and then."""

from __future__ import annotations

import time

import pytest
import uvloop

from bus.kafka import KafkaSettings, Output, TopicReader, TransactionalProducer, ensure_topics
from bus.kafka.closing import CLOSE_SECONDS_MAX, GOODBYE_SECONDS_MAX, closed
from bus.topics import out_topic
from deploy.local.kafka import LocalKafka

pytestmark = pytest.mark.kafka

AGENCY = "closing"

READERS = 30
"""Without the bound, one in five hung."""

HANGS_SECONDS = 30.0
"""After so long uvloop closes it at last."""


def test_every_reader_closes_by_itself_long_before_it_would_be_given_up(secured: LocalKafka) -> None:
    assert GOODBYE_SECONDS_MAX * 5 < CLOSE_SECONDS_MAX
    settings = KafkaSettings(bootstrap_servers=secured.bootstrap_servers, partitions=2, security=secured.security)

    async def seconds_to_close() -> float:
        await ensure_topics(settings, [AGENCY])
        writer = TransactionalProducer(settings, transactional_id="closing-writer")
        await writer.start()
        await writer.commit([Output(out_topic(AGENCY), b"case", b"x" * 500, [], 0)] * 2000)
        await writer.stop()
        for number in range(READERS):
            reader = TopicReader(settings, name=f"closing-{number}")
            await reader.start({(out_topic(AGENCY), 0): 0})
            assert sum([len(records) async for records in reader.to_end()]) == 2000
            began = time.monotonic()
            assert await closed(reader._client().stop, seconds=HANGS_SECONDS * 2)
            if (took := time.monotonic() - began) > HANGS_SECONDS / 2:
                return took
        return 0.0

    assert uvloop.run(seconds_to_close()) == 0.0, "a reader hung"
