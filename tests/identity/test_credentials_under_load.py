"""Credentials change while events flow and none is lost or doubled; a suspension cuts a connection that stands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.kafka import KafkaSettings
from bus.kafka.admin import ClusterAdmin, apply, look
from bus.kafka.security import Credentials
from bus.outbox import RelaySettings
from bus.topology import Shape, Standing, difference, standing_of, wanted
from deploy.local.kafka import LocalKafka
from deploy.local.secured import write_credentials
from deploy.local.secured_city import CityFiles, arrange
from tests.bus.test_relay import Side, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

AGENCY = "renewed"
IDENTITY = f"agency-{AGENCY}"
PATIENT = RelaySettings(refused_wait_seconds=0.2, retry_seconds_first=0.1, retry_seconds_max=0.5)


def change(settings: KafkaSettings, to: Callable[[Standing], Standing], file: Path) -> None:
    """What `subak agency` does: the part of the plan that is this identity's."""
    admin = ClusterAdmin(settings)
    found = look(admin)
    shape = Shape(partitions=settings.partitions, replication_factor=1, min_insync_replicas=1)
    plan = difference(wanted([AGENCY, "operations"], shape, to(standing_of(found))), found).only(IDENTITY)
    apply(admin, plan, lambda user, password: write_credentials(file, user, password))


async def test_no_event_is_lost_or_doubled_while_credentials_change_and_none_passes_a_suspension(
    secured: LocalKafka, tmp_path: Path
) -> None:
    assert secured.secured is not None
    files = CityFiles(secured.secured, tmp_path / "credentials")
    whole = KafkaSettings(
        bootstrap_servers=secured.bootstrap_servers, partitions=2, security=secured.security, request_timeout_seconds=5
    )
    await asyncio.to_thread(arrange, whole, [AGENCY, "operations"], files)
    own, file = whole.known_as(Credentials(file=files.of(IDENTITY))), files.of(IDENTITY)
    sent: list[str] = []

    async with Side(tmp_path / "side", AGENCY, own) as side:

        async def say(count: int) -> None:
            for _ in range(count):
                sent.append(f"e-{len(sent)}")
                await side.add(sent[-1])
                await asyncio.sleep(0.01)

        async def act(to: Callable[[Standing], Standing]) -> None:
            """Change the standing while the agency goes on to speak."""
            await asyncio.gather(asyncio.to_thread(change, whole, to, file), say(30))

        relay = side.relay(PATIENT)
        running = asyncio.create_task(relay.run())
        await say(10)
        await act(lambda standing: standing.with_next(IDENTITY))
        await act(lambda standing: standing.with_newest(IDENTITY))
        await until(lambda: side.outbox.waiting[AGENCY] == 0, seconds=60)
        side.kafka = whole
        assert await side.published_ids() == sent
        assert Credentials(file=file).read()[0] == f"{IDENTITY}.2"

        await asyncio.to_thread(change, whole, lambda standing: standing.with_suspended(IDENTITY), file)
        held = len(sent)
        await say(5)
        await until(lambda: relay.problem is not None, seconds=60)
        assert "ACLs refused" in (relay.problem or "") or "does not take the user" in (relay.problem or "")
        assert await side.published_ids() == sent[:held], "an event passed after the agency was cut off"

        await act(lambda standing: standing.with_next(IDENTITY))
        await until(lambda: side.outbox.waiting[AGENCY] == 0, seconds=60)
        assert await side.published_ids() == sent
        assert not running.done(), "whoever is refused waits, and does not end the adapter of others"
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
