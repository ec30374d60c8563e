"""Every certificate's end is known long before: of a process's files, and of what the brokers show."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from bus.kafka import KafkaSettings
from bus.kafka.certificates import certificates_watched, ends_of_files, file_ends
from bus.kafka.security import Security
from deploy.local.certificates import Authority
from deploy.local.kafka import LocalKafka
from deploy.local.secured_city import CityFiles, arrange
from schemas.failures import Misconfigured
from tests.bus.test_relay import Side, until
from tests.identity.test_credentials_under_load import PATIENT

METRIC = "subak_certificate_expires_timestamp_seconds"
DAY = 24 * 3600.0


def told(file: str) -> float:
    return REGISTRY.get_sample_value(METRIC, {"file": file}) or 0.0


def test_the_first_end_in_a_file_counts_and_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    long, short = authority.issue("long"), authority.issue("short", valid=timedelta(days=3))
    both = tmp_path / "both.pem"
    both.write_bytes(long.certificate.read_bytes() + short.certificate.read_bytes())
    assert file_ends(both) == file_ends(short.certificate)
    assert abs(file_ends(both) - time.time() - 3 * DAY) < 60
    both.write_text("no certificate")
    with pytest.raises(Misconfigured, match="cannot be read"):
        file_ends(both)
    security = Security(protocol="SSL", ca_file=tmp_path / "gone.pem", certificate_file=both, key_file=both)
    assert list(ends_of_files(security)) == [], "who needs the file says so; the watch goes on"


@pytest.mark.kafka
async def test_a_process_tells_when_its_certificates_and_the_brokers_end_and_a_new_one_ends_the_alert(
    secured: LocalKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.kafka.certificates.LOOK_SECONDS", 0.1)
    assert secured.secured is not None
    own = secured.secured.authority.issue("watched", valid=timedelta(days=1))
    security = Security(
        protocol="SSL",
        ca_file=secured.secured.ca_file,
        certificate_file=own.certificate,
        key_file=own.key,
    )
    settings = KafkaSettings(bootstrap_servers=secured.mutual_servers, security=security)
    async with certificates_watched(settings):
        await until(lambda: told(secured.mutual_servers) > 0, seconds=20)
        assert abs(told("watched.pem") - time.time() - DAY) < 120
        assert told("ca.pem") - time.time() > 3000 * DAY
        assert told(secured.mutual_servers) - time.time() > 300 * DAY
        await asyncio.to_thread(secured.secured.authority.issue, "watched")
        await until(lambda: told("watched.pem") - time.time() > 300 * DAY, seconds=20)


@pytest.mark.kafka
@pytest.mark.timeout(400)
async def test_no_event_is_lost_or_doubled_while_a_certificate_is_renewed_and_the_old_one_ends(
    secured: LocalKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker goes and comes back after the old one's end, so that every connection is made anew."""
    monkeypatch.setattr("bus.kafka.certificates.LOOK_SECONDS", 1.0)
    assert secured.secured is not None
    agency, authority = "certified", secured.secured.authority
    whole = KafkaSettings(bootstrap_servers=secured.bootstrap_servers, partitions=2, security=secured.security)
    files = CityFiles(secured.secured, tmp_path / "credentials")
    await asyncio.to_thread(arrange, whole, [agency, "operations"], files)
    own = authority.issue(f"agency-{agency}.1", valid=timedelta(seconds=25))
    ends_at = time.monotonic() + 25
    security = Security(
        protocol="SSL", ca_file=secured.secured.ca_file, certificate_file=own.certificate, key_file=own.key
    )
    settings = KafkaSettings(
        bootstrap_servers=secured.mutual_servers, partitions=2, security=security, request_timeout_seconds=5
    )
    sent: list[str] = []
    async with certificates_watched(settings), Side(tmp_path / "side", agency, settings) as side:

        async def say(count: int) -> None:
            for _ in range(count):
                sent.append(f"e-{len(sent)}")
                await side.add(sent[-1])
                await asyncio.sleep(0.02)

        relay = side.relay(PATIENT)
        running = asyncio.create_task(relay.run())
        await say(20)
        await asyncio.gather(asyncio.to_thread(authority.issue, f"agency-{agency}.1"), say(50))
        await until(lambda: side.outbox.waiting[agency] == 0, seconds=60)
        await asyncio.sleep(max(0.0, ends_at - time.monotonic()))

        async def broker_again() -> None:
            await asyncio.to_thread(secured.kill)
            await asyncio.to_thread(secured.start)

        await asyncio.gather(broker_again(), say(50))
        await until(lambda: side.outbox.waiting[agency] == 0, seconds=90)
        assert not running.done(), "the relay did not survive its certificate"
        side.kafka = whole
        assert await side.published_ids() == sent
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
