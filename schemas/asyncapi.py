"""The whole bus as one AsyncAPI 3.0 document: every topic, who writes and reads it, and every event with its headers.

AsyncAPI's own schema language is a superset of JSON Schema draft 07, so payloads are said in that dialect here:
`prefixItems` as a list of `items`, `$defs` under `components/schemas`. `schemas/published/<type>.json` is what counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.attributes import GRAMMARS
from schemas.envelope import CONTENT_TYPE, HEADER_PREFIX, OPTIONAL_ATTRIBUTES, REQUIRED_ATTRIBUTES, SPEC_VERSION
from schemas.failures import Misconfigured
from schemas.identifiers import AGENCY_ID_PATTERN, UUID_PATTERN
from schemas.registry import EventType

VERSION = "1.0.0"
"""The version of this document's form. Types carry their own."""

_AGENCY = {
    "agency": {"description": f"The agency's id, in kebab case ({AGENCY_ID_PATTERN}).", "examples": ["public-works"]}
}

_CHANNELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "agencyOut": ("agency-{agency}-out", "Where this agency, and nobody else, writes: it names the sender.", _AGENCY),
    "agencyIn": ("agency-{agency}-in", "What this agency must hear of. Nobody else reads it.", _AGENCY),
    "cityEvents": ("city-events", "The city's log: every accepted event, by case, in order, for ever.", {}),
    "cityRejected": ("city-rejected", "What the gateway refused, whole, with the reasons.", {}),
    "cityCases": ("city-cases", "The state of each case, compacted. Subak's own: its form is no promise.", {}),
    "cityPlaces": ("city-places", "Requests and orders by place, compacted. Subak's own.", {}),
    "cityPositions": ("city-positions", "How far each process has come, compacted. Subak's own.", {}),
}
"""Topics by AsyncAPI's name: address, what it is, parameters."""

_OPERATIONS: dict[str, tuple[str, str, str]] = {
    "agencyPublishes": ("send", "agencyOut", "An agency tells what happened at its side."),
    "agencyHears": ("receive", "agencyIn", "An agency hears what concerns it, a case's events in order."),
    "gatewayReads": ("receive", "agencyOut", "The gateway takes what agencies say."),
    "gatewayAccepts": ("send", "cityEvents", "The gateway puts what it lets in into the log, each event once."),
    "gatewayRejects": ("send", "cityRejected", "The gateway keeps what it refuses, with the reasons."),
    "workflowsDecide": ("receive", "cityEvents", "Workflows move each case by its next event."),
    "workflowsAnswer": ("send", "cityEvents", "Workflows put what follows into the log."),
    "workflowsRemember": ("send", "cityCases", "Workflows keep each case's state."),
    "placesRead": ("receive", "cityEvents", "Places find what lies near: one matter reported twice, works that clash."),
    "placesTell": ("send", "cityEvents", "Places tell the newer case, or both agencies."),
    "placesRemember": ("send", "cityPlaces", "Places keep what lies in each cell."),
    "routerReads": ("receive", "cityEvents", "The router finds who must hear of an event."),
    "routerDelivers": ("send", "agencyIn", "The router hands it over, without what that agency may not see."),
    "casebookReads": ("receive", "cityEvents", "The casebook makes the log readable."),
    "processRemembers": ("send", "cityPositions", "A process keeps a copy of its position."),
}
"""Operations by AsyncAPI's name: action, channel, what happens."""


