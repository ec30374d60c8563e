"""An agency that takes more than its quota is slowed down and loses nothing; quotas of others are left alone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import Producer

from bus.city.model import PRODUCER_BYTE_RATE_MIN, Quotas
from bus.kafka import BrokerUnavailable, KafkaSettings, NotAllowed
from bus.kafka.admin import ClusterAdmin, apply, look
from bus.kafka.admin.client import options
from bus.kafka.quotas import alter_quotas, described_quotas
from bus.kafka.security import Credentials
from bus.topics import out_topic
from bus.topology import Change, Limited, Plan, Shape, difference, standing_of, wanted
from deploy.local.kafka import LocalKafka
from deploy.local.secured_city import CityFiles, arrange
from schemas.failures import Misconfigured
from tests.bus.test_relay import Side, until
from tests.identity.test_credentials_under_load import PATIENT
from tests.support.events import comment

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

HASTY, CALM = "hasty", "calm"
AGENCIES = [HASTY, CALM, "operations"]
SLOW = Quotas(producer_byte_rate=PRODUCER_BYTE_RATE_MIN)


class Bus:
    """Two agencies on the secured Kafka, one of which may send as little as a city can say."""

    def __init__(self, kafka: LocalKafka, folder: Path) -> None:
        assert kafka.secured is not None
        self.files = CityFiles(kafka.secured, folder)
        self.whole = KafkaSettings(
            bootstrap_servers=kafka.bootstrap_servers, partitions=2, security=kafka.security, compression="none"
        )
        arrange(self.whole, AGENCIES, self.files, {HASTY: SLOW})

    def of(self, identity: str) -> KafkaSettings:
        return self.whole.known_as(Credentials(file=self.files.of(identity)))

    def plan(self, quotas: dict[str, Quotas]) -> Plan:
        found = look(ClusterAdmin(self.whole))
        shape = Shape(partitions=2, replication_factor=1, min_insync_replicas=1)
        return difference(wanted(AGENCIES, shape, standing_of(found), quotas), found)

    def quotas(self) -> dict[Limited, dict[str, float]]:
        return asyncio.run(described_quotas(self.whole))

    def alter(self, user: str, **quotas: float | None) -> None:
        asyncio.run(alter_quotas(self.whole, {user: quotas}))


@pytest.fixture(scope="module")
def bus(secured: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    bus = Bus(secured, tmp_path_factory.mktemp("credentials"))
    yield bus
    bus.alter("reports", producer_byte_rate=None)


def of_quotas(plan: Plan) -> list[Change]:
    """What the plan says of quotas: other tests' agencies may have left topics and users on this Kafka."""
    return [change for change in plan.changes if change.what == "quota"]


def settled(bus: Bus, quotas: dict[str, Quotas]) -> Plan:
    """The plan, once the broker says all that the controller has been told: it hears of it a moment later."""

    async def look_again() -> Plan:
        async with asyncio.timeout(30):
            while True:
                plan = await asyncio.to_thread(bus.plan, quotas)
                if not of_quotas(plan):
                    return plan
                await asyncio.sleep(0.2)

    return asyncio.run(look_again())


