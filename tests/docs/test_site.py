"""The documentation as pages: every document has its place, and every link within leads somewhere."""

from __future__ import annotations

import re
import shutil
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.checks import check, needs_checks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
READERS = ("For agencies", "For operators", "For a city", "For developers", "For citizens", "Reference", "Explanation")


def navigation() -> list[Any]:
    found: list[Any] = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"]
    return found


def pages(nav: list[Any]) -> list[str]:
    found: list[str] = []
    for entry in nav:
        for place in entry.values() if isinstance(entry, dict) else [entry]:
            found += pages(place) if isinstance(place, list) else [place]
    return found


def test_every_document_has_one_place_and_every_place_a_document() -> None:
    named = pages(navigation())
    assert len(named) == len(set(named))
    assert set(named) == {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}


def test_each_reader_has_a_part() -> None:
    assert set(READERS) <= {name for entry in navigation() for name in entry}


def test_no_link_leaves_the_documents() -> None:
    """In the repository it would lead somewhere, on the pages nowhere: name the file instead, `deploy/...`."""
    found = []
    for path in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            if not (path.parent / target).resolve().is_relative_to(DOCS):
                found.append(f"{path.relative_to(ROOT)} -> {target}")
    assert found == []


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag in ("img", "script"):
            self.loaded.append(given.get("src", ""))
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon"):
            self.loaded.append(given.get("href", ""))
        if tag == "a":
            self.found.append(given.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    shutil.copy(ROOT / "zensical.toml", folder)
    shutil.copytree(DOCS, folder / "docs")
    built = check("zensical", "build", "--clean", "--strict", "-f", folder / "zensical.toml")
    assert built.returncode == 0, built.stdout + built.stderr
    assert "No issues found" in built.stdout + built.stderr
    return folder / "site"


@needs_checks
def test_the_pages_are_built_without_a_warning_and_every_link_in_them_leads_somewhere(site: Path) -> None:
    read: dict[Path, _Links] = {}
    for path in site.rglob("*.html"):
        read[path] = _Links()
        read[path].feed(path.read_text("utf-8"))
    assert len(read) > 25
    broken = []
    for path, links in read.items():
        if path.name == "404.html":
            continue  # its links are of the site's root, wherever that is
        for link in links.found:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            if not target.exists():
                broken.append(f"{path.relative_to(site)} -> {link}")
            elif parts.fragment and target in read and unquote(parts.fragment) not in read[target].ids:
                broken.append(f"{path.relative_to(site)} -> {link}: there is no such part")
    assert broken == []


@needs_checks
def test_the_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        links = _Links()
        links.feed(path.read_text("utf-8"))
        foreign = [link for link in links.loaded if re.match(r"(https?:)?//", link)]
        assert foreign == [], path.relative_to(site)
