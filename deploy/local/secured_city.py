"""A city's identities on the secured local Kafka: topics, users, rights and quotas as its directory says.

What `subak topology apply` does on a city's cluster, done at each start. Each user's credentials lie in a file;
where one was lost, they are renewed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bus.city.model import Quotas
from bus.kafka import KafkaSettings
from bus.kafka.admin import ClusterAdmin, apply, look
from bus.kafka.security import Credentials
from bus.kafka.topics import write_first_positions
from bus.runfile import RunSecurity
from bus.topics import EVENTS, POSITIONS, STAGES
from bus.topology import Shape, Standing, difference, standing_of, user_of, wanted
from bus.topology.identities import agency_identity, identities, parted
from deploy.local.secured import SecuredHome, write_credentials
from schemas.failures import Misconfigured


@dataclass(frozen=True)
class CityFiles:
    """Where each identity's credentials are."""

    home: SecuredHome
    folder: Path

    def of(self, identity: str) -> Path:
        """The credentials file of a process or (`agency-<id>`) an agency."""
        return self.folder / f"{identity}.toml"

    def of_agency(self, agency: str) -> Path:
        """The credentials file of an agency."""
        return self.of(agency_identity(agency))

    @property
    def of_run(self) -> RunSecurity:
        """Where the run file says that operators and the administrator have theirs."""
        return {
            "security_protocol": "SASL_SSL",
            "ca_file": str(self.home.ca_file),
            "operator_file": str(self.of("operator")),
            "administrator_file": str(self.home.credentials_file),
        }

    def environment(self, process: str | None) -> Mapping[str, str]:
        """What a process is told: an adapter (None) has its agencies' credentials in its own file."""
        found = {"SUBAK_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "SUBAK_KAFKA_CA_FILE": str(self.home.ca_file)}
        return found if process is None else found | {"SUBAK_KAFKA_CREDENTIALS_FILE": str(self.of(process))}


def arrange(
    settings: KafkaSettings,
    agencies: Iterable[str],
    files: CityFiles,
    quotas: Mapping[str, Quotas] = MappingProxyType({}),
) -> list[str]:
    """Make the cluster what the city asks for. Returns the topics that it created.

    Raises:
        Misconfigured: the cluster holds topics of another shape, or of agencies that are gone: they are not touched.
    """
    agencies = list(agencies)
    admin = ClusterAdmin(settings)
    found = look(admin)
    shape = Shape(
        partitions=settings.partitions,
        replication_factor=settings.replication_factor,
        min_insync_replicas=settings.min_insync_replicas,
    )
    standing = _known(standing_of(found), identities(agencies), files)
    plan = difference(wanted(agencies, shape, standing, quotas), found)
    if plan.problems:
        raise Misconfigured("\n".join(plan.problems))
    plan = plan.without([change.name for change in plan.changes if change.flag])

    def keep(user: str, password: str) -> None:
        known = parted(user)
        assert known is not None, "only identities of ours are made"
        write_credentials(files.of(known[0]), user, password)

    apply(admin, plan, keep)
    created = sorted(change.name for change in plan.changes if change.act == "create" and change.what == "topic")
    if {EVENTS, POSITIONS} <= set(created):
        asyncio.run(write_first_positions(settings, STAGES))
    return created


def _known(standing: Standing, names: Iterable[str], files: CityFiles) -> Standing:
    """With new credentials for each identity whose file is lost."""
    for identity in names:
        if identity in standing.suspended or not standing.numbers.get(identity):
            continue
        try:
            user, _ = Credentials(file=files.of(identity)).read()
        except Misconfigured:
            user = ""
        if user not in {user_of(identity, number) for number in standing.numbers[identity]}:
            standing = standing.with_next(identity).with_newest(identity)
    return standing
