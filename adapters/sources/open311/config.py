"""`[[agency.source]]` with `kind = "open311"`: where the server stands, which apps may write, how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from adapters.secrets import WrongSecret, read_secret
from schemas.failures import Misconfigured
from schemas.strict import Strict

KEY_CHARACTERS_MIN = 16
"""A shorter api_key can be guessed."""


class AppConfig(Strict):
    """`[[agency.source.app]]`: one app that may write."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    """Its name in logs and in the ids that are derived from what it sends."""
    key: str | None = Field(default=None, repr=False)
    """Its api_key: at least 16 characters."""
    key_env: str | None = None
    """The environment variable that holds the key."""
    key_file: str | None = None
    """The file that holds the key."""
    requests_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    """How much it may ask and post; beyond, it is answered 429."""


class Open311Config(Strict):
    """The keys of an Open311 source."""

    path: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._-]+)+$", max_length=200)] | None = None
    """Where it answers, under the adapter's address. Default: `/open311/<agency>/v2`."""
    public_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$", max_length=500)] | None = None
    """What discovery names: the address that apps see, in front of any proxy. Default: the adapter's own."""
    jurisdiction_id: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    """By GeoReport's custom the city's domain. Default: the city's id. Apps may leave it out."""
    contact: str = "Ask the agency that runs this server."
    """Discovery: how to reach who runs this."""
    key_service: str = "Ask the agency that runs this server for an api_key."
    """Discovery: how to get a key."""
    service_notice: Annotated[str, StringConstraints(max_length=1000)] | None = None
    """What an app is told with each new request; `{days}` becomes the days within which its service is resolved."""
    reads_need_key: bool = False
    """Whether services and requests are for apps with a key only. GeoReport has them open."""
    reads_per_minute: int = Field(default=600, ge=1, le=1_000_000)
    """How much one address may ask without a key."""
    repeat_seconds: int = Field(default=60, ge=1, le=86_400)
    """A post with the same content from the same app within so long (at most twice as long) is the same request."""
    body_bytes_max: int = Field(default=262_144, ge=1024, le=16_777_216)
    """The largest post."""
    bodies_max: int = Field(default=100, ge=1, le=10_000)
    """Posts that may be arriving at once: who sends slowly holds one of these places."""
    body_wait_seconds: float = Field(default=20.0, gt=0, le=600)
    """How long a post may take to arrive."""
    app: tuple[AppConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class App:
    """One app, with its key known by its digest only."""

    name: str
    requests_per_minute: int


def apps_by_key(config: Open311Config, folder: Path, environment: Mapping[str, str]) -> dict[bytes, App]:
    """SHA-256 of each api_key, and whose it is.

    Raises:
        Misconfigured: a key is missing, short, or stands twice; never shows it.
    """
    found: dict[bytes, App] = {}
    names: set[str] = set()
    for app in config.app:
        try:
            key = read_secret(app, "key", folder, environment)
        except WrongSecret as error:
            raise Misconfigured(f'app "{app.name}": {error}') from error
        if len(key) < KEY_CHARACTERS_MIN:
            raise Misconfigured(
                f'app "{app.name}": key has {len(key)} characters, fewer than {KEY_CHARACTERS_MIN}. Use a longer one.'
            )
        if app.name in names:
            raise Misconfigured(f'app "{app.name}" stands twice: give each app a name of its own.')
        digest = sha256(key.encode()).digest()
        if digest in found:
            raise Misconfigured(f'the apps "{found[digest].name}" and "{app.name}" have the same key. Make another.')
        names.add(app.name)
        found[digest] = App(app.name, app.requests_per_minute)
    return found
