"""No word of the console is untranslated: every key in every language, and no word in a template."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest
from jinja2 import Environment, nodes

from services.casebook.states import STATES
from services.console import words
from services.console.rendering import TEMPLATES

CODE = TEMPLATES.parent
TEMPLATE_FILES = sorted(TEMPLATES.glob("*.html"))
WORDLESS = {"Subak", "city-events", "subak rejected show", "--original"}
"""Names, which are the same in every language."""


def test_every_language_has_the_same_keys_with_the_same_places() -> None:
    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    first, *others = (words.TEXTS[language] for language in words.LANGUAGES)
    for other in others:
        assert set(first) == set(other)
        assert {key: places(text) for key, text in first.items()} == {key: places(text) for key, text in other.items()}
    assert all(text.strip() for texts in words.TEXTS.values() for text in texts.values())


@pytest.mark.parametrize("path", TEMPLATE_FILES, ids=lambda path: path.stem)
def test_a_template_holds_no_word_of_its_own(path: Path) -> None:
    tree = Environment(autoescape=True).parse(path.read_text("utf-8"))
    text = "".join(
        part.data if isinstance(part, nodes.TemplateData) else "\x00"
        for output in tree.find_all(nodes.Output)
        for part in output.nodes
    )
    spoken = re.findall(r'\b(?:alt|title|placeholder|aria-label|content-description)="([^"]*)"', text)
    visible = re.sub(r"<[^>]*>", "\n", re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.S))
    for name in WORDLESS:
        visible = visible.replace(name, "")
    found = re.findall(r"[^\W\d_]{2,}", re.sub(r"&\w+;", "", visible))
    found += [word for value in spoken for word in re.findall(r"[^\W\d_]{2,}", value)]
    assert found == [], f"put these words into services/console/words/*.toml: {found}"


def test_every_key_that_is_asked_for_is_there_and_none_is_there_for_nothing() -> None:
    known = set(words.TEXTS["en"])
    sources = [path.read_text("utf-8") for path in [*TEMPLATE_FILES, *CODE.rglob("*.py")]]
    asked = {key for text in sources for key in re.findall(r"""["']([a-z_]+\.[a-z_]+)["']""", text)} & known
    beginnings = {found for text in sources for found in re.findall(r"""["']([a-z_]+\.[a-z_]*)["'] \+""", text)}
    tables = {found for text in sources for found in re.findall(r'word\("([a-z]+)"', text)}
    tables |= {found for text in sources for found in re.findall(r'known\(language, "([a-z]+)"', text)}
    said = {key for text in sources for key in re.findall(r't\("([a-z_]+\.[a-z_]+)"', text)}
    assert said - known - beginnings == set()
    unused = {
        key for key in known - asked if not key.startswith(tuple(beginnings)) and key.partition(".")[0] not in tables
    }
    assert unused == set()


def test_every_state_and_every_failure_has_words() -> None:
    assert set(words.STATES) == set(STATES)
    code = ast.parse((CODE / "app.py").read_text("utf-8"))
    keys = {node.value for node in ast.walk(code) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    failures = {key for key in keys if f"failure.{key}" in words.TEXTS["en"]}
    assert len(failures) >= 6
    assert all(f"failure.{key}_advice" in words.TEXTS["en"] for key in failures)


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        (None, "id-ID,id;q=0.9,en;q=0.8", "id"),
        (None, "fr, en;q=0.4, id;q=0.3", "en"),
        ("id", "en", "id"),
        ("<script>", "en-GB", "en"),
        (None, "", "id"),
        (None, "en;q=nan, id;q=2, ;;;,,q=", "id"),
        (None, "xx" * 5000, "id"),
    ],
)
def test_the_language_is_the_reader_s_choice_then_the_browser_s_then_the_city_s(
    cookie: str | None, accepted: str, language: str
) -> None:
    assert words.chosen(cookie, accepted, "id") == language
