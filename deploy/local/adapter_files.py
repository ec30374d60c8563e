"""The adapters of a city on one machine: a few processes, each for many agencies, with tokens made once and kept.

In a city each agency runs its own, beside its system. Here three processes do: the citizens' channel alone (most events
begin there), the agencies that act, and the areas' own (villages, wards, districts).
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bus.city import City
from bus.city.model import OPERATIONS

OPEN311_APP = "citizens-app"
"""The one app of the local city's Open311 server: the citizens' own."""

OPEN311_PER_MINUTE = 1_000_000
"""No limit to speak of: whoever is on this machine may measure it."""


@dataclass(frozen=True, kw_only=True)
class AgencyKinds:
    """How one agency's system speaks and is told, where that is not HTTP alone: keys as in adapter.toml."""

    sources: tuple[Mapping[str, Any], ...] = ()
    target: Mapping[str, Any] | None = None
    """None: by webhook."""
    modules: Mapping[str, Path] = field(default_factory=dict)
    """Python modules of its own that are to lie beside adapter.toml, by name."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that its own modules read."""


@dataclass(frozen=True, kw_only=True)
class AdapterFile:
    """One adapter.toml: who is in it, where it listens."""

    name: str
    path: Path
    port: int
    tokens: dict[str, str]
    webhooks: dict[str, str]
    secret: str
    ledger_tokens: dict[str, str] = field(default_factory=dict)
    """Agency → the token that reads its ledger."""
    open311_keys: dict[str, str] = field(default_factory=dict)
    """Agency → the api_key of the apps of its Open311 server."""
    credentials: dict[str, Path] = field(default_factory=dict)
    """Each agency's credentials file, where Kafka is secured."""
    kinds: dict[str, AgencyKinds] = field(default_factory=dict)
    """The agencies that do not speak, or are not told, by HTTP alone."""

    @property
    def url(self) -> str:
        """Where its HTTP source is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the adapter's process."""
        return {name: value for kinds in self.kinds.values() for name, value in kinds.environment.items()}

    @property
    def database(self) -> Path:
        """Its outbox and inbox."""
        return self.path.with_name(f"{self.name}.sqlite3")

    def open311_url(self, agency: str) -> str:
        """Where an agency's Open311 server is."""
        return f"{self.url}/open311/{agency}/v2"

    @property
    def accesses(self) -> dict[str, dict[str, str]]:
        """Agency → where its source is and its tokens, as the run file tells them."""
        return {
            agency: {
                "url": f"{self.url}/agencies/{agency}/events",
                "token": token,
                "ledger_token": self.ledger_tokens[agency],
            }
            for agency, token in self.tokens.items()
        }

    def write(self) -> None:
        """Write it so that only its owner can read it."""
        lines = [
            "[adapter]",
            f'name = "{self.name}"',
            f'listen = "127.0.0.1:{self.port}"',
            f'database = "sqlite:///{self.database.name}"',
        ]
        for agency, token in self.tokens.items():
            lines += ["", "[[agency]]", f'id = "{agency}"', f'token = "{token}"']
            if agency in self.ledger_tokens:
                lines += [f'ledger_token = "{self.ledger_tokens[agency]}"']
            if agency in self.credentials:
                lines += ["  [agency.kafka]", f"  credentials_file = {json.dumps(str(self.credentials[agency]))}"]
            kinds = self.kinds.get(agency, AgencyKinds())
            for source in kinds.sources:
                lines += ["  [[agency.source]]", *_keys(source)]
            if kinds.target is not None:
                lines += ["  [agency.target]", *_keys(kinds.target)]
            elif agency in self.webhooks:
                lines += [
                    "  [agency.webhook]",
                    f'  url = "{self.webhooks[agency]}"',
                    f'  secret = "{self.secret}"',
                    '  allow_private = ["127.0.0.1"]',  # all of a local city is on this machine
                    "  retry_seconds_max = 5",
                ]
            if agency in self.open311_keys:
                lines += [
                    "  [[agency.source]]",
                    '  kind = "open311"',
                    f'  public_url = "{self.open311_url(agency)}"',
                    f"  reads_per_minute = {OPEN311_PER_MINUTE}",
                    "    [[agency.source.app]]",
                    f'    name = "{OPEN311_APP}"',
                    f'    key = "{self.open311_keys[agency]}"',
                    f"    requests_per_minute = {OPEN311_PER_MINUTE}",
                ]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for kinds in self.kinds.values():
            for name, module in kinds.modules.items():
                shutil.copyfile(module, self.path.with_name(f"{name}.py"))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def adapter_files(
    city: City,
    folder: Path,
    *,
    webhook_urls: Callable[[str], str | None],
    webhook_secret: str,
    ports: Callable[[Sequence[str]], list[int]],
    credentials: Callable[[str], Path] | None = None,
    kinds: Callable[[str], AgencyKinds | None] = lambda _: None,
) -> list[AdapterFile]:
    """One file for each group of agencies that has members. Tokens of an earlier run stay."""
    groups: dict[str, list[str]] = {"citizens": [], "agencies": [], "areas": []}
    lower = {level.id for level in city.levels[: _rank_of_city(city)]}
    for agency in city.agencies.values():
        if agency.id == OPERATIONS:
            continue
        if agency.id == city.citizens_channel:
            groups["citizens"].append(agency.id)
        elif agency.level in lower:
            groups["areas"].append(agency.id)
        else:
            groups["agencies"].append(agency.id)
    filled = {name: agencies for name, agencies in groups.items() if agencies}
    files = []
    for (name, agencies), port in zip(filled.items(), ports([f"adapter-{name}" for name in filled]), strict=True):
        path = folder / f"{name}.toml"
        known, known_ledgers, known_keys = _known_secrets(path)
        files.append(
            AdapterFile(
                name=name,
                path=path,
                port=port,
                tokens={agency: known.get(agency) or secrets.token_urlsafe(24) for agency in agencies},
                ledger_tokens={agency: known_ledgers.get(agency) or secrets.token_urlsafe(24) for agency in agencies},
                webhooks={agency: url for agency in agencies if (url := webhook_urls(agency))},
                secret=webhook_secret,
                open311_keys={
                    agency: known_keys.get(agency) or secrets.token_urlsafe(24)
                    for agency in agencies
                    if agency == city.citizens_channel
                },
                credentials={agency: credentials(agency) for agency in agencies} if credentials else {},
                kinds={agency: found for agency in agencies if (found := kinds(agency)) is not None},
            )
        )
    return files


def _keys(section: Mapping[str, Any]) -> list[str]:
    return [f"  {_value(key)} = {_value(value)}" for key, value in section.items()]


def _value(value: Any) -> str:
    """A value in TOML, on one line. TOML's texts are JSON's."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_value(key)} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _rank_of_city(city: City) -> int:
    """Where the city's own level stands among its levels, from the lowest up."""
    level = city.areas[city.area].level
    return next(place for place, found in enumerate(city.levels) if found.id == level)


def _known_secrets(path: Path) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The tokens, those of ledgers, and the api_keys, that an earlier run wrote there, by agency."""
    if not path.is_file():
        return {}, {}, {}
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    agencies = found.get("agency", ())
    keys = {
        agency["id"]: app["key"]
        for agency in agencies
        for source in agency.get("source", ())
        if source.get("kind") == "open311"
        for app in source.get("app", ())
        if app.get("name") == OPEN311_APP
    }
    ledgers = {agency["id"]: agency["ledger_token"] for agency in agencies if "ledger_token" in agency}
    return {agency["id"]: agency["token"] for agency in agencies}, ledgers, keys
