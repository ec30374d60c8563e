"""A call leaves over https and to addresses of the internet, judged when it connects; all else is allowed by name."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.config import AdapterConfig
from adapters.reach import AddressRefused, Reach
from schemas.failures import Misconfigured
from tests.adapters.test_webhook import EVENT, calling, system

LOCAL = ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",  # carrier-grade NAT
    "192.0.2.1",  # documentation
    "198.18.0.1",  # benchmarks
    "fd00::1",
    "fec0::1",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",  # 6to4 of 127.0.0.1
    "2002:a00:1::1",
]
NAMED_ONLY = ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "224.0.0.1", "ff02::1"]
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::8.8.8.8"]


def allows(reach: Reach, address: str) -> bool:
    try:
        reach.check(address)
    except AddressRefused:
        return False
    return True


@pytest.mark.parametrize("address", [*LOCAL, *PRIVATE, *NAMED_ONLY, "240.0.0.1", "not an address"])
def test_what_is_not_of_the_internet_is_refused(address: str) -> None:
    assert not allows(Reach("https://works.example/"), address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_of_the_internet_is_allowed(address: str) -> None:
    assert allows(Reach("https://works.example/"), address)


@pytest.mark.parametrize("address", [*LOCAL, *PRIVATE])
def test_true_allows_this_machine_and_private_networks(address: str) -> None:
    assert allows(Reach("https://works.example/", allow_private=True), address)


@pytest.mark.parametrize("address", NAMED_ONLY)
def test_link_local_and_multicast_addresses_must_be_named(address: str) -> None:
    assert not allows(Reach("https://works.example/", allow_private=True), address)
    assert allows(Reach("https://works.example/", allow_private=("works.example",)), address)


def test_a_network_allows_its_addresses_and_no_others() -> None:
    reach = Reach("https://works.example/", allow_private=("10.2.0.0/16", "fd00:1::/32", "192.168.7.7"))
    assert all(allows(reach, address) for address in ("10.2.3.4", "fd00:1::5", "192.168.7.7", "::ffff:10.2.3.4"))
    assert not any(allows(reach, address) for address in ("10.3.0.1", "fd00:2::1", "192.168.7.8", "127.0.0.1"))


def test_a_name_allows_its_own_host_and_no_other() -> None:
    assert not allows(Reach("https://works.example/", allow_private=("desk.example",)), "10.0.0.1")


GOOD = """
[adapter]
name = "wards"
[[agency]]
id = "ward-one"
token = "0123456789abcdef"
  [agency.webhook]
  secret = "ssssssssssssssssssssssss"
  url = "URL"
  MORE
"""


@pytest.mark.parametrize(
    ("url", "more", "sentence"),
    [
        ("http://works.example/e", "", "it is not https: anybody on the way can read what it says. Use https, or"),
        ("http://works.example/e", 'allow_private = ["works.example"]', "state allow_http = true"),
        ("http://127.0.0.1:9/e", "", 'allow_private = ["127.0.0.1"], since the system is on this machine'),
        ("http://localhost:9/e", "allow_private = true", 'state allow_private = ["localhost"]'),
        ("https://10.0.0.1/e", "", 'state allow_private = ["10.0.0.1"].'),
        ("https://[::ffff:7f00:1]/e", "", "this machine's own"),
        ("https://169.254.169.254/latest", "allow_private = true", "link-local"),
        ("https://works.example/e", 'allow_private = ["no host"]', '"no host" is no host, address or network.'),
        ("https://works.example/e", 'allow_private = "yes"', "webhook.allow_private"),
        ("https://user:secret@works.example/", "", "webhook.url"),
    ],
)
def test_a_url_that_could_never_be_called_is_told_at_the_start(
    tmp_path: Path, url: str, more: str, sentence: str
) -> None:
    (tmp_path / "adapter.toml").write_text(GOOD.replace("URL", url).replace("MORE", more))
    with pytest.raises(Misconfigured) as caught:
        AdapterConfig.load(tmp_path / "adapter.toml", {})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("https://works.example/e", ""),
        ("http://works.example/e", "allow_http = true"),
        ("http://127.0.0.1:9/e", 'allow_private = ["127.0.0.1"]'),
        ("http://localhost:9/e", 'allow_private = ["localhost"]'),
        ("https://10.0.0.1/e", "allow_private = true"),
        ("https://10.0.0.1/e", 'allow_private = ["10.0.0.0/8"]'),
    ],
)
def test_a_url_that_may_be_called_is_accepted(tmp_path: Path, url: str, more: str) -> None:
    (tmp_path / "adapter.toml").write_text(GOOD.replace("URL", url).replace("MORE", more))
    assert AdapterConfig.load(tmp_path / "adapter.toml", {}).agencies[0].webhook is not None


@asynccontextmanager
async def counted() -> AsyncIterator[tuple[int, list[str]]]:
    """A system on this machine: its port, and the paths that were called."""
    called: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response()

    async with system(handler) as url:
        yield int(url.split(":")[2].partition("/")[0]), called


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "127.1", "0x7f000001", "[::ffff:127.0.0.1]"])
async def test_no_spelling_of_this_machine_is_called(host: str) -> None:
    async with counted() as (port, called), calling(f"http://{host}:{port}/e", allow_private=()) as target:
        outcome = await target.call(EVENT)
    assert called == []
    assert outcome.kind == "away"


@contextmanager
def names(monkeypatch: pytest.MonkeyPatch, answers: list[str]) -> Iterator[None]:
    """A DNS that gives these addresses, one after another."""
    loop = asyncio.get_running_loop()

    async def getaddrinfo(host: Any, port: Any, **_: Any) -> list[Any]:
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    with monkeypatch.context() as patch:
        patch.setattr(loop, "getaddrinfo", getaddrinfo)
        yield


async def test_a_name_that_turns_to_a_private_address_later_is_refused_then(monkeypatch: pytest.MonkeyPatch) -> None:
    async with counted() as (port, called):
        url = f"http://works.example:{port}/e"
        with names(monkeypatch, ["203.0.113.9", "127.0.0.1"]):  # documentation: also not of the internet
            async with calling(url, allow_http=True, allow_private=("203.0.113.0/24",), timeout_seconds=0.3) as target:
                assert (await target.call(EVENT)).kind == "away"
                target._session.connector.clear_dns_cache()  # type: ignore[union-attr]
                outcome = await target.call(EVENT)
    assert called == []
    assert "the address 127.0.0.1 of works.example is this machine's own" in outcome.reason
    assert 'state allow_private = ["works.example"]' in outcome.reason


async def test_a_name_that_is_allowed_is_called_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    async with counted() as (port, called):
        with names(monkeypatch, ["127.0.0.1"]):
            url = f"http://works.example:{port}/e"
            async with calling(url, allow_http=True, allow_private=("works.example",)) as target:
                assert (await target.call(EVENT)).kind == "delivered"
    assert called == ["/e"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl, which is not here")
async def test_https_believes_the_authority_that_is_stated_and_no_other(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=works -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", *command.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/e", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    url = f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/e"  # type: ignore[union-attr]
    try:
        async with calling(url, ca_file=str(certificate)) as target:
            assert (await target.call(EVENT)).kind == "delivered"
        async with calling(url) as target:
            outcome = await target.call(EVENT)
            assert (outcome.kind, "certificate" in outcome.reason.lower()) == ("away", True)
    finally:
        await runner.cleanup()


async def test_a_file_without_certificates_is_told() -> None:
    with pytest.raises(Misconfigured, match="holds no certificates in PEM"):
        async with calling("https://works.example/", ca_file=__file__):
            pass
