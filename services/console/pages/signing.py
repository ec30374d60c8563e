"""The way in and out: to the city's provider, back from it, and away."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bus.identity.signing_in import NotSignedIn
from bus.logs import get_logger
from services.console.parts import Parts
from services.console.security import COOKIE, FormTooOld, local_path
from services.console.sessions import Sessions

log = get_logger("sessions")

NEXT_MAX = 2_000
"""Characters of the page to which a sign-in leads: it travels in a cookie."""

BYE = "/auth/bye"


def router(parts: Parts) -> APIRouter:
    """Its addresses; none where nobody is asked."""
    routes = APIRouter()
    if parts.sessions is not None:
        _add(routes, parts, parts.sessions)
    return routes


def _add(routes: APIRouter, parts: Parts, sessions: Sessions) -> None:
    pages = parts.pages

    @routes.get("/auth/in")
    async def begin(request: Request, next: Annotated[str, Query(max_length=NEXT_MAX)] = "/") -> Response:
        """To the provider."""
        wanted = local_path(next)
        if sessions.of(request) is not None:
            return RedirectResponse(wanted, status_code=303)
        address, (name, value) = await sessions.begin(request, wanted)
        answer = RedirectResponse(address, status_code=303)
        sessions.set(request, answer, name, value)
        return answer

    @routes.get("/auth/callback")
    async def finish(request: Request) -> Response:
        """Back from the provider."""
        try:
            session, wanted = await sessions.finish(request, dict(request.query_params))
        except NotSignedIn as error:
            log.warning("not_signed_in", error=str(error))
            return pages.failure(request, 403, "sign_in_failed", str(error))
        answer = RedirectResponse(local_path(wanted), status_code=303)
        sessions.keep(request, answer, session)
        answer.set_cookie(COOKIE, parts.tokens.new_browser(), httponly=True, samesite="strict")
        return answer

    @routes.post("/auth/out")
    async def out(request: Request, token: Annotated[str, Form(max_length=100)] = "") -> Response:
        """Away, here and at the provider."""
        if not parts.tokens.fits(request.cookies.get(COOKIE), token):
            raise FormTooOld
        session = sessions.of(request)
        answer = RedirectResponse(sessions.end(request, session, BYE) if session is not None else BYE, status_code=303)
        sessions.forget(request, answer)
        return answer

    @routes.get(BYE)
    async def bye(request: Request) -> HTMLResponse:
        """Who is here is signed out."""
        return pages.answer(request, "signed_out.html")
