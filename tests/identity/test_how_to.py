"""docs/how-to/put-it-on-your-cluster.md can be followed word for word, and each command refuses what it must."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bus.kafka.security import Credentials
from deploy.local.kafka import LocalKafka

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "put-it-on-your-cluster.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Desk:
    """An operator's folder, with the cluster's CA, the administrator's file and operations.toml."""

    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SUBAK_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return kept | {"SUBAK_SETTINGS": "operations.toml", "PATH": path}

    def run(self, line: str, *, code: int = 0) -> str:
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, (line, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def run_for_a_while(self, line: str) -> str:
        """A process that runs until SIGTERM: started, waited for until it is at work, and stopped."""
        log = self.folder / "process.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {line}"], cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
            deadline = time.monotonic() + 120
            while "lane_ready" not in log.read_text() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()
        return log.read_text()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with LocalKafka(tmp_path_factory.mktemp("cluster"), secure=True) as kafka:
        assert kafka.secured is not None
        shutil.copy(kafka.secured.ca_file, folder / "ca.pem")
        shutil.copy(kafka.secured.credentials_file, folder / "admin.toml")
        (text,) = blocks("toml")
        text = re.sub(r'"kafka-1.*"', f'"{kafka.bootstrap_servers}"', text)
        text = text.replace("= 12", "= 2").replace("= 3", "= 1")
        (folder / "operations.toml").write_text(text)
        yield Desk(folder)


def test_users_are_not_made_where_nobody_would_know_their_passwords(desk: Desk) -> None:
    assert "15 users would be made" in desk.run("subak topology apply", code=78)
    found = json.loads(desk.run("subak topology plan --json", code=1))
    assert {change["act"] for change in found["changes"]} == {"create"}


def test_each_command_of_the_page_works_in_its_order(desk: Desk) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
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
