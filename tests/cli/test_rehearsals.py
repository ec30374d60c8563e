"""A dry run says by which version of its workflow each case would be decided, and under which it was parked."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer

from bus.repairing import replay_of
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.types.cases import CaseParked
from schemas.types.requests import RequestWithdrawn
from services.cli.acting import show_rehearsal
from services.workflows.definition import CaseState, Workflow
from services.workflows.rehearsal import Rehearsal, Rehearsed
from tests.services.test_repair import CITIZENS, CITY, REQUEST
from tests.support.matter import Matter
from tests.workflows.test_pinning import catalogue, migrating, played, version


def broken(number: int, *, at: str) -> Workflow:
    """A version that fails: when it opens a case, or when one is withdrawn."""
    found = version(number)

    def defect(*_: Any, **__: Any) -> CaseState:
        raise ZeroDivisionError("a defect in the workflow")

    if at == "opening":
        found._opens = defect
    else:
        transition = found._table[RequestWithdrawn.registered.name, "asked"]
        found._table[RequestWithdrawn.registered.name, "asked"] = type(transition)(
            transition.trigger, transition.states, transition.to, defect
        )
    return found


def parked(at: str) -> tuple[Matter, str | None]:
    """A case parked by the first version, and what the log says under which version that was."""
    matter = played(broken(1, at=at), cases=0)
    matter.id = derived_id("pinned", 0)
    matter.say(CITIZENS, REQUEST)
    if at != "opening":
        matter.say(CITIZENS, RequestWithdrawn())
    [(word, _)] = matter.sent(CaseParked)
    return matter, word.workflowversion


def act_on(matter: Matter) -> Event:
    return replay_of(CITY, matter.id, event_id=None, by="ops-1", reason="rehearsal")


def shown(capsys: pytest.CaptureFixture[str], act: Event, found: Rehearsed, under: str | None, *, as_json: bool) -> str:
    with pytest.raises(typer.Exit):
        show_rehearsal([act], [found], as_json=as_json, parked_under={act.subject: under})
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("at", "now", "by", "told"),
    [
        ("withdrawal", [version(1), version(2)], "small@1", "small@1"),
        ("withdrawal", [migrating({"asked": "begun", "kept": "kept"})], "small@2", "small@2, parked under small@1"),
        ("opening", [version(1), version(2)], "small@2", "small@2"),
    ],
    ids=["it keeps the version that it began with", "a newer one takes it over", "it had not begun"],
)
def test_a_dry_run_names_the_version_that_would_decide_and_the_one_that_failed(
    capsys: pytest.CaptureFixture[str], at: str, now: list[Workflow], by: str, told: str
) -> None:
    matter, under = parked(at)
    assert under == (None if at == "opening" else "small@1")
    act = act_on(matter)
    found = Rehearsal(CITY, matter.changelog(), workflows=catalogue(*now)).act(act, matter.now)
    assert found.workflow == by
    table = shown(capsys, act, found, under, as_json=False)
    assert f" {told} " in table
    assert ("parked under" in table) == ("parked under" in told)
    [row] = json.loads(shown(capsys, act, found, under, as_json=True))["acts"]
    assert (row["workflow"], row["parked_under"]) == (by, under)


def test_of_a_case_that_nobody_knows_no_version_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    matter = played(version(1), cases=0)
    act = act_on(matter)
    found = Rehearsal(CITY, matter.changelog(), workflows=catalogue(version(1))).act(act, matter.now)
    assert (found.outcome, found.workflow) == ("refused", None)
    assert "small@" not in shown(capsys, act, found, None, as_json=False)
    assert json.loads(shown(capsys, act, found, None, as_json=True))["acts"][0]["workflow"] is None
