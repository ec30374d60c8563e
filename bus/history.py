"""History: what happened before an agency was on the bus, brought in as it was, without consequences.

An event says so itself, by its attribute `history`. The gateway holds it to the same rules as any other and the log
keeps it. The workflows stage notes its case as ended, under `HISTORY` in the place of a workflow, and decides nothing;
the router gives it to nobody; the casebook shows it. A case is either history or not, from its first event on.
"""

from __future__ import annotations

HISTORY = "history@1"
"""Stands where another case has its workflow and version. No workflow may bear the name."""

OUTCOME = "history"
"""How such a case ended, as far as the bus knows."""
