"""adapter.toml: which agencies one adapter process serves, how their systems reach it and how it reaches them.

Read once, when the process starts; whatever is wrong is told at once, each with the key and what to do. Secrets may
stand in the file, in the environment or in files of their own (`token`, `token_env`, `token_file`), never in a log.
`adapters/adapter-sample.toml` shows every key.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, StringConstraints, ValidationError

from adapters.attachments.config import AttachmentsConfig
from adapters.kafka_identity import KafkaIdentity
from adapters.kinds import source_kind, target_kind
from adapters.reach import Reach
from adapters.secrets import WrongSecret, long_token, read_secret, signing_key
from bus.city.problems import nearest
from bus.kafka.security import Credentials
from schemas.failures import Misconfigured
from schemas.strict import Strict
from schemas.values import AgencyId

_name = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_address = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})")


class WebhookConfig(Strict):
    """`[agency.webhook]`: where the adapter calls the agency's system, and how patiently."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+([/?][^\s#]*)?$", max_length=2000)]
    """The address that answers 2xx once the system has taken an event. Redirects are not followed."""
    secret: str | None = Field(default=None, repr=False)
    """What calls are signed with (Standard Webhooks 1.0): `whsec_<base64>`, or any text of at least 24 bytes."""
    secret_env: str | None = None
    """The environment variable that holds the secret."""
    secret_file: str | None = None
    """The file that holds the secret."""
    allow_private: bool | tuple[str, ...] = ()
    """Hosts, addresses and networks that may be called though they are not of the internet, such as
    `["works.internal", "10.2.0.0/16"]`; or true for this machine and all private networks."""
    allow_http: bool = False
    """Call an `http` URL, where anybody on the way can read what is said. A loopback address that `allow_private`
    names needs no such leave."""
    ca_file: str | None = None
    """A file of certificates (PEM) that are believed instead of the system's: those of the agency's own authority."""
    timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    """How long one call may take."""
    concurrency_max: int = Field(default=16, ge=1, le=1000)
    """Calls under way at once, each for another case."""
    tries_max: int = Field(default=8, ge=1, le=1000)
    """Refusals of one event (4xx) after which it is parked for a person. A system that is away is called for ever."""
    retry_seconds_first: float = Field(default=0.5, gt=0, le=3600)
    """Pause before the second try; each further one doubles it, with jitter."""
    retry_seconds_max: float = Field(default=300.0, gt=0, le=86_400)
    """The longest pause. A `Retry-After` of the system may ask for more, up to an hour."""


class AgencyConfig(Strict):
    """`[[agency]]`: one agency that this adapter serves."""

    id: AgencyId
    """Its id in the city's agencies.toml."""
    token: str | None = Field(default=None, repr=False)
    """The bearer token with which its system calls this adapter: at least 16 characters."""
    token_env: str | None = None
    """The environment variable that holds the token."""
    token_file: str | None = None
    """The file that holds the token."""
    ledger_token: str | None = Field(default=None, repr=False)
    """Another token, for the city's operators: it reads how much outbox and inbox hold (`subak reconcile`), no more."""
    ledger_token_env: str | None = None
    """The environment variable that holds it."""
    ledger_token_file: str | None = None
    """The file that holds it."""
    kafka: KafkaIdentity | None = None
    """Who it is to Kafka; without this, who the adapter is."""
    webhook: WebhookConfig | None = None
    """Where its system is told. Without one, the system asks: `GET /agencies/<id>/inbox`."""
    source: tuple[dict[str, Any], ...] = ()
    """`[[agency.source]]`: further ways in which its system speaks, each with its `kind` and the keys of that."""
    target: dict[str, Any] | None = None
    """`[agency.target]`: another way than a webhook in which it is told, with its `kind` and the keys of that."""
    accept_new_outbox: bool = False
    """Begin with an empty outbox although Kafka holds earlier events of this agency and no position of them remains."""


class AdapterSection(Strict):
    """`[adapter]`: the process."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    """Its name in logs and in Kafka's client ids."""
    listen: str = "127.0.0.1:8460"
    """`host:port` of the HTTP source, /health and /metrics; port 0 takes a free one."""
    database: str | None = Field(default=None, repr=False)
    """SQLAlchemy URL of outbox and inbox. Default: SQLite, `<name>.sqlite3` beside this file."""
    database_env: str | None = None
    """The environment variable that holds the URL."""
    outbox_rows_max: int = Field(default=1_000_000, ge=1)
    """Events that may wait for Kafka, over all agencies here. When so many do, a POST is answered 503."""
    outbox_keep_seconds: float = Field(default=7 * 86_400, ge=60)
    """How long a relayed event can be asked about (its status), and its id is known again."""
    inbox_keep_seconds: float = Field(default=30 * 86_400, ge=60)
    """How long the content of a delivered event is kept. Its id is kept for ever."""
    attachments: AttachmentsConfig | None = None
    """`[adapter.attachments]`: where photos and documents are kept. Without it none are taken."""
    casebook: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$", max_length=500)] | None = None
    """The address of the city's casebook. With it a status says whether the bus accepted an event and who hears."""


