"""The HTTP side of a source in the agency's own shape.

POST <path>/records                one record, or many: 202 with the events that they became, once they are on disk;
                                   422 with every reason, each with the record's place and the agency's own column
GET  <path>/events/<event id>      stored, relayed, accepted, or rejected with the reasons
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.types import Receive, Scope, Send

from adapters.completion import read_idempotency_key
from adapters.http_app import Answer, Answered, answer, answer_later, read_body, refusal
from bus import metrics
from bus.logs import get_logger
from schemas.failures import Reason, Refused, Retryable

if TYPE_CHECKING:
    from adapters.sources.http.source import HttpRecordsSource

log = get_logger("http_source")

NOT_JSON = frozenset({"not_json", "too_deep"})

Handler = Callable[[Scope, Receive, str], Awaitable[Answer]]


class RecordsApp:
    """What answers below the source's path."""

    def __init__(self, source: HttpRecordsSource) -> None:
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            done = await self._answer(scope, receive, scope["path"].removeprefix(scope.get("root_path", "")))
        except Answered as answered:
            done = answered.answer
        except Refused as refused:
            done = refusal(422, *refused.reasons)
        except Retryable as error:
            done = answer_later(error)
        except Exception as error:
            log.exception("request_failed", agency=self._source.agency, path=scope["path"][:200])
            problem = f"the adapter failed: {type(error).__name__}"
            done = refusal(500, Reason("failed", "request", problem, "Send it again; if it fails again, report it."))
        metrics.source_requests.labels(self._source.agency, str(done.status)).inc()
        headers = [(b"content-type", done.content_type), (b"content-length", b"%d" % len(done.body)), *done.headers]
        await send({"type": "http.response.start", "status": done.status, "headers": headers})
        await send({"type": "http.response.body", "body": done.body})

    async def _answer(self, scope: Scope, receive: Receive, path: str) -> Answer:
        headers = dict(scope["headers"])
        if path == "/records":
            method, handle = "POST", self._post
        elif path.startswith("/events/") and len(path) > len("/events/"):
            method, handle = "GET", self._get
        else:
            fix = "POST records, or GET events/<event id>."
            return refusal(404, Reason("not_found", "path", "there is nothing under this path", fix))
        if scope["method"] != method:
            reason = Reason("method", "request", f"{scope['method']} is not possible here", f"Use {method}.")
            return refusal(405, reason, headers=[(b"allow", method.encode())])
        if not self._source.proof.signs:  # who cannot show it is not read from
            self._check_proof(headers, b"")
        return await handle(scope, receive, path)

    async def _post(self, scope: Scope, receive: Receive, path: str) -> Answer:
        headers = dict(scope["headers"])
        body = await read_body(headers, receive)
        if self._source.proof.signs:
            self._check_proof(headers, body)
        stated = headers.get(b"content-type", b"").decode("latin-1").lower()
        kind, _, parameters = stated.partition(";")
        charset = parameters.partition("charset=")[2].strip().strip('"')
        is_json = kind.strip() == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
        if not is_json or charset not in ("", "utf-8", "utf8"):
            fix = "Send application/json, in UTF-8."
            return refusal(415, Reason("content_type", "Content-Type", f"{stated[:100]!r} is not taken here", fix))
        key = headers.get(b"idempotency-key")
        try:
            outcomes, several = await self._source.take(
                body, read_idempotency_key(key.decode("latin-1")) if key is not None else None
            )
        except Refused as refused:
            readable = not any(reason.field == "body" and reason.code in NOT_JSON for reason in refused.reasons)
            return refusal(422 if readable else 400, *refused.reasons)
        told = [{"events": [self._shown(scope, path, event) for event in events]} for events in outcomes]
        return answer(202, told if several else told[0])

    def _shown(self, scope: Scope, path: str, event: dict[str, Any]) -> dict[str, Any]:
        base = scope["path"].removesuffix(path)
        return {**event, "status_url": f"{base}/events/{quote(event['id'], safe='')}"}

    async def _get(self, scope: Scope, receive: Receive, path: str) -> Answer:
        if self._source.proof.signs:
            self._check_proof(dict(scope["headers"]), scope["path"].encode())
        told = await self._source.status_of(path.removeprefix("/events/"))
        if told is None:
            fix = "Check the id; the status of an event can be asked for some days after it left."
            return refusal(404, Reason("not_found", "id", "this adapter has no such event", fix))
        return answer(200, told)

    def _check_proof(self, headers: dict[bytes, bytes], signed: bytes) -> None:
        reason = self._source.proof.problem(headers, signed)
        if reason is not None:
            challenge = [] if self._source.proof.signs else [(b"www-authenticate", b"Bearer")]
            raise Answered(refusal(401, reason, headers=challenge))
