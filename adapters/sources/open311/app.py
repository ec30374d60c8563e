"""The HTTP side of an Open311 source: GeoReport v2's methods and the update extension, in XML and in JSON.

GET  discovery, services, services/<service_code>, requests, requests/<service_request_id>, tokens/<token>
POST requests
GET, POST servicerequestupdates
Each with `.xml` or `.json` behind it; XML where there is neither. Whatever goes wrong is told in the format asked for,
as `errors` with code and description: 400, 403 (api_key), 404, and 408, 413, 429, 503, 507 where these say more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.http_app import RETRY_AFTER_SECONDS
from adapters.sources.open311 import catalogue
from adapters.sources.open311.answers import CONTENT_TYPES, Answer, Failed
from adapters.sources.open311.config import App
from adapters.sources.open311.form import Form, FormReader
from adapters.sources.open311.limits import Limits
from adapters.sources.open311.reading import question, shown_request, shown_update, window
from bus import metrics
from bus.database import DiskFull
from bus.logs import get_logger
from schemas.failures import Retryable
from schemas.identifiers import is_uuid

if TYPE_CHECKING:
    from adapters.sources.open311.source import Open311Source

log = get_logger("open311")

GUESSES_PER_MINUTE = 120
"""Wrong keys from one address. A long key is not found by guessing; nobody need be kept busy by trying, either."""

Handler = Callable[[Request], Awaitable[Answer]]


def open311_app(source: Open311Source) -> Starlette:
    """The application, for a mount."""
    handlers = _Handlers(source)
    routes = []
    for path, method, handle in (
        ("/discovery", "GET", handlers.get_discovery),
        ("/services", "GET", handlers.get_services),
        ("/services/{code}", "GET", handlers.get_definition),
        ("/requests", "GET", handlers.get_requests),
        ("/requests", "POST", handlers.post_request),
        ("/requests/{id}", "GET", handlers.get_request),
        ("/tokens/{token}", "GET", handlers.get_token),
        ("/servicerequestupdates", "GET", handlers.get_updates),
        ("/servicerequestupdates", "POST", handlers.post_update),
    ):
        endpoint = handlers.answered(handle)
        routes += [Route(f"{path}.{end}", endpoint, methods=[method]) for end in CONTENT_TYPES]
        routes.append(Route(path, endpoint, methods=[method]))
    # Apps in a browser come from other places. No cookie is read here, so nothing is given away by letting them in.
    anywhere = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"])
    nothing = handlers.answered(_nothing_here)
    return Starlette(routes=routes, middleware=[anywhere], exception_handlers={HTTPException: _http_error(nothing)})


class _Handlers:
    """The answers of one source."""

    def __init__(self, source: Open311Source) -> None:
        self._source = source
        self._forms = FormReader(source.config, source.attachments)
        self._limits = Limits()
        self._changeset = datetime.now(UTC).isoformat(timespec="seconds")

    def answered(self, handle: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler, with every failure as an answer in the format asked for."""

        async def respond(request: Request) -> Response:
            try:
                answer = await handle(request)
            except Failed as failed:
                answer = failed.answer
            except DiskFull as error:
                answer = Failed(507, f"{error}. Send it again when there is space.").answer
            except Retryable as error:
                later = {"Retry-After": str(RETRY_AFTER_SECONDS)}
                answer = Failed(503, f"{error}. Send it again: it is stored once.", headers=later).answer
            except Exception as error:
                log.exception("open311_failed", agency=self._source.agency, path=request.url.path[:200])
                answer = Failed(500, f"the server failed: {type(error).__name__}. Send it again.").answer
            metrics.source_requests.labels(self._source.agency, str(answer.status)).inc()
            end = "json" if request.url.path.endswith(".json") else "xml"
            headers = {**answer.headers, "Content-Type": CONTENT_TYPES[end]}
            return Response(answer.body(end), status_code=answer.status, headers=headers)

        return respond

    async def get_discovery(self, request: Request) -> Answer:
        """Where the server is, and what it speaks."""
        config = self._source.config
        host, port = request.scope.get("server") or ("127.0.0.1", 80)
        shown = f"[{host}]" if ":" in host else host
        # The Host header is not repeated: anybody can send any.
        url = config.public_url or f"http://{shown}:{port}{request.scope.get('root_path', '')}"
        told = catalogue.discovery(
            url, changeset=self._changeset, contact=config.contact, key_service=config.key_service
        )
        return Answer("discovery", told)

    async def get_services(self, request: Request) -> Answer:
        """What may be asked for."""
        self._admit_reader(request)
        return Answer("services", catalogue.services(self._source.city))

    async def get_definition(self, request: Request) -> Answer:
        """What a service asks further."""
        self._admit_reader(request)
        return Answer("service_definition", catalogue.definition(self._source.city, request.path_params["code"]))

    async def get_requests(self, request: Request) -> Answer:
        """Requests, by the specification's filters."""
        self._admit_reader(request)
        asked = question(request.query_params, self._source.clock())
        found = await self._source.projection.find(asked)
        return Answer("service_requests", [shown_request(self._source.city, row) for row in found])

    async def get_request(self, request: Request) -> Answer:
        """One request."""
        self._admit_reader(request)
        id = request.path_params["id"]
        row = await self._source.projection.request(id) if is_uuid(id) else None
        if row is None:
            raise Failed(404, f"service_request_id {id[:60]!r} was not found.")
        return Answer("service_requests", [shown_request(self._source.city, row)])

    async def get_token(self, request: Request) -> Answer:
        """The request that a token stands for."""
        self._admit_reader(request)
        token = request.path_params["token"]
        id = await self._source.projection.of_token(token) if is_uuid(token) else None
        if id is None:
            raise Failed(404, f"token {token[:60]!r} was not found.")
        return Answer("service_requests", [{"service_request_id": id, "token": token}])

    async def get_updates(self, request: Request) -> Answer:
        """What is new, of any request."""
        self._admit_reader(request)
        found = await self._source.projection.updates(*window(request.query_params, self._source.clock()))
        return Answer("service_request_updates", [shown_update(row) for row in found])

    async def post_request(self, request: Request) -> Answer:
        """Take a request."""
        form = await self._forms.read(request, files=True)
        try:
            app = self._admit_writer(request, form)
            id, code = await self._source.submit(app, form, request.headers.get("idempotency-key"))
        finally:
            await form.close()
        service = self._source.city.services[code]
        notice = self._source.config.service_notice
        now_ms = int(self._source.clock() * 1000)
        due_ms = self._source.city.calendar.due_ms(now_ms, service.resolve_within)
        days = max(1, (due_ms - now_ms) // 86_400_000)
        told: dict[str, str | None] = {}
        if service.type == "realtime":
            told["service_request_id"] = id
        elif service.type == "batch":
            row = await self._source.projection.request(id)
            told["token"] = row["token"] if row else None
        told["service_notice"] = notice.replace("{days}", str(days)) if notice else None
        told["account_id"] = None
        return Answer("service_requests", [told])

    async def post_update(self, request: Request) -> Answer:
        """Take an update of a request."""
        form = await self._forms.read(request)
        app = self._admit_writer(request, form)
        return Answer("service_request_updates", [{"update_id": await self._source.submit_update(app, form)}])

    def _admit_writer(self, request: Request, form: Form) -> App:
        """The app that posts.

        Raises:
            Failed: 400, 403, 404 (jurisdiction) or 429.
        """
        query = request.query_params
        self._check_jurisdiction(form.one("jurisdiction_id") or query.get("jurisdiction_id"))
        key = form.one("api_key") or query.get("api_key", "").strip()
        if not key:
            raise Failed(403, f"api_key is missing. {self._source.config.key_service}")
        return self._app(request, key)

    def _admit_reader(self, request: Request) -> None:
        query = request.query_params
        self._check_jurisdiction(query.get("jurisdiction_id", "").strip())
        if key := query.get("api_key", "").strip():
            self._app(request, key)
        elif self._source.config.reads_need_key:
            raise Failed(403, f"api_key is missing. {self._source.config.key_service}")
        else:
            self._take_turn(f"address {_address(request)}", self._source.config.reads_per_minute)

    def _app(self, request: Request, key: str) -> App:
        """The app whose key this is, one turn of which is taken.

        Raises:
            Failed: 403 or 429.
        """
        # Looked up by digest: how long it takes tells nothing of a key. A key of another agency is told no more than
        # a key of nobody's.
        app = self._source.apps.get(sha256(key.encode("utf-8", "surrogatepass")).digest())
        if app is None:
            self._take_turn(f"guesses {_address(request)}", GUESSES_PER_MINUTE)
            raise Failed(403, f"api_key is not one of this server's. {self._source.config.key_service}")
        self._take_turn(f"app {app.name}", app.requests_per_minute)
        return app

    def _check_jurisdiction(self, said: str | None) -> None:
        ours = self._source.jurisdiction_id
        if said and said != ours:
            raise Failed(404, f"jurisdiction_id {said[:100]!r} was not found. This server is of {ours}.")

    def _take_turn(self, name: str, per_minute: int) -> None:
        if wait := self._limits.seconds_until_free(name, per_minute):
            problem = f"more than {per_minute} requests a minute. Wait {wait} s."
            raise Failed(429, problem, headers={"Retry-After": str(wait)})


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def _nothing_here(request: Request) -> Answer:
    raise Failed(404, "there is nothing under this path. discovery.xml says what this server speaks.")


def _http_error(
    nothing: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Starlette's own 404 and 405, as everything else."""

    async def respond(request: Request, error: Exception) -> Response:
        answer = await nothing(request)
        if isinstance(error, HTTPException) and error.status_code == 405:
            end = "json" if request.url.path.endswith(".json") else "xml"
            failed = Failed(405, f"{request.method} is not possible here.", headers=error.headers)
            return Response(
                failed.answer.body(end), 405, headers={**failed.headers, "Content-Type": CONTENT_TYPES[end]}
            )
        return answer

    return respond
