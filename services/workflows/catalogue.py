"""The workflows that this version of Subak has, by `name@version`. A version stays while cases are pinned to it."""

from __future__ import annotations

from services.workflows import proposal_merging, proposal_works
from services.workflows.budget import budget
from services.workflows.definition import Workflow
from services.workflows.proposal import proposal
from services.workflows.repair import repair

COMPLETED_BY = (proposal_merging, proposal_works)
"""The modules that a proposal's workflow goes on in: importing them completes it."""

WORKFLOWS: dict[str, Workflow] = {workflow.id: workflow for workflow in (repair, proposal, budget)}
