"""The provider and how its words become Subak's, as the settings say; checked before anything listens."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from bus.city import City
from bus.identity.callers import ROLES, Role
from bus.settings import Settings
from schemas.failures import Misconfigured

SECRET_BYTES_MIN = 32
"""Bytes of the secret that seals sessions."""

DEFAULT_NAMES: Mapping[str, tuple[Role, str | None]] = {f"subak-{role}": (role, None) for role in ROLES}
"""Where `SUBAK_OIDC_ROLES` is empty: a group `subak-operator` makes an operator, and so on."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """How this process knows who asks."""

    issuer: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    audience: str
    """What a token for the casebook's API must be made for."""
    scope: str
    machine_scope: str
    roles_claim: str
    roles: Mapping[str, tuple[Role, str | None]]
    """The provider's word → our role, and the agency where the word names it."""
    default_role: Role | None
    agency_claim: str
    name_claim: str
    agencies: frozenset[str]
    """The agencies of the city: nobody speaks for another."""
    session_seconds: float
    session_secret: str = field(default="", repr=False)
    """Empty: of this process alone."""
    ca_file: Path | None = None

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """Whom to trust as the provider."""
        return ssl.create_default_context(cafile=self.ca_file)

    def require_client(self, for_what: str) -> None:
        """Refuse to go on where this process has no name at the provider.

        Raises:
            Misconfigured: it has none.
        """
        if not self.client_id or not self.client_secret:
            raise Misconfigured(
                f"{for_what} needs a client of its own at the provider: set SUBAK_OIDC_CLIENT_ID and "
                "SUBAK_OIDC_CLIENT_SECRET_FILE (docs/how-to/sign-people-in.md)."
            )


def identity_of(settings: Settings, city: City) -> Identity | None:
    """What the settings say; None where no issuer is set, and nobody is asked.

    Raises:
        Misconfigured: with what is wrong and what to change.
    """
    if not settings.oidc_issuer:
        return None
    require_safe(settings.oidc_issuer, "SUBAK_OIDC_ISSUER")
    if settings.oidc_audience in ("", settings.oidc_client_id):
        raise Misconfigured(
            "SUBAK_OIDC_AUDIENCE must name the casebook's API, and nothing else: with a client id in it, the "
            "proof of a sign-in would pass for a token. The default is urn:subak:casebook."
        )
    secret = _secret("SUBAK_OIDC_SESSION_SECRET_FILE", settings.oidc_session_secret_file)
    if secret and len(secret.encode()) < SECRET_BYTES_MIN:
        raise Misconfigured(
            f"the secret in SUBAK_OIDC_SESSION_SECRET_FILE has fewer than {SECRET_BYTES_MIN} bytes: make one with "
            "`openssl rand -base64 48`."
        )
    if settings.oidc_ca_file is not None and not settings.oidc_ca_file.is_file():
        raise Misconfigured(f"SUBAK_OIDC_CA_FILE names {settings.oidc_ca_file}, which is not a file.")
    return Identity(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=_secret("SUBAK_OIDC_CLIENT_SECRET_FILE", settings.oidc_client_secret_file),
        audience=settings.oidc_audience,
        scope=settings.oidc_scope,
        machine_scope=settings.oidc_machine_scope,
        roles_claim=settings.oidc_roles_claim,
        roles=_names(settings.oidc_roles, city) if settings.oidc_roles else DEFAULT_NAMES,
        default_role=settings.oidc_default_role or None,
        agency_claim=settings.oidc_agency_claim,
        name_claim=settings.oidc_name_claim,
        agencies=frozenset(city.agencies),
        session_seconds=settings.oidc_session_seconds,
        session_secret=secret,
        ca_file=settings.oidc_ca_file,
    )


def require_safe(url: str, what: str) -> None:
    """Refuse an address at which somebody between could read or answer.

    Raises:
        Misconfigured: it is no https, and not on this machine.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname and is_loopback(parts.hostname):
        return
    raise Misconfigured(f"{what} is {url!r}: it must be https://..., or http:// on this machine (127.0.0.1) alone.")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _names(text: str, city: City) -> dict[str, tuple[Role, str | None]]:
    """`/city/it=operator, pw-staff=agency:public-works` as a table."""
    found: dict[str, tuple[Role, str | None]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, meant = part.rpartition("=")
        role, _, agency = meant.strip().partition(":")
        if not equals or not name.strip() or role not in ROLES or (agency and role != "agency"):
            raise Misconfigured(
                f"SUBAK_OIDC_ROLES has {part!r}: write `word of the provider=role`, with commas. The roles are "
                f"{', '.join(ROLES)}; agency:<id> names the agency too."
            )
        if agency and agency not in city.agencies:
            raise Misconfigured(f"SUBAK_OIDC_ROLES names the agency {agency!r}, and {city.id} has none of that id.")
        found[name.strip()] = (role, agency or None)
    return found


def _secret(name: str, file: Path | None) -> str:
    if file is None:
        return ""
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{name} cannot be read: {error}.") from error
    if not found:
        raise Misconfigured(f"{name} names {file}, which is empty.")
    return found
