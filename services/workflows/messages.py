"""What one case says to another, and what comes back when the other cannot take it. Pure.

A message is an event whose subject is another case, written in the transaction of the decision that sent it and taken
by this stage like an agency's event. So it is handed over exactly once. The other case decides alone, in its own
partition: it takes the message, or refuses it, and then the sender hears so and takes back what it had done. Nothing
is locked meanwhile, and no two partitions ever decide on one thing.

No two cases talk for ever: each message counts those before it, up to the last word of an agency, deadline or operator.
One event leads to a bounded number of messages in a row, and in all; the decision that would send more is a defect.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.envelope import Event
from schemas.failures import Refused
from schemas.registry import EventData, registry
from schemas.types.cases import Message, MessageRefused
from services.workflows.definition import WORKFLOWS, DefectInWorkflow, Emission

MESSAGE_BYTES_MAX = 4000
"""The largest message: it has to fit whole into the refusal that gives it back."""

HOPS_MAX = 100
"""Messages in a row, each led to by the one before. Followers of followers are told in such a chain."""

MESSAGES_MAX = 1_000_000
"""Messages that one event of an agency, or one deadline, may lead to, all together."""


def counted(emissions: Sequence[Emission], case: str, cause: EventData | None) -> Sequence[Emission]:
    """What the decision of `case` on `cause` sends, each message with its place in the chain. None: the first of one.

    Raises:
        DefectInWorkflow: these cases talk without end.
    """
    told = sum(emission.subject is not None for emission in emissions)
    if not told:
        return emissions
    hops, allowance = _place_of(cause)
    share = allowance // told - 1
    if hops >= HOPS_MAX or share < 0:
        assert isinstance(cause, Message)
        to = next(emission.subject for emission in emissions if emission.subject is not None)
        much = f"{hops} messages in a row" if hops >= HOPS_MAX else f"one event led to {MESSAGES_MAX} messages, and"
        raise DefectInWorkflow(
            f"{much} led here, and no agency spoke and no deadline passed in between: the case {cause.from_case} tells "
            f"the case {case}, which tells the case {to} again. One of their workflows must come to an end by itself"
        )
    place = {"hops": hops + 1, "allowance": share}
    return [
        emission._replace(data=emission.data.model_copy(update=place)) if emission.subject is not None else emission
        for emission in emissions
    ]


def _place_of(cause: EventData | None) -> tuple[int, int]:
    """How many messages in a row led to the cause, and how many more it may lead to."""
    if not isinstance(cause, Message) or cause.hops is None or cause.allowance is None:
        return 0, MESSAGES_MAX
    return cause.hops, cause.allowance


def answer_to(event: Event, refused: Refused) -> Emission | None:
    """What the case that sent the message `event` is told; None where it is no message, or is such an answer itself."""
    if event.type == MessageRefused.registered.name:
        return None
    data = registry.get(event.type).read(event.data)
    if not isinstance(data, Message):
        return None
    hops, allowance = _place_of(data)
    answer = MessageRefused(
        from_case=event.subject,
        hops=min(hops + 1, HOPS_MAX),
        allowance=max(allowance - 1, 0),
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
