"""Calls an agency's system: one event, one POST, signed.

The body is the CloudEvent in structured mode. The signature is Standard Webhooks 1.0 (`v1,` and HMAC-SHA256 over id,
timestamp and body), so that the system knows who calls and that nothing was changed; the event id is the idempotency
key. It leaves over https and to addresses of the internet only, unless adapter.toml says otherwise (`reach.py`).
Redirects are not followed: a secret signature is for one address.
"""

from __future__ import annotations

import hmac
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256

import aiohttp
import msgspec

from adapters.config import Webhook
from adapters.outcome import Outcome, judge
from adapters.reach import AddressRefused, Reach
from bus import tracing
from bus.inbox import Arrived
from schemas.failures import Misconfigured
from schemas.identifiers import derived_id, is_uuid
from schemas.structured import STRUCTURED_CONTENT_TYPE

ANSWER_BYTES_MAX = 65_536
"""As much of an answer is read. A longer one costs its connection, since it cannot be used again."""

SAID_CHARACTERS_MAX = 300


class WebhookTarget:
    """One agency's webhook, with connections of its own: each agency states for itself where calls may go."""

    def __init__(self, webhook: Webhook, *, clock: Callable[[], float] = time.time) -> None:
        """Within a running event loop.

        Raises:
            Misconfigured: the file of certificates cannot be read.
        """
        self._webhook = webhook
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=webhook.timeout_seconds)
        reach = Reach(webhook.url, allow_private=webhook.allow_private, allow_http=webhook.allow_http)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                keepalive_timeout=30,
                ttl_dns_cache=60,
                socket_factory=reach.socket,
                ssl=_trust(webhook.ca_file),
            ),
            # Neither cookies nor proxies of the environment: a call depends on adapter.toml alone.
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": "Subak", "Content-Type": STRUCTURED_CONTENT_TYPE},
        )

    async def close(self) -> None:
        """Let the connections go."""
        await self._session.close()

    async def call(self, event: Arrived) -> Outcome:
        """POST the event; never raises for what the system or the network does."""
        body = event.body
        headers = signed_headers(self._webhook.key, call_id(event), int(self._clock()), body) | tracing.outgoing()
        try:
            async with self._session.post(
                self._webhook.url, data=body, headers=headers, allow_redirects=False, timeout=self._timeout
            ) as answer:
                said = await answer.content.read(ANSWER_BYTES_MAX)
                if not answer.content.at_eof():
                    answer.close()
                return judge(
                    answer.status,
                    said=said[: SAID_CHARACTERS_MAX * 4].decode("utf-8", "replace")[:SAID_CHARACTERS_MAX],
                    retry_after=answer.headers.get("Retry-After"),
                    location=answer.headers.get("Location"),
                )
        except TimeoutError:
            return Outcome("away", f"the system gave no answer within {self._webhook.timeout_seconds:g} s")
        except aiohttp.ClientConnectorError as error:
            why = str(error.os_error) if isinstance(error.os_error, AddressRefused) else str(error)
            return Outcome("away", f"the system cannot be reached: {why}"[:500])
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome("away", f"the system cannot be reached: {type(error).__name__}: {error}"[:500])


class _Sender(msgspec.Struct):
    source: str = ""


_sender_in = msgspec.json.Decoder(_Sender).decode


def call_id(event: Arrived) -> str:
    """What the calls about one event bear, and no other's: its id. One that is no UUID is its sender's alone, and two
    agencies may both have an event 17: theirs are made of the sender and the id."""
    if is_uuid(event.event_id):
        return event.event_id
    return derived_id(_sender_in(event.attributes).source, event.event_id)


def signed_headers(key: bytes, call: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks 1.0, and `Idempotency-Key`."""
    signature = hmac.digest(key, b"%s.%d.%s" % (call.encode(), timestamp, body), sha256)
    return {
        "webhook-id": call,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + b64encode(signature).decode(),
        "Idempotency-Key": call,
    }


def _trust(ca_file: str | None) -> ssl.SSLContext | bool:
    """Whose certificates are believed: those of the system, or the ones in a file."""
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Misconfigured(
            f"webhook.ca_file: {ca_file} holds no certificates in PEM that can be read: {error}."
        ) from error
