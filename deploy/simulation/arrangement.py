"""What the simulator needs to know: the city, where the databases lie, and for each agency its adapter and its secret.

Whoever starts a city (`subak demo`, a test) writes it as one JSON file and starts `python -m deploy.simulation FILE`.
The port is fixed there, so that a simulator which is killed and started again is found by the adapters where it was.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, ValidationError

from deploy.simulation.own_system import OwnSystem
from deploy.simulation.records import AgencyRecords, Ids
from schemas.failures import Misconfigured
from schemas.strict import Strict, reasons_of


class Open311Access(Strict):
    """The way of the citizens' app to the channel's Open311 server."""

    url: str
    api_key: str


class AdapterAccess(Strict):
    """One agency's way to its adapter, and the adapter's to it."""

    url: str
    """Where the agency POSTs its events."""
    token: str
    """Bearer token for it."""
    secret: str
    """What the adapter signs its webhook calls with."""
    open311: Open311Access | None = None
    """Its Open311 server, where it has one: a part of its requests goes there."""
    own: OwnSystem | None = None
    """Its system, where it does not speak and hear by HTTP alone."""


class Arrangement(Strict):
    """One simulation."""

    city: str
    """A shipped city's name, or a directory."""
    folder: str
    """Where the agencies' databases lie, a file each."""
    seed: int = 1
    """Same seed, same requests and decisions."""
    speed: float = Field(default=1.0, gt=0)
    """How much faster than normal agencies act: 2 halves every delay."""
    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    connections_max: int = Field(default=32, ge=1)
    """Posts under way at once, over all agencies."""
    agencies: dict[str, AdapterAccess]

    @classmethod
    def load(cls, path: Path) -> Arrangement:
        """The arrangement in a file.

        Raises:
            Misconfigured: it cannot be read; says why.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise Misconfigured(f"{path}: {error.strerror}. Give the file that `subak demo` wrote.") from error
        except ValidationError as error:
            raise Misconfigured(f"{path}: " + "; ".join(str(reason) for reason in reasons_of(error))) from error

    def write(self, path: Path) -> None:
        """Keep it in a file that its owner alone may read: it holds tokens."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self.model_dump_json(indent=1))

    def records(self, agency_id: str, *, read_only: bool = False, ids: Ids = lambda *_: None) -> AgencyRecords:
        """The database of one agency."""
        return AgencyRecords(Path(self.folder) / f"{agency_id}.sqlite3", agency_id, read_only=read_only, ids=ids)

    def webhook_url(self, agency_id: str) -> str:
        """Where the adapter calls this agency."""
        return webhook_url(self.host, self.port, agency_id)


def webhook_url(host: str, port: int, agency_id: str) -> str:
    """Where the adapter calls an agency of the simulator at this address."""
    return f"http://{host}:{port}/{agency_id}/events"
