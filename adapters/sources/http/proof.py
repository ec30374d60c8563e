"""Whether a request comes from the agency's system: by a bearer token, or by a signature of what it sends. Pure.

The answer to a wrong proof says what is wrong with its form, and never what would have been right.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from adapters.secrets import WrongSecret, read_secret, signing_key
from adapters.sources.http.config import HttpSourceConfig
from schemas.failures import Reason

TOKEN_CHARACTERS_MIN = 16
"""A shorter token can be guessed."""

Headers = Mapping[bytes, bytes]


class Proof(Protocol):
    """How the agency's system shows that it is itself."""

    signs: bool
    """Whether the body must be read before it is known who sends it."""

    def problem(self, headers: Headers, signed: bytes) -> Reason | None:
        """Why it is not believed; None where it is. `signed`: the body; of a GET, which has none, its path."""


def proof_of(
    config: HttpSourceConfig, folder: Path, environment: Mapping[str, str], clock: Callable[[], float]
) -> Proof:
    """The proof that a section asks for.

    Raises:
        WrongSecret: its secret is missing or too weak.
    """
    if config.token or config.token_env or config.token_file:
        token = read_secret(config, "token", folder, environment)
        if len(token) < TOKEN_CHARACTERS_MIN:
            raise WrongSecret(
                f"token has {len(token)} characters, fewer than {TOKEN_CHARACTERS_MIN}. Use a longer one."
            )
        return Bearer(token.encode())
    key = signing_key(read_secret(config, "secret", folder, environment))
    if config.signed == "body":
        return SignedBody(key, config.signature_header)
    return SignedMessage(key, config.clock_seconds_max, clock)


class Bearer:
    """`Authorization: Bearer <token>`."""

    signs = False

    def __init__(self, token: bytes) -> None:
        self._token = token

    def problem(self, headers: Headers, signed: bytes) -> Reason | None:
        """Whether the token is this source's."""
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._token):
            return None
        fix = "Send `Authorization: Bearer <token>` with the token of this source in adapter.toml."
        return Reason("unauthorized", "Authorization", "the token is missing or not this source's", fix)


class SignedBody:
    """HMAC-SHA256 of the body, in a header that the vendor named."""

    signs = True

    def __init__(self, key: bytes, header: str) -> None:
        self._key = key
        self._header = header

    def problem(self, headers: Headers, signed: bytes) -> Reason | None:
        """Whether the signature is that of the body."""
        given = headers.get(self._header.lower().encode(), b"").strip().removeprefix(b"sha256=").lower()
        if hmac.compare_digest(given, hmac.new(self._key, signed, hashlib.sha256).hexdigest().encode()):
            return None
        fix = "Send the HMAC-SHA256 of the body's bytes (of a GET: of its path) under the source's secret, hexadecimal."
        return Reason("unauthorized", self._header, "the signature is missing or not that of the body", fix)


class SignedMessage:
    """Standard Webhooks 1.0: HMAC-SHA256 of `<id>.<time>.<body>`, so that what was signed long ago opens nothing."""

    signs = True

    def __init__(self, key: bytes, clock_seconds_max: int, clock: Callable[[], float]) -> None:
        self._key = key
        self._seconds_max = clock_seconds_max
        self._clock = clock

    def problem(self, headers: Headers, signed: bytes) -> Reason | None:
        """Whether one of the signatures is that of the message, and the message is of now."""
        id, stamp = headers.get(b"webhook-id", b""), headers.get(b"webhook-timestamp", b"")
        message = b"%s.%s.%s" % (id, stamp, signed)
        wanted = b"v1," + b64encode(hmac.new(self._key, message, hashlib.sha256).digest())
        given = headers.get(b"webhook-signature", b"").split()[:20]
        if not any(hmac.compare_digest(one, wanted) for one in given):
            fix = "Sign `<webhook-id>.<webhook-timestamp>.<body>` (of a GET: its path in place of the body)."
            problem = "the signature is missing or not that of this message"
            return Reason("unauthorized", "webhook-signature", problem, fix)
        off = abs(int(stamp) - self._clock()) if stamp.isdigit() and len(stamp) <= 12 else None
        if off is None or off > self._seconds_max:
            shown = f"is {off:.0f} s from this machine's clock" if off is not None else "is no count of seconds"
            fix = f"Set the clock of one of the two: {self._seconds_max} s are allowed."
            return Reason("clock", "webhook-timestamp", f"the time of the message {shown}", fix)
        return None
