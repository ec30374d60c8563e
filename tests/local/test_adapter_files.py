"""A local city's adapters host every agency once, in files that the adapter itself accepts, with tokens that stay."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.config import AdapterConfig
from bus.city import City, city_path, load_city
from bus.city.model import OPERATIONS
from deploy.local.adapter_files import AdapterFile, adapter_files

SECRET = "whsec_" + "c2VjcmV0" * 6


@pytest.fixture(scope="module", params=["denpasar", "san-francisco"])
def city(request: pytest.FixtureRequest) -> City:
    return load_city(city_path(request.param))


def _files(city: City, folder: Path, webhook: str | None = "http://127.0.0.1:9/{}") -> list[AdapterFile]:
    def ports(names: Sequence[str]) -> list[int]:
        return list(range(21000, 21000 + len(names)))

    files = adapter_files(
        city,
        folder,
        webhook_urls=lambda agency: webhook.format(agency) if webhook else None,
        webhook_secret=SECRET,
        ports=ports,
    )
    for file in files:
        file.write()
    return files


def test_each_agency_has_one_adapter_and_the_operators_have_none(city: City, tmp_path: Path) -> None:
    hosted = [agency for file in _files(city, tmp_path) for agency in file.tokens]
    assert sorted(hosted) == sorted(set(city.agencies) - {OPERATIONS})


def test_the_adapter_accepts_its_file_and_only_the_owner_may_read_it(city: City, tmp_path: Path) -> None:
    for file in _files(city, tmp_path):
        config = AdapterConfig.load(file.path)
        assert (config.name, config.port) == (file.name, file.port)
        assert {agency.id: agency.token for agency in config.agencies} == file.tokens
        assert all(agency.webhook and agency.webhook.url.endswith(f"/{agency.id}") for agency in config.agencies)
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_tokens_stay_from_run_to_run_and_differ_between_agencies(city: City, tmp_path: Path) -> None:
    first, second = _files(city, tmp_path), _files(city, tmp_path)
    assert [file.tokens for file in first] == [file.tokens for file in second]
    tokens = [token for file in first for token in file.tokens.values()]
    assert len(set(tokens)) == len(tokens)


def test_without_a_webhook_the_agency_asks_for_itself(city: City, tmp_path: Path) -> None:
    for file in _files(city, tmp_path, webhook=None):
        assert all(agency.webhook is None for agency in AdapterConfig.load(file.path).agencies)


def test_the_citizens_channel_has_an_open311_server_whose_key_stays(city: City, tmp_path: Path) -> None:
    first, second = _files(city, tmp_path), _files(city, tmp_path)
    assert [file.open311_keys for file in first] == [file.open311_keys for file in second]
    (hosting,) = [file for file in first if file.open311_keys]
    assert set(hosting.open311_keys) == {city.citizens_channel}
    (agency,) = [agency for agency in AdapterConfig.load(hosting.path).agencies if agency.sources]
    assert [(source.kind, agency.id) for source in agency.sources] == [("open311", city.citizens_channel)]
