"""From what is known to a page: templates with the reader's language, theme and token, names, times and spans.

Everything is escaped unless a template of ours wrote it. A page says `<time>` in the city's own zone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from bus.city import City
from bus.city.model import RESERVED_AGENCY_IDS
from bus.identity import EVERYBODY, Caller
from schemas.moments import NotAMoment, parse_moment
from schemas.money import money_text
from schemas.values import localised
from services.console import words
from services.console.callers import caller_in
from services.console.security import COOKIE, Tokens, local_path

TEMPLATES = Path(__file__).parent / "templates"
THEMES = ("auto", "light", "dark")
LANGUAGE_COOKIE, THEME_COOKIE = "subak-language", "subak-theme"
PREFERENCE_SECONDS = 31_536_000

SHORT_ID = 8
"""Letters of an id that a list shows."""


@dataclass(frozen=True)
class Reader:
    """Who looks: only what the page needs to know."""

    language: str
    theme: str
    browser: str
    """The value of the cookie that names the browser."""
    is_new: bool
    """Whether the browser has no such cookie yet."""
    caller: Caller = EVERYBODY
    """Who is signed in."""


class Pages:
    """Makes answers."""

    def __init__(self, city: City, tokens: Tokens) -> None:
        self.city = city
        self.tokens = tokens
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["query"] = lambda known: urlencode(
            {name: value for name, value in known.items() if value not in (None, "", False)}
        )
        self._environment.filters["pretty"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
        self._environment.filters["segment"] = lambda value: quote(str(value), safe="")

    def reader(self, request: Request) -> Reader:
        """Who looks, by cookies and headers."""
        cookies = request.cookies
        known = cookies.get(COOKIE)
        is_known = self.tokens.is_browser(known)
        theme = cookies.get(THEME_COOKIE, "auto")
        return Reader(
            language=words.chosen(
                cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""), self.city.languages[0]
            ),
            theme=theme if theme in THEMES else "auto",
            browser=known if known is not None and is_known else self.tokens.new_browser(),
            is_new=not is_known,
            caller=caller_in(request),
        )

    def answer(self, request: Request, template: str, *, status: int = 200, **known: Any) -> HTMLResponse:
        """A page, or a part of one."""
        reader = self.reader(request)
        html = self.html(
            reader,
            template,
            path=request.url.path,
            back=_back(request),
            token=self.tokens.token(reader.browser),
            **known,
        )
        answer = HTMLResponse(html, status_code=status, headers={"content-language": reader.language})
        answer.headers["vary"] = "accept-language, cookie"
        if reader.is_new:
            answer.set_cookie(COOKIE, reader.browser, httponly=True, samesite="strict")
        return answer

    def failure(self, request: Request, status: int, key: str, detail: str = "") -> HTMLResponse:
        """A page, or the part of one, that says what is the matter. Never a blank one."""
        template = "part_failure.html" if request.headers.get("hx-request") else "failure.html"
        return self.answer(request, template, status=status, key=key, detail=detail)

    def html(self, reader: Reader, template: str, **known: Any) -> str:
        """The text of a page or a part."""
        language = reader.language
        return self._environment.get_template(template).render(
            language=language,
            theme=reader.theme,
            caller=reader.caller,
            city=self.city,
            themes=THEMES,
            languages=words.LANGUAGES,
            t=partial(words.text, language),
            word=partial(words.known, language),
            agency=partial(self.agency_name, language),
            level=partial(self.level_name, language),
            name=partial(_name, language),
            moment=self.moment,
            clock=self.clock,
            age=partial(self.age, language),
            span=partial(span, language),
            short=lambda id: str(id)[:SHORT_ID],
            event=short_type,
            number=partial(number, language),
            money=partial(money_text, language=language),
            now=datetime.now(UTC),
            **known,
        )

    # -- what templates call

    def agency_name(self, language: str, id: str | None) -> str:
        """What people call an agency, or a process of the bus."""
        if not id:
            return words.text(language, "agency.none")
        if id in RESERVED_AGENCY_IDS:
            return words.known(language, "process", id)
        found = self.city.agencies.get(id)
        return localised(found.name, language, *self.city.languages) if found is not None else id

    def level_name(self, language: str, id: str) -> str:
        """What people call a level of the city: a ward, a district."""
        found = next((level for level in self.city.levels if level.id == id), None)
        return localised(found.name, language, *self.city.languages) if found is not None else id

    def moment(self, text: str | float | None) -> str:
        """A time in the city's zone, to the minute."""
        found = _instant(text)
        return found.astimezone(self.city.zone).strftime("%Y-%m-%d %H:%M") if found else str(text or "")

    def clock(self, text: str | float | None) -> str:
        """The time of day in the city's zone, to the second."""
        found = _instant(text)
        return found.astimezone(self.city.zone).strftime("%H:%M:%S") if found else str(text or "")

    def age(self, language: str, text: str | float | None) -> str:
        """How long ago (or ahead) a time is."""
        found = _instant(text)
        return span(language, abs((datetime.now(UTC) - found).total_seconds())) if found else ""


def _back(request: Request) -> str:
    """The page to which a choice of language leads back: this one; after a form that was sent, the form's own."""
    if request.method in ("GET", "HEAD"):
        return request.url.path + (f"?{request.url.query}" if request.url.query else "")
    try:
        came = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return "/"
    is_ours = came.netloc == request.headers.get("host", "")
    return local_path(came.path + (f"?{came.query}" if came.query else "")) if is_ours else "/"


def short_type(name: str | None) -> str:
    """`request.submitted` of `subak.request.submitted.v1`; what is no type of ours stays as it is."""
    parts = (name or "").split(".")
    return ".".join(parts[1:-1]) if len(parts) == 4 and parts[0] == "subak" else (name or "")


def span(language: str, seconds: float) -> str:
    """A span in its two largest units."""
    unit = partial(words.text, language)
    if seconds < 10:
        return unit("span.seconds", count=number(language, round(seconds, 1)))
    whole = int(seconds)
    if whole < 60:
        return unit("span.seconds", count=whole)
    if whole < 3600:
        return unit("span.minutes", count=whole // 60)
    if whole < 86_400:
        hours = unit("span.hours", count=whole // 3600)
        return f"{hours} {unit('span.minutes', count=whole % 3600 // 60)}"
    days = unit("span.days", count=number(language, whole // 86_400))
    return f"{days} {unit('span.hours', count=whole % 86_400 // 3600)}" if whole < 864_000 else days


def number(language: str, value: float | None) -> str:
    """With the separators of the language."""
    if value is None or not math.isfinite(value):
        return "-"
    text = f"{value:,}" if isinstance(value, int) or value != int(value) else f"{int(value):,}"
    return text.translate(str.maketrans(",.", ".,")) if language == "id" else text


def _name(language: str, names: Mapping[str, str] | None, otherwise: str = "") -> str:
    """One of a text's languages: the reader's, or whatever there is."""
    names = names or {}
    return names.get(language) or next(iter(names.values()), otherwise)


def _instant(text: str | float | None) -> datetime | None:
    if isinstance(text, int | float):
        return datetime.fromtimestamp(text, UTC)
    try:
        return parse_moment(text) if text else None
    except NotAMoment:
        return None
