"""AsyncAPI's own parser accepts the published document. It is JavaScript: without node and npm this is skipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schemas.publishing import PUBLISHED
from schemas.registry import registry

HERE = Path(__file__).parent / "asyncapi"
KEPT = HERE / "node_modules"
"""Where `npm ci --prefix tests/schemas/asyncapi` puts the parser: CI does. Otherwise it is fetched for this run."""


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script and the parser beside it."""
    if not shutil.which("node"):
        pytest.skip("node is not installed, so AsyncAPI's parser cannot run")
    if KEPT.is_dir():
        return HERE
    if not shutil.which("npm"):
        pytest.skip("npm is not installed, so AsyncAPI's parser cannot be fetched")
    home = tmp_path_factory.mktemp("asyncapi")
    for name in ("package.json", "package-lock.json", "check.mjs"):
        shutil.copy(HERE / name, home / name)
    fetched = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if fetched.returncode:
        pytest.skip(f"AsyncAPI's parser cannot be fetched: {fetched.stderr.strip().splitlines()[-1:]}")
    return home


def parsed(home: Path, document: Path) -> dict[str, Any]:
    """What the parser says."""
    said = subprocess.run(
        ["node", "check.mjs", str(document)], cwd=home, capture_output=True, text=True, timeout=120, check=False
    )
    assert said.stdout, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found


@pytest.mark.slow
def test_the_published_document_has_no_error(parser: Path) -> None:
    found = parsed(parser, PUBLISHED / "asyncapi.json")
    assert [each for each in found["diagnostics"] if each["severity"] < 2] == []
    assert found["counts"] == {"channels": 7, "operations": 15, "messages": len(list(registry)) + 3}


@pytest.mark.slow
def test_the_parser_finds_what_is_wrong(parser: Path, tmp_path: Path) -> None:
    """Or the test above would show nothing."""
    document = json.loads((PUBLISHED / "asyncapi.json").read_text())
    document["operations"]["agencyPublishes"]["channel"]["$ref"] = "#/channels/nowhere"
    (tmp_path / "wrong.json").write_text(json.dumps(document))
    found = parsed(parser, tmp_path / "wrong.json")
    assert any(each["severity"] == 0 for each in found["diagnostics"])
    assert os.linesep not in json.dumps(found)
