"""docs/how-to/put-it-on-your-cluster.md can be followed word for word, and each command refuses what it must."""

from __future__ import annotations

import json
import re
import shutil
import stat
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from bus.kafka import KafkaSettings
from bus.kafka.admin import ClusterAdmin, look
from bus.kafka.security import Credentials, Security
from deploy.local.kafka import LocalKafka
from tests.identity.desk import HOW_TO, Desk, blocks

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = (HOW_TO / "put-it-on-your-cluster.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with LocalKafka(tmp_path_factory.mktemp("cluster"), secure=True) as kafka:
        assert kafka.secured is not None
        shutil.copy(kafka.secured.ca_file, folder / "ca.pem")
        shutil.copy(kafka.secured.credentials_file, folder / "admin.toml")
        (text,) = blocks(PAGE, "toml")
        text = re.sub(r'"kafka-1.*"', f'"{kafka.bootstrap_servers}"', text)
        text = text.replace("= 12", "= 2").replace("= 3", "= 1")
        (folder / "operations.toml").write_text(text)
        yield Desk(folder, {"SUBAK_SETTINGS": "operations.toml"})


def test_users_are_not_made_where_nobody_would_know_their_passwords(desk: Desk) -> None:
    assert "users to be made: 15" in desk.run("subak topology apply", code=78)
    found = json.loads(desk.run("subak topology plan --json", code=1))
    assert {change["act"] for change in found["changes"]} == {"create"}


def test_each_command_of_the_page_works_in_its_order(desk: Desk) -> None:
    lines = [line for block in blocks(PAGE, "sh") for line in block.splitlines()]
    assert len(lines) == 11
    said = {}
    for line in lines:
        said[line] = desk.run_for_a_while(line) if "subak run" in line else desk.run(line)
    assert "All is well." in said["subak doctor"]
    assert "The cluster is as the city's directory asks." in said["subak topology plan"]
    secrets = sorted((desk.folder / "secrets").iterdir())
    assert len(secrets) == 15
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    user, _ = Credentials(file=desk.folder / "secrets" / "agency-public-works.toml").read()
    assert user == "agency-public-works.3", "a suspended agency comes back under a user that it never had"


def test_old_credentials_are_refused_after_the_change_and_a_mistake_is_told(desk: Desk) -> None:
    secret = "secrets/agency-utilities.toml"
    shutil.copy(desk.folder / secret, desk.folder / "old.toml")
    as_old = "SUBAK_KAFKA_CREDENTIALS_FILE=old.toml subak doctor"
    desk.run(f"subak agency rotate utilities --out {secret}")
    assert "as the user agency-utilities.1" in desk.run(as_old, code=1), "both work until the end of the change"
    assert "End that change first" in desk.run("subak agency rotate utilities", code=78)
    desk.run("subak agency rotate utilities --finish")
    assert "does not take the user agency-utilities.1" in desk.run(as_old, code=1)
    assert "nothing older" in desk.run("subak agency rotate utilities --finish", code=78)
    assert 'Did you mean "utilities"?' in desk.run("subak agency suspend utilitys", code=78)
    assert "has credentials already" in desk.run("subak agency add utilities", code=78)
    assert "stands in the city's agencies.toml" in desk.run("subak agency remove utilities", code=78)


def test_what_loses_events_is_refused_until_it_is_named(desk: Desk) -> None:
    city = Path(__file__).parents[2] / "deploy" / "cities" / "san-francisco"
    shutil.copytree(city, desk.folder / "smaller")
    agencies = desk.folder / "smaller" / "agencies.toml"
    text = agencies.read_text(encoding="utf-8")
    agencies.write_text(text + _one_more("harbour"), encoding="utf-8")
    with_more = "SUBAK_CITY=smaller subak topology"
    desk.run(f"{with_more} apply --credentials secrets")
    refused = desk.run("subak topology apply", code=78)
    assert "agency-harbour-in: it would be deleted. Say so with --delete-topic agency-harbour-in" in refused
    assert "needs --delete-topic agency-harbour-in" in desk.run("subak topology plan", code=1)
    assert "is gone" in desk.run("subak agency remove harbour")
    desk.run("subak topology apply --leave agency-harbour-in --delete-topic agency-harbour-out")
    desk.run("subak topology apply --delete-topic agency-harbour-in")
    assert "as the city's directory asks" in desk.run("subak topology plan")


def test_a_shorter_retention_is_refused_until_the_topic_is_named(desk: Desk) -> None:
    kept = "agency-health-in"
    _keep_longer(desk, kept)
    shrinks = "would go from 2592000000 to 1209600000"
    assert f"needs --shrink-retention {kept}" in desk.run("subak topology plan", code=1)
    refused = desk.run("subak topology apply", code=78)
    assert "nothing was changed" in refused
    assert f"{kept}: retention.ms {shrinks}. Say so with --shrink-retention {kept}" in refused
    other = desk.run("subak topology apply --shrink-retention agency-health-out", code=78)
    assert f"--shrink-retention {kept}" in other, "the name of another topic is no consent"
    desk.run(f"subak topology apply --leave {kept}")
    assert f"needs --shrink-retention {kept}" in desk.run("subak topology plan", code=1), "it was left as it is"
    desk.run(f"subak topology apply --shrink-retention {kept}")
    assert "as the city's directory asks" in desk.run("subak topology plan")


def test_the_doctor_finds_a_missing_topic_and_a_cluster_that_is_away(desk: Desk) -> None:
    found = json.loads(desk.run("SUBAK_KAFKA_PARTITIONS=3 subak doctor --json", code=1))
    assert not found["well"]
    assert any("has 2 partitions and the bus 3" in finding["what"] for finding in found["findings"])
    away = desk.run("SUBAK_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1 subak doctor", code=1)
    assert "Is the broker running" in away
    assert "speaks TLS" in desk.run("env -u SUBAK_SETTINGS " + _plain(desk) + " subak doctor", code=1)


def _plain(desk: Desk) -> str:
    servers = re.search(r'kafka_bootstrap_servers = "(.*)"', (desk.folder / "operations.toml").read_text())
    assert servers is not None
    return f"SUBAK_CITY=san-francisco SUBAK_KAFKA_BOOTSTRAP_SERVERS={servers[1]}"


def _one_more(id: str) -> str:
    names = 'name.en = "Harbour"\nname.es = "Puerto"'
    return f'\n[[agency]]\nid = "{id}"\n{names}\nlevel = "city"\nparent = "city-administrator"\nroles = ["approver"]\n'


def _keep_longer(desk: Desk, topic: str) -> None:
    """Somebody lets a topic keep thirty days; the directory asks for two weeks."""
    said = tomllib.loads((desk.folder / "operations.toml").read_text())
    security = Security(
        protocol="SASL_SSL", ca_file=desk.folder / "ca.pem", credentials=Credentials(file=desk.folder / "admin.toml")
    )
    admin = ClusterAdmin(
        KafkaSettings(bootstrap_servers=said["kafka_bootstrap_servers"], partitions=2, security=security)
    )
    longer = ConfigEntry("retention.ms", "2592000000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[longer])
    for future in admin.client.incremental_alter_configs([resource]).values():
        future.result(30)
    deadline = time.monotonic() + 30
    while look(admin).topics[topic].settings.get("retention.ms") != longer.value:
        assert time.monotonic() < deadline, "Kafka has not done it"
        time.sleep(0.2)
