"""The workflows that this version of Subak has, by `name@version`. A version stays while cases are pinned to it."""

from __future__ import annotations

from services.workflows.budget import budget
from services.workflows.definition import Workflow
from services.workflows.proposal import proposal
from services.workflows.proposal_works import CONTRACTED
from services.workflows.repair import repair

assert CONTRACTED, "the second half of a proposal's way is in"

WORKFLOWS: dict[str, Workflow] = {workflow.id: workflow for workflow in (repair, proposal, budget)}
