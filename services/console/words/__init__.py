"""Every word of the console, in Indonesian and English: one plain file a language, the same keys in each.

A template holds no word of its own; `t("key", name=value)` finds the text and puts the values in. A text says
`{count} {count:case|cases}` where one of a thing has another word than many. A key that a file lacks is a defect, which
a test finds before a reader does.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

LANGUAGES = ("id", "en")
"""BCP 47."""


def _load(language: str) -> dict[str, str]:
    tables = tomllib.loads((Path(__file__).parent / f"{language}.toml").read_text(encoding="utf-8"))
    return {f"{table}.{key}": text for table, texts in tables.items() for key, text in texts.items()}


TEXTS = {language: _load(language) for language in LANGUAGES}

STATES = tuple(key.removeprefix("state.") for key in TEXTS["en"] if key.startswith("state."))
"""The states of a case that have words, in the order in which a case may pass through them."""


class _Said(str):
    """A value in a text; with `{count:case|cases}` the word that fits the number instead."""

    def __format__(self, form: str) -> str:
        one, is_choice, many = form.partition("|")
        if not is_choice:
            return super().__format__(form)
        return one if self == "1" else many


def text(language: str, key: str, **values: object) -> str:
    """The words of that key, with the values in their places."""
    found = TEXTS[language][key]
    return found.format(**{name: _Said(value) for name, value in values.items()}) if values else found


def known(language: str, table: str, word: str) -> str:
    """A word of the bus (a state, an outcome) in that language; as it is where the file does not have it."""
    return TEXTS[language].get(f"{table}.{word}", word)


def chosen(cookie: str | None, accepted: str, default: str) -> str:
    """The language of an answer: the reader's own choice, then the browser's, then the city's.

    Args:
        accepted: the header Accept-Language (RFC 9110), whatever it holds.
    """
    if cookie in LANGUAGES:
        return cookie
    best, best_weight = default if default in LANGUAGES else "en", 0.0
    for part in accepted[:200].split(","):
        tag, _, quality = part.strip().partition(";")
        language = tag.strip().lower().partition("-")[0]
        try:
            weight = float(quality.partition("=")[2]) if quality else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and best_weight < weight <= 1:
            best, best_weight = language, weight
    return best
