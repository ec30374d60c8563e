"""A photo is stored whole under its SHA-256 or not at all, and what is read back is what was stored."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from adapters.attachments.config import AttachmentsConfig
from adapters.attachments.content import agrees, display_name, sniffed
from adapters.attachments.routes import AttachmentRoutes
from adapters.attachments.store import AttachmentStore
from adapters.config import AdapterConfig
from adapters.http_app import HttpApp
from bus.process import serving
from schemas.door import read_structured
from schemas.failures import Misconfigured
from tests.support.adapter import AGENCIES, bearer, token_of
from tests.support.s3 import SmallS3

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(256)) * 40
PUBLIC = "https://lampiran.denpasar.example/foto"
HEIC = b"\x00\x00\x00\x18ftypheic" + bytes(40)


def config(folder: Path, **keys: Any) -> AttachmentsConfig:
    found = AttachmentsConfig.model_validate({"store": "attachments", "public_url": PUBLIC} | keys)
    return found.resolved(folder, {"S3_SECRET": "a-secret-of-the-store"})


@asynccontextmanager
async def served(folder: Path, **keys: Any) -> AsyncIterator[tuple[httpx.AsyncClient, AttachmentRoutes]]:
    """An adapter's attachments over HTTP, and a client with communications' token."""
    routes = AttachmentRoutes(AttachmentStore(config(folder, **keys)))
    app = HttpApp({agency: token_of(agency) for agency in AGENCIES}, routes.routes(), Starlette())
    async with (
        serving(app, host="127.0.0.1", port=0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=bearer("communications"), timeout=60) as client,
    ):
        yield client, routes


PATH = "/agencies/communications/attachments"


def kept(folder: Path) -> list[Path]:
    """The files in the store."""
    return [path for path in (folder / "attachments").rglob("*") if path.is_file()]


async def test_a_photo_is_stored_and_described_and_comes_back(tmp_path: Path) -> None:
    async with served(tmp_path) as (client, _):
        answer = await client.post(f"{PATH}?name=saluran.jpg", content=JPEG, headers={"Content-Type": "image/jpeg"})
        assert answer.status_code == 201, answer.text
        sha = sha256(JPEG).hexdigest()
        attachment = {
            "url": f"{PUBLIC}/{sha}",
            "media_type": "image/jpeg",
            "size_bytes": len(JPEG),
            "sha256": sha,
            "name": "saluran.jpg",
        }
        assert answer.json() == {"dataref": f"{PUBLIC}/{sha}", "attachment": attachment}
        back = await client.get(f"{PATH}/{sha}?size_bytes={len(JPEG)}")
        assert (back.status_code, back.content, back.headers["content-type"]) == (200, JPEG, "image/jpeg")
        assert back.headers["content-disposition"] == "attachment"
        assert (await client.get(f"{PATH}/{'0' * 64}")).status_code == 404
    assert kept(tmp_path) == [tmp_path / "attachments" / sha[:2] / sha]
    event = {"type": "subak.request.submitted.v1", "data": {"service_code": "drain", "area": "51.71.01.1005"}}
    event["data"] |= {"attachments": [attachment]}  # type: ignore[operator]
    rest = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "urn:subak:denpasar:communications",
        "time": "2026-11-24T08:00:00Z",
    }
    (read,) = read_structured(httpx.Request("POST", "http://x", json=event | rest | {"subject": sha_uuid()}).content)
    assert sha.encode() in read.data


def sha_uuid() -> str:
    return "01939d2e-0000-7000-8000-000000000001"


async def test_the_same_photo_twice_is_stored_once(tmp_path: Path) -> None:
    async with served(tmp_path) as (client, _):
        first, second = [await client.post(PATH, content=JPEG) for _ in range(2)]
    assert first.json() == second.json()
    assert len(kept(tmp_path)) == 1


async def test_twenty_megabytes_are_taken_and_a_byte_more_is_not(tmp_path: Path) -> None:
    whole = JPEG[:16] + bytes(20 * 1024 * 1024 - 16)
    async with served(tmp_path) as (client, _):
        assert (await client.post(PATH, content=whole)).status_code == 201
        assert (await client.post(PATH, content=whole + b"x")).status_code == 413

        async def endless() -> AsyncIterator[bytes]:
            yield JPEG
            while True:
                yield bytes(65_536)

        with pytest.raises(httpx.TransportError):  # the answer ends the connection, under a sender who goes on
            await client.post(PATH, content=endless())
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize(
    ("content", "declared", "says"),
    [
        (b"", "", "the body is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>" + bytes(40), "image/png", "of no kind"),
        (b"<html><script>alert(1)</script></html>" + bytes(40), "image/jpeg", "of no kind"),
        (b"MZ\x90\x00" + bytes(100), "image/jpeg", "of no kind"),
        (JPEG, "image/png", "it says 'image/png', and the content is image/jpeg"),
        (JPEG, "text/html; charset=utf-8", "and the content is image/jpeg"),
        (b"%PDF-1.7" + bytes(40), "", "of no kind"),
    ],
)
async def test_a_file_is_what_its_content_says(tmp_path: Path, content: bytes, declared: str, says: str) -> None:
    async with served(tmp_path, media_types=("image/jpeg", "image/png")) as (client, _):
        answer = await client.post(PATH, content=content, headers={"Content-Type": declared} if declared else {})
    assert answer.status_code == 415
    assert says in answer.json()["reasons"][0]["problem"]
    assert kept(tmp_path) == []


def test_kinds_are_told_by_their_first_bytes() -> None:
    assert sniffed(JPEG) == "image/jpeg"
    assert sniffed(b"\x89PNG\r\n\x1a\n") == "image/png"
    assert sniffed(b"RIFF\x00\x00\x00\x00WEBPVP8 ") == "image/webp"
    assert sniffed(HEIC) == "image/heic"
    assert sniffed(b"GIF89a") == "image/gif"
    assert sniffed(b"%PDF-1.4") == "application/pdf"
    assert sniffed(b"RIFF\x00\x00\x00\x00WAVEfmt ") is None
    assert agrees("IMAGE/JPG; q=1", "image/jpeg")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("saluran.jpg", "saluran.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\foto.jpg", "foto.jpg"),
        ("..", None),
        ("/", None),
        ("a\x00b\r\n\x1b[31m.jpg", "ab[31m.jpg"),
        ("x" * 10_000, "x" * 200),
        ("", None),
    ],
)
async def test_a_name_is_shown_and_never_a_path(tmp_path: Path, name: str, shown: str | None) -> None:
    assert display_name(name) == shown
    async with served(tmp_path) as (client, _):
        answer = await client.post(PATH, content=JPEG, params={"name": name})
    assert answer.json()["attachment"].get("name") == shown
    assert [path.name for path in kept(tmp_path)] == [sha256(JPEG).hexdigest()]


@pytest.mark.parametrize("sha", ["..", "%2e%2e%2fadapter.sqlite3", "../../x", "A" * 64, "a" * 63, "a/b"])
async def test_what_is_no_sha_256_leads_nowhere(tmp_path: Path, sha: str) -> None:
    async with served(tmp_path) as (client, _):
        assert (await client.get(f"{PATH}/{sha}")).status_code in (404, 401)


async def test_what_was_changed_in_the_store_is_not_handed_out(tmp_path: Path) -> None:
    async with served(tmp_path) as (client, _):
        sha = (await client.post(PATH, content=JPEG)).json()["attachment"]["sha256"]
        (path,) = kept(tmp_path)
        path.write_bytes(JPEG[:-1] + b"!")
        answer = await client.get(f"{PATH}/{sha}")
        assert (answer.status_code, answer.json()["reasons"][0]["code"]) == (502, "damaged")
        path.write_bytes(JPEG + b"!")
        assert (await client.get(f"{PATH}/{sha}?size_bytes={len(JPEG)}")).status_code == 502
        assert (await client.post(PATH, content=JPEG)).status_code == 201
        assert (await client.get(f"{PATH}/{sha}")).content == JPEG, "sent again, it is whole again"


async def test_only_the_agencys_own_token_opens_it(tmp_path: Path) -> None:
    async with served(tmp_path) as (client, _):
        answer = await client.post(PATH, content=JPEG, headers=bearer("public-works"))
    assert answer.status_code == 401
    assert kept(tmp_path) == []


async def raw(
    client: httpx.AsyncClient, head: str, body: bytes, *, pause: float = 0.0, then_close: bool = False
) -> str:
    """Send bytes as they are; gives the answer's first line."""
    url = client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    lines = [f"POST {PATH} HTTP/1.1", "Host: x", f"Authorization: Bearer {token_of('communications')}", head, "", ""]
    writer.write("\r\n".join(lines).encode() + body)
    await writer.drain()
    if then_close:
        writer.close()
        return ""
    answer = (await reader.readline()).decode()
    writer.close()
    return answer


