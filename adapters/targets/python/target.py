"""Hands each event to a function of the agency's own, as a dict; what it raises is the outcome.

It is called at least once for each event, a case's in order. `Retryable` says that the system is away: nothing is
parked, however long it lasts. Everything else is a refusal of this event, tried some times and then parked. A function
that blocks runs in a thread; when its time is over it is called again later, though its thread may still run.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Annotated, Any

import msgspec
from pydantic import Field, StringConstraints

from adapters.handlers import HANDLER_PATTERN, HandlerExited, load_handler
from adapters.kinds import Place, TargetKind
from adapters.mapping import Mapping
from adapters.outcome import DELIVERED, REASON_CHARACTERS_MAX, Outcome
from bus.inbox import Arrived
from bus.logs import get_logger
from schemas.envelope import Event
from schemas.failures import Misconfigured, Refused, Retryable
from schemas.strict import Strict
from schemas.values import Text500

log = get_logger("python_target")


class PythonTargetConfig(Strict):
    """Which function takes what concerns the agency."""

    handler: Annotated[str, StringConstraints(pattern=HANDLER_PATTERN, max_length=200)]
    """`package.module:function`: called with the event as a dict, its data in `data`; with a mapping, also with its
    list of rows (table, key, values). It returns once the event is safe. Modules beside adapter.toml are found."""
    mapping: Text500 | None = None
    """The mapping that makes rows of events, relative to adapter.toml. What becomes no row is not handed over."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=3600)
    """How long one call may take."""


class PythonTarget:
    """One function of one agency."""

    def __init__(self, config: PythonTargetConfig, place: Place) -> None:
        self._config = config
        self._agency = place.agency
        self._handler = load_handler(config.handler, place.folder)
        self._mapping = Mapping.load(place.folder / config.mapping, place.city) if config.mapping is not None else None
        count = 1 if self._mapping is None else 2
        try:
            inspect.signature(self._handler).bind(*range(count))
        except TypeError as error:
            what = "the event" if count == 1 else "the event and the rows"
            raise Misconfigured(
                f"handler {config.handler}: it is called with {what} ({error}). Change its parameters."
            ) from error
        except ValueError:
            pass  # a builtin, which tells nobody what it takes

    async def call(self, event: Arrived) -> Outcome:
        """Hand one event over; never raises for what the function does."""
        try:
            body: dict[str, Any] = msgspec.json.decode(event.body)
            arguments: list[Any] = [body]
            if self._mapping is not None:
                rows = self._mapping.to_agency(_event(event))
                if not rows:
                    return DELIVERED
                arguments.append(rows)
            await asyncio.wait_for(self._called(arguments), self._config.timeout_seconds)
            return DELIVERED
        except (Refused, msgspec.DecodeError) as error:
            return Outcome("refused", _short(f"the event does not fit the agency's columns: {error}"))
        except TimeoutError:
            return Outcome("away", f"the handler took longer than {self._config.timeout_seconds:g} s")
        except Retryable as error:
            return Outcome("away", _short(str(error)))
        except Exception as error:
            log.warning("handler_failed", agency=self._agency, event_id=event.event_id, exc_info=True)
            return Outcome("refused", _short(f"the handler raised {type(error).__name__}: {error}"))

    async def check(self) -> list[str]:
        """What can be known without calling the function is known by now: it is there, and takes what it is given."""
        return []

    async def close(self) -> None:
        """It holds nothing."""

    async def _called(self, arguments: list[Any]) -> None:
        """Call the function. What it raises passes through the event loop, which sys.exit() would end."""
        if inspect.iscoroutinefunction(self._handler):
            try:
                await self._handler(*arguments)
            except SystemExit as error:
                raise HandlerExited("sys.exit()") from error
        else:
            await asyncio.to_thread(self._call_here, arguments)

    def _call_here(self, arguments: list[Any]) -> None:
        try:
            self._handler(*arguments)
        except SystemExit as error:
            raise HandlerExited("sys.exit()") from error


def _event(event: Arrived) -> Event:
    return Event(**msgspec.json.decode(event.attributes), data=event.data)


def _short(text: str) -> str:
    return text[:REASON_CHARACTERS_MAX]


KIND = TargetKind(PythonTargetConfig, PythonTarget)
"""A function of the agency's own."""
