"""A real OpenID provider on this machine: panva's oidc-provider, with people, machines and keys of the tests."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

FOLDER = Path(__file__).parent / "provider"
SECRET = "a secret of the tests, long enough for all"
AUDIENCE = "urn:subak:casebook"

PEOPLE: dict[str, dict[str, Any]] = {
    "wayan": {"roles": ["subak-operator", "something else"], "name": "Wayan"},
    "made": {"roles": ["subak-auditor"]},
    "nyoman": {"roles": ["subak-agency"], "agency": "public-works"},
    "komang": {"roles": ["subak-agency"], "agency": "nowhere"},
    "ketut": {"roles": ["subak-citizen"]},
    "gede": {"roles": []},
}
MACHINES: dict[str, dict[str, Any]] = {
    "console": {"roles": ["subak-console"]},
    "operations": {"roles": ["subak-operator"]},
    "public-works": {"roles": ["subak-agency"], "agency": "public-works"},
    "stranger": {"roles": []},
}


class Provider:
    """One, on a port of its own. It may be stopped and started again there."""

    def __init__(self, **more: Any) -> None:
        self.port = _free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self.redirect_uris: list[str] = []
        self._more = more
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Until it answers."""
        if shutil.which("node") is None:
            pytest.skip("node is not installed (apt-get install npm), so no provider can run")
        if not (FOLDER / "node_modules" / "oidc-provider").is_dir():
            pytest.skip("oidc-provider is not there: npm ci --ignore-scripts --prefix tests/doors/provider")
        self._process = subprocess.Popen(
            ["node", "--no-warnings", str(FOLDER / "server.mjs")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        config = {"port": self.port, "clients": self._clients(), "accounts": PEOPLE, "machines": MACHINES, **self._more}
        assert self._command(json.dumps(config)) == self.issuer

    def stop(self) -> None:
        """Gone, as far as anybody can see."""
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            self._process.wait(timeout=20)
            self._process.stdout.close()
            self._process = None

    def rotate(self) -> None:
        """Sign with a new key from now on, and forget the old one."""
        assert self._command("rotate") == "rotated"

    def token(self, machine: str, audience: str = AUDIENCE) -> str:
        """An access token of a machine."""
        answer = httpx.post(
            f"{self.issuer}/token",
            data={"grant_type": "client_credentials", "resource": audience, "scope": "api"},
            auth=(machine, SECRET),
        )
        return str(answer.json()["access_token"])

    def _clients(self) -> list[dict[str, Any]]:
        machine = {"client_secret": SECRET, "grant_types": ["client_credentials"], "response_types": []}
        found = [{"client_id": id, "redirect_uris": [], **machine} for id in MACHINES]
        found[0] |= {
            "grant_types": ["authorization_code", "client_credentials"],
            "response_types": ["code"],
            "redirect_uris": [f"{each}/auth/callback" for each in self.redirect_uris] or ["http://127.0.0.1:1/x"],
            "post_logout_redirect_uris": [f"{each}/auth/bye" for each in self.redirect_uris],
        }
        return found

    def _command(self, line: str) -> str:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@contextmanager
def a_provider(*consoles: str, **more: Any) -> Iterator[Provider]:
    """One, until the block ends, that leads people back to these consoles."""
    provider = Provider(**more)
    provider.redirect_uris = list(consoles)
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
