"""Cases share the words that they have in common: states, agencies, areas, services. Pure.

A city has a million open cases, and a few thousand such words. Each case that is read from the log or the changelog has
its own copy of each: that was a third of a stage's memory. A word is what is short and has no space in it. A sentence
stays as it is, since an interned text costs memory of its own. A case says the same before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import compress
from operator import attrgetter, is_not
from sys import intern
from typing import Any

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


def shared(case: Case, before: CaseState | None = None) -> Case:
    """The same case, with the city's one copy of each word.

    Args:
        before: the case as it was, with its words shared: what it still has of them is not looked at again.
    """
    names, read = _fields(type(case))
    values = read(case)
    changed: Iterable[tuple[str, Any]] = zip(names, values, strict=True)
    if before is not None and type(before) is type(case):
        changed = compress(changed, map(is_not, values, read(before)))
    for name, value in changed:
        if not value:
            continue
        if type(value) is tuple:
            if len(value) <= WORDS_MAX and max(map(len, value)) <= WORD_MAX:
                msgspec.structs.force_setattr(case, name, _words(value))
        elif len(value) <= WORD_MAX and " " not in value:
            msgspec.structs.force_setattr(case, name, intern(value))
    return case


@lru_cache(maxsize=100)
def _fields(kind: type[CaseState]) -> tuple[tuple[str, ...], Callable[[CaseState], tuple[Any, ...]]]:
    """The fields of a kind of case that hold a text or a list of texts, and what reads them all at once."""
    fields = [field for field in msgspec.structs.fields(kind) if field.name not in _OWN]
    names = tuple(field.name for field in fields if field.type in _TEXT or field.type == _TEXTS)
    return names, attrgetter(*names)


@lru_cache(maxsize=TUPLES_MAX)
def _words(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(intern, words))
