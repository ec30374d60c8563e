"""The repair workflow: from a citizen's request to the closed case, with a deadline on every wait.

Every wait has a timer, and every timer leads to somebody: to the next agency that the catalogue names, then up the
levels, and at the end to a close with its reason. So no agency can make a case stall by silence. Who is asked comes
from the city's files; nothing of a city is in here. `case.py` says what is remembered; the other modules are the parts
of a case's life, in order, and importing them completes the workflow.
"""

from services.workflows.repair import approval, inspection, joint, merging, opening, work
from services.workflows.repair.case import RepairCase, repair

__all__ = ["RepairCase", "approval", "inspection", "joint", "merging", "opening", "repair", "work"]
