"""Where the bus is: what the settings say, and else what `subak up` has left in the run file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from bus.city import City, city_path, load_city
from bus.kafka.settings import KafkaSettings
from bus.runfile import RunFile
from bus.settings import Settings, read_settings
from schemas.failures import Misconfigured


@dataclass(frozen=True)
class Whereabouts:
    """How the operator's commands reach one bus."""

    settings: Settings

    @classmethod
    def here(cls) -> Whereabouts:
        """As this environment says.

        Raises:
            Misconfigured: a setting is wrong.
        """
        return cls(read_settings())

    @cached_property
    def casebook_url(self) -> str:
        """The casebook's API.

        Raises:
            Misconfigured: nothing says where it is.
        """
        if self.settings.casebook_url:
            return self.settings.casebook_url.rstrip("/")
        if self.settings.kafka_bootstrap_servers and self._run is None:
            raise Misconfigured(
                "SUBAK_KAFKA_BOOTSTRAP_SERVERS names a cluster, and nothing says where its casebook is. "
                "Set SUBAK_CASEBOOK_URL, such as http://casebook:8000."
            )
        return self._running.casebook_url

    @cached_property
    def kafka(self) -> KafkaSettings:
        """The cluster.

        Raises:
            Misconfigured: none is named, and no local bus runs.
        """
        return self._kafka(administration=False)

    @cached_property
    def administration(self) -> KafkaSettings:
        """The cluster for whoever administers it: of a local secured bus the administrator, else as the settings say.

        Raises:
            Misconfigured: none is named, and no local bus runs.
        """
        return self._kafka(administration=True)

    def _kafka(self, *, administration: bool) -> KafkaSettings:
        if self.settings.kafka_bootstrap_servers:
            return self.settings.kafka
        run = self._running
        known = {
            "kafka_bootstrap_servers": run.bootstrap_servers,
            "kafka_partitions": run.partitions,
            "kafka_replication_factor": run.replication_factor,
        }
        kafka = self.settings.model_copy(update=known).kafka
        return replace(kafka, security=run.security(administration=administration))

    @cached_property
    def city(self) -> City:
        """The city whose bus it is: the local bus's own, or the settings'.

        Raises:
            Misconfigured: its files are wrong.
        """
        local = self._run if not self.settings.kafka_bootstrap_servers else None
        return load_city(city_path(local.city if local is not None else self.settings.city))

    @cached_property
    def adapters(self) -> dict[str, dict[str, str]]:
        """Agency → `url` and `token` of its adapter, for the local bus; none where a cluster is named."""
        local = self._run if not self.settings.kafka_bootstrap_servers else None
        return local.adapters if local is not None else {}

    @cached_property
    def _run(self) -> RunFile | None:
        try:
            return self._running
        except Misconfigured:
            return None

    @property
    def _running(self) -> RunFile:
        return RunFile.load(self.settings.home)