async def test_a_lying_content_length_stores_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, wait_seconds=0.5) as (client, routes):
        assert " 413 " in await raw(client, "Content-Length: 99999999999", b"")
        assert " 408 " in await raw(client, f"Content-Length: {len(JPEG) + 1}", JPEG), "it says more than it sends"
        await raw(client, f"Content-Length: {len(JPEG) + 1}", JPEG, then_close=True)
        await asyncio.sleep(0.2)
        assert kept(tmp_path) == []
        assert routes._uploads == 0


async def test_slow_senders_are_given_up_and_no_more_of_them_are_let_in_than_is_stated(tmp_path: Path) -> None:
    async with served(tmp_path, wait_seconds=1.0, uploads_max=3) as (client, routes):
        slow = [asyncio.create_task(raw(client, "Content-Length: 100000", JPEG[:100])) for _ in range(3)]
        while routes._uploads < 3:
            await asyncio.sleep(0.01)
        answer = await client.post(PATH, content=JPEG)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert all(" 408 " in said for said in await asyncio.gather(*slow))
        assert (await client.post(PATH, content=JPEG)).status_code == 201


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full, which refuses every byte")
async def test_a_full_disk_is_told_with_507_and_nothing_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adapters.attachments import store

    def full(file: Any, part: bytes) -> None:
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(part)

    async with served(tmp_path) as (client, _):
        with monkeypatch.context() as patch:
            patch.setattr(store, "_write_all", full)
            answer = await client.post(PATH, content=JPEG)
        assert answer.status_code == 507
        assert kept(tmp_path) == []
        assert (await client.post(PATH, content=JPEG)).status_code == 201


