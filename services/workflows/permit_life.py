"""The permit workflow's second half: a permit that holds, until its end. Importing it completes `permit.permit`.

issued ⇄ suspended → closed (expired, revoked); withdrawn at any time
"""

from __future__ import annotations

from schemas.types.cases import TimerFired
from schemas.types.permits import PermitReinstated, PermitRevoked, PermitSuspended, PermitWithdrawn
from services.workflows.definition import CLOSED, Step
from services.workflows.permit import APPLICATION, ISSUED, SUSPENDED, VALID, PermitCase, change, close, permit


@permit.on(PermitSuspended, states=[ISSUED], to=[SUSPENDED])
def suspended(case: PermitCase, data: PermitSuspended, step: Step) -> PermitCase:
    """It does not hold for now. Its end stays where it is."""
    step.require_sender(_over_permit(case, step), "the permit")
    return change(case, state=SUSPENDED)


@permit.on(PermitReinstated, states=[SUSPENDED], to=[ISSUED])
def reinstated(case: PermitCase, data: PermitReinstated, step: Step) -> PermitCase:
    """It holds again."""
    step.require_sender(_over_permit(case, step), "the permit")
    return change(case, state=ISSUED)


@permit.on(PermitRevoked, states=VALID, to=[CLOSED])
def revoked(case: PermitCase, data: PermitRevoked, step: Step) -> PermitCase:
    """It is taken back for good."""
    step.require_sender(_over_permit(case, step), "the permit")
    return close(case, "revoked", step.sender, step, data.reason)


@permit.on_timer("expire", states=VALID, to=[CLOSED])
def expired(case: PermitCase, data: TimerFired, step: Step) -> PermitCase:
    """Its time is over."""
    return close(case, "expired", case.office, step, f"The permit {case.permit_id} held until now.")


@permit.on(PermitWithdrawn, states=[*APPLICATION, *VALID], to=[CLOSED])
def withdrawn(case: PermitCase, data: PermitWithdrawn, step: Step) -> PermitCase:
    """The applicant no longer wants it."""
    step.require_sender([case.applied_through], "speaking for the applicant")
    asked = (*case.waiting_for, *case.standing_in)
    return close(case, "withdrawn", step.sender, step, data.reason or "The applicant withdrew it.", also=asked)


def _over_permit(case: PermitCase, step: Step) -> tuple[str, ...]:
    """Who may act on an issued permit: the office that issued it, the one that issues them now, and who is above."""
    kind = step.city.permits.get(case.service_code)
    office = kind.office if kind is not None else case.office
    above = step.city.parent_of(office)
    return tuple(dict.fromkeys((case.office, office) if above is None else (case.office, office, above)))
