"""Who is not who it says, or speaks in plaintext, comes nowhere, and is told why in a sentence that says what to do."""

from __future__ import annotations

import os
import stat
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from bus.kafka import KafkaSettings, NotAllowed, Output, TopicReader, TransactionalProducer, ends, ensure_topics
from bus.kafka.reader import partitions_of
from bus.kafka.refusal import why_refused
from bus.kafka.security import Credentials, Security
from bus.settings import read_settings
from deploy.local.certificates import Authority
from deploy.local.children import Child
from deploy.local.kafka import LocalKafka
from deploy.local.secured import write_credentials
from deploy.local.waiting import wait_until_known
from schemas.failures import Misconfigured

pytestmark = pytest.mark.kafka


def at(kafka: LocalKafka, security: Security, *, mutual: bool = False) -> KafkaSettings:
    servers = kafka.mutual_servers if mutual else kafka.bootstrap_servers
    return KafkaSettings(bootstrap_servers=servers, partitions=2, security=security)


def refusals(kafka: LocalKafka) -> int:
    """How often the broker has logged that it refused somebody."""
    return kafka.log.read_text(encoding="utf-8").count("Failed authentication")


async def test_the_administrator_writes_in_transactions_and_reads_over_tls(secured: LocalKafka) -> None:
    settings = at(secured, secured.security)
    await ensure_topics(settings, ["tls"])
    producer = TransactionalProducer(settings, transactional_id="tls")
    await producer.start()
    await producer.commit([Output("agency-tls-out", b"k", b"v", [])], {}, "tls")
    await producer.stop()
    reader = TopicReader(settings, name="tls")
    await reader.start(partitions_of(["agency-tls-out"], 2))
    assert [record.value async for records in reader.to_end() for record in records] == [b"v"]
    await reader.stop()
    assert await why_refused(settings) is None


async def test_a_certificate_of_the_citys_ca_is_a_user_too(secured: LocalKafka) -> None:
    assert secured.secured is not None
    own = secured.secured.authority.issue("admin")
    security = Security(
        protocol="SSL",
        ca_file=secured.secured.ca_file,
        certificate_file=own.certificate,
        key_file=own.key,
    )
    settings = at(secured, security, mutual=True)
    await ensure_topics(settings, ["mutual"])
    assert await why_refused(settings) is None


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("plaintext", "speaks TLS, and this process plaintext"),
        ("old password", "does not take the user admin: its password is wrong or old"),
        ("unknown user", "does not take the user nobody"),
        ("another CA", "shows a certificate that this process does not trust"),
        ("foreign certificate", "refuses the certificate of this process"),
        ("ended certificate", "refuses the certificate of this process"),
        ("no certificate", "refuses the certificate of this process"),
    ],
)
async def test_each_wall_refuses_in_words_and_the_brokers_log_has_it(
    secured: LocalKafka, tmp_path: Path, case: str, says: str
) -> None:
    assert secured.secured is not None
    authority, ca = secured.secured.authority, secured.secured.ca_file
    foreign = Authority(tmp_path)
    old = Credentials(user="admin", password="of-yesterday")
    ended = authority.issue("ended", valid=timedelta(days=-1))
    own = foreign.issue("admin")
    security = {
        "plaintext": Security(),
        "old password": Security(protocol="SASL_SSL", ca_file=ca, credentials=old),
        "unknown user": Security(protocol="SASL_SSL", ca_file=ca, credentials=Credentials(user="nobody", password="x")),
        "another CA": Security(protocol="SASL_SSL", ca_file=foreign.file, credentials=old),
        "foreign certificate": Security(protocol="SSL", ca_file=ca, certificate_file=own.certificate, key_file=own.key),
        "ended certificate": Security(
            protocol="SSL", ca_file=ca, certificate_file=ended.certificate, key_file=ended.key
        ),
        "no certificate": Security(protocol="SSL", ca_file=ca),
    }[case]
    before = refusals(secured)
    with pytest.raises(NotAllowed, match=says):
        await ends(at(secured, security, mutual=security.protocol == "SSL"), ["city-events"])
    with pytest.raises(NotAllowed, match=says):
        await TransactionalProducer(
            at(secured, security, mutual=security.protocol == "SSL"), transactional_id="wall"
        ).start()
    with pytest.raises(NotAllowed, match=says):
        await ensure_topics(at(secured, security, mutual=security.protocol == "SSL"), ["wall"])
    deadline = time.monotonic() + 5
    while (seen := refusals(secured)) == before and case != "another CA" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert seen > before or case == "another CA", "there this process refuses, and tells the broker nothing"


