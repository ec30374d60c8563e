"""A plan makes a cluster what the directory asks for and touches nothing else; what loses events needs its flag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.city.model import OPERATIONS, Quotas
from bus.topics import EVENTS, in_topic, out_topic
from bus.topology import EVERY, Found, Grant, Limited, Plan, Shape, Standing, Topic, difference, standing_of, wanted
from bus.topology.difference import is_of_the_bus
from bus.topology.identities import parted

SHAPE = Shape(partitions=4, replication_factor=3, min_insync_replicas=2)
names = st.sampled_from(["a", "b", "a-in", "works", "works-inspectorate", "gateway-x", "zz"])
cities = st.sets(names, max_size=6)
grants = st.builds(
    Grant,
    st.sampled_from(["gateway.1", "agency-a.1", "agency-b.2", "somebody", "router.3"]),
    st.sampled_from(["read", "write", "describe"]),
    st.sampled_from(["topic", "group", "transactional_id"]),
    st.sampled_from(["city-events", "agency-a-in", "other", "*"]),
    st.booleans(),
    st.booleans(),
)
topics = st.dictionaries(
    st.sampled_from(["agency-a-in", "agency-zz-out", "city-events", "payments", "agency-a-in-archive"]),
    st.dictionaries(
        st.sampled_from(["retention.ms", "cleanup.policy", "max.message.bytes"]), st.sampled_from(["-1", "9"])
    ),
    max_size=5,
)
limits = st.dictionaries(
    st.builds(
        Limited,
        st.sampled_from(["gateway.1", "agency-a.1", "agency-gone.4", "admin", EVERY, None]),
        st.sampled_from([None, None, "subak-relay", "reports", EVERY]),
    ),
    st.dictionaries(
        st.sampled_from(["producer_byte_rate", "request_percentage", "controller_mutation_rate"]),
        st.sampled_from([1.0, 2097152.0]),
        min_size=1,
    ),
    max_size=4,
)
clusters = st.builds(
    lambda made, users, given_, limited: Found(
        topics={
            name: Topic(name=name, partitions=4, replication_factor=3, settings=settings)
            for name, settings in made.items()
        },
        users=frozenset(users),
        grants=frozenset(given_),
        quotas=limited,
    ),
    topics,
    st.sets(st.sampled_from(["gateway.1", "gateway.2", "agency-a.1", "agency-gone.4", "admin", "somebody"])),
    st.sets(grants, max_size=8),
    limits,
)


def done(found: Found, plan: Plan) -> Found:
    """The cluster after the plan, as Kafka would have it."""
    made: dict[str, Topic] = dict(found.topics)
    users, given_ = set(found.users), set(found.grants)
    quotas = {limited: dict(values) for limited, values in found.quotas.items()}
    for change in plan.changes:
        match change.act, change.what:
            case "create", "topic":
                assert change.topic is not None
                made[change.name] = change.topic
            case "delete", "topic":
                del made[change.name]
            case _, "quota":
                values = {**quotas.pop(Limited(change.name), {}), **change.quotas}
                kept_values = {key: value for key, value in values.items() if value is not None}
                quotas |= {Limited(change.name): kept_values} if kept_values else {}
            case "alter", _:
                kept: Mapping[str, str] = made[change.name].settings
                made[change.name] = replace(made[change.name], settings={**kept, change.key: change.after})
            case "create", "user":
                users.add(change.name)
            case "delete", "user":
                users.remove(change.name)
            case "create", "grant":
                assert change.grant is not None
                given_.add(change.grant)
            case _:
                assert change.grant is not None
                given_.remove(change.grant)
    return Found(topics=made, users=frozenset(users), grants=frozenset(given_), quotas=quotas)


def plan_for(agencies: set[str], found: Found, standing: Standing | None = None) -> Plan:
    return difference(wanted(agencies, SHAPE, standing or standing_of(found)), found)


@settings(deadline=None, max_examples=60)
@given(cities, clusters)
def test_a_second_plan_is_empty_whatever_was_there(agencies: set[str], found: Found) -> None:
    assert plan_for(agencies, done(found, plan_for(agencies, found))).changes == ()


@settings(deadline=None, max_examples=60)
@given(cities, clusters)
def test_what_is_not_of_the_bus_is_never_touched(agencies: set[str], found: Found) -> None:
    after = done(found, plan_for(agencies, found))
    assert {name: topic for name, topic in after.topics.items() if not is_of_the_bus(name)} == {
        name: topic for name, topic in found.topics.items() if not is_of_the_bus(name)
    }
    assert {user for user in after.users if not parted(user)} == {user for user in found.users if not parted(user)}
    assert {grant for grant in after.grants if not parted(grant.user)} == {
        grant for grant in found.grants if not parted(grant.user)
    }
    assert quotas_of_others(after) == quotas_of_others(found)


@settings(deadline=None, max_examples=60)
@given(cities, clusters)
def test_whatever_loses_records_needs_a_flag_that_names_it(agencies: set[str], found: Found) -> None:
    plan = plan_for(agencies, found)
    for change in plan.changes:
        if change.what == "topic" and change.act == "delete":
            assert change.flag == f"--delete-topic {change.name}"
        if change.what == "setting" and change.key == "retention.ms" and change.before == "-1" != change.after:
            assert change.flag == f"--shrink-retention {change.name}"
    flags = {change.flag for change in plan.changes if change.flag}
    assert plan.refused(flags) == []
    assert len(plan.refused(())) == sum(1 for change in plan.changes if change.flag)
    assert not plan.without([change.name for change in plan.changes]).refused(())


def quotas_of_others(found: Found) -> dict[Limited, Mapping[str, float]]:
    """All but those of the bus's users: of other users, of client ids, of a user of ours with one client id."""
    return {who: values for who, values in found.quotas.items() if who.client or not parted(who.user or "")}


