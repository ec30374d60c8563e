"""A picture within a post goes where the adapter keeps attachments, and the event names it by its hash."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from adapters.attachments.config import AttachmentsConfig
from tests.support.open311 import Open311, post

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + b"x" * 400_000
"""Larger than a post without pictures may be."""


@pytest.fixture
async def open311(tmp_path: Path) -> AsyncIterator[Open311]:
    kept = AttachmentsConfig(store=str(tmp_path / "kept"), public_url="https://files.example", bytes_max=500_000)
    async with Open311.opened(tmp_path, attachments=kept) as found:
        yield found


async def test_a_picture_is_kept_and_named_by_its_hash(open311: Open311, tmp_path: Path) -> None:
    files = {"media": ("../../foto.png", PNG, "image/png")}
    answers = [await open311.client.post("requests.json", data=post(), files=files) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert answers[0].json() == answers[1].json()
    (event,) = await open311.stored()
    (attachment,) = json.loads(event.data)["attachments"]
    hashed = sha256(PNG).hexdigest()
    assert attachment["url"] == f"https://files.example/{hashed}"
    assert (attachment["sha256"], attachment["size_bytes"]) == (hashed, len(PNG))
    assert [path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file()] == [PNG]
    shown = await open311.client.get("requests.json")
    assert "foto" not in shown.text


async def test_another_picture_makes_another_request(open311: Open311) -> None:
    for picture in (PNG, PNG + b"y"):
        await open311.client.post("requests.json", data=post(), files={"media": ("a.png", picture, "image/png")})
    assert len(await open311.stored()) == 2


@pytest.mark.parametrize(
    ("content", "kind", "status", "said"),
    [
        (b"#!/bin/sh\nrm -rf /\n", "image/png", 400, ""),
        (b"<svg onload=alert(1)>", "image/svg+xml", 400, ""),
        (PNG + b"x" * 200_000, "image/png", 413, "the file has more than 500000 bytes"),
        (PNG * 5, "image/png", 413, "the post has more than"),
    ],
)
async def test_what_is_no_picture_or_too_large_is_refused(
    open311: Open311, content: bytes, kind: str, status: int, said: str
) -> None:
    answer = await open311.client.post("requests.json", data=post(), files={"media": ("a.png", content, kind)})
    assert answer.status_code == status, answer.text
    assert said in answer.json()[0]["description"]
    assert await open311.stored() == []


async def test_without_a_key_no_picture_is_kept(open311: Open311, tmp_path: Path) -> None:
    files = {"media": ("a.png", PNG, "image/png")}
    answer = await open311.client.post("requests.json", data=post(api_key="x"), files=files)
    assert answer.status_code == 403
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, which refuses every byte")
async def test_where_the_disk_is_full_while_a_picture_arrives_the_app_is_told_and_can_send_it_again(
    open311: Open311, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"media": ("a.png", PNG, "image/png")}
    with monkeypatch.context() as patch:
        full = partial(open, "/dev/full", "r+b", buffering=0)
        patch.setattr("starlette.formparsers.SpooledTemporaryFile", lambda **_: full())
        answer = await open311.client.post("requests.json", data=post(), files=files)
    assert answer.status_code == 507, answer.text
    assert "the disk is full, nothing was stored" in answer.json()[0]["description"]
    assert await open311.stored() == []
    assert (await open311.client.post("requests.json", data=post(), files=files)).status_code == 200
