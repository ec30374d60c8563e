"""Code lists: an agency's codes and the shared ones, both ways. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from adapters.mapping.values import WrongValue, shown

COMPARED_CHARACTERS_MAX = 60
"""As much of an unknown code is compared with the known ones: a comparison of long texts is quadratic."""

NAMED_MAX = 3


class CodeList:
    """One list."""

    def __init__(self, name: str, shared: Mapping[str, str], unmapped: str | None = None) -> None:
        """
        Args:
            shared: the agency's code → the shared one.
            unmapped: what counts for a code that is not in the list; None refuses it.
        """
        self._name = name
        self._unmapped = unmapped
        self._shared = {code.strip(): value for code, value in shared.items()}
        self._own: dict[str, str] = {}
        for code, value in self._shared.items():
            self._own.setdefault(value, code)

    def to_shared(self, code: str) -> str:
        """The shared code.

        Raises:
            WrongValue: the list lacks it, naming the nearest that it has.
        """
        return self._find(self._shared, code, "the agency's code")

    def to_agency(self, code: str) -> str:
        """The agency's code.

        Raises:
            WrongValue: the list lacks it, naming the nearest that it has.
        """
        return self._find(self._own, code, "the shared code")

    def _find(self, known: Mapping[str, str], code: str, what: str) -> str:
        found = known.get(code)
        if found is not None:
            return found
        if self._unmapped is not None:
            return self._unmapped
        problem = f"the code list {self._name} lacks {what} {shown(code)}"
        raise WrongValue("unmapped_code", problem, f"{_nearest(code, known)} Or add it to the list in the mapping.")


def _nearest(code: str, known: Mapping[str, str]) -> str:
    folded = {each.casefold(): each for each in known}
    near = get_close_matches(code[:COMPARED_CHARACTERS_MAX].casefold(), folded, n=NAMED_MAX, cutoff=0.6)
    if near:
        return f"The nearest: {', '.join(folded[each] for each in near)}."
    some = list(known)[:12]
    more = f" and {len(known) - len(some)} more" if len(known) > len(some) else ""
    return f"Known: {', '.join(some)}{more}."
