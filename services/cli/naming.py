"""Workflows and cities by the names that a person gives them."""

from __future__ import annotations

from bus.city import City, city_path, load_city
from schemas.failures import Misconfigured
from services.workflows.catalogue import WORKFLOWS
from services.workflows.definition import Workflow


def the_workflow(name: str) -> Workflow:
    """The workflow of that name, the newest version where none is said.

    Raises:
        Misconfigured: there is none, with those that there are.
    """
    if name in WORKFLOWS:
        return WORKFLOWS[name]
    named = [workflow for workflow in WORKFLOWS.values() if workflow.name == name]
    if not named:
        raise Misconfigured(f'there is no workflow "{name}". Known: {", ".join(WORKFLOWS)}.')
    return max(named, key=lambda workflow: workflow.version)


def the_city(name: str) -> City:
    """The city of that name or folder; the settings' where none is given."""
    if not name:
        from bus.settings import read_settings

        name = read_settings().city
    return load_city(city_path(name))