async def test_an_s3_store_takes_large_files_in_parts_and_gives_them_back(tmp_path: Path) -> None:
    s3 = SmallS3()
    whole = JPEG[:16] + os.urandom(12 * 1024 * 1024)
    async with s3.served() as endpoint:
        keys = {"endpoint": endpoint, "allow_http": True, "access_key_id": "adapter"}
        async with served(tmp_path, store="s3://lampiran/denpasar", secret_access_key_env="S3_SECRET", **keys) as (
            client,
            _,
        ):
            answers = [await client.post(PATH, content=content) for content in (JPEG, whole, whole)]
            assert [answer.status_code for answer in answers] == [201, 201, 201], answers[1].text
            for content in (JPEG, whole):
                assert (await client.get(f"{PATH}/{sha256(content).hexdigest()}")).content == content
            s3.refuses = 403
            assert (await client.post(PATH, content=HEIC)).status_code == 503
    sha = sha256(whole).hexdigest()
    assert f"/lampiran/denpasar/{sha[:2]}/{sha}" in s3.objects
    assert all("Credential=adapter/" in said for said in s3.signed)
    assert not any("a-secret-of-the-store" in said for said in s3.signed)


GOOD = '[adapter]\nname = "a"\n[adapter.attachments]\nSTORE\n[[agency]]\nid = "ward-one"\ntoken = "0123456789abcdef"\n'


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ('store = "photos"', "public_url: this key is missing"),
        ('store = "ftp://x"\npublic_url = "https://x.example"', "neither a folder nor s3://"),
        ('store = "s3://b"\npublic_url = "https://x.example"\nendpoint = "http://s3"', "state allow_http = true"),
        ('store = "s3://b"\npublic_url = "https://x.example"\naccess_key_id = "a"', "secret_access_key is missing"),
        (
            'store = "p"\npublic_url = "https://x.example"\nmedia_types = ["image/svg+xml"]',
            "cannot be told from content",
        ),
        ('stor = "p"\npublic_url = "https://x.example"', 'Did you mean "store"?'),
    ],
)
def test_a_store_that_is_stated_wrong_is_told_at_the_start(tmp_path: Path, section: str, sentence: str) -> None:
    (tmp_path / "adapter.toml").write_text(GOOD.replace("STORE", section))
    with pytest.raises(Misconfigured) as caught:
        AdapterConfig.load(tmp_path / "adapter.toml", {})
    assert sentence in str(caught.value)


def test_the_stores_secret_is_never_shown(tmp_path: Path) -> None:
    section = 'store = "s3://b"\npublic_url = "https://x.example"\naccess_key_id = "a"\nsecret_access_key = "hush-hush"'
    (tmp_path / "adapter.toml").write_text(GOOD.replace("STORE", section))
    assert "hush-hush" not in repr(AdapterConfig.load(tmp_path / "adapter.toml", {}))
