"""docs/how-to/connect-an-agency.md can be followed word for word: each of its commands works, as does its Python."""

from __future__ import annotations

import asyncio
import json
import re
import time
import tomllib
from pathlib import Path

import pytest

from adapters.config import AdapterConfig
from adapters.webhook import signed_headers
from tests.support.adapter import SmallAdapter, token_of
from tests.support.events import comment

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "connect-an-agency.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


async def shell(command: str, environment: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command),
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode == 0, (command, out, error)
    return out.decode()


async def test_each_command_of_the_page_works_in_its_order(tmp_path: Path) -> None:
    commands = blocks("sh")
    assert len(commands) == 6
    async with SmallAdapter.opened(tmp_path) as adapter, adapter.served() as client:
        await adapter.arrive("communications", [comment(agency="public-works", id="heard")])
        environment = {"ADAPTER": str(client.base_url).rstrip("/"), "TOKEN": token_of("communications")}
        receipt = json.loads(await shell(commands[0], environment))
        assert set(receipt) == {"id", "subject", "status_url", "recorded_at", "known"}
        environment["CASE"] = receipt["subject"]
        answers = [json.loads(await shell(command, environment)) for command in commands[1:]]
    assert answers[0]["subject"] == receipt["subject"]
    assert [told["id"] for told in answers[1]] == ["note-1", "note-2"]
    assert answers[2]["status"] == "stored"
    assert answers[3] == {"parked": []}
    assert [event["id"] for event in answers[4]["events"]] == ["heard"]


def test_the_pages_adapter_toml_is_whole(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    tomllib.loads(text)
    (tmp_path / "adapter.toml").write_text(text, encoding="utf-8")
    environment = {"COMMUNICATIONS_TOKEN": "t" * 48, "COMMUNICATIONS_WEBHOOK_SECRET": "s" * 44}
    assert AdapterConfig.load(tmp_path / "adapter.toml", environment).agencies[0].id == "communications"


@pytest.mark.parametrize("change", ["", "x"])
def test_the_pages_python_knows_a_true_signature_from_a_false_one(change: str) -> None:
    (program,) = blocks("python")
    names: dict[str, object] = {}
    exec(program, names)
    check = names["is_from_the_adapter"]
    assert callable(check)
    headers = signed_headers(b"k" * 32, "e-1", int(time.time()), b"{}")
    assert check(b"k" * 32, headers, b"{}" + change.encode()) is (change == "")
    late = signed_headers(b"k" * 32, "e-1", int(time.time()) - 301, b"{}")
    assert check(b"k" * 32, late, b"{}") is False