@settings(deadline=None, max_examples=60)
@given(cities, clusters)
def test_each_agency_has_its_quotas_and_no_process_of_the_bus_has_any(agencies: set[str], found: Found) -> None:
    after = done(found, plan_for(agencies, found))
    assert {who.user: values for who, values in after.quotas.items() if parted(who.user or "") and not who.client} == {
        user: Quotas().model_dump() for user in after.users if user.startswith("agency-") and parted(user)
    }


@settings(deadline=None, max_examples=60)
@given(cities)
def test_an_agency_may_touch_its_own_things_alone(agencies: set[str]) -> None:
    for grant in wanted(agencies, SHAPE, Standing()).grants:
        known = parted(grant.user)
        assert known is not None
        if not known[0].startswith("agency-"):
            continue
        agency = known[0].removeprefix("agency-")
        assert not grant.prefixed, "`works` must not be given what belongs to `works-inspectorate`"
        assert (grant.operation, grant.kind, grant.name) in {
            ("write", "topic", out_topic(agency)),
            ("read", "topic", in_topic(agency)),
            ("read", "topic", out_topic(agency)),
            ("read", "group", f"agency-{agency}-relay"),
            ("read", "group", f"agency-{agency}-inbox"),
            ("write", "transactional_id", f"agency-{agency}-relay"),
        }


@settings(deadline=None, max_examples=60)
@given(cities)
def test_only_who_writes_the_log_by_its_work_may_write_it(agencies: set[str]) -> None:
    found = wanted(agencies, SHAPE, Standing()).grants
    assert {grant.user for grant in found if grant.name == EVENTS and grant.operation == "write"} == {
        "gateway.1",
        "workflows.1",
        "places.1",
    }
    assert {
        (grant.user, grant.name) for grant in found if grant.name.endswith("-out") and grant.operation == "write"
    } == {(f"agency-{agency}.1", out_topic(agency)) for agency in agencies} | {
        ("operator.1", out_topic(OPERATIONS)),
        ("console.1", out_topic(OPERATIONS)),
    }


def after(agencies: set[str], found: Found, standing: Standing | None = None) -> Found:
    return done(found, plan_for(agencies, found, standing))


def test_a_change_of_credentials_lets_both_in_and_then_the_new_ones_alone() -> None:
    first = after({"a", "b"}, Found())
    both = after({"a", "b"}, first, standing_of(first).with_next("agency-a"))
    assert {"agency-a.1", "agency-a.2"} <= both.users
    assert {g._replace(user="") for g in both.grants if g.user == "agency-a.1"} == {
        g._replace(user="") for g in both.grants if g.user == "agency-a.2"
    }
    last = after({"a", "b"}, both, standing_of(both).with_newest("agency-a"))
    assert "agency-a.1" not in last.users
    assert not [grant for grant in last.grants if grant.user == "agency-a.1"]
    assert plan_for({"a", "b"}, last).empty


