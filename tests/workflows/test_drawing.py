"""A workflow is drawn as it is declared, the same each time, and its page of the reference is current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from defusedxml import ElementTree

from services.workflows.catalogue import WORKFLOWS
from services.workflows.drawing import labels, mermaid, page
from services.workflows.machine import machine_of
from services.workflows.svg import svg
from tests.cli.command import run, said

PAGES = Path(__file__).parents[2] / "docs" / "reference" / "workflows"
REPAIR = WORKFLOWS["repair@2"]


def test_the_diagram_has_every_arrow_that_is_declared_and_no_other() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+) :", mermaid(REPAIR), re.MULTILINE))
    assert drawn == set(labels(machine_of(REPAIR)))
    assert "    [*] --> forwarded : request submitted" in mermaid(REPAIR)
    assert "    resolved --> closed : request rated, rate ⏱" in mermaid(REPAIR)


def test_a_timer_and_an_event_are_named_and_a_remark_is_no_arrow() -> None:
    names = [name for found in labels(machine_of(REPAIR)).values() for name in found]
    assert "accept ⏱" in names
    assert "request commented" not in names


@pytest.mark.parametrize("id", WORKFLOWS)
def test_the_picture_is_xml_that_names_each_state_and_label(id: str) -> None:
    picture = svg(WORKFLOWS[id])
    texts = [node.text for node in ElementTree.fromstring(picture).iter() if node.tag.endswith("text")]
    for state in machine_of(WORKFLOWS[id]).states:
        assert state.replace("_", " ") in texts
    assert "prefers-color-scheme: dark" in picture
    assert picture == svg(WORKFLOWS[id])


@pytest.mark.parametrize("id", WORKFLOWS)
def test_the_reference_is_current(id: str) -> None:
    name = WORKFLOWS[id].name
    file = PAGES / f"{name}.md"
    assert file.is_file(), f"run `subak workflow graph {name} --page > docs/reference/workflows/{name}.md`"
    newest = max((one for one in WORKFLOWS.values() if one.name == name), key=lambda one: one.version)
    assert file.read_text("utf-8") == page(newest), (
        f"run `subak workflow graph {name} --page > docs/reference/workflows/{name}.md`"
    )


def test_the_command_draws_into_a_file(tmp_path: Path) -> None:
    assert said("workflow", "graph", "repair", "--svg", str(tmp_path / "repair.svg")).startswith("wrote ")
    assert (tmp_path / "repair.svg").read_text("utf-8") == svg(REPAIR)
    assert run("workflow", "graph", "repair").output == mermaid(REPAIR)
