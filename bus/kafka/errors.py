"""What Kafka's clients raise, sorted by what the caller should do."""

from __future__ import annotations

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    KafkaError,
    ProducerFenced,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnknownTopicOrPartitionError,
)

from schemas.failures import Misconfigured, Retryable, SubakError


class BrokerUnavailable(Retryable):
    """Kafka did not answer in time. Whether the last transaction stands is unknown until its successor asks."""


class Fenced(Retryable):
    """A newer owner of this transactional id has started: what this one had in hand is void, by design."""


class NotAllowed(Misconfigured):
    """Kafka refuses this principal: who it says that it is (TLS, password), or what it asked for (ACLs)."""


_REFUSALS = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    SaslAuthenticationFailed,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


def sorted_error(error: BaseException, doing: str) -> SubakError:
    """The error of Subak for what a client raised while `doing` (an -ing phrase, for the sentence)."""
    if isinstance(error, SubakError):
        return error
    if isinstance(error, ProducerFenced | InvalidProducerEpoch):
        return Fenced(f"fenced while {doing}: a newer process has taken over")
    if (refusal := _refusal(error)) is not None:
        error = refusal
        return NotAllowed(
            f"Kafka's ACLs refused this principal while {doing}: {_what(error)}. `subak topology plan` shows what the "
            "city's directory gives it."
        )
    if isinstance(error, UnknownTopicOrPartitionError):
        # A broker that has just started calls topics unknown for a moment. What is missing for good is found at the
        # start, where each process requires its topics.
        return BrokerUnavailable(
            f"Kafka does not know a topic while {doing}. If that lasts, create the topics: `subak topics create`."
        )
    if isinstance(error, KafkaError | TimeoutError | OSError | AssertionError):
        return BrokerUnavailable(f"Kafka did not answer while {doing}: {error!r}")
    raise error


def _refusal(error: BaseException) -> BaseException | None:
    """The refusal that this error is or was raised from: the client wraps some in "unexpected error"."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, _REFUSALS):
        found = found.__cause__
    return found


def _what(error: BaseException) -> str:
    """What was refused: the client's own name of it, and what it was about."""
    about = ", ".join(str(part) for part in error.args if part)
    return f"{type(error).__name__}{f' ({about})' if about else ''}"
