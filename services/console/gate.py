"""Who may come in where, before any page is made: what is not open needs a sign-in, and each page its right.

Default is refusal: an address that stands in no line needs a role that may see cases, and whatever is no GET needs the
right to act. Where no issuer is set, everybody may come in everywhere, as the pages say.
"""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bus.identity import Caller, Right
from bus.identity.speaking import ASKING
from services.console.parts import Parts

OPEN = ("/static/", "/health/", "/metrics", "/auth/", "/preferences")
"""Files, probes, the way in, and what a browser remembers of language and theme."""

RIGHTS: tuple[tuple[str, Right], ...] = (
    ("/parked/replay", "act"),
    ("/parked/discard", "act"),
    ("/parked/edit", "act"),
    ("/rejected/replay", "act"),
    ("/rejected/discard", "act"),
    ("/rejected/edit", "act"),
    ("/parked", "parked"),
    ("/rejected", "rejected"),
    ("/entitled", "entitled"),
    ("/acts", "acts"),
    ("/", "cases"),
)
"""Beginning of an address → what it needs; the first that fits."""

NOBODY = Caller("", "")
"""Not signed in, where people are asked."""


class Gate:
    """An ASGI application before the pages."""

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._parts.sessions is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        session = self._parts.sessions.of(request)
        caller = session.caller if session is not None else NOBODY
        request.state.caller, request.state.session = caller, session
        ASKING.set(caller)
        path = str(scope["path"])
        if path.startswith(OPEN):
            answer = None
        elif session is None:
            answer = self._to_sign_in(request)
        elif not caller.may(needed(request.method, path)):
            answer = self._refused(request, caller)
        else:
            answer = None
        await (self._app if answer is None else answer)(scope, receive, send)

    def _to_sign_in(self, request: Request) -> Response:
        is_page = request.method in ("GET", "HEAD") and request.headers.get("sec-fetch-mode") in (None, "navigate")
        if is_page and not request.headers.get("hx-request") and request.url.path != "/now/events":
            asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/auth/in?{urlencode({'next': asked})}", status_code=303)
        answer = self._parts.pages.failure(request, 401, "not_signed_in")
        answer.headers["hx-refresh"] = "true"  # a part of an open page: the whole is loaded anew, and asks
        return answer

    def _refused(self, request: Request, caller: Caller) -> Response:
        return self._parts.pages.failure(request, 403, "no_right" if caller.roles else "no_role")


def needed(method: str, path: str) -> Right:
    """What somebody must be allowed, to ask for that."""
    if method not in ("GET", "HEAD"):
        return "act"
    return next(right for start, right in RIGHTS if path == start or start == "/" or path.startswith(f"{start}/"))
