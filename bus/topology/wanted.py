"""What a city's directory asks of the cluster: topics, a user for each identity, what each may do and how much.

An agency writes its own out topic, reads its own in topic, and has its own groups and transactional id: nothing more.
Each process of the bus has what its code does and no more. Names are whole, never beginnings, where an agency's name is
in them: `works` must not be given what belongs to `works-inspectorate`. Agencies have quotas, so that none of them can
take the cluster from the others; the bus's own processes, on which all wait, have none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from bus.city.model import OPERATIONS, Quotas
from bus.kafka.topic_settings import topic_settings
from bus.topics import (
    CASES,
    CITY_TOPICS,
    EVENTS,
    PLACES,
    POSITIONS,
    REJECTED,
    in_topic,
    inbox_group,
    out_topic,
    relay_group,
)
from bus.topology.identities import Standing, agency_identity, denials, identities, user_of
from bus.topology.model import Grant, Shape, Topic, Topology

_Right = tuple[str, str, str, bool]
"""Operation, kind, name, whether the name is a beginning."""


def wanted(
    agencies: Iterable[str], shape: Shape, standing: Standing, quotas: Mapping[str, Quotas] = MappingProxyType({})
) -> Topology:
    """The topology of the bus of these agencies (the city's, with `operations`); quotas not given are the default."""
    all_agencies = sorted(agencies)
    names = [*CITY_TOPICS, *(topic(agency) for agency in all_agencies for topic in (out_topic, in_topic))]
    topics = {
        name: Topic(
            name=name,
            partitions=shape.partitions,
            replication_factor=shape.replication_factor,
            settings=topic_settings(name, shape.min_insync_replicas),
        )
        for name in names
    }
    users: set[str] = set()
    grants: set[Grant] = set()
    limits: dict[str, Mapping[str, float]] = {}
    by_identity = {agency_identity(agency): quotas.get(agency, Quotas()) for agency in all_agencies}
    for identity in identities(all_agencies):
        for number in standing.current(identity):
            user = user_of(identity, number)
            users.add(user)
            if identity in by_identity:
                limits[user] = by_identity[identity].model_dump()
            grants |= {Grant(user, *right) for right in _rights(identity, all_agencies)}
        for number in standing.suspended.get(identity, ()):
            grants |= denials(user_of(identity, number))
    return Topology(topics=topics, users=frozenset(users), grants=frozenset(grants), quotas=limits)


def _rights(identity: str, agencies: list[str]) -> Iterator[_Right]:
    match identity:
        case "gateway":
            yield from _stage(identity)
            yield from _topics("read", EVENTS, *map(out_topic, agencies))
            yield from _topics("write", EVENTS, REJECTED, *map(in_topic, agencies))
        case "workflows":
            yield from _stage(identity)
            yield from _topics("read", EVENTS, CASES)
            yield from _topics("write", EVENTS, CASES, REJECTED, *map(in_topic, agencies))
        case "router":
            yield from _stage(identity)
            # Beside the log: what it must know to bring an agency what it has missed (`bus/catching_up.py`).
            yield from _topics("read", EVENTS, CASES, *map(in_topic, agencies))
            yield from _topics("write", REJECTED, *map(in_topic, agencies))
        case "places":
            yield from _stage(identity)
            yield from _topics("read", EVENTS, PLACES)
            yield from _topics("write", EVENTS, PLACES)
        case "casebook":
            yield from _topics("read", EVENTS, REJECTED)
            yield "read", "group", identity, False
        case "console":  # what waits and for how long is told from the records that wait, in every topic
            yield from _topics("read", EVENTS, REJECTED, *map(out_topic, agencies), *map(in_topic, agencies))
            yield "describe", "group", "*", False
            yield from _acting()
        case "operator":
            yield from _topics("read", *CITY_TOPICS, *map(out_topic, agencies), *map(in_topic, agencies))
            yield "describe", "group", "*", False
            yield from _acting()
        case _:
            yield from _agency(identity.removeprefix(agency_identity("")))


def _acting() -> Iterator[_Right]:
    """What whoever acts for the operators needs: their own out topic."""
    yield from _topics("write", out_topic(OPERATIONS))
    yield "write", "transactional_id", f"{OPERATIONS}-", True


def _agency(agency: str) -> Iterator[_Right]:
    yield from _topics("write", out_topic(agency))
    # Its own out topic too: Kafka stores no position in a topic for whoever may not read it, and a relay has one.
    yield from _topics("read", in_topic(agency), out_topic(agency))
    yield "read", "group", relay_group(agency), False
    yield "read", "group", inbox_group(agency), False
    yield "write", "transactional_id", relay_group(agency), False


def _stage(name: str) -> Iterator[_Right]:
    """What every stage needs: its group, its lanes' transactions (`gateway-0`, `gateway-1`), its positions."""
    yield "read", "group", name, False
    yield "write", "transactional_id", f"{name}-", True
    yield from _topics("read", POSITIONS)
    yield from _topics("write", POSITIONS)


def _topics(operation: str, *names: str) -> Iterator[_Right]:
    for name in names:
        yield operation, "topic", name, False
