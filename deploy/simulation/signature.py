"""Whether a webhook call is the adapter's: the Standard Webhooks signature, checked as an agency's own system would.

Standard Webhooks 1.0: `webhook-signature` holds one or several `v1,<base64>` of HMAC-SHA256 over
`<webhook-id>.<webhook-timestamp>.<body>`, under the secret's bytes (`whsec_<base64>`). A timestamp far from now is
refused, or a call overheard today could be played again tomorrow. Written here anew, and not taken from the adapter,
so that the two sides prove each other.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256

TOLERANCE_SECONDS = 300
"""How far the timestamp may be from now, either way: clocks differ."""


def secret_key(secret: str) -> bytes:
    """The bytes of a secret: the base64 after `whsec_`; any other text as it is."""
    return b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()


def problem_with(headers: Mapping[str, str], body: bytes, *, key: bytes, now: float) -> str | None:
    """None where the call is signed by the holder of `key`; otherwise a sentence that says what is wrong."""
    id, timestamp, given = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (id and timestamp and given):
        return "a webhook call needs the headers webhook-id, webhook-timestamp and webhook-signature"
    if not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return f"webhook-timestamp {timestamp[:40]!r} is not within {TOLERANCE_SECONDS} s of now"
    content = f"{id}.{timestamp}.".encode() + body
    expected = b64encode(hmac.digest(key, content, sha256)).decode()
    if any(hmac.compare_digest(expected, one.removeprefix("v1,")) for one in given.split()):
        return None
    return "webhook-signature is not made with this agency's secret"
