"""The registry: every event type that the city's agencies share, found by its name.

A type is a pydantic class with `@event_type(...)` on it; importing `schemas.types` registers them all. Reading is
strict at the door (`EventType.read_strictly`: an unknown field is refused) and tolerant behind it (`EventType.read`:
an unknown field is ignored, or an optional field could never be added).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from pydantic import ValidationError
from pydantic_core import to_json

from schemas.failures import Misconfigured, Reason, Refused
from schemas.identifiers import TYPE_PATTERN
from schemas.strict import Strict, duplicate_keys, reasons_of

if TYPE_CHECKING:
    from schemas.envelope import Event

_type = re.compile(TYPE_PATTERN)

DATA_BYTES_MAX = 1_048_576
"""The largest data of one event, in bytes (1 MiB). Larger things travel by `dataref`."""

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes an old version's data new; see `schemas.upcast`."""

Kind = Literal["event", "command"]
Publisher = Literal["agency", "bus", "any"]


class EventData(Strict):
    """Base of every event type's data. A subclass carries `@event_type(...)`, and its docstring describes it."""

    registered: ClassVar[EventType]
    """What the class is registered as: `RequestSubmitted.registered.name` is its type."""

    def encode(self) -> bytes:
        """The data as JSON bytes, without the fields that are null."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True, by_alias=True)


@dataclass(frozen=True, slots=True)
class EventType:
    """One shared type: its name, its owner, its class, and how to read it."""

    name: str
    model: type[EventData]
    owner: str
    """Who decides on the schema: an agency's role, or `bus`."""
    kind: Kind
    """`event`: a fact, past tense. `command`: an order to one agency, which it may refuse."""
    opens_case: bool
    """Whether it may be a case's first event."""
    publisher: Publisher
    """Whether agencies publish it (the city says which), Subak's own processes alone, or either."""

    @property
    def domain(self) -> str:
        """`request` of `subak.request.submitted.v1`."""
        return self.name.split(".")[1]

    @property
    def major(self) -> int:
        """1 of `subak.request.submitted.v1`."""
        return int(self.name.rsplit(".v", 1)[1])

    @property
    def description(self) -> str:
        """What it says, from the class's docstring."""
        return cleandoc(self.model.__doc__ or "")

    def read(self, data: bytes) -> Any:
        """The data as an instance of `model`, ignoring fields it does not know. For events behind the gateway.

        Raises:
            Refused: with every reason.
        """
        try:
            return self.model.__pydantic_validator__.validate_json(data, extra="ignore")
        except ValidationError as error:
            raise Refused(reasons_of(error)) from error

    def read_strictly(self, data: bytes, *, written_here: bool = False) -> Any:
        """The data as an instance of `model`, refusing what the schema does not name. For the door.

        Args:
            written_here: this process wrote these bytes, of a dict: no key can stand twice in them.

        Raises:
            Refused: with every reason.
        """
        if len(data) > DATA_BYTES_MAX:
            problem = f"the data has {len(data)} bytes, more than {DATA_BYTES_MAX}"
            raise Refused([Reason("too_large", "data", problem, "Send large content by reference, in dataref.")])
        try:
            model = self.model.__pydantic_validator__.validate_json(data)
        except ValidationError as error:
            raise Refused(reasons_of(error, _field_names(self.model))) from error
        if not written_here and (twice := duplicate_keys(data, model)):
            raise Refused(twice)
        return model


class ReadData(dict[str, Any]):
    """Data that has been read strictly already, as a dict, as its bytes and as its model: it need not be read again."""

    __slots__ = ("model", "raw")

    def __init__(self, data: dict[str, Any], raw: bytes, model: EventData) -> None:
        super().__init__(data)
        self.raw = raw
        self.model = model


@cache
def _field_names(model: type[EventData]) -> frozenset[str]:
    """All names of fields in the model and in what it holds."""
    schema = model.model_json_schema()
    objects = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for each in objects for name in each.get("properties", ()))


class UnknownType(Refused):
    """An event type that the registry does not have."""