class _File(Strict):
    adapter: AdapterSection
    agency: Annotated[tuple[AgencyConfig, ...], Field(min_length=1)]


class Webhook(Strict):
    """Where and how one agency's system is told, with its secret resolved."""

    url: str
    key: bytes = Field(repr=False)
    """What the calls are signed with."""
    allow_private: bool | tuple[str, ...] = ()
    allow_http: bool = False
    ca_file: str | None = None
    timeout_seconds: float = 30.0
    concurrency_max: int = 16
    tries_max: int = 8
    retry_seconds_first: float = 0.5
    retry_seconds_max: float = 300.0


class Named(Strict):
    """A source or a target, its keys read by its kind."""

    kind: str
    name: str
    settings: SerializeAsAny[Strict] = Field(repr=False)
    """As the kind's own model."""


class ServedAgency(Strict):
    """One agency, with its secrets resolved."""

    id: str
    token: str = Field(repr=False)
    ledger_token: str | None = Field(default=None, repr=False)
    kafka: Credentials | None = Field(default=None, repr=False)
    webhook: Webhook | None = None
    sources: tuple[Named, ...] = ()
    target: Named | None = None
    accept_new_outbox: bool = False


class AdapterConfig(Strict):
    """A whole adapter.toml, checked, with paths made absolute and secrets resolved."""

    name: str
    host: str
    port: int
    database_url: str = Field(repr=False)
    outbox_rows_max: int = 1_000_000
    outbox_keep_seconds: float = 7 * 86_400.0
    inbox_keep_seconds: float = 30 * 86_400.0
    attachments: AttachmentsConfig | None = None
    casebook: str | None = None
    agencies: tuple[ServedAgency, ...]

    @classmethod
    def load(cls, path: Path, environment: Mapping[str, str] = os.environ) -> AdapterConfig:
        """The configuration in a file.

        Raises:
            Misconfigured: with everything that is wrong, a line each.
        """
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise Misconfigured(f"{path}: {error.strerror}. Name the adapter.toml of your agency.") from error
        except ValueError as error:
            raise Misconfigured(f"{path} is not TOML in UTF-8: {error}.") from error
        try:
            file = _File.model_validate(_tuples(content))
        except ValidationError as error:
            raise Misconfigured("\n".join(f"{path}: {problem}" for problem in _problems(error))) from error
        return _resolved(file, path, environment)


def _resolved(file: _File, path: Path, environment: Mapping[str, str]) -> AdapterConfig:
    problems: list[str] = []
    agencies = []
    folder = path.resolve().parent
    for agency in file.agency:
        where = f'agency "{agency.id}"'
        try:
            token = long_token(agency, "token", folder, environment)
            stated = agency.ledger_token or agency.ledger_token_env or agency.ledger_token_file
            ledger_token = long_token(agency, "ledger_token", folder, environment) if stated else None
            if ledger_token == token:
                raise WrongSecret("ledger_token is the token itself, which may do everything. Make another one.")
            webhook = _webhook(agency.webhook, where, folder, environment, problems) if agency.webhook else None
            credentials = agency.kafka.credentials(folder, environment) if agency.kafka else None
        except WrongSecret as error:
            problems.append(f"{where}: {error}")
            continue
        sources = tuple(_named(keys, "source", where, problems) for keys in agency.source)
        target = _named(agency.target, "target", where, problems) if agency.target is not None else None
        if target is not None and webhook is not None:
            problems.append(f"{where}: it has a webhook and a target. Keep one: each event is handed over once.")
        names = [source.name for source in sources if source is not None]
        problems += [
            f'{where}: {names.count(name)} sources are named "{name}". Give each a name of its own.'
            for name in sorted(set(names))
            if names.count(name) > 1
        ]
        agencies.append(
            ServedAgency(
                id=agency.id,
                token=token,
                ledger_token=ledger_token,
                kafka=credentials,
                webhook=webhook,
                sources=tuple(source for source in sources if source is not None),
                target=target,
                accept_new_outbox=agency.accept_new_outbox,
            )
        )
    ids = [agency.id for agency in file.agency]
    problems += [
        f'agency "{id}" stands {ids.count(id)} times: keep one.' for id in sorted(set(ids)) if ids.count(id) > 1
    ]
    host, port = "", 0
    if (found := _address.fullmatch(file.adapter.listen)) and int(found["port"]) < 65536:
        host, port = found["host"].strip("[]"), int(found["port"])
    else:
        problems.append(f'adapter.listen: {file.adapter.listen!r} is not host:port, such as "127.0.0.1:8460".')
    try:
        url = _database_url(file.adapter, folder, environment)
    except WrongSecret as error:
        problems.append(f"adapter: {error}")
    attachments = file.adapter.attachments
    try:
        attachments = attachments.resolved(folder, environment) if attachments else None
    except WrongSecret as error:
        problems.append(f"adapter.attachments: {error}")
    if problems:
        raise Misconfigured("\n".join(f"{path}: {problem}" for problem in problems))
    return AdapterConfig(
        name=file.adapter.name,
        host=host,
        port=port,
        database_url=url,
        outbox_rows_max=file.adapter.outbox_rows_max,
        outbox_keep_seconds=file.adapter.outbox_keep_seconds,
        inbox_keep_seconds=file.adapter.inbox_keep_seconds,
        attachments=attachments,
        casebook=file.adapter.casebook,
        agencies=tuple(agencies),
    )