def asyncapi_document(types: Iterable[EventType], schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The document for these types. `schemas` are their published JSON Schemas, by name."""
    types = list(types)
    names = {event_type.name: _key(event_type.name) for event_type in types}
    definitions = {name: _draft_07(definition) for name, definition in shared_definitions(schemas).items()}
    payloads = {f"{names[name]}Data": _draft_07(schema) for name, schema in schemas.items()}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:subak:asyncapi",
        "info": {
            "title": "Subak",
            "version": VERSION,
            "description": "The message bus between a city's agencies. Events are CloudEvents 1.0 in Kafka's binary "
            "mode: attributes in `ce_` headers, the data alone as the value, the case's id as the key.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {key: _channel(key, types) for key in _CHANNELS},
        "operations": {
            key: {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
            for key, (action, channel, summary) in _OPERATIONS.items()
        },
        "components": {
            "messages": {names[each.name]: _message(each, schemas[each.name]) for each in types} | _OWN_MESSAGES,
            "messageTraits": {"event": _TRAIT},
            "schemas": dict(sorted({"EventHeaders": _HEADERS, **definitions, **payloads}.items())),
        },
    }


def shared_definitions(schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The values that types are made of (`Money`, `Point`), by name, which must mean one thing throughout.

    Raises:
        Misconfigured: two types use one name for different values.
    """
    found: dict[str, Any] = {}
    for schema in schemas.values():
        for name, definition in schema.get("$defs", {}).items():
            if found.setdefault(name, definition) != definition:
                raise Misconfigured(f"two different values of event types are called {name}: rename one of the classes")
    return found


def _channel(key: str, types: list[EventType]) -> dict[str, Any]:
    address, description, parameters = _CHANNELS[key]
    messages = {
        "agencyOut": [each for each in types if each.publisher != "bus"],
        "agencyIn": types,
        "cityEvents": [each for each in types if each.domain != "event"],
        "cityRejected": [each for each in types if each.domain == "event"],
    }
    own = {"cityCases": "caseState", "cityPlaces": "matter", "cityPositions": "position"}
    keys = [own[key]] if key in own else [_key(each.name) for each in messages[key]]
    channel: dict[str, Any] = {
        "address": address,
        "description": description,
        "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in keys},
    }
    if parameters:
        channel["parameters"] = parameters
    if key in own:
        channel["bindings"] = {"kafka": {"topicConfiguration": {"cleanup.policy": ["compact"]}}}
    return channel


def _message(event_type: EventType, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": event_type.name,
        "title": event_type.model.__name__,
        "summary": event_type.description,
        "contentType": CONTENT_TYPE,
        "tags": [{"name": event_type.domain}],
        "x-kind": event_type.kind,
        "traits": [{"$ref": "#/components/messageTraits/event"}],
        "headers": {
            "allOf": [
                {"$ref": "#/components/schemas/EventHeaders"},
                {"type": "object", "properties": {"ce_type": {"const": event_type.name}}},
            ]
        },
        "payload": {"$ref": f"#/components/schemas/{_key(event_type.name)}Data"},
        "examples": [{"payload": example} for example in schema["examples"]],
    }


def _header(attribute: str) -> dict[str, Any]:
    grammar = GRAMMARS[attribute]
    form = {"pattern": grammar.pattern} if grammar.pattern else {"format": "date-time"}
    return {"type": "string", **form, "description": grammar.description}


_TRAIT: dict[str, Any] = {
    "bindings": {"kafka": {"key": {"type": "string", "pattern": UUID_PATTERN, "description": "The case's id."}}},
}

_HEADERS: dict[str, Any] = {
    "type": "object",
    "required": [*(HEADER_PREFIX + name for name in ("specversion", *REQUIRED_ATTRIBUTES)), "content-type"],
    "properties": {
        "ce_specversion": {"type": "string", "const": SPEC_VERSION, "description": "CloudEvents' version."},
        "content-type": {"type": "string", "const": CONTENT_TYPE, "description": "What the value is."},
        **{HEADER_PREFIX + name: _header(name) for name in (*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES)},
    },
}

_OWN_MESSAGES: dict[str, Any] = {
    "caseState": {
        "name": "caseState",
        "title": "CaseState",
        "summary": "What workflows know of a case. Subak's own: read the casebook instead.",
        "payload": {"type": "object"},
    },
    "matter": {
        "name": "matter",
        "title": "Matter",
        "summary": "What lies in one cell of the city. Subak's own.",
        "payload": {"type": "object"},
    },
    "position": {
        "name": "position",
        "title": "Position",
        "summary": "How far one process has come in one partition. Subak's own.",
        "payload": {"type": "object"},
    },
}


def _key(name: str) -> str:
    """AsyncAPI's name for a type: `requestSubmittedV1` for `subak.request.submitted.v1`."""
    _, domain, event, version = name.split(".")
    return domain + event.capitalize() + version.upper()


def _draft_07(schema: Any) -> Any:
    """The schema in AsyncAPI's dialect."""
    if isinstance(schema, list):
        return [_draft_07(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    said: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in {"$schema", "$id", "$defs", "examples", "default"}:
            continue
        if keyword == "properties":
            said[keyword] = {name: _draft_07(each) for name, each in value.items()}
        elif keyword == "prefixItems":
            said["items"] = _draft_07(value)
            said["additionalItems"] = False
        elif keyword == "$ref":
            said[keyword] = "#/components/schemas/" + value.rpartition("/")[2]
        else:
            said[keyword] = value if keyword in {"enum", "const", "required"} else _draft_07(value)
    return said
