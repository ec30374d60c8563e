"""The adapter's HTTP side, as an ASGI application: who may ask what, and every answer a status and a reason.

Small on purpose, since each event passes here: a table of routes, a bearer token for each agency, a bound on bodies and
on the time they may take. Errors are `{"reasons": [{code, field, problem, fix}, ...]}`, whatever went wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from bus import metrics, tracing
from bus.database import DiskFull
from bus.http_door import HEADERS
from bus.logs import get_logger
from schemas.failures import Reason, Refused, Retryable

log = get_logger("http")

BODY_BYTES_MAX = 1_048_576
"""1 MiB, for one event or for a list."""

BODY_WAIT_SECONDS_MAX = 30.0
"""How long a body may take to arrive: who sends slower holds a connection for nothing."""

READ_AWAY_BYTES_MAX = 16 * 1024 * 1024
READ_AWAY_SECONDS_MAX = 5.0
"""How much of a body that is too large is read and dropped before the answer, and for how long."""

_GUARDING = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
"""What every answer says that sets nothing of its own: nothing here is a page, to be framed, sniffed or kept."""

RETRY_AFTER_SECONDS = 5
"""What a sender is asked to wait when the adapter cannot store."""


@dataclass(slots=True)
class Asked:
    """One request of an agency that has shown its token."""

    agency: str
    id: str
    """The event that the path names; empty where it names none."""
    headers: Mapping[bytes, bytes]
    query: bytes
    body: bytes = b""
    receive: Receive | None = None
    """Where the body comes from, for a route that takes it in parts."""
    is_read: bool = False
    """Whether such a body has come to its end."""

    def header(self, name: bytes) -> str | None:
        """A header's value, by its name in lower case."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value is not None else None

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number in the query, not below 0.

        Raises:
            Answered: it is none.
        """
        text = parse_qs(self.query.decode("latin-1"), keep_blank_values=True).get(name, [str(default)])[-1]
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise Answered(
                refusal(400, Reason("malformed", name, f"{text[:50]!r} is not a whole number", "Send digits."))
            )
        return min(int(text), most)


@dataclass(slots=True)
class Answer:
    """What to send back."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    content_type: bytes = b"application/json"


def answer(status: int, content: Any, *headers: tuple[bytes, bytes]) -> Answer:
    """An answer with JSON in it."""
    return Answer(status, msgspec.json.encode(content), list(headers))


