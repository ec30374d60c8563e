"""Tools that only deployments and documents are held against, in an environment of their own (`.tools/checks`)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".tools/checks/bin"

needs_checks = pytest.mark.skipif(
    not (ROOT / ".tools/checks/.complete").exists(),
    reason="the tools for deployments are not here: make .tools/checks/.complete",
)


def check(tool: str, *words: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of the tools at the project's root, without Subak's settings in its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUBAK_")}
    return subprocess.run(
        [str(BIN / tool), *map(str, words)],
        cwd=ROOT,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
