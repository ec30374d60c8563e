"""The flow between agencies as a drawing: who set off what for whom, and how much. Pure.

An order of the bus is drawn from the agency whose event caused it: what the citizens' channel reported and the bus
passed on to public works flows from the one to the other, although neither has written to the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bus.city.model import RESERVED_AGENCY_IDS
from services.console.live import Passed

AGENCIES_MAX = 8
"""Agencies on one side of the drawing; the rest are drawn together."""

OTHERS = ""
"""Stands for all agencies beyond the largest."""

CAUSES_MAX = 12
"""How far back a cause is followed: a chain of the bus's own events is short."""

WIDTH, NODE, GAP, BAND, TOP = 760, 10, 14, 190, 8
"""The drawing, in its own units: its width, a node's width, the gap between nodes, the room for names, the margin."""

HEIGHT_MIN_NODE = 6.0


@dataclass(frozen=True, slots=True)
class Edge:
    """So many events flowed from one agency to another."""

    sender: str
    receiver: str
    events: int


@dataclass(frozen=True, slots=True)
class Node:
    """An agency on one side of the drawing."""

    agency: str
    events: int
    x: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Ribbon:
    """An edge as it is drawn."""

    edge: Edge
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All of it, in units of a `viewBox` that begins at 0 0."""

    width: float
    height: float
    senders: Sequence[Node]
    receivers: Sequence[Node]
    ribbons: Sequence[Ribbon]


def edges(passed: Sequence[Passed]) -> list[Edge]:
    """Who set off what for whom, the most first. What a process of the bus caused by itself (a timer) is not drawn."""
    by_id = {event.id: event for event in passed}
    counts: Counter[tuple[str, str]] = Counter()
    for event in passed:
        if event.recipient is None:
            continue
        sender = _origin(event, by_id)
        if sender is not None and sender != event.recipient:
            counts[sender, event.recipient] += 1
    return [Edge(*ends, count) for ends, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _origin(event: Passed, by_id: dict[str, Passed]) -> str | None:
    for _ in range(CAUSES_MAX):
        if event.agency not in RESERVED_AGENCY_IDS:
            return event.agency
        cause = by_id.get(event.cause or "")
        if cause is None:
            return None
        event = cause
    return None


def drawing(found: Sequence[Edge], *, height: float = 260) -> Drawing:
    """Ribbons from senders on the left to receivers on the right, as wide as what flows."""
    kept = _together(found)
    total = sum(edge.events for edge in kept) or 1
    left, right = _sums(kept, "sender"), _sums(kept, "receiver")
    rows = max(len(left), len(right), 1)
    height = max(height, rows * (HEIGHT_MIN_NODE + GAP + 4))
    scale = (height - 2 * TOP - rows * GAP) / total
    senders = _column(left, BAND, scale)
    receivers = _column(right, WIDTH - BAND - NODE, scale)
    ribbons = _ribbons(kept, senders, receivers, scale)
    bottom = max((node.y + node.height for node in (*senders, *receivers)), default=0.0)
    return Drawing(WIDTH, round(bottom + TOP, 1), senders, receivers, ribbons)


def _together(found: Sequence[Edge]) -> list[Edge]:
    """The largest agencies of each side by themselves, all others as one."""
    sides = [{name for name, _ in _sums(found, side)[:AGENCIES_MAX]} for side in ("sender", "receiver")]
    counts: Counter[tuple[str, str]] = Counter()
    for edge in found:
        sender = edge.sender if edge.sender in sides[0] else OTHERS
        counts[sender, edge.receiver if edge.receiver in sides[1] else OTHERS] += edge.events
    return [Edge(*ends, count) for ends, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _sums(found: Iterable[Edge], side: str) -> list[tuple[str, int]]:
    sums: Counter[str] = Counter()
    for edge in found:
        sums[getattr(edge, side)] += edge.events
    return sorted(sums.items(), key=lambda item: (item[0] == OTHERS, -item[1], item[0]))


def _column(sums: Sequence[tuple[str, int]], x: float, scale: float) -> list[Node]:
    nodes, y = [], float(TOP)
    for agency, events in sums:
        height = max(HEIGHT_MIN_NODE, events * scale)
        nodes.append(Node(agency, events, x, round(y, 1), round(height, 1)))
        y += height + GAP
    return nodes


def _ribbons(found: Sequence[Edge], senders: Sequence[Node], receivers: Sequence[Node], scale: float) -> list[Ribbon]:
    out = {node.agency: node.y for node in senders}
    into = {node.agency: node.y for node in receivers}
    order = {node.agency: place for place, node in enumerate(receivers)}
    ribbons = []
    for edge in sorted(found, key=lambda edge: (out[edge.sender], order[edge.receiver])):
        width = edge.events * scale
        start, end = out[edge.sender], into[edge.receiver]
        out[edge.sender], into[edge.receiver] = start + width, end + width
        ribbons.append(Ribbon(edge, _path(start, end, width)))
    return ribbons


def _path(start: float, end: float, width: float) -> str:
    x0, x1 = BAND + NODE, WIDTH - BAND - NODE
    middle = (x0 + x1) / 2
    return (
        f"M{x0} {start:.1f}C{middle} {start:.1f} {middle} {end:.1f} {x1} {end:.1f}"
        f"V{end + width:.1f}C{middle} {end + width:.1f} {middle} {start + width:.1f} {x0} {start + width:.1f}Z"
    )
