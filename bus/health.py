"""What a process says of itself over HTTP: `/health/live`, `/health/ready`, `/metrics`.

*Live* means that a restart would not help. *Ready* means that it can do its work now. Both answer 200 or 503, with the
reason in words, so that a person who curls them at three in the morning is told.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Check = Callable[[], str | None]
"""Why not, in words; None when all is well."""


def health_routes(
    *, why_not_ready: Check, why_not_alive: Check = lambda: None, warning: Check = lambda: None
) -> list[Route]:
    """The three routes, for any Starlette or FastAPI application.

    `warning`: what is wrong though the process does its work. It is told with 200, or all would stop for it.
    """

    def answer(check: Check) -> Callable[[Request], Response]:
        def respond(request: Request) -> Response:
            reason = check()
            if reason is None:
                noticed = warning()
                return JSONResponse({"status": "pass"} if noticed is None else {"status": "warn", "output": noticed})
            return JSONResponse({"status": "fail", "output": reason}, status_code=503)

        return respond

    def metrics(request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [
        Route("/health/live", answer(why_not_alive)),
        Route("/health/ready", answer(why_not_ready)),
        Route("/metrics", metrics),
    ]
