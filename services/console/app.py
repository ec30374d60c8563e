"""The console's application: its pages, its files, and what it answers when something is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Form, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from bus.health import health_routes
from bus.identity import IssuerAway
from bus.logs import get_logger
from bus.repairing import NotDone
from schemas.failures import Retryable
from services.console import pages
from services.console.casebook import CasebookAway, NotAllowed, NotThere, WrongQuestion
from services.console.gate import Gate
from services.console.parts import Parts
from services.console.rendering import LANGUAGE_COOKIE, PREFERENCE_SECONDS, THEME_COOKIE, THEMES
from services.console.security import COOKIE, FormTooOld, Guard, local_path
from services.console.words import LANGUAGES

STATIC = Path(__file__).parent / "static"

log = get_logger("app")


def console_app(parts: Parts, hosts: frozenset[str]) -> ASGIApp:
    """The application, guarded."""
    app = FastAPI(title="Subak console", docs_url=None, redoc_url=None, openapi_url=None)
    for router in pages.routers(parts):
        app.include_router(router)
    _add_preferences(app, parts)
    _add_failures(app, parts)
    app.router.routes.extend(health_routes(why_not_ready=lambda: None, warning=parts.warning))
    app.mount("/static", _Files(directory=STATIC), name="static")
    targets = parts.sessions.form_targets if parts.sessions is not None else list
    return Guard(Gate(app, parts), hosts, form_targets=targets)


class _Files(StaticFiles):
    """Our own files: a browser may keep them, and asks each time whether they are still the same."""

    def file_response(self, *args: object, **more: object) -> Response:
        answer = super().file_response(*args, **more)  # type: ignore[arg-type]
        answer.headers["cache-control"] = "no-cache"
        return answer


def _add_preferences(app: FastAPI, parts: Parts) -> None:
    @app.post("/preferences")
    def prefer(
        request: Request,
        token: Annotated[str, Form(max_length=100)] = "",
        back: Annotated[str, Form(max_length=20_000)] = "/",
        language: Annotated[str, Form(max_length=10)] = "",
        theme: Annotated[str, Form(max_length=10)] = "",
    ) -> Response:
        """Remember a language or a theme in the browser, and go back to the page."""
        if not parts.tokens.fits(request.cookies.get(COOKIE), token):
            raise FormTooOld
        answer = RedirectResponse(local_path(back), status_code=303)
        for name, value, allowed in ((LANGUAGE_COOKIE, language, LANGUAGES), (THEME_COOKIE, theme, THEMES)):
            if value in allowed:
                answer.set_cookie(name, value, max_age=PREFERENCE_SECONDS, httponly=True, samesite="lax")
        return answer


def _add_failures(app: FastAPI, parts: Parts) -> None:
    @app.exception_handler(CasebookAway)
    def away(request: Request, error: CasebookAway) -> HTMLResponse:
        log.warning("casebook_away", path=request.url.path, error=str(error))
        return _said(parts, request, 503, "casebook_away", str(error))

    @app.exception_handler(IssuerAway)
    def provider_away(request: Request, error: IssuerAway) -> HTMLResponse:
        log.warning("provider_away", path=request.url.path, error=str(error))
        return _said(parts, request, 503, "provider_away", str(error))

    @app.exception_handler(NotAllowed)
    def not_allowed(request: Request, error: NotAllowed) -> HTMLResponse:
        return _said(parts, request, 403, "no_right", str(error))

    @app.exception_handler(Retryable)
    def later(request: Request, error: Retryable) -> HTMLResponse:
        log.warning("not_now", path=request.url.path, error=str(error))
        return _said(parts, request, 503, "not_now", str(error))

    @app.exception_handler(NotThere)
    def missing(request: Request, error: NotThere) -> HTMLResponse:
        return _said(parts, request, 404, "not_there", str(error))

    @app.exception_handler(WrongQuestion)
    def wrong(request: Request, error: WrongQuestion) -> HTMLResponse:
        return _said(parts, request, 422, "wrong_question", str(error))

    @app.exception_handler(NotDone)
    def not_done(request: Request, error: NotDone) -> HTMLResponse:
        return _said(parts, request, 422, "not_done", str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> HTMLResponse:
        found = "; ".join(f"{'.'.join(map(str, each['loc'][1:]))}: {each['msg']}" for each in error.errors())
        return _said(parts, request, 422, "wrong_question", found)

    @app.exception_handler(FormTooOld)
    def old(request: Request, error: FormTooOld) -> HTMLResponse:
        return _said(parts, request, 403, "form_old")

    @app.exception_handler(HTTPException)
    def other(request: Request, error: HTTPException) -> HTMLResponse:
        return _said(parts, request, error.status_code, "not_there" if error.status_code == 404 else "not_so")

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> HTMLResponse:
        log.error("page_failed", path=request.url.path, error=type(error).__name__)  # the server logs the rest of it
        return _said(parts, request, 500, "failed", type(error).__name__)


def _said(parts: Parts, request: Request, status: int, key: str, detail: str = "") -> HTMLResponse:
    """A page, or the part of one, that says what is the matter. Never a blank one."""
    return parts.pages.failure(request, status, key, detail)
