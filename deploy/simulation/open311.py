"""How the citizens' channel sends a part of its requests: as its app would, to the adapter's Open311 server.

The adapter makes the ids then, from the app's `Idempotency-Key`; they are known here before, so what is counted as sent
is what others must hear. GeoReport has no field for when the citizen asked, nor for the channel's own number: the first
is the moment of the post, the second is the key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from adapters.completion import case_of, keyed_id
from bus.city import City
from deploy.local.adapter_files import OPEN311_APP
from deploy.simulation.records import Sent

CONTENT_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class App:
    """The channel's app: its server and its key, and the simulation's seed, by which its references are its own."""

    url: str
    api_key: str
    source: str
    """The channel's URI."""
    seed: int

    def ids(self, reference: str) -> tuple[str, str]:
        """The event and the case that the request of this reference becomes."""
        return ids_of(self.source, self.seed, reference)

    def sends(self, post: Sent) -> bool:
        """Whether this post was planned to go out here."""
        reference = json.loads(post.data).get("service_request_id")
        return isinstance(reference, str) and self.ids(reference)[0] == post.event_id

    def request(self, city: City, post: Sent) -> tuple[str, bytes, dict[str, str]]:
        """URL, body and headers of its POST, the same for each attempt."""
        data = json.loads(post.data)
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Idempotency-Key": _key(self.seed, data["service_request_id"]),
        }
        body = urlencode([("api_key", self.api_key), *_fields(city, data)]).encode()
        return f"{self.url}/requests.json", body, headers


def ids_of(source: str, seed: int, reference: str) -> tuple[str, str]:
    """The event and the case that a channel's request becomes, by the channel's reference."""
    event_id = keyed_id(f"{source}/open311", OPEN311_APP, _key(seed, reference))
    return event_id, case_of(source, event_id)


def _key(seed: int, reference: str) -> str:
    return f"{seed}/{reference}"


def _fields(city: City, data: dict[str, Any]) -> list[tuple[str, str]]:
    fields = [("service_code", data["service_code"]), ("address_id", data["area"])]
    fields += [(name, data[name]) for name in ("description", "address_string", "media_url") if name in data]
    if "location" in data:
        longitude, latitude = data["location"]["coordinates"]
        fields += [("lat", str(latitude)), ("long", str(longitude))]
    reporter = data.get("reporter", {})
    first, _, last = reporter.get("name", "").partition(" ")
    fields += [("first_name", first), ("last_name", last)]
    fields += [(name, reporter[name]) for name in ("phone", "email") if name in reporter]
    answered = {one["code"] for one in data.get("attributes", ())}
    fields += [(f"attribute[{one['code']}]", one["value"]) for one in data.get("attributes", ())]
    for asked in city.services[data["service_code"]].attributes:
        if asked.required and asked.code not in answered:
            answer = asked.values[0].key if asked.values else "1"
            fields.append((f"attribute[{asked.code}]", answer))
    return fields
