"""What a city's agencies and citizens say, where they live and what repairs cost: read from the city's own folder.

`deploy/cities/<city>/simulation.toml` holds all that is local (language, streets, placeholders for reporters, amounts),
so nothing here knows a city. A city without the file gets the English defaults below, and
places anywhere in its bounds.
Names, numbers and addresses of reporters are placeholders: a demo must not look like a real person's complaint.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterable
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from random import Random

from pydantic import Field, ValidationError

from bus.city import City
from schemas.failures import Misconfigured
from schemas.strict import Strict, reasons_of

FILE_NAME = "simulation.toml"

ENGLISH: dict[str, tuple[str, ...]] = {
    "acknowledged": ("Received; a crew will look at it.", "Seen on the spot; an estimate is made."),
    "lowered": ("Estimate reduced to what is urgent.",),
    "accepted": ("Planned for the next free crew.",),
    "started": ("The crew is at work.",),
    "suspended": ("Waiting for material.", "Heavy rain."),
    "completed": ("Done and cleaned up.",),
    "declined": ("No crew is free this week.", "Special equipment is needed."),
    "inspected": ("Looked at on the spot: in order.",),
    "defect": ("The edge is loose again.", "Only half of it was done."),
    "refused": ("The budget line is spent.",),
    "sent_back": ("Please limit the estimate to the urgent part.",),
    "officers": ("Officer 1", "Officer 2", "Officer 3"),
    "withdrawn": ("It has solved itself, thank you.",),
    "commented": ("It has become worse since yesterday.", "Please come before the weekend."),
    "reopened": ("It is broken again.",),
    "favourable": ("Nothing against it.",),
    "proposal_rejected": ("Another level of government has to do it.",),
    "supplier": ("A building firm",),
    "half": ("Half of the works",),
    "handover": ("Handover",),
    "complete": ("All papers are there.",),
    "permit_granted": ("All conditions are met.",),
    "permit_refused": ("It does not fit the land-use plan.",),
    "rated": ("Quick work, thank you.", "It took a while, but it is good."),
}


class Reporter(Strict):
    """How a placeholder for a citizen looks. `{number}` is the request's number (`{number:04}`: four digits)."""

    name: str = "Resident {number:04}"
    phone: str = "000-{number:04}"
    email: str = "resident{number:04}@example.com"


class Phrasebook(Strict):
    """A city's `simulation.toml`. Each list is chosen from by chance."""

    reference_prefix: str = "REQ"
    """The citizens' channel's own numbers are `<prefix>-<number>`."""
    reporter: Reporter = Reporter()
    typical_amount: Decimal = Decimal(1000)
    """What a repair is scaled by where its agency has no approval threshold, in the city's currency."""
    amount_step: Decimal = Field(default=Decimal(10), gt=0)
    """Amounts are rounded to this."""
    addresses: tuple[str, ...] = ()
    """Addresses such as `Jl. Gajah Mada {number}`; `{number}` becomes a house number."""
    boxes: dict[str, tuple[float, float, float, float]] = {}
    """Rough west, south, east, north of an area, by its code, so that locations lie about where the area is."""
    places: dict[str, tuple[str, ...]] = {}
    """The areas in which a service makes sense, by service code; a service that is not here makes sense anywhere."""
    descriptions: dict[str, tuple[str, ...]] = {}
    """What citizens write, by service code; under `*` for a service that has none of its own."""
    phrases: dict[str, tuple[str, ...]] = {}
    """What agencies and citizens say in a case; the keys are those of `ENGLISH`."""

    def pick(self, occasion: str, rng: Random) -> str:
        """One of the things that people say on this occasion."""
        return rng.choice(self.phrases.get(occasion) or ENGLISH[occasion])


def load_phrasebook(city_folder: Path, city: City) -> Phrasebook:
    """The phrasebook of a city's folder; the English defaults where it has none.

    Raises:
        Misconfigured: the file is not TOML, or names an occasion, service or area that there is not.
    """
    path = city_folder / FILE_NAME
    if not path.exists():
        return Phrasebook()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        # By way of JSON, in which a strict model takes a list for a tuple and a string for a decimal.
        book = Phrasebook.model_validate_json(json.dumps(found))
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        raise Misconfigured(f"{path}: " + "; ".join(str(reason) for reason in reasons_of(error))) from error
    services, areas = {"*", *city.services}, set(city.areas)
    _require(path, "phrases", book.phrases, ENGLISH)
    _require(path, "descriptions", book.descriptions, services)
    _require(path, "places", book.places, services)
    _require(path, "boxes", book.boxes, areas)
    for service, codes in book.places.items():
        _require(path, f"places.{service}", codes, areas)
    for service, texts in (*book.phrases.items(), *book.descriptions.items(), *book.places.items()):
        if not texts:
            raise Misconfigured(f"{path}: the list {service!r} is empty; give it an entry or remove it")
    return book


def _require(path: Path, table: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            advice = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(sorted(known))}."
            raise Misconfigured(f"{path}: {table} names {name!r}, which there is not. {advice}")
