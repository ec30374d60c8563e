"""What must be done to a cluster so that it becomes what a city asks for.

Only what bears a name of the bus is ever changed: its topics, its identities' users, their grants and their quotas. A
change that loses events is marked with the flag that an operator must give for it, by name. What cannot be done to a
living bus (another number of partitions moves every case) is a problem in words and never a change.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from bus.topics import CITY_TOPICS
from bus.topology.identities import denials, parted
from bus.topology.model import EVERY, Found, Grant, Topic, Topology

What = Literal["topic", "setting", "user", "grant", "quota"]
Act = Literal["create", "alter", "delete"]

CLIENT_ID = "subak"
"""How the client ids of the bus's processes begin, unless its settings say otherwise."""

_ours = re.compile(r"agency-[a-z0-9-]+-(?:in|out)")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing to do."""

    act: Act
    what: What
    name: str
    before: str = ""
    after: str = ""
    topic: Topic | None = None
    """For the creation of a topic."""
    grant: Grant | None = None
    key: str = ""
    """For a setting: which, of the topic `name`."""
    quotas: Mapping[str, float | None] = field(default_factory=dict)
    """For the quotas of the user `name`: those that change, and what each becomes; None: it goes."""
    flag: str = ""
    """The flag without which this is not done: it loses what the topic holds."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that is to be done, and what a person must know."""

    changes: tuple[Change, ...] = ()
    problems: tuple[str, ...] = ()
    """What is wrong and no plan can put right."""
    notes: tuple[str, ...] = ()
    """What is as it should be, and worth knowing."""

    @property
    def empty(self) -> bool:
        """Whether nothing is to be done and nothing is wrong."""
        return not self.changes and not self.problems

    def refused(self, flags: Collection[str]) -> list[Change]:
        """The dangerous changes for which no flag was given."""
        return [change for change in self.changes if change.flag and change.flag not in flags]

    def without(self, names: Collection[str]) -> Plan:
        """The plan that leaves these topics as they are, where it would delete or shrink them."""
        return replace(self, changes=tuple(c for c in self.changes if not (c.flag and c.name in names)))

    def only(self, identity: str) -> Plan:
        """The part that concerns one identity's users, grants and quotas."""
        return Plan(changes=tuple(change for change in self.changes if _identity(change) == identity))


def is_of_the_bus(topic: str) -> bool:
    """Whether a topic has a name that the bus gives."""
    return topic in CITY_TOPICS or _ours.fullmatch(topic) is not None


def difference(wanted: Topology, found: Found) -> Plan:
    """What to do so that `found` becomes `wanted`, in the order in which it is safe.

    Denials come first, then what is created, then what is altered, then what is taken away.
    """
    changes: list[Change] = []
    problems: list[str] = []
    for name, topic in sorted(wanted.topics.items()):
        there = found.topics.get(name)
        if there is None:
            changes.append(Change(act="create", what="topic", name=name, after=_described(topic), topic=topic))
        else:
            changes += _settings(topic, there)
            problems += _misshapen(topic, there)
    for name in sorted(found.topics):
        if is_of_the_bus(name) and name not in wanted.topics:
            changes.append(Change(act="delete", what="topic", name=name, flag=f"--delete-topic {name}"))
    changes += [Change(act="create", what="user", name=user) for user in sorted(wanted.users - found.users)]
    gone = sorted(user for user in found.users - wanted.users if parted(user))
    changes += [Change(act="delete", what="user", name=user) for user in gone]
    changes += _quotas(wanted, found)
    notes: list[str] = [*_quotas_of_others(found)]
    if found.authorizes:
        changes += _grants(wanted.grants, found.grants)
        notes += _notes(wanted, found.grants)
    else:
        problems.append(
            "the cluster has no authorizer: everybody who reaches it may do everything. Set authorizer.class.name on "
            "its brokers."
        )
    return Plan(changes=tuple(sorted(changes, key=_order)), problems=tuple(problems), notes=tuple(notes))


def _settings(topic: Topic, there: Topic) -> Iterable[Change]:
    for key, value in sorted(topic.settings.items()):
        before = there.settings.get(key, "")
        if before != value:
            flag = f"--shrink-retention {topic.name}" if _loses(key, before, value) else ""
            yield Change(act="alter", what="setting", name=topic.name, key=key, before=before, after=value, flag=flag)


def _loses(key: str, before: str, after: str) -> bool:
    """Whether Kafka would throw away what it now keeps."""
    if key == "cleanup.policy":
        return True
    if key in ("retention.ms", "retention.bytes"):
        return _as_number(after) < _as_number(before)
    return False