class Registry:
    """All event types, by name."""

    def __init__(self) -> None:
        self._types: dict[str, EventType] = {}
        self._upcasters: dict[str, tuple[str, Upcaster]] = {}

    def add(self, event_type: EventType) -> None:
        """Register a type.

        Raises:
            Misconfigured: the name is taken, or is not of the form `subak.<domain>.<event>.v<major>`.
        """
        if not _type.fullmatch(event_type.name):
            raise Misconfigured(f"{event_type.name!r} is not of the form subak.<domain>.<event>.v<major>")
        if event_type.name in self._types:
            raise Misconfigured(f"two classes claim the event type {event_type.name}: keep one")
        self._types[event_type.name] = event_type

    def get(self, name: str) -> EventType:
        """The type of that name.

        Raises:
            UnknownType: naming the nearest that exists.
        """
        found = self._types.get(name)
        if found is None:
            raise UnknownType([self._unknown(name)])
        return found

    def _unknown(self, name: str) -> Reason:
        stem = name.rpartition(".v")[0]
        versions = [known for known in self._types if known.rpartition(".v")[0] == stem]
        if versions:
            problem = f"the city does not know this version of {stem}"
            return Reason("unknown_version", "type", problem, f"Send {' or '.join(versions)}.")
        near = get_close_matches(name[:200], self._types, n=2, cutoff=0.6)
        advice = f"Did you mean {' or '.join(near)}?" if near else "`subak schemas list` shows all types."
        return Reason("unknown_type", "type", f"there is no event type {name[:200]!r}", advice)

    def add_upcaster(self, old: str, new: str, function: Upcaster) -> None:
        """Register how data of type `old` becomes data of type `new`. `schemas.upcast.upcast` calls it.

        Raises:
            Misconfigured: they are not two versions of one type, or `old` has an upcaster already.
        """
        stem, _, major = old.rpartition(".v")
        new_stem, _, new_major = new.rpartition(".v")
        if stem != new_stem or int(new_major) <= int(major):
            raise Misconfigured(f"{new} is no later version of {old}: upcasting leads from a version to a later one")
        if old in self._upcasters:
            raise Misconfigured(f"two functions make {old} new: keep one")
        self._upcasters[old] = (new, function)

    def read_latest(self, event: Event) -> Any:
        """The data of the event as the latest version of its type, ignoring fields it does not know.

        Raises:
            UnknownType: there is no such type, or an upcaster leads to none.
            Refused: the data is not of its type, or an upcaster made of it what is not of the new one.
        """
        event_type = self.get(event.type)
        if event.type not in self._upcasters:
            return event_type.read(event.data)
        data = event_type.read(event.data).model_dump(mode="json", exclude_none=True, by_alias=True)
        name = event.type
        while name in self._upcasters:
            name, function = self._upcasters[name]
            data = function(data)
        return self.get(name).read(to_json(data))

    def without_upcaster(self) -> list[str]:
        """The types that have a later version, and no upcaster that leads there. Must be empty."""
        latest: dict[str, int] = {}
        for event_type in self:
            stem = event_type.name.rpartition(".v")[0]
            latest[stem] = max(event_type.major, latest.get(stem, 0))
        return [
            event_type.name
            for event_type in self
            if event_type.major < latest[event_type.name.rpartition(".v")[0]] and event_type.name not in self._upcasters
        ]

    def __iter__(self) -> Iterator[EventType]:
        return iter(sorted(self._types.values(), key=lambda event_type: event_type.name))

    def __contains__(self, name: str) -> bool:
        return name in self._types


registry = Registry()
"""The types of this distribution. `import schemas.types` fills it."""

Model = TypeVar("Model", bound=EventData)


def event_type(
    name: str,
    *,
    owner: str,
    publisher: Publisher = "agency",
    kind: Kind = "event",
    opens_case: bool = False,
    types: Registry = registry,
) -> Callable[[type[Model]], type[Model]]:
    """Register the class below it as the data of the event type `name`."""

    def register(model: type[Model]) -> type[Model]:
        model.registered = EventType(name, model, owner, kind, opens_case, publisher)
        types.add(model.registered)
        return model

    return register
