"""What would make a case stall, loop or go to nobody is found before it runs, and what is sound is left in peace."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from hypothesis import given, settings

from bus.city import City, city_path, load_city
from schemas.failures import Misconfigured
from schemas.registry import EventData
from schemas.types.requests import RequestSubmitted
from services.workflows.catalogue import WORKFLOWS
from services.workflows.deciding import newest_by_opening_event
from services.workflows.definition import CLOSED, Workflow
from services.workflows.lint import lint, lint_workflow, unhandled_events
from services.workflows.logic import Workflows
from services.workflows.machine import machine_of
from services.workflows.reading import effects_of
from tests.cli.command import found as answer
from tests.cli.command import run
from tests.services.test_repair import ACTS, CITIZENS, CITY, REQUEST, play
from tests.support.matter import Matter
from tests.workflows.sick import SICK, sound

CITIES = {name: load_city(city_path(name)) for name in ("denpasar", "san-francisco")}


def test_a_sound_workflow_has_no_finding() -> None:
    assert [str(finding) for finding in lint_workflow(sound())] == []


@pytest.mark.parametrize("rule", SICK)
def test_each_sickness_is_found_with_its_place_and_a_way_out(rule: str) -> None:
    found = [finding for finding in lint_workflow(SICK[rule]()) if finding.rule == rule]
    assert found, [str(finding) for finding in lint_workflow(SICK[rule]())]
    assert found[0].where
    assert found[0].fix.endswith(".")


@pytest.mark.parametrize("city", CITIES)
def test_every_workflow_is_sound_in_every_city_that_comes_with_subak(city: str) -> None:
    wrong = [str(finding) for finding in lint(WORKFLOWS.values(), CITIES[city]) if finding.level == "error"]
    assert wrong == []


def test_lint_of_all_workflows_takes_under_two_seconds() -> None:
    effects_of.cache_clear()
    began = time.process_time()  # its own work: a busy machine is no fault of it
    lint(WORKFLOWS.values(), CITIES["denpasar"])
    assert time.process_time() - began < 2


def test_a_role_that_nobody_holds_and_an_escalation_to_nobody_are_found() -> None:
    city = CITIES["denpasar"]
    mute = city.agencies[city.default_agency].model_copy(update={"publishes": ()})
    changed = City(
        **{name: getattr(city, name) for name in City.model_fields if name != "agencies"},
        agencies={**city.agencies, mute.id: mute},
    )
    found = [finding for finding in lint([WORKFLOWS["repair@2"]], changed) if finding.rule == "role_unheld"]
    assert {finding.where.split()[1] for finding in found} >= {"holder", "executor"}
    assert f"the escalation ends with {mute.id}" in str(found[0])


def test_an_event_that_would_open_cases_of_two_workflows_is_found_and_keeps_the_stage_from_starting() -> None:
    intruder = sound()
    assert intruder.opened_by == WORKFLOWS["repair@2"].opened_by
    both = [WORKFLOWS["repair@2"], intruder]
    found = {finding.workflow: finding for finding in lint(both) if finding.rule == "opened_by_two"}
    assert found.keys() == {"repair@2", "small@1"}
    assert "opens cases of repair@2 too" in str(found["small@1"])
    with pytest.raises(Misconfigured, match=r"opens cases of repair@2 and of small@1, and a case has one workflow"):
        Workflows(0, city=CITY, workflows={workflow.id: workflow for workflow in both})


def test_two_versions_may_be_opened_by_one_event() -> None:
    repair = WORKFLOWS["repair@2"]
    older = Workflow("repair", version=1, case=repair.case, opened_by=RequestSubmitted)
    assert newest_by_opening_event([repair, older]) == newest_by_opening_event([older, repair])
    assert newest_by_opening_event([older, repair])[repair.opened_by] is repair


def test_an_event_that_no_workflow_takes_is_told() -> None:
    told = {finding.where for finding in unhandled_events([sound()])}
    assert "subak.workorder.completed.v1" in told
    assert "subak.request.withdrawn.v1" not in told


@settings(max_examples=100, deadline=None)
@given(ACTS)
def test_every_transition_that_is_taken_was_declared_and_every_timer_that_runs_was_read(
    acts: list[tuple[str, EventData, int]],
) -> None:
    machine = machine_of(WORKFLOWS["repair@2"])
    running = machine.timers_in()
    declared = {(arrow.source, arrow.target) for arrow in machine.arrows}
    matter = Matter(CITY)
    matter.say(CITIZENS, REQUEST)
    for who, data, days in acts:
        before = matter.state()
        if before == CLOSED:
            break
        play(matter, who, data)
        after = matter.state()
        assert after == before or (before, after) in declared
        case = matter.case()
        assert after == CLOSED or {name for name, due in case.timers.items() if due > 0} <= running[str(after)], after
        matter.wait(timedelta(days=days))


def test_the_command_says_what_it_found_and_its_exit_code_whether_it_is_wrong() -> None:
    assert answer("workflow", "lint", "--city", "denpasar")["ok"] is True
    assert [row["workflow"] for row in answer("workflow", "list")["workflows"]] == list(WORKFLOWS)


def test_an_unknown_workflow_is_told_with_those_that_there_are() -> None:
    with pytest.raises(Misconfigured, match=r'there is no workflow "repiar"\. Known: repair@2'):
        raise run("workflow", "lint", "repiar").exception or AssertionError
