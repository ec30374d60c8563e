"""adapter.toml is read whole or not at all, and whoever wrote it wrong is told everything at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.config import AdapterConfig
from schemas.failures import Misconfigured

SAMPLE = Path(__file__).parents[2] / "adapters" / "adapter-sample.toml"
ENVIRONMENT = {"PUBLIC_WORKS_TOKEN": "t" * 32, "PUBLIC_WORKS_WEBHOOK_SECRET": "s" * 32}

GOOD = """
[adapter]
name = "wards"
listen = "127.0.0.1:0"

[[agency]]
id = "ward-one"
token = "0123456789abcdef"
"""


def load(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> AdapterConfig:
    path = tmp_path / "adapter.toml"
    path.write_text(text, encoding="utf-8")
    return AdapterConfig.load(path, environment or {})


def test_the_sample_is_a_whole_configuration() -> None:
    config = AdapterConfig.load(SAMPLE, ENVIRONMENT)
    assert config.agencies[0].webhook is not None
    assert config.agencies[0].token == "t" * 32
    assert config.database_url == f"sqlite:///{SAMPLE.parent / 'public-works.sqlite3'}"


def test_one_process_serves_many_agencies_each_with_its_own_token(tmp_path: Path) -> None:
    more = '[[agency]]\nid = "ward-two"\ntoken_env = "WARD_TWO"\n'
    config = load(tmp_path, GOOD + more, {"WARD_TWO": "fedcba9876543210"})
    assert [agency.token for agency in config.agencies] == ["0123456789abcdef", "fedcba9876543210"]
    assert config.database_url == f"sqlite:///{tmp_path / 'wards.sqlite3'}"


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD + '[agency.webhook]\nurl = "https://a.example/e"\nsecret = "' + "s" * 24 + '"\n')
    assert "0123456789abcdef" not in repr(config)
    assert "s" * 24 not in repr(config)


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (("listen", "lisen"), ['adapter.lisen: there is no such key. Did you mean "listen"?']),
        (("token =", "tokn ="), ['agency[1].tokn: there is no such key. Did you mean "token"?']),
        (("[[agency]]", "[[agenci]]"), ['agenci: there is no such key. Did you mean "agency"?', "agency: this key is"]),
        (('"127.0.0.1:0"', '"127.0.0.1:99999"'), ["is not host:port"]),
        (('"0123456789abcdef"', '"short"'), ["token has 5 characters, fewer than 16"]),
        (('token = "0123456789abcdef"', ""), ["token is missing: give exactly one of token, token_env or token_file"]),
        (('token = "0123456789abcdef"', 'token_env = "NOBODY"'), ["variable NOBODY, which is not set"]),
        (('token = "0123456789abcdef"', 'token_file = "none"'), ["which cannot be read"]),
        (('"ward-one"', '"Ward One"'), ["agency[1].id"]),
        (
            ('name = "wards"', 'name = "wards"\ndatabase = "mysql://x"'),
            ["database must be sqlite:///<file> or postgresql"],
        ),
        (("[adapter]", "[adapter"), ["is not TOML"]),
    ],
)
def test_what_is_wrong_is_said_with_its_key_and_what_to_do(
    tmp_path: Path, change: tuple[str, str], sentences: list[str]
) -> None:
    with pytest.raises(Misconfigured) as caught:
        load(tmp_path, GOOD.replace(*change))
    for sentence in sentences:
        assert sentence in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("listen", "lisen") + '[[agency]]\nid = "ward-two"\n[agency.webhook]\nurl = "ftp://x"\n'
    with pytest.raises(Misconfigured) as caught:
        load(tmp_path, text)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2, lines
    assert "url" in lines[1]


def test_an_agency_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match='agency "ward-one" stands 2 times'):
        load(tmp_path, GOOD + '[[agency]]\nid = "ward-one"\ntoken = "0123456789abcdef"\n')


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [("whsec_!!!", "not base64"), ("whsec_c2hvcnQ=", "secret has 5 bytes"), ("too short", "secret has 9 bytes")],
)
def test_a_weak_signing_secret_is_refused(tmp_path: Path, secret: str, sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        load(tmp_path, GOOD + f'[agency.webhook]\nurl = "https://a.example/e"\nsecret = "{secret}"\n')


def test_secrets_come_from_the_environment_or_from_files_and_are_never_shown(tmp_path: Path) -> None:
    secret, token = "a-secret-that-is-long-enough-too", "a-token-that-is-long-enough"
    (tmp_path / "secret.txt").write_text(f"{secret}\n", encoding="utf-8")
    (tmp_path / "adapter.toml").write_text(
        """
[adapter]
name = "works"
[[agency]]
id = "public-works"
token_env = "WORKS_TOKEN"
  [agency.webhook]
  url = "https://works.example/events"
  secret_file = "secret.txt"
  [[agency.source]]
  kind = "http"
  name = "orders"
  mapping = "mapping.toml"
  secret_file = "secret.txt"
""",
        encoding="utf-8",
    )
    config = AdapterConfig.load(tmp_path / "adapter.toml", {"WORKS_TOKEN": token})
    (agency,) = config.agencies
    assert agency.webhook is not None
    assert (agency.token, agency.webhook.key) == (token, secret.encode())
    for shown in (repr(config), str(config), repr(agency.sources)):
        assert token not in shown
        assert secret not in shown
    with pytest.raises(Misconfigured) as caught:
        AdapterConfig.load(tmp_path / "adapter.toml", {"WORKS_TOKEN": "short-one"})
    assert "short-one" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere\.toml: No such file"):
        AdapterConfig.load(tmp_path / "nowhere.toml", {})


def test_a_source_or_target_without_a_name_bears_that_of_its_kind(tmp_path: Path) -> None:
    keys = 'kind = "python"\nhandler = "a:b"\n'
    config = load(tmp_path, GOOD + f"[[agency.source]]\n{keys}[agency.target]\n{keys}")
    (agency,) = config.agencies
    assert [source.name for source in agency.sources] == ["python"]
    assert agency.target is not None
    assert agency.target.name == "python"


def test_the_token_for_the_ledger_is_long_and_another_than_the_one_that_may_do_everything(tmp_path: Path) -> None:
    for ledger, says in (("short", "ledger_token has 5 characters"), ("x" * 20, "ledger_token is the token itself")):
        path = tmp_path / "adapter.toml"
        path.write_text(
            f'[adapter]\nname = "a"\n[[agency]]\nid = "parks"\ntoken = "{"x" * 20}"\nledger_token = "{ledger}"\n'
        )
        with pytest.raises(Misconfigured, match=says):
            AdapterConfig.load(path, {})
