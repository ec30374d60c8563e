"""Logs: one JSON object a line on stderr, or colours for a person. Names are past tense: `lane_fenced`."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Literal, cast

import structlog


def configure_logs(level: str = "info", form: Literal["json", "console"] = "json", **always: str) -> None:
    """Set up logging for this process, once, at its start. `always` stands in every line (`process="gateway"`)."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer() if form == "console" else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**always)
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="%(name)s %(levelname)s %(message)s"
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(Sparing())
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    # The client logs each retry of an outage as an error; the lanes say once what it means.
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.CRITICAL)


class Sparing(logging.Filter):
    """Lets each message of a library through once in `seconds`; the next one says how many were left out.

    In an outage Kafka's client repeats one sentence a hundred times a second, for as long as it lasts.
    """

    MESSAGES_MAX = 1000

    def __init__(self, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[float, int]] = {}
        """Logger and message → when it was let through last, how many were left out since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one goes through."""
        now, kind = self._clock(), (record.name, str(record.msg))
        told_at, left_out = self._told.get(kind, (-self._seconds, 0))
        if now - told_at < self._seconds:
            self._told[kind] = told_at, left_out + 1
            return False
        if len(self._told) >= self.MESSAGES_MAX:
            self._told.clear()
        self._told[kind] = now, 0
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more of these were left out)", ()
        return True


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry `part=name`."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(part=name))
