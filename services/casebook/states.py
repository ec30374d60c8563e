"""The states of a case, by the words that the event types give them."""

from __future__ import annotations

SUBMITTED, FORWARDED, ACKNOWLEDGED, ASSIGNED = "submitted", "forwarded", "acknowledged", "assigned"
AWAITING_APPROVAL, APPROVED, APPROVAL_REFUSED = "awaiting_approval", "approved", "approval_refused"
SENT_BACK, APPROVAL_EXPIRED = "sent_back", "approval_expired"
ORDERED, ACCEPTED, DECLINED, IN_PROGRESS, SUSPENDED = "ordered", "accepted", "declined", "in_progress", "suspended"
COMPLETED, INSPECTED, DEFECT_FOUND, CANCELLED = "completed", "inspected", "defect_found", "cancelled"
RESOLVED, RATED, REOPENED, WITHDRAWN, MERGED, CLOSED = "resolved", "rated", "reopened", "withdrawn", "merged", "closed"

ENDORSED, RANKED, AWAITING_BUDGET, MERGING = "endorsed", "ranked", "awaiting_budget", "merging"
BUDGETED, PROCUREMENT, CONTRACTED, IN_WORKS, PAID = "budgeted", "procurement", "contracted", "in_works", "paid"
REALISED, REJECTED, DROPPED, OPEN = "realised", "rejected", "dropped", "open"
CHECKING, AWAITING_EVIDENCE, CONSULTING, DECIDING = "checking", "awaiting_evidence", "consulting", "deciding"
GRANTED, ISSUED, REFUSED, REVOKED = "granted", "issued", "refused", "revoked"

STATES = (
    SUBMITTED, FORWARDED, ACKNOWLEDGED, ASSIGNED, AWAITING_APPROVAL, APPROVED, APPROVAL_REFUSED, SENT_BACK,
    APPROVAL_EXPIRED, ORDERED, ACCEPTED, DECLINED, IN_PROGRESS, SUSPENDED, COMPLETED, INSPECTED, DEFECT_FOUND,
    CANCELLED, RESOLVED, RATED, REOPENED, WITHDRAWN, MERGED,
    OPEN, ENDORSED, RANKED, MERGING, AWAITING_BUDGET, BUDGETED, PROCUREMENT, CONTRACTED, IN_WORKS, PAID,
    CHECKING, AWAITING_EVIDENCE, CONSULTING, DECIDING, GRANTED, ISSUED,
    REALISED, REJECTED, DROPPED, REFUSED, REVOKED, CLOSED,
)  # fmt: skip
"""Every state, in the order in which a case may pass through them."""