def test_a_plan_tells_what_differs_makes_it_so_and_is_empty_then(bus: Bus) -> None:
    bus.alter("reports", producer_byte_rate=9_000_000)
    settled(bus, {HASTY: SLOW})
    more = {HASTY: SLOW, CALM: Quotas(request_percentage=250)}
    bus.alter("gateway.1", consumer_byte_rate=5_000_000)
    bus.alter(f"agency-{CALM}.1", consumer_byte_rate=None, controller_mutation_rate=3)

    async def all_three() -> Plan:
        async with asyncio.timeout(30):
            while len(of_quotas(plan := await asyncio.to_thread(bus.plan, more))) < 2:
                await asyncio.sleep(0.2)
            return plan

    plan = asyncio.run(all_three())
    assert [(c.act, c.what, c.name, c.before, c.after) for c in of_quotas(plan)] == [
        (
            "alter",
            "quota",
            f"agency-{CALM}.1",
            "controller_mutation_rate=3, request_percentage=100",
            "consumer_byte_rate=4194304, request_percentage=250",
        ),
        ("delete", "quota", "gateway.1", "consumer_byte_rate=5000000", ""),
    ]
    others = [change.name for change in plan.changes if change.what != "quota"]
    apply(ClusterAdmin(bus.whole), plan.without(others), lambda user, password: pytest.fail("a user was made"))
    assert of_quotas(settled(bus, more)) == []
    found = bus.quotas()
    assert found[Limited(f"agency-{CALM}.1")] == Quotas(request_percentage=250).model_dump()
    assert found[Limited(f"agency-{HASTY}.1")]["producer_byte_rate"] == PRODUCER_BYTE_RATE_MIN
    assert found[Limited("reports")] == {"producer_byte_rate": 9_000_000}, "it is not ours"
    assert {who.user for who in found if who.user and not who.user.startswith("agency-")} == {"reports"}


def test_an_agency_sees_and_sets_no_quotas(bus: Bus) -> None:
    with pytest.raises(NotAllowed, match="ACLs"):
        asyncio.run(described_quotas(bus.of(f"agency-{HASTY}")))
    with pytest.raises(NotAllowed, match="ACLs"):
        asyncio.run(alter_quotas(bus.of(f"agency-{HASTY}"), {f"agency-{HASTY}.1": {"producer_byte_rate": None}}))
    assert Limited(f"agency-{HASTY}.1") in bus.quotas()


def test_what_kafka_takes_for_no_quota_is_said(bus: Bus) -> None:
    with pytest.raises(Misconfigured, match=r"does not take the quotas: .*producer_bytes"):
        bus.alter(f"agency-{HASTY}.1", producer_bytes=5)
    away = KafkaSettings(bootstrap_servers="127.0.0.1:1", request_timeout_seconds=1)
    with pytest.raises(BrokerUnavailable, match="looking at the quotas"):
        asyncio.run(described_quotas(away))


def test_whoever_sends_more_is_told_to_wait_and_all_that_it_sent_is_there(bus: Bus) -> None:
    waits: dict[str, list[float]] = {HASTY: [], CALM: []}
    failed: list[object] = []
    for agency, seen in waits.items():
        told = {"throttle_cb": lambda event, seen=seen: seen.append(event.throttle_time)}
        producer = Producer({**options(bus.of(f"agency-{agency}")), "linger.ms": 0, **told}, logger=None)
        for number in range(16):  # 12 MB: more than the window of ten seconds lets through, less than the other may
            producer.produce(
                out_topic(agency),
                Random(number).randbytes(750_000),
                partition=0,
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
            producer.flush(60)
        producer.poll(0)
    assert failed == []
    assert max(waits[HASTY], default=0) > 0
    assert max(waits[CALM], default=0) == 0, "who stays below its quota is not held back"


async def test_an_adapter_above_its_quota_goes_on_accepting_and_each_event_comes_once_in_order(
    bus: Bus, tmp_path: Path
) -> None:
    agency, sent = HASTY, [f"e-{number}" for number in range(600)]
    async with Side(tmp_path / "side", agency, bus.of(f"agency-{agency}")) as side:
        running = asyncio.create_task(side.relay(PATIENT, accept_new_outbox=True).run())
        for first in range(0, len(sent), 100):  # 10 MB on top of what this user has just sent
            some = [
                comment(base64.b64encode(Random(id).randbytes(12_000)).decode(), id=id, agency=agency)
                for id in sent[first : first + 100]
            ]
            await side.outbox.add(agency, some)
        await until(lambda: side.outbox.waiting[agency] == 0, seconds=120)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        side.kafka = bus.whole
        found = [dict(record.headers).get("ce_id") for record in await side.published() if record.headers]
    assert found == [id.encode() for id in sent]
