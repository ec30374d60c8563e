"""Whoever follows a how-to word for word in a copy of the source tree: files written, changes made, lines typed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
COPIED = ("schemas", "bus", "services", "deploy", "tests/docs", "docs", "bench", "adapters")
FILES = ("pyproject.toml", "zensical.toml", "Makefile", "README.md", "tests/__init__.py")
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    file: str
    """Which file it is, or changes; empty where none is said."""
    text: str


def section(page: Path, title: str) -> str:
    """The part of a page below the heading that begins so."""
    text = page.read_text("utf-8")
    found = re.search(rf"^## {re.escape(title)}.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page.name} has no section {title!r}"
    return found.group()


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks, in order."""
    for language, file, content in _BLOCK.findall(text):
        yield Block(language, file, content)


class Follower:
    """Somebody in a clone with `.venv/bin` on the path, who does what a page says and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "subak"
        for name in COPIED:  # compiled files too: they save half of each command's time
            shutil.copytree(ROOT / name, self.tree / name, ignore=shutil.ignore_patterns("node_modules"))
        for name in FILES:
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.tree / name)
        (self.tree / "tests" / "workflows").mkdir()
        binaries = folder / "bin"
        binaries.mkdir()
        (binaries / "subak").write_text(f'#!/bin/sh\nexec {sys.executable} -m services.cli "$@"\n')
        (binaries / "subak").chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SUBAK_")}
        self.environment = kept | {
            "PATH": f"{binaries}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}",
            "PYTHONPATH": str(self.tree),
            "HOME": str(folder),
        }

    def types(self, line: str, *, code: int = 0) -> str:
        """Type a line. Returns what it prints."""
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.tree, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, (line, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def follows(self, text: str) -> str:
        """Do all that a section says: lines typed, files written, changes made. Returns what was printed."""
        printed = ""
        for block in blocks(text):
            if block.language == "sh":
                printed += "".join(self.types(line) for line in block.text.splitlines())
            elif block.language == "diff":
                self.changes(block)
            elif block.file:
                path = self.tree / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, "utf-8")
        return printed

    def changes(self, block: Block) -> None:
        """Make a change: its lines with a blank or a minus must stand in the file, once, as the page shows them."""
        lines = block.text.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] in " -")
        after = "".join(line[1:] for line in lines if line[0] in " +")
        path = self.tree / block.file
        text = path.read_text("utf-8")
        assert text.count(before) == 1, f"{block.file} has {text.count(before)} times what the page shows:\n{before}"
        path.write_text(text.replace(before, after), "utf-8")

    def lints(self, *paths: str) -> None:
        """What `make check` asks of the files that were written."""
        for command in ("check", "format --check"):
            self.types(f"python -m ruff {command} {' '.join(paths)}")
