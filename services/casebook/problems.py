"""The API's refusals, in words (RFC 9457): each question that is wrong, each thing that is not there.

Whatever an answer's function raises becomes one of these: what is wrong, where, and what to do; none tells a statement
of the database, or a value that was sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.exceptions import HTTPException

from bus.logs import get_logger
from schemas.failures import Retryable
from services.casebook.answers import Mistake, Problem
from services.casebook.filters import mistake

log = get_logger("api")

REFUSALS: dict[int | str, dict[str, Any]] = {
    422: {"model": Problem, "description": "The question is wrong; each mistake in words."},
    503: {"model": Problem, "description": "The database does not answer now: ask again."},
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "There is no such thing."}}


class NotAsked(Exception):
    """A question that cannot be answered, with the parameter that is wrong."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        self.mistake = Mistake(field=field, problem=problem, fix=fix)
        super().__init__(f"{field}: {problem}. {fix}")


class NotForCaller(Exception):
    """What this caller may not see, in words."""


class NotFound(Exception):
    """There is no such thing in the tables, in words."""


def add_problems(app: FastAPI) -> None:
    """Have each failure answered in words."""

    @app.exception_handler(RequestValidationError)
    def wrong_question(request: Request, error: RequestValidationError) -> JSONResponse:
        found = [Mistake(**mistake(detail, _parameters(request))) for detail in error.errors()]
        return _problem(422, "The question is wrong", found)

    @app.exception_handler(NotAsked)
    def wrong_value(request: Request, error: NotAsked) -> JSONResponse:
        return _problem(422, "The question is wrong", [error.mistake])

    @app.exception_handler(NotFound)
    def not_found(request: Request, error: NotFound) -> JSONResponse:
        return _problem(404, "There is no such thing", detail=str(error))

    @app.exception_handler(NotForCaller)
    def not_for_you(request: Request, error: NotForCaller) -> JSONResponse:
        return _problem(403, "Not for this caller", detail=str(error))

    @app.exception_handler(Retryable)
    def log_away(request: Request, error: Retryable) -> JSONResponse:
        log.warning("question_failed", path=request.url.path, error=str(error))
        return _problem(503, "The casebook cannot answer now", detail=str(error))

    @app.exception_handler(HTTPException)
    def no_such_page(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 404:
            return _problem(404, "There is no such page", detail="/docs and /openapi.json show what can be asked.")
        return _problem(error.status_code, str(error.detail), detail="This API is read-only: ask with GET.")

    @app.exception_handler(DBAPIError)
    @app.exception_handler(PoolExhausted)
    def database_away(request: Request, error: Exception) -> JSONResponse:
        log.warning("question_failed", path=request.url.path, error=str(error).partition("\n")[0])
        return _problem(
            503, "The casebook cannot answer now", detail="Its database is not ready, or busy. Ask again in a moment."
        )


def require_no_nul(request: Request) -> None:
    """Refuse a NUL in a question: PostgreSQL has no text that holds one, and would seem to be away.

    Raises:
        NotAsked: there is one.
    """
    fields = [name for name, value in (*request.path_params.items(), *request.query_params.items()) if "\x00" in value]
    if fields:
        raise NotAsked(fields[0], "it holds a NUL character", "Leave it out (%00).")


def _parameters(request: Request) -> tuple[str, ...]:
    """The names of the query's parameters at this address."""
    dependant = getattr(request.scope.get("route"), "dependant", None)
    names: list[str] = []
    for each in dependant.query_params if dependant is not None else ():
        model = getattr(each.field_info, "annotation", None)
        if isinstance(model, type) and issubclass(model, BaseModel):
            names += model.model_fields
        else:
            names.append(each.alias)
    return tuple(names)


def _problem(status: int, title: str, mistakes: Sequence[Mistake] = (), detail: str | None = None) -> JSONResponse:
    words = detail or "; ".join(f"{found.field}: {found.problem}. {found.fix}" for found in mistakes)
    body = Problem(title=title, status=status, detail=words, errors=list(mistakes))
    return JSONResponse(body.model_dump(), status_code=status, media_type="application/problem+json")
