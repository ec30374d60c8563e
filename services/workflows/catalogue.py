"""The workflows that this version of Subak has, by `name@version`. A version stays while cases are pinned to it."""

from __future__ import annotations

from services.workflows import meanings, permit_life, proposal_merging, proposal_works
from services.workflows.budget import budget
from services.workflows.definition import Workflow
from services.workflows.permit import permit
from services.workflows.proposal import proposal
from services.workflows.repair import repair

COMPLETED_BY = (permit_life, proposal_merging, proposal_works, meanings)
"""The modules that the workflows of permits and proposals go on in, and what their states mean: importing completes."""

WORKFLOWS: dict[str, Workflow] = {workflow.id: workflow for workflow in (repair, proposal, budget, permit)}
