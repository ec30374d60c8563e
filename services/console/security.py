"""What stands between the console and a hostile page: allowed hosts, same-origin writes, and the headers of an answer.

Where no issuer is set nobody is asked who they are, so whoever reaches the console may use it. It therefore answers
only under names that its operator chose (another page's script cannot reach it by pointing its own name here), and
takes a write only with a token from its own form. No answer may be framed, load anything from elsewhere, or run a
script that is no file of ours.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bus.identity.settings import is_loopback, require_safe
from bus.settings import Settings
from schemas.failures import Misconfigured

COOKIE = "subak-console"
"""Names the browser, not the person: the token of each form is bound to it."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

POLICY, OWN_FORMS = "content-security-policy", "form-action 'self'"

HEADERS = {
    POLICY: (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        f"{OWN_FORMS}; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer a browser sends our own forms with `Origin: null`
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""On every answer. `cache-control` is added where an answer says nothing of it."""

_OPEN = ("/health/", "/metrics")
"""Machines ask these by address: no host is required, and they tell nothing of a case."""

_BROWSER = re.compile(r"[A-Za-z0-9_-]{43}")


def hosts_of(settings: Settings) -> frozenset[str]:
    """The names under which the console answers.

    Raises:
        Misconfigured: it would listen beyond this machine, and nobody said under which names.
    """
    named = frozenset(name.strip().lower() for name in settings.console_hosts.split(",") if name.strip())
    if settings.oidc_issuer:
        return LOOPBACK | named | _asking_host(settings)
    if not named and not is_loopback(settings.http_host):
        raise Misconfigured(
            f"the console would listen on {settings.http_host}, and it asks nobody who they are. Let it listen on "
            "127.0.0.1; or put a proxy before it that asks, and name the hosts under which people come: "
            "SUBAK_CONSOLE_HOSTS=console.city.example."
        )
    return LOOPBACK | named


def _asking_host(settings: Settings) -> frozenset[str]:
    """The name to which the provider leads people back."""
    if not settings.console_url:
        if is_loopback(settings.http_host):
            return frozenset()
        raise Misconfigured(
            f"the console would listen on {settings.http_host} and send people to {settings.oidc_issuer}, which "
            "must know where to lead them back: set SUBAK_CONSOLE_URL, such as https://console.city.example."
        )
    require_safe(settings.console_url, "SUBAK_CONSOLE_URL")
    return frozenset({_name(urlsplit(settings.console_url).netloc)})


def local_path(back: str) -> str:
    """A path of ours, whatever was sent: nobody is led elsewhere."""
    is_ours = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
    return back if is_ours else "/"


class FormTooOld(Exception):
    """A form without a token of this process, or of another browser. Nothing was done."""


class Tokens:
    """Tokens of forms. Of this process alone: after a restart a form must be loaded again."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def new_browser(self) -> str:
        """A value for the cookie."""
        return secrets.token_urlsafe(32)

    def is_browser(self, cookie: str | None) -> bool:
        """Whether the cookie is one that we might have given."""
        return cookie is not None and _BROWSER.fullmatch(cookie) is not None

    def token(self, browser: str) -> str:
        """The token that this browser's forms carry."""
        return hmac.new(self._secret, browser.encode(), hashlib.sha256).hexdigest()

    def fits(self, browser: str | None, token: str) -> bool:
        """Whether the form was one of ours, in this browser."""
        if browser is None or not self.is_browser(browser):
            return False
        return hmac.compare_digest(self.token(browser).encode(), token.encode("utf-8", "replace"))


class Guard:
    """Before all else: refuses foreign hosts and foreign writes, and adds the headers."""

    def __init__(
        self, app: ASGIApp, hosts: frozenset[str], *, form_targets: Callable[[], Sequence[str]] = list
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._form_targets = form_targets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if targets := self._form_targets():
                    headers[POLICY] = HEADERS[POLICY].replace(OWN_FORMS, f"{OWN_FORMS} {' '.join(targets)}")
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        answer = self._app if refusal is None else refusal
        await answer(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers, path = Headers(scope=scope), str(scope["path"])
        if path.startswith(_OPEN):
            return None
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            return PlainTextResponse(
                "The console does not answer under this name. Its operator names the hosts in SUBAK_CONSOLE_HOSTS.\n",
                status_code=421,
            )
        if scope["method"] not in ("GET", "HEAD") and not _same_origin(headers, host):
            return PlainTextResponse("This came from another site: nothing was done.\n", status_code=403)
        return None


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _same_origin(headers: Headers, host: str) -> bool:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site != "same-origin":
        return False
    return origin is None or urlsplit(origin).netloc == host
