"""What a city offers, in GeoReport v2's words: discovery, the list of services, one service's definition. Pure."""

from __future__ import annotations

from typing import Any

from adapters.sources.open311.answers import Failed
from bus.city import City, Service
from bus.city.problems import nearest

SPECIFICATION = "http://wiki.open311.org/GeoReport_v2"
"""The token by which apps know the version."""


def services(city: City) -> list[dict[str, Any]]:
    """GET services."""
    return [
        {
            "service_code": service.service_code,
            "service_name": city.text(service.service_name),
            "description": city.text(service.description) if service.description else None,
            "metadata": bool(service.attributes),
            "type": service.type,
            "keywords": ", ".join(service.keywords),
            "group": service.group,
        }
        for service in city.services.values()
    ]


def definition(city: City, service_code: str) -> dict[str, Any]:
    """GET services/<service_code>.

    Raises:
        Failed: 404, there is none.
    """
    return {
        "service_code": service_code,
        "attributes": [
            {
                "variable": attribute.variable,
                "code": attribute.code,
                "datatype": attribute.datatype,
                "required": attribute.required,
                "datatype_description": (
                    city.text(attribute.datatype_description) if attribute.datatype_description else None
                ),
                "order": attribute.order,
                "description": city.text(attribute.description),
                "values": [{"key": value.key, "name": city.text(value.name)} for value in attribute.values],
            }
            for attribute in service_of(city, service_code).attributes
        ],
    }


def service_of(city: City, service_code: str) -> Service:
    """The service of that code.

    Raises:
        Failed: 404, there is none.
    """
    found = city.services.get(service_code)
    if found is None:
        near = nearest(service_code[:100], city.services)
        raise Failed(404, f"service_code {service_code[:100]!r} was not found. {near} GET services lists them.")
    return found


def discovery(url: str, *, changeset: str, contact: str, key_service: str) -> dict[str, Any]:
    """GET discovery."""
    return {
        "changeset": changeset,
        "contact": contact,
        "key_service": key_service,
        "endpoints": [
            {
                "specification": SPECIFICATION,
                "url": url,
                "changeset": changeset,
                "type": "production",
                "formats": ["text/xml", "application/json"],
            }
        ],
    }
