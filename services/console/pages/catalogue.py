"""The pages of the catalogue: event types with owner, schema, examples, who may send and who hears; agencies; services.

All of it from this version's registry and the city's directory, both read once: nothing is asked of anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import HTMLResponse

import schemas.types  # noqa: F401  # fills the registry
from bus.city import City
from bus.city.model import Agency, Service
from schemas.example_files import examples_of
from schemas.reference import field_rows
from schemas.registry import EventType, registry
from services.console.casebook import NotThere
from services.console.parts import Parts

Name = Annotated[str, Path(max_length=200)]


@dataclass(frozen=True)
class Hears:
    """An agency that hears of a type, and in which relation it must stand to the event."""

    agency: str
    relation: str


@dataclass(frozen=True)
class Shown:
    """One type, as its page shows it."""

    type: EventType
    city: City

    @property
    def versions(self) -> list[EventType]:
        """All versions of it."""
        stem = self.type.name.rpartition(".v")[0]
        return [each for each in registry if each.name.rpartition(".v")[0] == stem]

    @property
    def senders(self) -> list[str]:
        """Agencies that may publish it."""
        if self.type.publisher == "bus":
            return []
        return [id for id, agency in self.city.agencies.items() if agency.publishes_type(self.type.name)]

    @property
    def hearers(self) -> list[Hears]:
        """Agencies that hear of it beside its recipient."""
        return [
            Hears(id, subscription.relation)
            for id, agency in self.city.agencies.items()
            for subscription in agency.subscribes
            if subscription.takes(self.type.name)
        ]

    @cached_property
    def schema(self) -> dict[str, Any]:
        """Its data's JSON Schema."""
        return self.type.model.model_json_schema(mode="validation")

    @property
    def fields(self) -> list[tuple[str, str, str]]:
        """Name, form, meaning."""
        return field_rows(self.schema)

    @property
    def examples(self) -> list[Any]:
        """Valid ones, then refused ones."""
        return sorted(examples_of(self.type), key=lambda each: each.reasons is not None)


def router(parts: Parts) -> APIRouter:
    """Its addresses."""
    routes = APIRouter()
    pages, city = parts.pages, parts.city

    @routes.get("/catalogue")
    def catalogue(request: Request) -> HTMLResponse:
        by_domain: dict[str, list[EventType]] = {}
        for each in registry:
            by_domain.setdefault(each.domain, []).append(each)
        return pages.answer(request, "catalogue.html", domains=by_domain)

    @routes.get("/catalogue/types/{name}")
    def event_type(request: Request, name: Name) -> HTMLResponse:
        if name not in registry:
            raise NotThere(f"there is no event type {name}.")
        return pages.answer(request, "type.html", shown=Shown(registry.get(name), city))

    @routes.get("/catalogue/agencies/{id}")
    def agency(request: Request, id: Name) -> HTMLResponse:
        found = city.agencies.get(id)
        if found is None:
            raise NotThere(f"{city.id} has no agency {id}.")
        provides = [service for service in city.services.values() if _is_asked(service, found)]
        return pages.answer(request, "agency.html", found=found, provides=provides)

    return routes


def _is_asked(service: Service, agency: Agency) -> bool:
    return any(agency.id in each.agencies for each in service.responsible)
