"""What one case says to another, and what comes back when the other cannot take it. Pure.

A message is an event whose subject is another case, written in the transaction of the decision that sent it and taken
by this stage like an agency's event. So it is handed over exactly once. The other case decides alone, in its own
partition: it takes the message, or refuses it, and then the sender hears so and takes back what it had done. Nothing
is locked meanwhile, and no two partitions ever decide on one thing.
"""

from __future__ import annotations

from schemas.envelope import Event
from schemas.failures import Refused
from schemas.registry import registry
from schemas.types.cases import Message, MessageRefused
from services.workflows.definition import WORKFLOWS, Emission

MESSAGE_BYTES_MAX = 4000
"""The largest message: it has to fit whole into the refusal that gives it back."""


def answer_to(event: Event, refused: Refused) -> Emission | None:
    """What the case that sent the message `event` is told; None where it is no message, or is such an answer itself."""
    if event.type == MessageRefused.registered.name:
        return None
    data = registry.get(event.type).read(event.data)
    if not isinstance(data, Message):
        return None
    answer = MessageRefused(
        from_case=event.subject,
        message_id=event.id,
        message_type=event.type,
        message=event.data.decode()[:MESSAGE_BYTES_MAX],
        reason="; ".join(reason.problem for reason in refused.reasons)[:4000],
    )
    return Emission(answer, WORKFLOWS, (), data.from_case)


def message_in(answer: MessageRefused) -> Message:
    """The message that was refused, as it was sent."""
    data = registry.get(answer.message_type).read(answer.message.encode())
    assert isinstance(data, Message)
    return data
