"""Until when the certificates hold: this process's own, those that it trusts, and those that the brokers show.

A certificate that ends stops everything at once, on a day that was known for a year. So each process says the day of
each as a metric, and an alert fires weeks before. Files are looked at each minute: a renewed one ends the alert, and is
what clients that run show at their next connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from aiokafka.conn import collect_hosts
from cryptography import x509

from bus import metrics
from bus.kafka.security import Security, renew_certificates
from bus.kafka.settings import KafkaSettings
from bus.logs import get_logger
from schemas.failures import Misconfigured

log = get_logger("certificates")

LOOK_SECONDS = 60.0
"""Between two looks at the files."""

LOOKS_BETWEEN_BROKERS = 10
"""The brokers are asked at every tenth look: a TLS connection each, that says nothing."""

CONNECT_SECONDS_MAX = 5.0


def file_ends(path: Path) -> float:
    """When the first of a file's certificates ends (seconds since the epoch).

    Raises:
        Misconfigured: it cannot be read, or holds no certificate.
    """
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Misconfigured(f"the certificate {path} cannot be read: {error}.") from error
    return min(certificate.not_valid_after_utc.timestamp() for certificate in found)


def ends_of_files(security: Security) -> Iterator[tuple[str, float]]:
    """(file, when the first of its certificates ends) for each that `security` names and that can be read."""
    for path in (security.ca_file, security.certificate_file):
        if path is not None:
            with contextlib.suppress(Misconfigured):  # told by who needs it, at its next connection
                yield path.name, file_ends(path)


async def ends_of_brokers(settings: KafkaSettings) -> dict[str, float]:
    """Address → when the certificate ends that the broker shows; only those that answer and that we trust."""
    context = settings.security.ssl_context()
    found: dict[str, float] = {}
    if context is None:
        return found
    for host, port, _ in collect_hosts(settings.bootstrap_servers, randomize=False):
        with contextlib.suppress(OSError, TimeoutError):  # who is away, or not trusted any more, is told elsewhere
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                _, writer = await asyncio.open_connection(host, port, ssl=context)
            shown = writer.get_extra_info("peercert") or {}
            writer.transport.abort()
            if "notAfter" in shown:
                found[f"{host}:{port}"] = float(ssl.cert_time_to_seconds(shown["notAfter"]))
    return found


@contextlib.asynccontextmanager
async def certificates_watched(settings: KafkaSettings) -> AsyncIterator[None]:
    """Keep `subak_certificate_expires_timestamp_seconds` right, and clients' certificates, while the block runs.

    Also in plaintext: an adapter's agencies may each have a certificate of their own.
    """
    watching = asyncio.create_task(_watch(settings))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(settings: KafkaSettings) -> None:
    looks = 0
    while True:
        try:
            renew_certificates()
            for name, ends in ends_of_files(settings.security):
                metrics.certificate_ends.labels(name).set(ends)
            if looks % LOOKS_BETWEEN_BROKERS == 0:
                for name, ends in (await ends_of_brokers(settings)).items():
                    metrics.certificate_ends.labels(name).set(ends)
        except Misconfigured as error:
            log.warning("certificates_unreadable", error=str(error))
        looks += 1
        await asyncio.sleep(LOOK_SECONDS)
