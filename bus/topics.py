"""The topics of a bus by name: the one place where names are made. Pure."""

from __future__ import annotations

EVENTS = "city-events"
"""The city's log: every accepted event, keyed by case, kept for ever."""

CASES = "city-cases"
"""The state of each case, compacted: what the workflows stage reads back."""

REJECTED = "city-rejected"
"""What was refused, whole, with the reasons."""

POSITIONS = "city-positions"
"""Each stage's own copy of its position, compacted: written in the transaction that moves it."""

PLACES = "city-places"
"""Requests and orders by the cells that they lie in, compacted: what the places stage compares, and reads back."""

CITY_TOPICS = (EVENTS, CASES, REJECTED, POSITIONS, PLACES)

OUTBOXES_PATTERN = r"^agency-[a-z0-9-]+-out$"
"""Every agency's out topic, as the gateway subscribes."""

STAGES = ("gateway", "workflows", "router", "places")
"""The processes that consume, decide and produce."""


def out_topic(agency: str) -> str:
    """Where this agency, and nobody else, writes."""
    return f"agency-{agency}-out"


def in_topic(agency: str) -> str:
    """Where this agency, and nobody else, reads."""
    return f"agency-{agency}-in"


def agency_of_out(topic: str) -> str:
    """The agency that an out topic belongs to. The topic is the identity: ACLs let no other write there."""
    return topic.removeprefix("agency-").removesuffix("-out")


def relay_group(agency: str) -> str:
    """The group that holds the position of this agency's outbox, and its relay's transactional id."""
    return f"agency-{agency}-relay"


def inbox_group(agency: str) -> str:
    """The group under which tools see how far this agency's inbox is, where it reads under a name of its own."""
    return f"agency-{agency}-inbox"
