"""Calls an agency's system: one event, one POST, signed.

The body is the CloudEvent in structured mode. The signature is Standard Webhooks 1.0 (`v1,` and HMAC-SHA256 over id,
timestamp and body), so that the system knows who calls and that nothing was changed; the event id is the idempotency
key. Redirects are not followed: a secret signature is for one address.
"""

from __future__ import annotations

import hmac
import time
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256

import aiohttp

from adapters.config import Webhook
from adapters.outcome import Outcome, judge
from bus.inbox import Arrived
from schemas.structured import STRUCTURED_CONTENT_TYPE

ANSWER_BYTES_MAX = 65_536
"""As much of an answer is read. A longer one costs its connection, since it cannot be used again."""

SAID_CHARACTERS_MAX = 300


def new_session() -> aiohttp.ClientSession:
    """The HTTP client of one process: connections are kept, cookies and proxies of the environment are not."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": "Subak", "Content-Type": STRUCTURED_CONTENT_TYPE},
    )


class WebhookTarget:
    """One agency's webhook."""

    def __init__(
        self, webhook: Webhook, session: aiohttp.ClientSession, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._webhook = webhook
        self._session = session
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=webhook.timeout_seconds)

    async def call(self, event: Arrived) -> Outcome:
        """POST the event; never raises for what the system or the network does."""
        body = event.body
        headers = signed_headers(self._webhook.key, event.event_id, int(self._clock()), body)
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
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome("away", f"the system cannot be reached: {type(error).__name__}: {error}"[:500])


def signed_headers(key: bytes, event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks 1.0, and `Idempotency-Key`."""
    signature = hmac.digest(key, b"%s.%d.%s" % (event_id.encode(), timestamp, body), sha256)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + b64encode(signature).decode(),
        "Idempotency-Key": event_id,
    }