def refusal(status: int, *reasons: Reason, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
    """An answer that says why not."""
    return answer(status, {"reasons": [reason.as_dict() for reason in reasons]}, *headers)


class Answered(Exception):
    """Nothing else is to be done than to send this answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.status)


Handler = Callable[[Asked], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """`/agencies/<agency>` and what follows: `events`, or `parked` with an id and `replay` after it."""

    method: str
    first: str
    last: str
    names_event: bool
    handle: Handler
    of_ledger: bool = False
    """Whether the token that reads the ledger opens it."""
    streams: bool = False
    """Whether it takes the body in parts, by itself (`body_parts`)."""


class HttpApp:
    """Routes requests; all that are not for an agency go to `others` (health, metrics)."""

    def __init__(
        self,
        tokens: Mapping[str, str],
        routes: Sequence[Route],
        others: ASGIApp,
        *,
        ledger_tokens: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            tokens: agency → the token that may do everything in its name.
            ledger_tokens: agency → the token that reads its ledger, where it has one.
        """
        self._tokens = {agency: token.encode() for agency, token in tokens.items()}
        self._ledger_tokens = {agency: token.encode() for agency, token in (ledger_tokens or {}).items()}
        self._routes = routes
        self._others = others
        self._counts: dict[tuple[str, int], Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not scope["path"].startswith("/agencies/"):
            await self._others(scope, receive, send)
            return
        agency, _, rest = scope["path"][len("/agencies/") :].partition("/")
        try:
            done = await self._answer(scope, receive, agency, rest)
        except Answered as answered:
            done = answered.answer
        except Refused as refused:
            done = refusal(422, *refused.reasons)
        except Retryable as error:
            done = answer_later(error)
        except Exception as error:
            log.exception("request_failed", agency=agency, path=scope["path"][:200])
            problem = f"the adapter failed: {type(error).__name__}"
            done = refusal(500, Reason("failed", "request", problem, "Send it again; if it fails again, report it."))
        self._count(agency, done.status)
        headers = [(b"content-type", done.content_type), (b"content-length", b"%d" % len(done.body)), *done.headers]
        own = {name for name, _ in done.headers}
        headers += [header for header in _GUARDING if header[0] not in own]
        await send({"type": "http.response.start", "status": done.status, "headers": headers})
        await send({"type": "http.response.body", "body": done.body})

    async def _answer(self, scope: Scope, receive: Receive, agency: str, rest: str) -> Answer:
        headers = dict(scope["headers"])
        reads_only = self._check_token(agency, headers.get(b"authorization", b""))
        route, event_id = self._route(scope["method"], rest)
        if reads_only and not route.of_ledger:
            fix = "Use the agency's own token; this one is for `subak reconcile`."
            problem = "this token reads the ledger, and nothing else"
            raise Answered(refusal(403, Reason("forbidden", "Authorization", problem, fix)))
        asked = Asked(agency, event_id, headers, scope["query_string"])
        if route.streams:
            asked.receive = receive
        elif scope["method"] == "POST":
            asked.body = await read_body(headers, receive)
        with tracing.request(route.method, route.first, agency, headers.get(b"traceparent")):
            return await route.handle(asked)

    def _check_token(self, agency: str, authorization: bytes) -> bool:
        """Whether the token given reads the ledger only."""
        token, reads = self._tokens.get(agency), self._ledger_tokens.get(agency)
        scheme, _, given = authorization.partition(b" ")
        given = given.strip()
        # An unknown agency is told the same as a wrong token: the answer is no list of who is here.
        is_bearer = token is not None and scheme.lower() == b"bearer"
        if is_bearer and reads is not None and hmac.compare_digest(given, reads):
            return True
        if not is_bearer or not hmac.compare_digest(given, token or b""):
            fix = "Send `Authorization: Bearer <token>` with the token of this agency in adapter.toml."
            reason = Reason("unauthorized", "Authorization", "the token is missing or not this agency's", fix)
            raise Answered(refusal(401, reason, headers=[(b"www-authenticate", b"Bearer")]))
        return False

    def _route(self, method: str, rest: str) -> tuple[Route, str]:
        first, _, after = rest.partition("/")
        allowed = []
        for route in self._routes:
            if route.first != first or bool(after) != route.names_event:
                continue
            event_id = after
            if route.last:
                if not after.endswith("/" + route.last):
                    continue
                event_id = after[: -len(route.last) - 1]
            if route.method == method:
                return route, event_id
            allowed.append(route.method)
        if allowed:
            problem = f"{method} is not possible here"
            reason = Reason("method", "request", problem, f"Use {' or '.join(allowed)}.")
            raise Answered(refusal(405, reason, headers=[(b"allow", ", ".join(allowed).encode())]))
        fix = "See docs/how-to/connect-an-agency.md for what there is."
        raise Answered(refusal(404, Reason("not_found", "path", "there is nothing under this path", fix)))

    def _count(self, agency: str, status: int) -> None:
        key = (agency if agency in self._tokens else "unknown", status)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = metrics.source_requests.labels(key[0], str(status))
        count.inc()


async def read_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """The body.

    Raises:
        Answered: it is too large, too slow, or does not arrive whole.
    """
    stated = headers.get(b"content-length", b"0")
    if not stated.isdigit() or int(stated[:19]) > BODY_BYTES_MAX:
        await _read_away(receive)
        raise Answered(_TOO_LARGE)
    parts: list[bytes] = []
    left = BODY_BYTES_MAX
    try:
        async with asyncio.timeout(BODY_WAIT_SECONDS_MAX):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    reason = Reason("incomplete", "body", "the body did not arrive whole", "Send it again.")
                    raise Answered(refusal(400, reason))
                parts.append(message.get("body", b""))
                left -= len(parts[-1])
                if left < 0:
                    await _read_away(receive)
                    raise Answered(_TOO_LARGE)
                if not message.get("more_body"):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        reason = Reason("too_slow", "body", f"the body took more than {BODY_WAIT_SECONDS_MAX:g} s", "Send it again.")
        raise Answered(refusal(408, reason, headers=[(b"connection", b"close")])) from None


async def body_parts(asked: Asked, *, bytes_max: int, wait_seconds: float) -> AsyncIterator[bytes]:
    """The body of a request whose route takes it in parts, as it arrives.

    Raises:
        Answered: it is larger than `bytes_max`, whatever its length was said to be, takes longer than `wait_seconds`,
            or does not arrive whole. What is left is still to be read away, or the sender sees no answer.
    """
    close = [(b"connection", b"close")]
    fix = "Send it in parts, or smaller."
    too_large = refusal(
        413, Reason("too_large", "body", f"the body has more than {bytes_max} bytes", fix), headers=close
    )
    stated = asked.headers.get(b"content-length", b"0")
    if not stated.isdigit() or int(stated[:19]) > bytes_max:
        raise Answered(too_large)
    assert asked.receive is not None
    taken, deadline = 0, asyncio.get_running_loop().time() + wait_seconds
    while True:
        try:
            async with asyncio.timeout_at(
                deadline
            ):  # of the waiting alone: what is done with a part is not the sender's
                message = await asked.receive()
        except TimeoutError:
            reason = Reason("too_slow", "body", f"the body took more than {wait_seconds:g} s", "Send it again.")
            raise Answered(refusal(408, reason, headers=close)) from None
        asked.is_read = message["type"] == "http.disconnect" or not message.get("more_body")
        if message["type"] == "http.disconnect":
            reason = Reason("incomplete", "body", "the body did not arrive whole", "Send it again.")
            raise Answered(refusal(400, reason, headers=close))
        part = message.get("body", b"")
        taken += len(part)
        if taken > bytes_max:
            raise Answered(too_large)
        if part:
            yield part
        if asked.is_read:
            return


async def read_away(asked: Asked, *, bytes_max: int, wait_seconds: float) -> None:
    """Take what is left of a body, and drop it: a sender who is still sending sees the answer only after that."""
    assert asked.receive is not None
    taken = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_seconds):
            while taken <= bytes_max and not asked.is_read:
                message = await asked.receive()
                taken += len(message.get("body", b""))
                asked.is_read = message["type"] == "http.disconnect" or not message.get("more_body")


async def _read_away(receive: Receive) -> None:
    """Take some more of a body that is too large, so that its sender hears why and does not only see a broken pipe."""
    left = READ_AWAY_BYTES_MAX
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READ_AWAY_SECONDS_MAX):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return


_TOO_LARGE = refusal(
    413,
    Reason(
        "too_large",
        "body",
        f"the body has more than {BODY_BYTES_MAX} bytes",
        "Send fewer events at once; send large content by reference, in dataref.",
    ),
)


def answer_later(error: Retryable) -> Answer:
    """An answer to a sender whose event could not be stored now."""
    if isinstance(error, DiskFull):
        return refusal(507, Reason("disk_full", "request", str(error), "Send it again when there is space."))
    reason = Reason("unavailable", "request", str(error), "Send it again: with the same id or key it is stored once.")
    return refusal(503, reason, headers=[(b"retry-after", b"%d" % RETRY_AFTER_SECONDS)])
