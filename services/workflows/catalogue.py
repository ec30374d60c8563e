"""The workflows that this version of Subak has, by `name@version`. A version stays while cases are pinned to it."""

from __future__ import annotations

from services.workflows.definition import Workflow
from services.workflows.repair import repair

WORKFLOWS: dict[str, Workflow] = {workflow.id: workflow for workflow in (repair,)}
