"""A library that repeats itself fills no disk, and nothing that it says for the first time is kept back."""

from __future__ import annotations

import logging

from bus.logs import Sparing


def record(message: str, *args: object, name: str = "client") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "file", 1, message, args, None)


def test_a_message_that_is_repeated_is_told_once_and_later_with_the_number_left_out() -> None:
    now = 100.0
    sparing = Sparing(10, clock=lambda: now)
    assert sparing.filter(record("no connection to %s", 1))
    assert [sparing.filter(record("no connection to %s", node)) for node in (1, 2, 1)] == [False] * 3
    now = 111.0
    again = record("no connection to %s", 1)
    assert sparing.filter(again)
    assert again.getMessage() == "no connection to 1 (3 more of these were left out)"


def test_other_messages_and_other_loggers_are_told_at_once() -> None:
    sparing = Sparing(10, clock=lambda: 100.0)
    assert sparing.filter(record("no connection"))
    assert sparing.filter(record("no metadata"))
    assert sparing.filter(record("no connection", name="another"))


def test_what_is_remembered_is_bounded() -> None:
    sparing = Sparing(10, clock=lambda: 100.0)
    assert all(sparing.filter(record(f"message {number}")) for number in range(3 * Sparing.MESSAGES_MAX))
    assert len(sparing._told) <= Sparing.MESSAGES_MAX
