"""Logs: one JSON object a line on stderr, or colours for a person. Names are past tense: `lane_fenced`."""

from __future__ import annotations

import logging
import sys
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
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    # The client logs each retry of an outage as an error; the lanes say once what it means.
    logging.getLogger("aiokafka.consumer.group_coordinator").setLevel(logging.CRITICAL)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry `part=name`."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(part=name))