def _named(keys: Mapping[str, Any], what: str, where: str, problems: list[str]) -> Named | None:
    """The source or target that these keys describe; notes what is wrong with them."""
    keys = dict(keys)
    kind = keys.pop("kind", None)
    name = keys.pop("name", kind)
    if not isinstance(kind, str):
        problems.append(f'{where}.{what}: the key "kind" is missing. Add it, such as kind = "sql".')
        return None
    if not isinstance(name, str) or not _name.fullmatch(name):
        problems.append(f'{where}.{what}: name must be lower-case letters, digits and "-", such as "works-orders".')
        return None
    try:
        config = (source_kind(kind) if what == "source" else target_kind(kind)).config
        return Named(kind=kind, name=name, settings=config.model_validate(keys))
    except ValidationError as error:
        problems += [f"{where}.{what} {name}: {problem}" for problem in _problems(error, config)]
    except Misconfigured as error:
        problems.append(f"{where}.{what}: {error}")
    return None


def _webhook(
    config: WebhookConfig, where: str, folder: Path, environment: Mapping[str, str], problems: list[str]
) -> Webhook:
    kept = config.model_dump(exclude={"secret", "secret_env", "secret_file", "ca_file"})
    reach = Reach(config.url, allow_private=config.allow_private, allow_http=config.allow_http)
    problems += [f"{where}.webhook.{problem}" for problem in reach.problems()]
    key = signing_key(read_secret(config, "secret", folder, environment))
    return Webhook(key=key, ca_file=str(folder / config.ca_file) if config.ca_file else None, **kept)


def _database_url(section: AdapterSection, folder: Path, environment: Mapping[str, str]) -> str:
    if section.database is None and section.database_env is None:
        return f"sqlite:///{folder / section.name}.sqlite3"
    url = read_secret(section, "database", folder, environment)
    if url.startswith("sqlite:///") and url != "sqlite:///:memory:":
        return f"sqlite:///{folder / url.removeprefix('sqlite:///')}"
    if url.startswith("postgresql+psycopg://"):
        return url
    raise WrongSecret("database must be sqlite:///<file> or postgresql+psycopg://<user>@<host>/<name>.")


def _tuples(value: Any) -> Any:
    """TOML's lists as tuples, which is what strict models take."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


_SECTIONS: Mapping[str, type[Strict]] = {
    "adapter": AdapterSection,
    "agency": AgencyConfig,
    "attachments": AttachmentsConfig,
    "webhook": WebhookConfig,
    "kafka": KafkaIdentity,
}


def _problems(error: ValidationError, outermost: type[Strict] = _File) -> Iterable[str]:
    details = error.errors(include_url=False)
    for detail in details:
        steps = detail["loc"]
        if detail["type"] == "too_short" and any(other["loc"][:1] == steps for other in details if other != detail):
            continue  # pydantic counts the agencies that have problems of their own as missing
        where = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
        if detail["type"] == "extra_forbidden":
            sections = [step for step in steps[:-1] if isinstance(step, str)]
            known = _SECTIONS.get(sections[-1], outermost) if sections else outermost
            yield f"{where}: there is no such key. {nearest(str(steps[-1]), known.model_fields)}"
        elif detail["type"] == "missing":
            yield f"{where}: this key is missing. Add it."
        else:
            yield f"{where}: {detail['msg']}."
