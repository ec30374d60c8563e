"""`subak doctor` finds each thing that it says it finds: every one is provoked on a real, secured Kafka, and healed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from bus.city import City, city_path, load_city
from bus.kafka import KafkaSettings, TransactionalProducer, ends, group_positions
from bus.kafka.admin import ClusterAdmin, look
from bus.kafka.admin.acting import _exactly
from bus.records import Output
from bus.topics import EVENTS, POSITIONS, in_topic
from deploy.local.certificates import Authority
from deploy.local.kafka import LocalKafka
from deploy.local.ports import HOST, free_ports
from deploy.local.secured import write_credentials
from deploy.local.secured_city import CityFiles, arrange
from services.cli import doctor, examining
from services.cli.examining import Finding

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Clinic:
    """A bus with nobody at work on it, and the environment in which its operator asks."""

    kafka: LocalKafka
    settings: KafkaSettings
    city: City
    files: CityFiles
    patch: pytest.MonkeyPatch

    @cached_property
    def admin(self) -> Any:
        return ClusterAdmin(self.settings).client

    def findings(self) -> list[Finding]:
        return list(doctor._examine())

    def ill(self) -> list[Finding]:
        return [finding for finding in self.findings() if finding.level != "ok"]

    def say(self, **settings: object) -> None:
        for name, value in settings.items():
            self.patch.setenv(f"SUBAK_{name.upper()}", str(value))

    def heal(self) -> None:
        """What `subak topology apply` does; nothing is wrong with the topology afterwards."""
        arrange(self.settings, self.city.agencies, self.files)
        assert [one for one in self.findings() if one.about == "topology"] == [
            Finding(
                about="topology", level="ok", what="topics, settings, users, rights and quotas are as the city asks"
            )
        ]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path_factory.mktemp("clinic"), secure=True) as kafka:
        yield kafka


@pytest.fixture
def clinic(kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Clinic:
    assert kafka.secured is not None
    city = load_city(city_path("san-francisco"))
    settings = KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers, partitions=1, compression="none", security=kafka.security
    )
    files = CityFiles(kafka.secured, kafka.home / "credentials")
    arrange(settings, city.agencies, files)
    clinic = Clinic(kafka, settings, city, files, monkeypatch)
    clinic.say(
        city="san-francisco",
        home=tmp_path,
        kafka_bootstrap_servers=kafka.bootstrap_servers,
        kafka_partitions=1,
        kafka_replication_factor=1,
        kafka_security_protocol="SASL_SSL",
        kafka_ca_file=kafka.secured.ca_file,
        kafka_credentials_file=kafka.secured.credentials_file,
    )
    return clinic


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, found
    return found[0]


def test_a_bus_that_is_well_is_said_to_be_well(clinic: Clinic) -> None:
    assert {finding.level for finding in clinic.findings()} == {"ok"}
    assert {finding.about for finding in clinic.findings()} == {"disk", "kafka", "topology", "copies", "positions"}


def test_a_broker_that_does_not_answer_is_named_and_stops_nothing(clinic: Clinic, tmp_path: Path) -> None:
    (closed,) = free_ports(1)
    clinic.say(kafka_bootstrap_servers=f"{clinic.kafka.bootstrap_servers},{HOST}:{closed}")
    found = only(clinic.ill())
    assert (found.about, found.level) == ("kafka", "warning")
    assert found.what == f"the broker at {HOST}:{closed} does not answer"
    names = {f"{HOST}:{closed}": "kafka-2"}
    settings = replace(clinic.settings, bootstrap_servers=f"{clinic.kafka.bootstrap_servers},{HOST}:{closed}")
    assert only(list(examining.brokers(settings, names))).what == f"kafka-2 at {HOST}:{closed} does not answer"


def test_what_is_only_behind_is_not_called_well() -> None:
    assert "All is well" in doctor._verdict(0, 0)
    assert "2 things need a look" in doctor._verdict(0, 2)
    assert "1 thing is wrong" in doctor._verdict(1, 2)


def test_a_topic_that_is_missing_and_the_positions_that_are_gone(clinic: Clinic) -> None:
    gone = sorted([in_topic("public-works"), POSITIONS])
    for future in clinic.admin.delete_topics(gone).values():
        future.result(30)
    _until(lambda: len(look(ClusterAdmin(clinic.settings)).topics) == len(list(clinic.city.topics())) - 2)
    found = only([one for one in clinic.ill() if one.about == "topology"])
    assert (found.level, found.what) == ("wrong", f"2 topics missing: {gone[0]}, {gone[1]}")
    assert "subak topology apply" in found.fix
    clinic.heal()


def test_a_setting_that_somebody_changed(clinic: Clinic) -> None:
    entry = ConfigEntry("min.insync.replicas", "2", incremental_operation=AlterConfigOpType.SET)
    _alter(clinic, entry)
    found = only([one for one in clinic.ill() if one.about == "topology"])
    assert (found.level, found.what) == ("wrong", f"1 settings set wrongly: {EVENTS} min.insync.replicas=2")
    clinic.heal()


def test_a_right_that_is_missing_and_one_too_many(clinic: Clinic) -> None:
    admin = ClusterAdmin(clinic.settings)
    grant = next(one for one in sorted(look(admin).grants) if one.user.startswith("router") and one.kind == "topic")
    before = look(admin).grants
    for future in admin.client.delete_acls([_exactly(grant)]).values():
        future.result(30)
    _until(lambda: grant not in look(admin).grants)
    found = only([one for one in clinic.ill() if one.about == "topology"])
    assert found.what == f"1 grants missing: {grant.words}"
    clinic.heal()
    assert look(admin).grants == before

    binding = AclBinding(
        ResourceType.TOPIC,
        EVENTS,
        ResourcePatternType.LITERAL,
        "User:somebody",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    for future in admin.client.create_acls([binding]).values():
        future.result(30)
    _until(lambda: any(one.user == "somebody" for one in look(admin).grants))
    noted = only([one for one in clinic.ill() if one.about == "topology"])
    assert noted.level == "warning"
    assert "somebody" in noted.what
    assert "which no directory gave" in noted.what
    for future in admin.client.delete_acls(
        [
            AclBindingFilter(
                ResourceType.TOPIC,
                EVENTS,
                ResourcePatternType.LITERAL,
                "User:somebody",
                "*",
                AclOperation.READ,
                AclPermissionType.ALLOW,
            )
        ]
    ).values():
        future.result(30)


def test_a_user_whose_agency_is_gone(clinic: Clinic) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 8192)
    made = UserScramCredentialUpsertion("agency-harbour.1", info, b"a password of nobody")
    for future in clinic.admin.alter_user_scram_credentials([made]).values():
        future.result(30)
    _until(lambda: "agency-harbour.1" in look(ClusterAdmin(clinic.settings)).users)
    found = only([one for one in clinic.ill() if one.about == "topology"])
    assert found.what == "1 users to be taken away: agency-harbour.1"
    clinic.heal()


def test_another_number_of_partitions_and_fewer_copies_than_the_bus_asks_for(clinic: Clinic) -> None:
    clinic.say(kafka_partitions=2, kafka_replication_factor=3)
    found = clinic.ill()
    assert any("has 1 partitions and the bus 2" in one.what for one in found)
    assert any("has 1 copies and should have 3" in one.what for one in found)
    copies = only([one for one in found if one.about == "copies"])
    assert copies.level == "wrong"
    assert "take no writes, since too few copies are in sync" in copies.what


@pytest.mark.parametrize("case", ["away", "password", "authority", "plaintext", "nowhere"])
def test_a_cluster_that_does_not_take_us_is_told_apart(clinic: Clinic, tmp_path: Path, case: str) -> None:
    expected = {
        "away": "did not answer",
        "password": "does not take the user operator.1: its password is wrong or old",
        "authority": "shows a certificate that this process does not trust",
        "plaintext": "speaks TLS, and this process plaintext",
        "nowhere": "no bus runs in",
    }[case]
    if case == "away":
        clinic.say(kafka_bootstrap_servers=f"{HOST}:{free_ports(1)[0]}")
    elif case == "password":
        write_credentials(tmp_path / "wrong.toml", "operator.1", "not this one")
        clinic.say(kafka_credentials_file=tmp_path / "wrong.toml")
    elif case == "authority":
        clinic.say(kafka_ca_file=Authority(tmp_path / "foreign").file)
    elif case == "plaintext":
        for name in ("SECURITY_PROTOCOL", "CA_FILE", "CREDENTIALS_FILE"):
            clinic.patch.delenv(f"SUBAK_KAFKA_{name}")
    else:
        clinic.patch.delenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS")
    found = only([one for one in clinic.findings() if one.about == "kafka"])
    assert found.level == "wrong"
    assert expected in found.what
    assert found.fix or case == "nowhere"


def test_who_may_not_administer_is_told_that_the_topology_was_not_looked_at(clinic: Clinic) -> None:
    clinic.say(kafka_credentials_file=clinic.files.of("gateway"))
    found = only([one for one in clinic.findings() if one.about == "topology"])
    assert (found.level, "not looked at" in found.what) == ("warning", True)


def test_a_stage_that_stands_has_no_position_or_stands_before_the_beginning(clinic: Clinic) -> None:
    asyncio.run(_write(clinic.settings))
    clinic.patch.setattr(examining, "STANDS_SECONDS", 0.5)
    time.sleep(1)
    found = [one for one in clinic.ill() if one.about == "positions"]
    said = " | ".join(one.what for one in found)
    assert "workflows stands: its oldest record has waited for" in said
    assert "Kafka holds no position of router, though the log is used" in said
    assert any("subak topics create --first-start router" in one.fix for one in found)

    for stage in ("workflows", "router"):
        asyncio.run(_commit(clinic.settings, stage))
    (end,) = clinic.admin.list_offsets({TopicPartition(EVENTS, 0): OffsetSpec.latest()}).values()
    for future in clinic.admin.delete_records([TopicPartition(EVENTS, 0, end.result(30).offset)]).values():
        future.result(30)
    _until(lambda: asyncio.run(ends(clinic.settings, [EVENTS]))[EVENTS, 0][0] > 0)
    _until(lambda: {"workflows", "router"} <= set(asyncio.run(group_positions(clinic.settings))))
    found = [one for one in clinic.ill() if one.about == "positions"]
    assert [one.what for one in found if "before the beginning" in one.what] == [
        f"{stage} stands before the beginning of {EVENTS}: events were removed before it read them"
        for stage in ("workflows", "router")
    ]
    assert all("Restore the log" in one.fix for one in found if "before the beginning" in one.what)


@pytest.mark.parametrize(
    ("process", "says"),
    [
        ({}, "ready at"),
        ({"ready": 503, "body": b'{"output": "partitions [0] are being claimed"}'}, "not ready: partitions [0] are"),
        ({"ready": 503, "body": b"<html>"}, "not ready: it gives no reason"),
        ({"ahead": 3600.0}, " ahead of this machine's"),
        ({"ahead": -3600.0}, " behind this machine's"),
        ({"age": 400}, "the relay of parks waits: its oldest event is 400 s old"),
        (None, "it does not answer at"),
    ],
)
def test_a_process_is_asked_and_what_is_wrong_with_it_is_told(process: dict[str, Any] | None, says: str) -> None:
    if process is None:
        found = list(examining.process("adapter", f"http://{HOST}:{free_ports(1)[0]}"))
    else:
        with _serving(**process) as url:
            found = list(examining.process("adapter", url))
    told = [one for one in found if says in one.what]
    assert told, found
    assert told[0].level == ("ok" if process == {} else "wrong")
    assert told[0].fix or process == {}


def test_a_disk_that_fills(clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examining.disk(tmp_path / "not" / "there").level == "ok"
    monkeypatch.setattr(examining, "FREE_BYTES_MIN", 2**62)
    assert only([one for one in clinic.ill() if one.about == "disk"]).fix == "A full disk stops a broker. Make room."


# -- how it is provoked


def _alter(clinic: Clinic, entry: ConfigEntry) -> None:
    resource = ConfigResource(ResourceType.TOPIC, EVENTS, incremental_configs=[entry])
    for future in clinic.admin.incremental_alter_configs([resource]).values():
        future.result(30)
    _until(
        lambda: look(ClusterAdmin(clinic.settings)).topics[EVENTS].settings.get(entry.name) == entry.value,
    )


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "Kafka has not done it"
        time.sleep(0.2)


async def _commit(settings: KafkaSettings, group: str) -> None:
    """The group stands at the beginning of the log."""
    producer = TransactionalProducer(settings, transactional_id=f"doctor-{group}")
    await producer.start()
    try:
        await producer.commit([], {(EVENTS, 0): 0}, group)
    finally:
        await producer.stop()


async def _write(settings: KafkaSettings) -> None:
    producer = TransactionalProducer(replace(settings, client_id="doctor"), transactional_id="doctor")
    await producer.start()
    try:
        await producer.commit([Output(EVENTS, b"case", b"{}", [], 0)], {}, "doctor")
    finally:
        await producer.stop()


class _serving:
    """A process as the doctor sees it, for one `with`."""

    def __init__(self, *, ready: int = 200, body: bytes = b"{}", ahead: float = 0.0, age: float = 0.0) -> None:
        metrics = b'subak_outbox_oldest_age_seconds{agency="parks"} %d\n' % age

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response_only(200 if self.path == "/metrics" else ready)
                self.send_header("Date", formatdate(time.time() + ahead, usegmt=True))
                self.end_headers()
                self.wfile.write(metrics if self.path == "/metrics" else body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer((HOST, 0), Answers)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://{HOST}:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
