"""The topology of a bus as values: topics with their settings, users, what each may do and how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["topic", "group", "transactional_id"]
Operation = Literal["read", "write", "describe", "all"]


class Grant(NamedTuple):
    """One ACL: a user may (or may never) do something to a resource, from any host."""

    user: str
    operation: str
    kind: str
    name: str
    prefixed: bool = False
    """Whether the name is the beginning of names."""
    allow: bool = True

    @property
    def words(self) -> str:
        """`gateway.1 may read topic city-events`."""
        may = "may" if self.allow else "may never"
        which = f"{self.name}*" if self.prefixed and self.name != "*" else self.name
        return f"{self.user} {may} {self.operation} {self.kind.replace('_', ' ')} {which}"


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic."""

    name: str
    partitions: int
    replication_factor: int
    settings: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What the bus's settings say of every topic."""

    partitions: int
    replication_factor: int
    min_insync_replicas: int


EVERY = "<default>"
"""How Kafka's tools write "all who have no quota of their own"."""


class Limited(NamedTuple):
    """Whom a quota limits: a user, a client id, or a user with one client id; `<default>`: all others."""

    user: str | None
    client: str | None = None


@dataclass(frozen=True, kw_only=True)
class Topology:
    """All that a bus needs of a cluster."""

    topics: Mapping[str, Topic]
    users: frozenset[str]
    grants: frozenset[Grant]
    quotas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """User → quota → value, by Kafka's names. Who is not here has none."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a cluster has of it: topics with Subak's kind of name, and all users, grants and quotas."""

    topics: Mapping[str, Topic] = field(default_factory=dict)
    users: frozenset[str] = frozenset()
    grants: frozenset[Grant] = frozenset()
    quotas: Mapping[Limited, Mapping[str, float]] = field(default_factory=dict)
    authorizes: bool = True
    """Whether it has an authorizer at all: without one everybody may do everything, and there are no grants."""
