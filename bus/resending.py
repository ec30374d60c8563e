"""A rejected event that an operator lets in: built from the request, held against all that any event is. Pure.

Asked twice with the same answer: by whoever asks for it, so that nothing wrong leaves, and by the gateway. The sender
is the agency whose event it was, and what the agency may not say an operator cannot say for it.
"""

from __future__ import annotations

from bus.admission import reasons_against
from bus.city import City
from schemas.door import read_record
from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.identifiers import derived_id, is_event_id
from schemas.registry import registry
from schemas.types.acts import ResendRequested

RESEND_REQUESTED = ResendRequested.registered.name


def resent(act: Event, city: City) -> Event:
    """The event that `act` lets in. Of one rejection it has one id, whoever asks and however often.

    Raises:
        Refused: with every reason why that agency may not say this, here and now.
    """
    request: ResendRequested = registry.get(act.type).read(act.data)
    wanted = request.event
    if wanted is None:
        raise Refused([Reason("missing", "data.event", "there is no event to let in", "Send it whole.")])
    cause = request.event_id if request.event_id is not None and is_event_id(request.event_id) else act.id
    event = Event(
        id=derived_id(request.rejection_id, "resent"),
        type=wanted.type,
        source=city.source_of(request.agency),
        subject=act.subject,
        time=wanted.time,
        data=wanted.data.encode(),
        correlationid=wanted.correlationid or cause,
        causationid=cause,
        jurisdiction=wanted.jurisdiction,
        history=wanted.history,
        expirytime=wanted.expirytime,
    )
    try:
        read_record(event.headers(), event.key, event.data)
        reasons = reasons_against(event, request.agency, city)
    except Refused as refused:
        reasons = list(refused.reasons)
    if reasons:
        raise Refused([Reason(each.code, f"data.event.{each.field}"[:500], each.problem, each.fix) for each in reasons])
    return event


def resent_already(rejection_id: str) -> Refused:
    """Why a second request for one rejection is refused."""
    problem = f"the event of the rejection {rejection_id} was let in before"
    return Refused([Reason("resent_already", "data.rejection_id", problem, "Its case's timeline shows it.")])
