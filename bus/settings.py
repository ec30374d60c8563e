"""Settings of every process: from the environment (`SUBAK_...`) or a TOML file, read once, unknown keys refused."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from bus.kafka.security import Credentials, Protocol, Security
from bus.kafka.settings import KafkaSettings
from schemas.failures import Misconfigured

PREFIX = "SUBAK_"


class Settings(BaseSettings):
    """What a process needs to know. The environment wins over the file that `SUBAK_SETTINGS` names."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, use_attribute_docstrings=True, env_ignore_empty=True
    )

    settings: Path | None = None
    """A TOML file with any of these settings, by the names without the prefix."""
    home: Path = Path(".subak")
    """Where the local bus keeps its data, one folder for each city."""
    city: str = "denpasar"
    """The city: the name of one that is shipped, or a directory."""
    kafka_bootstrap_servers: str = ""
    """An existing Kafka cluster, as `host:port`, several with commas. Empty: the local one."""
    kafka_security_protocol: Protocol = "PLAINTEXT"
    """How Kafka is spoken to: SASL_SSL (a user and a password, over TLS), SSL (a client certificate), or PLAINTEXT,
    which suits a Kafka on this machine alone."""
    kafka_user: str = ""
    """Who this process is to Kafka, for SASL_SSL with SCRAM-SHA-512."""
    kafka_password: str = Field(default="", repr=False)
    """Its password."""
    kafka_password_file: Path | None = None
    """A file that holds the password and nothing else."""
    kafka_credentials_file: Path | None = None
    """A TOML file with `user` and `password`, as `subak topology apply` and `subak agency add` write it. It may be
    replaced under a running process."""
    kafka_ca_file: Path | None = None
    """The certificates (PEM) that sign the brokers'. Empty: those that the system trusts."""
    kafka_certificate_file: Path | None = None
    """This process's own certificate with its chain (PEM): who it is, for SSL."""
    kafka_key_file: Path | None = None
    """The key of that certificate (PEM, without a passphrase)."""
    kafka_partitions: int = Field(default=1, ge=1, le=1000)
    """Partitions of every topic, frozen when the topics are created. 1 suits one machine; a city takes 12 or more, one
    for each process that may ever share a stage's work."""
    kafka_replication_factor: int = Field(default=1, ge=1, le=9)
    """Copies of every partition: 3 in a city, 1 on one machine. Min ISR is one less."""
    kafka_session_timeout_seconds: float = Field(default=6.0, ge=1, le=300)
    """A stage that is silent for so long loses its partitions to another."""
    kafka_transaction_timeout_seconds: float = Field(default=20.0, ge=1, le=900)
    """How long the broker keeps a dead process's transaction open."""
    kafka_compression: Literal["none", "lz4"] = "lz4"
    """How events travel and rest: lz4 takes a third of the space, none spares processors (as on one machine)."""
    http_host: str = "127.0.0.1"
    """Where this process serves /metrics and /health (and the casebook its API). Loopback unless you say otherwise."""
    http_port: int = Field(default=0, ge=0, le=65535)
    """Its port; 0 takes a free one."""
    http_requests_per_second: float = Field(default=500, gt=0, le=1_000_000)
    """How many questions a second the casebook's API takes from one address, twice as many after a rest. Behind a proxy
    all come from its address."""
    database_url: str = ""
    """The process's database, as an SQLAlchemy URL: sqlite:///file or postgresql+psycopg://...
    Empty: SQLite in `home`."""
    casebook_url: str = ""
    """Where the console and the operator's commands find the casebook's API, as http://host:port. Empty: the local
    one."""
    adapters_file: Path | None = None
    """Where the casebook asks which agencies have applied an event: JSON, agency → `url` and `ledger_token`, or
    a run file. Empty: it says who must have it, and of nobody whether."""
    operator: str = ""
    """The name under which what this person does (replay, correct, discard) stands in the log. Empty: the name on this
    machine."""
    console_hosts: str = ""
    """Names under which people reach the console through a proxy that asks who they are, with commas. Empty: loopback
    only, since the console itself asks nobody."""
    console_url: str = Field(default="", pattern=r"^(https?://[^\s/?#]+/?)?$")
    """Where people find the console, as https://console.city.example: with an issuer, the provider leads them back
    there. Empty: loopback only."""
    oidc_issuer: str = ""
    """The OpenID provider that says who people and machines are, as it calls itself, such as
    https://login.city.example/realms/city. Empty: nobody is asked."""
    oidc_client_id: str = ""
    """Who this process is to the provider."""
    oidc_client_secret_file: Path | None = None
    """A file with the secret of that client and nothing else."""
    oidc_ca_file: Path | None = None
    """The certificates (PEM) that sign the provider's. Empty: those that the system trusts."""
    oidc_audience: str = "urn:subak:casebook"
    """What an access token must be made for (`aud`) so that the casebook takes it. Where it is a URI, it is asked for
    as `resource`."""
    oidc_scope: str = "openid profile"
    """What the console asks for when a person signs in."""
    oidc_machine_scope: str = ""
    """What a process asks for with its own token, where the provider wants to be told."""
    oidc_roles_claim: str = "roles"
    """The claim that holds a caller's roles or groups; dots lead deeper, as in realm_access.roles."""
    oidc_roles: str = ""
    """Which of the provider's words make which role, as `/city/it=operator, pw=agency:public-works`. Empty:
    subak-citizen, subak-agency, subak-operator, subak-auditor, subak-console."""
    oidc_default_role: Literal["", "citizen"] = ""
    """The role of whoever signs in and has none. Empty: they see nothing."""
    oidc_agency_claim: str = "agency"
    """The claim that holds the id of the agency for which somebody with the role agency speaks."""
    oidc_name_claim: str = "preferred_username"
    """The claim by which people are named, on pages and in the log: one that they cannot change themselves."""
    oidc_session_seconds: float = Field(default=28_800, ge=60, le=604_800)
    """How long a person stays signed in at the console. Roles are those of the sign-in."""
    oidc_session_secret_file: Path | None = None
    """A file with 32 bytes or more that seal the console's sessions. Empty: they end with the process."""
    batch_records_max: int = Field(default=2000, ge=1, le=100_000)
    """Records in one transaction of a stage. More is faster; an abort repeats at most this many."""
    remember_ids_seconds: float = Field(default=86_400, ge=60)
    """How long the gateway remembers event ids to drop what is sent twice."""
    otlp_endpoint: str = Field(default="", pattern=r"^(https?://[^\s/]+/?)?$")
    """Where traces go: a collector of OpenTelemetry's (OTLP over HTTP), as http://host:4318; needs the extra `otel`.
    Empty: none are made."""
    trace_share: float = Field(default=1.0, ge=0, le=1)
    """Of the journeys that begin here, how many are traced, from 0 to 1. Those that began elsewhere are as they were
    told."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What to log."""
    log_format: Literal["json", "console"] = "json"
    """How to log: for machines, or in colours."""

    @property
    def kafka(self) -> KafkaSettings:
        """The part that concerns Kafka.

        Raises:
            Misconfigured: no cluster is named.
        """
        if not self.kafka_bootstrap_servers:
            raise Misconfigured(
                "no Kafka cluster is named. Start a local bus with `subak up`, or set SUBAK_KAFKA_BOOTSTRAP_SERVERS."
            )
        return KafkaSettings(
            bootstrap_servers=self.kafka_bootstrap_servers,
            partitions=self.kafka_partitions,
            replication_factor=self.kafka_replication_factor,
            security=self.kafka_security,
            compression=self.kafka_compression,
            session_timeout_seconds=self.kafka_session_timeout_seconds,
            transaction_timeout_seconds=self.kafka_transaction_timeout_seconds,
        )

    @property
    def kafka_security(self) -> Security:
        """Who this process is to Kafka.

        Raises:
            Misconfigured: what is stated cannot work together.
        """
        stated = [self.kafka_password, self.kafka_password_file, self.kafka_credentials_file]
        if sum(1 for one in stated if one) > 1 or (self.kafka_user and self.kafka_credentials_file):
            raise Misconfigured(
                "the credentials for Kafka are stated twice: keep SUBAK_KAFKA_CREDENTIALS_FILE, or SUBAK_KAFKA_USER "
                "with one of SUBAK_KAFKA_PASSWORD and SUBAK_KAFKA_PASSWORD_FILE."
            )
        password = self.kafka_password
        if self.kafka_password_file is not None:
            try:
                password = self.kafka_password_file.read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                raise Misconfigured(f"SUBAK_KAFKA_PASSWORD_FILE cannot be read: {error}.") from error
        named = bool(self.kafka_user or password or self.kafka_credentials_file)
        security = Security(
            protocol=self.kafka_security_protocol,
            credentials=Credentials(user=self.kafka_user, password=password, file=self.kafka_credentials_file)
            if named
            else None,
            ca_file=self.kafka_ca_file,
            certificate_file=self.kafka_certificate_file,
            key_file=self.kafka_key_file,
        )
        security.check()
        return security

    def database(self, name: str) -> str:
        """The URL of the database of the process `name`."""
        if self.database_url:
            return self.database_url
        return f"sqlite:///{self.home.resolve() / f'{name}.sqlite3'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *args: Any,
        **sources: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the file."""
        environment = sources.get("env_settings", args[0] if args else init_settings)
        found: tuple[PydanticBaseSettingsSource, ...] = (init_settings, environment)
        if file := os.environ.get(PREFIX + "SETTINGS"):
            found = (*found, TomlConfigSettingsSource(settings_cls, Path(file)))
        return found


def read_settings(**known: Any) -> Settings:
    """The settings of this process. `known` overrides all else.

    Raises:
        Misconfigured: with every wrong or unknown setting, and the nearest that exists.
    """
    problems = [_unknown(name) for name in os.environ if _is_unknown(name)]
    file = os.environ.get(PREFIX + "SETTINGS")
    if file and not Path(file).is_file():
        problems.append(f"SUBAK_SETTINGS names {file}, which is not a file.")
    try:
        if not problems:
            return Settings(**known)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            name = ".".join(str(step) for step in detail["loc"])
            if detail["type"] == "extra_forbidden":
                problems.append(_unknown(PREFIX + name.upper()))
            else:
                problems.append(f"{PREFIX}{name.upper()}: {detail['msg']} (it is {detail['input']!r}).")
    except ValueError as error:
        problems.append(f"{file}: {error}")
    raise Misconfigured("\n".join(problems))


def _is_unknown(name: str) -> bool:
    return name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() not in Settings.model_fields


def _unknown(name: str) -> str:
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    near = get_close_matches(name, known, n=1)
    advice = f"Did you mean {near[0]}?" if near else "The reference lists all: docs/reference/settings.md."
    return f"there is no setting {name}. {advice}"
