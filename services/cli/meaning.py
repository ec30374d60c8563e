"""What a case's state means, in the words of its workflow and in the reader's language. Nothing here asks anybody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from services.workflows.catalogue import WORKFLOWS
from services.workflows.definition import Workflow


def meaning_of(case: Mapping[str, Any], workflows: Mapping[str, Workflow] = WORKFLOWS) -> dict[str, str]:
    """What its state means, by language; empty where its workflow does not say so, or is none of these.

    Args:
        case: as the casebook tells it. Where it has not begun (its first event is the one at which it is parked), the
            workflow that opens such cases tells; where its version is gone, the newest of that name.
    """
    name, at, _ = (case["workflow"] or "").partition("@")
    exact = workflows.get(case["workflow"] or "")
    alike = [one for one in workflows.values() if (one.name == name if at else _kind(one) == case["kind"])]
    chosen = exact or max(alike, key=lambda one: one.version, default=None)
    return dict(chosen.meanings.get(case["state"], {})) if chosen is not None else {}


def _kind(workflow: Workflow) -> str:
    """What the casebook calls such cases: `request`."""
    return workflow.opened_by.split(".")[1]


def in_words(texts: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> str:
    """The text in the reader's language, as the environment names it (POSIX: LC_ALL, LC_MESSAGES, LANG; and LANGUAGE,
    a list, beside any of them but `C`); in English where it has none of these; nothing where there is no text."""
    locale = next((found for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (found := environment.get(name))), "")
    wanted = [locale]
    if locale.partition(".")[0] not in ("", "C", "POSIX"):
        wanted = [*environment.get("LANGUAGE", "").split(":"), locale]
    for each in (*wanted, "en"):
        language = each.replace("-", "_").partition(".")[0].partition("_")[0].lower()
        if language in texts:
            return texts[language]
    return next(iter(texts.values()), "")
