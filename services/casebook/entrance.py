"""Who may ask the casebook what, before any question is read: an access token, and each address its right.

Default is refusal: an address that stands in no line is for those who read all. Health and metrics stay open, and so
does the description of the API, which tells nothing of a case. Where no issuer is set, everybody may ask everything.
"""

from __future__ import annotations

import json
import re

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bus.http_door import OPEN
from bus.identity import EVERYBODY, Caller, Issuer, IssuerAway, Right, TokenRefused
from bus.identity.speaking import HEADER, NotSaid, heard
from bus.identity.tokens import caller_by
from bus.logs import get_logger

log = get_logger("entrance")

DESCRIPTION = ("/docs", "/redoc", "/openapi.json")

_FORMS: tuple[tuple[str, Right], ...] = (
    (r"/api/cases/[^/]+/deliveries", "deliveries"),
    (r"/api/deliveries/.*", "deliveries"),
    (r"/api/cases(/[^/]+(/timeline)?)?", "cases"),
    (r"/api/events/.*", "cases"),
    (r"/api/summary", "cases"),
    (r"/api/(trace/.*|vanished)", "cases"),
    (r"/api/parked(/causes)?", "parked"),
    (r"/api/rejected(/.*)?", "rejected"),
    (r"/api/entitled/.*", "entitled"),
    (r"/api/acts", "acts"),
)
RIGHTS = tuple((re.compile(form), right) for form, right in _FORMS)
"""Form of an address → what it needs; the first that fits whole."""

_WORDS = {
    "en": {
        401: ("Not signed in", "Send an access token of the city's provider: `Authorization: Bearer ...`."),
        403: ("Not for this role", "No role of {name} may ask this: it needs the right `{right}`."),
        503: ("Nobody can be asked who they are", "The city's provider does not answer. Ask again in a moment."),
        "no_token": "there is no token",
    },
    "id": {
        401: ("Belum masuk", "Kirim token akses dari penyedia identitas kota: `Authorization: Bearer ...`."),
        403: ("Bukan untuk peran ini", "Tidak ada peran {name} yang boleh menanyakan ini: diperlukan hak `{right}`."),
        503: ("Identitas tidak dapat diperiksa", "Penyedia identitas kota tidak menjawab. Coba lagi sebentar lagi."),
        "no_token": "tidak ada token",
    },
}


class Entrance:
    """An ASGI application before the API."""

    def __init__(self, app: ASGIApp, issuer: Issuer | None) -> None:
        self._app = app
        self._issuer = issuer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", ""))
        if scope["type"] != "http" or self._issuer is None or path.startswith((*OPEN, *DESCRIPTION)):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            caller = await self._caller(self._issuer, headers)
        except (TokenRefused, NotSaid) as error:
            log.warning("caller_refused", path=path, error=str(error))
            await _refused(headers, 401, str(error))(scope, receive, send)
            return
        except IssuerAway as error:
            log.warning("caller_not_known", path=path, error=str(error))
            await _refused(headers, 503)(scope, receive, send)
            return
        right = needed(path)
        if not caller.may(right):
            log.warning("right_refused", path=path, subject=caller.subject, right=right)
            await _refused(headers, 403, name=caller.name, right=right)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    async def _caller(self, issuer: Issuer, headers: Headers) -> Caller:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenRefused("")
        caller = await caller_by(issuer, token.strip())
        if (for_whom := headers.get(HEADER)) is None:
            return caller
        if not caller.may("speak_for"):
            raise NotSaid("this token may not ask for somebody else (Subak-For)")
        return heard(for_whom, issuer.identity.agencies)


def needed(path: str) -> Right:
    """What somebody must be allowed, to ask for that."""
    return next((right for pattern, right in RIGHTS if pattern.fullmatch(path)), "rejected_of_all")


def caller_in(request: Request) -> Caller:
    """Who asks."""
    found: Caller = getattr(request.state, "caller", EVERYBODY)
    return found


def _refused(headers: Headers, status: int, why: str | None = None, **values: str) -> Response:
    """In the language that is asked for, as far as it is one of ours."""
    language = "id" if headers.get("accept-language", "").strip().lower().startswith("id") else "en"
    words = _WORDS[language]
    title, advice = words[status]
    detail = advice.format(**values)
    if why is not None:
        detail = f"{why or words['no_token']}. {detail}"
    body = {"title": title, "status": status, "detail": detail[:1].upper() + detail[1:], "errors": []}
    more = {"content-language": language, "vary": "accept-language, authorization"}
    if status == 401:
        more["www-authenticate"] = 'Bearer realm="subak"' + (', error="invalid_token"' if why else "")
    return Response(json.dumps(body, ensure_ascii=False), status, more, media_type="application/problem+json")