def _as_number(text: str) -> float:
    """-1 is for ever. What is unknown counts as for ever too: better one flag too many."""
    try:
        return float("inf") if int(text) < 0 else float(int(text))
    except ValueError:
        return float("inf")


def _misshapen(topic: Topic, there: Topic) -> Iterable[str]:
    if topic.partitions != there.partitions:
        yield (
            f"the topic {topic.name} has {there.partitions} partitions and the bus {topic.partitions}. The number is "
            "frozen: fewer lose events, more move cases and break their order. Set SUBAK_KAFKA_PARTITIONS="
            f"{there.partitions}."
        )
    if there.replication_factor < topic.replication_factor:
        yield (
            f"the topic {topic.name} has {there.replication_factor} copies and should have {topic.replication_factor}. "
            "Move it with kafka-reassign-partitions.sh; Subak does not."
        )


def _grants(wanted: Collection[Grant], found: Collection[Grant]) -> Iterable[Change]:
    for grant in sorted(set(wanted) - set(found)):
        yield Change(act="create", what="grant", name=grant.words, grant=grant)
    for grant in sorted(set(found) - set(wanted)):
        if parted(grant.user):
            yield Change(act="delete", what="grant", name=grant.words, grant=grant)


def _quotas(wanted: Topology, found: Found) -> Iterable[Change]:
    """What differs, for each user of ours: one without wanted quotas, such as a process of the bus, has none."""
    there = {
        limited.user: values
        for limited, values in found.quotas.items()
        if limited.user is not None and limited.client is None and parted(limited.user)
    }
    for user in sorted(wanted.quotas.keys() | there.keys()):
        before, after = there.get(user, {}), wanted.quotas.get(user, {})
        changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        if changed:
            yield Change(
                act="create" if not before else "alter" if after else "delete",
                what="quota",
                name=user,
                before=_limits({key: before[key] for key in changed if key in before}),
                after=_limits({key: after[key] for key in changed if key in after}),
                quotas={key: after.get(key) for key in changed},
            )


def _quotas_of_others(found: Found) -> Iterable[str]:
    """Quotas that no directory gave, and that hold for the bus all the same."""
    for limited, values in sorted(found.quotas.items(), key=str):
        user, client = limited
        if user is not None and parted(user) and client is not None:
            yield (
                f"{user} has quotas of its own with the client id {client} ({_limits(values)}), which no directory "
                "gave: they are left, and count in place of the city's."
            )
        elif user == EVERY or (user is None and (client or "").startswith((EVERY, CLIENT_ID))):
            who = "users" if user == EVERY else f"the client id {client}"
            yield (
                f"the cluster has quotas for {who} ({_limits(values)}), which no directory gave: they are left, and "
                "slow down the bus's own processes too, which have none of their own."
            )


def _limits(values: Mapping[str, float]) -> str:
    return ", ".join(f"{key}={value:.15g}" for key, value in sorted(values.items()))


def _notes(wanted: Topology, grants: Collection[Grant]) -> Iterable[str]:
    """Suspensions, and grants of others that reach into the bus."""
    for grant in sorted(grants):
        known = parted(grant.user)
        if known and grant in denials(grant.user) and grant.kind == "topic" and denials(grant.user) <= set(grants):
            agency = known[0].removeprefix("agency-")
            yield f"{known[0]} is suspended. `subak agency add {agency}` gives it new credentials."
        elif not known and grant.allow and grant.kind == "topic" and _reaches(grant, wanted.topics):
            yield f"{grant.words}, which no directory gave: it is left. The walls hold only without it."


def _reaches(grant: Grant, topics: Mapping[str, Topic]) -> bool:
    if grant.name == "*":
        return True
    return any(name.startswith(grant.name) if grant.prefixed else name == grant.name for name in topics)


def _described(topic: Topic) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in sorted(topic.settings.items()))
    return f"partitions={topic.partitions}, replication={topic.replication_factor}, {settings}"


def _identity(change: Change) -> str:
    user = change.grant.user if change.grant is not None else change.name if change.what in ("user", "quota") else ""
    known = parted(user)
    return known[0] if known else ""


def _order(change: Change) -> tuple[int, str, str]:
    if change.grant is not None and not change.grant.allow:
        step = 0 if change.act == "create" else 6
    else:
        steps = {"topic": 1, "grant": 2, "quota": 3, "user": 4, "setting": 5}
        taken_away = {"user": 7, "grant": 8, "quota": 9, "topic": 10}
        step = taken_away.get(change.what, 11) if change.act == "delete" else steps[change.what]
    return step, change.name, change.key
