"""Cases share the words that they have in common: states, agencies, areas, services. Pure.

A city has a million open cases, and a few thousand such words. Each case that is read from the log or the changelog has
its own copy of each: that was a third of a stage's memory. A word is what is short and has no space in it. A sentence
stays as it is, since an interned text costs memory of its own. A case says the same before and after.
"""

from __future__ import annotations

from functools import lru_cache
from sys import intern

import msgspec

from services.workflows.definition import Case, CaseState

WORD_MAX = 32
"""Characters of the longest word that is shared: an id is longer."""

WORDS_MAX, TUPLES_MAX = 8, 10_000
"""Words of the longest list (whose turn it is, the way up) that is shared, and such lists that are remembered."""

_OWN = frozenset({"id", "correlation"})
"""What no two cases have in common."""

_TEXT = (str, str | None)
_TEXTS = tuple[str, ...]


def shared(case: Case) -> Case:
    """The same case, with the city's one copy of each word."""
    texts, lists = _fields(type(case))
    for name in texts:
        text = getattr(case, name)
        if text and len(text) <= WORD_MAX and " " not in text:
            msgspec.structs.force_setattr(case, name, intern(text))
    for name in lists:
        words = getattr(case, name)
        if words and len(words) <= WORDS_MAX and max(map(len, words)) <= WORD_MAX:
            msgspec.structs.force_setattr(case, name, _words(words))
    return case


@lru_cache(maxsize=100)
def _fields(kind: type[CaseState]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of a kind of case the fields that hold a text, and those that hold a list of texts."""
    fields = [field for field in msgspec.structs.fields(kind) if field.name not in _OWN]
    return (
        tuple(field.name for field in fields if field.type in _TEXT),
        tuple(field.name for field in fields if field.type == _TEXTS),
    )


@lru_cache(maxsize=TUPLES_MAX)
def _words(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(intern, words))
