"""How patiently a consumer's fetches wait at the broker: long where nothing comes, short and full under load.

The client names every partition in every fetch. So a fetch for each record costs the broker more than all else
when there are many topics; and fetches that return empty, many times a second, cost it a third of a processor on a bus
at rest. At rest a fetch waits long and returns with the first byte; under load it waits a little for more to come.

The client has one setting for its life. This changes it between two fetches, in the fetcher that builds the requests:
`tests/bus/test_pace.py` holds that the client still reads it there.
"""

from __future__ import annotations

import time
from typing import Any

from bus.kafka.settings import KafkaSettings

REST_AFTER_SECONDS = 1.0
"""Nothing came for so long: the consumer is at rest."""

REST_WAIT_SECONDS = 0.5
"""How long a fetch waits at rest. A partition that is resumed then flows again after so long at the latest."""


class Pace:
    """The pace of one consumer's fetches."""

    def __init__(self, consumer: Any, settings: KafkaSettings) -> None:
        self._consumer = consumer
        self._settings = settings
        self._busy = True
        self._came_at = time.monotonic()

    def saw(self, records: int) -> None:
        """So many records came just now. Call it at each poll, or now and then where polls are not seen."""
        now = time.monotonic()
        if records:
            self._came_at = now
        busy = now - self._came_at < REST_AFTER_SECONDS
        if busy != self._busy:
            self._busy = busy
            fetcher = self._consumer._fetcher
            wait = self._settings.fetch_wait_seconds if busy else REST_WAIT_SECONDS
            fetcher._fetch_max_wait_ms = int(wait * 1000)
            fetcher._fetch_min_bytes = self._settings.fetch_bytes_min if busy else 1
