"""Why Kafka and this process do not come together, in words: asked only after a connection has failed.

The client says "unable to bootstrap" of a broker that is away, of a wrong password, of a certificate that nobody
signed and of a broker that speaks TLS. Only the first is cured by waiting. So each address is asked once more here, a
step at a time: does it answer, does it speak what we speak, is it who it must be, does it know us.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from bus.kafka.closing import BEHIND_OUR_BACK_SECONDS
from bus.kafka.errors import BrokerUnavailable, NotAllowed, sorted_error
from bus.kafka.settings import KafkaSettings
from schemas.failures import SubakError

ASK_SECONDS_MAX = 5.0
"""How long one step may take."""

_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""Size, api key, version, correlation id, no client id: what a broker answers before it knows who asks."""


async def explained(error: BaseException, doing: str, settings: KafkaSettings) -> SubakError:
    """The error of Subak for what a client raised while it began: a refusal where Kafka refuses us."""
    found = sorted_error(error, doing)
    if isinstance(found, BrokerUnavailable) and (why := await why_refused(settings)) is not None:
        return NotAllowed(f"while {doing}: {why}")
    return found


async def why_refused(settings: KafkaSettings) -> str | None:
    """Why no address of the cluster takes us, in words; None where one does, or where none answers at all."""
    refusal = None
    for host, port, _ in collect_hosts(settings.bootstrap_servers):
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX * 3):
                refusal = await _why_refused(settings, host, port)
        except (OSError, TimeoutError, KafkaError):
            continue
        if refusal is None:
            return None
    return refusal


async def silent_addresses(settings: KafkaSettings) -> list[str]:
    """Those of the cluster's addresses at which no broker answers, as `host:port`. All are asked at once."""

    async def silent(host: str, port: int) -> bool:
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX * 3):
                await _why_refused(settings, host, port)
        except (OSError, TimeoutError, KafkaError):
            return True
        return False

    hosts = [(host, port) for host, port, _ in collect_hosts(settings.bootstrap_servers, randomize=False)]
    found = await asyncio.gather(*(silent(host, port) for host, port in hosts))
    return [f"{host}:{port}" for (host, port), one in zip(hosts, found, strict=True) if one]


async def _why_refused(settings: KafkaSettings, host: str, port: int) -> str | None:
    security, where = settings.security, f"Kafka at {host}:{port}"
    context = security.ssl_context()
    if context is None:
        async with _connected(host, port, None) as (reader, writer):
            if await _answers(reader, writer):
                return None
        if await _speaks_tls(host, port):
            return (
                f"{where} speaks TLS, and this process plaintext. Set SUBAK_KAFKA_SECURITY_PROTOCOL to SASL_SSL (or "
                "SSL), with its credentials."
            )
        return None
    try:
        async with _connected(host, port, context) as (reader, writer):
            if not await _answers(reader, writer):
                return (
                    f"{where} closes the connection before it says anything. Is it a listener for {security.protocol}?"
                )
    except ssl.SSLCertVerificationError as error:
        return (
            f"{where} shows a certificate that this process does not trust ({error.verify_message}). Check "
            f"SUBAK_KAFKA_CA_FILE ({security.ca_file or 'that of the system'}), and that nobody stands in between."
        )
    except ssl.SSLError as error:
        if "ALERT" in (error.reason or ""):
            return (
                f"{where} refuses the certificate of this process ({_words(error)}): "
                f"{security.certificate_file or 'none'}. It must be of the cluster's CA, and must not have ended."
            )
        return f"{where} and this process do not agree on TLS ({_words(error)})."
    except ConnectionError:  # how a broker answers what it takes for a request of absurd length
        async with _connected(host, port, None) as (reader, writer):
            if await _answers(reader, writer):
                return f"{where} speaks no TLS, and this process {security.protocol}. Name its secured listener's port."
        raise
    return await _why_not_known(settings, host, port) if security.protocol == "SASL_SSL" else None


async def _why_not_known(settings: KafkaSettings, host: str, port: int) -> str | None:
    security = settings.security
    try:
        connection = await create_conn(
            host, port, client_id="subak-refusal", request_timeout_ms=int(ASK_SECONDS_MAX * 1000), **security.options()
        )
    except (AuthenticationFailedError, SaslAuthenticationFailed):
        await asyncio.sleep(BEHIND_OUR_BACK_SECONDS)
        return (
            f"Kafka at {host}:{port} does not take {security.who}: its password is wrong or old, or it was "
            "suspended or removed. Get new credentials from the city's operators (`subak agency rotate`)."
        )
    except UnsupportedSaslMechanismError:
        return f"Kafka at {host}:{port} does not offer SCRAM-SHA-512. Enable it in sasl.enabled.mechanisms."
    await connection.close()
    return None


@contextlib.asynccontextmanager
async def _connected(
    host: str, port: int, context: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(ASK_SECONDS_MAX):
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(ASK_SECONDS_MAX):
                await writer.wait_closed()


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether a broker speaks to us: with TLS 1.3 it refuses a certificate only here."""
    writer.write(_API_VERSIONS)
    try:
        async with asyncio.timeout(ASK_SECONDS_MAX):
            return len(await reader.readexactly(8)) == 8
    except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
        return False


async def _speaks_tls(host: str, port: int) -> bool:
    """Whether the address speaks TLS. Nothing is sent, so its certificate is not looked at."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with _connected(host, port, context):
            return True
    except (OSError, TimeoutError):
        return False


def _words(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
