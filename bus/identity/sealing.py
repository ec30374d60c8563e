"""What a browser keeps for us without being able to read or change it: encrypted, for one purpose, until a time.

JWE (direct, A256GCM) under a key that is derived for each purpose, so that what was sealed for one never opens as
another. Whatever cannot be opened is as if it were not there.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

LENGTH_MAX = 8_192
"""Characters of what is opened."""

SPENT_MAX = 100_000
"""Ids in memory that must not be used again; the first to end is forgotten."""

_HEADER = {"alg": "dir", "enc": "A256GCM"}


class Seal:
    """Seals and opens, with one secret."""

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        self._keys: dict[str, OctKey] = {}

    def seal(self, purpose: str, content: Mapping[str, Any], *, until: float) -> str:
        """As text for a cookie. `until`: seconds since 1970."""
        plain = json.dumps({**content, "exp": until}, separators=(",", ":")).encode()
        return jwe.encrypt_compact(_HEADER, plain, self._key(purpose), algorithms=list(_HEADER.values()))

    def open(self, purpose: str, text: str | None) -> dict[str, Any] | None:
        """What was sealed; None where it was not sealed by us, for something else, or is over."""
        if not text or len(text) > LENGTH_MAX:
            return None
        try:
            plain = jwe.decrypt_compact(text, self._key(purpose), algorithms=list(_HEADER.values())).plaintext
            found: dict[str, Any] = json.loads(plain or b"{}")
            return found if float(found["exp"]) > self._clock() else None
        except (JoseError, ValueError, TypeError, KeyError):
            return None

    def _key(self, purpose: str) -> OctKey:
        if purpose not in self._keys:
            derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"subak {purpose}".encode())
            self._keys[purpose] = OctKey.import_key(derived.derive(self._secret))
        return self._keys[purpose]


class Spent:
    """Ids that count no more: states that were used, sessions that were ended."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()

    def spend(self, id: str, *, until: float) -> bool:
        """Whether it counted until now."""
        now = self._clock()
        while self._until and (len(self._until) >= SPENT_MAX or next(iter(self._until.values())) < now):
            self._until.popitem(last=False)
        if id in self._until:
            return False
        self._until[id] = until
        return True

    def __contains__(self, id: object) -> bool:
        return id in self._until