async def test_a_secured_process_is_told_that_the_broker_is_plain(secured: LocalKafka, kafka: LocalKafka) -> None:
    assert secured.secured is not None
    with pytest.raises(NotAllowed, match="speaks no TLS"):
        await ends(at(kafka, secured.security), ["city-events"])


async def test_credentials_that_were_replaced_count_for_the_next_client(secured: LocalKafka, tmp_path: Path) -> None:
    assert secured.secured is not None
    file = tmp_path / "who.toml"
    settings = at(secured, secured.secured.user(file))
    write_credentials(file, "admin", "wrong")
    assert "wrong or old" in (await why_refused(settings) or "")
    write_credentials(file, *Credentials(file=secured.secured.credentials_file).read())
    assert await why_refused(settings) is None


def test_secrets_of_the_local_kafka_are_its_owners_alone(secured: LocalKafka) -> None:
    for name in ("ca.key", "broker.key", "broker.store.pem", "admin.toml"):
        assert stat.S_IMODE((secured.home / "security" / name).stat().st_mode) == 0o600, name
    command = Path(f"/proc/{secured.pid}/cmdline").read_bytes().decode()
    assert Credentials(file=secured.home / "security" / "admin.toml").read()[1] not in command


def test_data_that_were_made_secured_are_not_opened_in_plaintext(secured: LocalKafka, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("version=1\n")
    with pytest.raises(Misconfigured, match="made in plaintext, and stays so"):
        LocalKafka(tmp_path, secure=True).start()
    (tmp_path / "security").mkdir()
    with pytest.raises(Misconfigured, match=r"made secured, and stays so\. Start it with --secure"):
        LocalKafka(tmp_path).start()


def test_a_password_is_in_no_representation_and_no_command_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBAK_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9093")
    monkeypatch.setenv("SUBAK_KAFKA_USER", "gateway.1")
    monkeypatch.setenv("SUBAK_KAFKA_PASSWORD", "the-secret")
    settings = read_settings()
    assert settings.kafka.security.credentials == Credentials(user="gateway.1", password="the-secret")
    assert "the-secret" not in repr(settings) + repr(settings.kafka)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "needs a user and its password"),
        ({"SECURITY_PROTOCOL": "SSL"}, "client's certificate says who it is"),
        ({"USER": "a", "PASSWORD": "b"}, "protocol is PLAINTEXT"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "USER": "a", "CREDENTIALS_FILE": "f"}, "stated twice"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "USER": "a", "PASSWORD_FILE": "/nowhere"}, "cannot be read"),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "USER": "a", "PASSWORD": "b", "KEY_FILE": "k"}, "belong together"),
        ({"SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL"),
    ],
)
def test_security_settings_that_cannot_work_are_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], says: str
) -> None:
    for name in [name for name in os.environ if name.startswith("SUBAK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9093")
    for name, value in environment.items():
        monkeypatch.setenv(f"SUBAK_KAFKA_{name}", value)
    with pytest.raises(Misconfigured, match=says):
        assert read_settings().kafka.client("x")


@pytest.mark.parametrize("text", ["", 'user = "a"', "password = 1\nuser = 2", "not toml ="])
def test_a_credentials_file_that_is_none_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(Misconfigured, match=r"user = .* password = "):
        Credentials(file=file).read()


async def test_a_secured_broker_comes_back_from_a_kill(secured: LocalKafka) -> None:
    settings = at(secured, secured.security)
    await ensure_topics(settings, ["killed"])
    secured.kill()
    secured.start()
    assert await ensure_topics(settings, ["killed"]) == []


async def test_a_broker_that_does_not_know_its_administrator_is_started_once_more(
    secured: LocalKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def forgetful(broker: Child, administrator: KafkaSettings, *, seconds: float) -> bool:
        asked.append(broker.pid)
        return len(asked) > 1 and wait_until_known(broker, administrator, seconds=seconds)

    monkeypatch.setattr("deploy.local.kafka.wait_until_known", forgetful)
    secured.kill()
    secured.start()
    assert len(set(asked)) == 2
    assert secured.pid == asked[-1]
    assert not psutil.pid_exists(asked[0])
    await ensure_topics(at(secured, secured.security), ["known"])