def test_a_suspension_denies_first_and_stays_until_new_credentials_are_issued() -> None:
    first = after({"a"}, Found())
    plan = plan_for({"a"}, first, standing_of(first).with_suspended("agency-a")).only("agency-a")
    assert [c.act for c in plan.changes[:3]] == ["create"] * 3
    assert all(c.grant is not None and not c.grant.allow for c in plan.changes[:3])
    cut = done(first, plan)
    assert "agency-a.1" not in cut.users
    assert plan_for({"a"}, cut).empty, "a plan must not let a suspended agency in again"
    assert any("suspended" in note for note in plan_for({"a"}, cut).notes)
    again = after({"a"}, cut, standing_of(cut).with_next("agency-a"))
    assert "agency-a.2" in again.users
    assert not [grant for grant in again.grants if not grant.allow]


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"partitions": 8}, "partitions"), ({"partitions": 2}, "partitions"), ({"replication_factor": 1}, "copies")],
)
def test_a_topic_of_another_shape_is_a_problem_and_never_a_change(changed: dict[str, int], says: str) -> None:
    found = after({"a"}, Found())
    topic = replace(found.topics[EVENTS], **changed)  # type: ignore[arg-type]
    plan = plan_for({"a"}, replace(found, topics={**found.topics, EVENTS: topic}))
    assert plan.changes == ()
    assert says in plan.problems[0]


def test_a_grant_of_somebody_else_that_reaches_into_the_bus_is_told() -> None:
    found = after({"a"}, Found())
    hole = Grant("*", "read", "topic", "agency-", True)
    plan = plan_for({"a"}, replace(found, grants=found.grants | {hole}))
    assert plan.empty
    (note,) = plan.notes
    assert note.startswith("* may read topic agency-*, which no directory gave: it is left.")


def test_what_differs_in_a_quota_is_told_and_nothing_else_of_it_is_set() -> None:
    found = after({"a"}, Found())
    quotas = {"producer_byte_rate": 1.0, "consumer_byte_rate": 4194304.0, "controller_mutation_rate": 5.0}
    plan = plan_for({"a"}, replace(found, quotas={**found.quotas, Limited("agency-a.1"): quotas}))
    (change,) = plan.changes
    assert (change.act, change.what, change.name) == ("alter", "quota", "agency-a.1")
    assert change.before == "controller_mutation_rate=5, producer_byte_rate=1"
    assert change.after == "producer_byte_rate=2097152, request_percentage=100"
    assert plan.only("agency-a") == Plan(changes=(change,))
    set_by_hand = {**found.quotas, Limited("gateway.1"): {"request_percentage": 12.5}}
    (gone,) = plan_for({"a"}, replace(found, quotas=set_by_hand)).changes
    assert (gone.act, gone.name, gone.before, gone.quotas) == (
        "delete",
        "gateway.1",
        "request_percentage=12.5",
        {"request_percentage": None},
    )


@pytest.mark.parametrize(
    ("limited", "says"),
    [
        (Limited(EVERY), "quotas for users (request_percentage=5)"),
        (Limited(None, EVERY), "quotas for the client id <default>"),
        (Limited(None, "subak-stage"), "quotas for the client id subak-stage"),
        (Limited("agency-a.1", "subak-relay"), "agency-a.1 has quotas of its own with the client id subak-relay"),
    ],
)
def test_a_quota_of_somebody_else_that_slows_the_bus_down_is_told(limited: Limited, says: str) -> None:
    found = after({"a"}, Found())
    elsewhere = {Limited("reports"): {"producer_byte_rate": 9.0}, Limited(None, "reports"): {"producer_byte_rate": 9.0}}
    plan = plan_for({"a"}, replace(found, quotas={**found.quotas, **elsewhere, limited: {"request_percentage": 5.0}}))
    assert plan.empty
    (note,) = plan.notes
    assert says in note


def test_a_change_of_credentials_and_a_suspension_carry_the_quotas_along() -> None:
    first = after({"a"}, Found())
    both = after({"a"}, first, standing_of(first).with_next("agency-a"))
    assert {who.user for who in both.quotas} == {"agency-a.1", "agency-a.2"}
    cut = after({"a"}, both, standing_of(both).with_suspended("agency-a"))
    assert cut.quotas == {}


def test_a_cluster_that_authorizes_nobody_is_a_problem() -> None:
    assert "no authorizer" in plan_for({"a"}, Found(authorizes=False)).problems[0]
