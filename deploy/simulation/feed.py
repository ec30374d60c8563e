"""Requests from outside: a file with an Open311 GeoReport v2 JSON array, as the citizens' channel would send them.

An element that cannot become a request is told with its place in the file and its reasons, and stops no other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bus.city import City, load_feed, request_from_open311
from schemas.failures import Misconfigured, Refused


def read_requests(path: Path, city: City, city_folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The requests of a file in the file's order, and a sentence for each element that cannot be one.

    Raises:
        Misconfigured: the file cannot be read, or holds no JSON array.
    """
    try:
        items = json.loads(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}. Give the path of an Open311 requests.json.") from error
    except (ValueError, RecursionError) as error:
        raise Misconfigured(f"{path} is not JSON: {error}. Give an Open311 requests.json.") from error
    if not isinstance(items, list):
        raise Misconfigured(f"{path} holds no JSON array. Give an Open311 GeoReport v2 requests.json.")
    feed = load_feed(city_folder, city)
    requests: list[dict[str, Any]] = []
    refused: list[str] = []
    for position, item in enumerate(items):
        try:
            requests.append(request_from_open311(city, feed, item)[0])
        except Refused as refusal:
            refused.append(f"element {position} of {path.name}: {refusal}")
    return requests, refused
