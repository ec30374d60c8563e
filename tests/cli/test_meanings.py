"""Each state of each workflow is told in words, in the reader's language, and never in another's by mistake."""

from __future__ import annotations

from typing import Any

import pytest

from services.casebook.states import STATES
from services.cli.meaning import in_words, meaning_of
from services.workflows.catalogue import WORKFLOWS
from services.workflows.machine import machine_of
from services.workflows.repair import repair
from tests.cli.command import found, said
from tests.cli.conftest import Filled
from tests.workflows.test_pinning import catalogue, version

TEXTS = {"id": "Sudah.", "en": "Done."}


@pytest.fixture(autouse=True)
def no_language(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("id", WORKFLOWS)
def test_every_state_that_a_case_can_be_in_is_told_in_both_languages(id: str) -> None:
    meanings = WORKFLOWS[id].meanings
    assert set(machine_of(WORKFLOWS[id]).states) <= set(meanings)
    for state, texts in meanings.items():
        assert set(texts) == {"en", "id"}, state
        assert texts["en"] != texts["id"], state
        assert all(text.endswith(".") and len(text) <= 120 for text in texts.values()), state


def test_no_state_of_the_casebook_is_without_words_and_none_has_them_that_is_no_state() -> None:
    told = {state for workflow in WORKFLOWS.values() for state in workflow.meanings}
    own = {state for workflow in WORKFLOWS.values() for state in machine_of(workflow).states}
    assert set(STATES) <= told <= {*STATES, *own}


@pytest.mark.parametrize(("locale", "language", "other"), [("id_ID.UTF-8", "id", "en"), ("C.UTF-8", "en", "id")])
def test_a_parked_case_is_shown_with_what_its_state_means_in_the_readers_language(
    casebook: Filled, monkeypatch: pytest.MonkeyPatch, locale: str, language: str, other: str
) -> None:
    monkeypatch.setenv("LANG", locale)
    [parked] = found("parked", "list")["parked"]
    means = found("parked", "show", parked["id"])["state_means"]
    assert means == repair.meanings[parked["state"]]
    shown = said("parked", "show", parked["id"])
    assert means[language] in shown
    assert means[other] not in shown


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({}, "Done."),
        ({"LANG": "id_ID.UTF-8"}, "Sudah."),
        ({"LANG": "ID"}, "Sudah."),
        ({"LANG": "C.UTF-8", "LANGUAGE": "id"}, "Done."),
        ({"LANG": "en_GB.UTF-8", "LANGUAGE": "ban:id"}, "Sudah."),
        ({"LANG": "id_ID.UTF-8", "LC_ALL": "en_US.UTF-8"}, "Done."),
        ({"LC_ALL": "", "LC_MESSAGES": "id_ID", "LANG": "en"}, "Sudah."),
        ({"LANG": "nl_NL.UTF-8"}, "Done."),
        ({"LANG": "../../etc/passwd"}, "Done."),
        ({"LANG": "identity"}, "Done."),
    ],
)
def test_the_language_is_the_one_that_the_environment_asks_for(environment: dict[str, str], text: str) -> None:
    assert in_words(TEXTS, environment) == text


def case(**fields: Any) -> dict[str, Any]:
    return {"workflow": "small@1", "state": "asked", "kind": "request", **fields}


def test_a_version_that_is_gone_is_told_by_the_newest_of_its_name_and_what_nobody_declared_is_not_told() -> None:
    first, second = version(1), version(2)
    second.means("asked", en="It was asked.")
    assert meaning_of(case(), catalogue(second)) == {"en": "It was asked."}
    assert meaning_of(case(), catalogue(first, second)) == {}, "a version that is there tells for itself"
    assert meaning_of(case(workflow=None), catalogue(first, second)) == {"en": "It was asked."}
    assert meaning_of(case(workflow=None, kind="find"), catalogue(second)) == {}
    assert meaning_of(case(workflow="other@7"), catalogue(second)) == {}
    assert meaning_of(case(state="nowhere"), catalogue(second)) == {}
    assert in_words({}) == ""
