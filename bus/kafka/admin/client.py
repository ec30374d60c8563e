"""The connection of an administrator: confluent_kafka's client with our security, its failures sorted.

Passwords are given to the library as options and never logged. Its own threads do the work; calls here block, each with
a deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from bus.kafka.errors import BrokerUnavailable, NotAllowed
from bus.kafka.refusal import why_refused
from bus.kafka.security import MECHANISM, Security
from bus.kafka.settings import KafkaSettings
from schemas.failures import Misconfigured, SubakError

T = TypeVar("T")
K = TypeVar("K")

ANSWER_SECONDS_MAX = 30.0
"""How long one request may take."""

_REFUSALS = (
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
)
_AWAY = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError.REQUEST_TIMED_OUT)


class ClusterAdmin:
    """One administrator of one cluster."""

    def __init__(self, settings: KafkaSettings) -> None:
        """
        Raises:
            NotAllowed: the cluster does not know us, or we not it; in words.
            Misconfigured: a file of the security settings cannot be used.
        """
        # librdkafka tries for ever and says of a refusal no more than that all brokers are down: so it is asked first.
        if (why := asyncio.run(why_refused(settings))) is not None:
            raise NotAllowed(why)
        self.settings = settings
        try:
            self.client = AdminClient(options(settings), logger=None)
        except KafkaException as error:
            raise sorted_error(error, "connecting as the administrator") from error

    def outcome(self, future: Future[T], doing: str) -> T:
        """What a request gave.

        Raises:
            NotAllowed, BrokerUnavailable, Misconfigured: as Kafka refused.
        """
        try:
            return future.result(ANSWER_SECONDS_MAX)
        except (KafkaException, TimeoutError) as error:
            raise sorted_error(error, doing) from error

    def outcomes(self, futures: Mapping[K, Future[T]], doing: str) -> dict[K, T]:
        """What each of several requests gave; the first failure is raised."""
        return {key: self.outcome(future, f"{doing} {key}") for key, future in futures.items()}


def options(settings: KafkaSettings) -> dict[str, Any]:
    """librdkafka's options for our settings."""
    security: Security = settings.security
    found: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": f"{settings.client_id}-administration",
        "socket.timeout.ms": int(settings.request_timeout_seconds * 1000),
        "security.protocol": security.protocol,
        "log_level": 0,
    }
    if security.ca_file is not None:
        found["ssl.ca.location"] = str(security.ca_file)
    if security.certificate_file is not None:
        found |= {
            "ssl.certificate.location": str(security.certificate_file),
            "ssl.key.location": str(security.key_file),
        }
    if security.protocol == "SASL_SSL":
        user, password = security.login()
        found |= {"sasl.mechanism": MECHANISM, "sasl.username": user, "sasl.password": password}
    return found


def sorted_error(error: KafkaException | TimeoutError, doing: str) -> SubakError:
    """The error of Subak for what the library raised."""
    cause = error.args[0] if error.args else None
    if not isinstance(cause, KafkaError):
        return BrokerUnavailable(f"Kafka did not answer while {doing}: {error!r}")
    if cause.code() in _REFUSALS:
        return NotAllowed(
            f"Kafka refused this principal while {doing}: {cause.str()}. Administration needs a user who may alter the "
            "cluster (super.users, or ACLs on the cluster): name it in SUBAK_KAFKA_CREDENTIALS_FILE."
        )
    if cause.code() in _AWAY or cause.retriable():
        return BrokerUnavailable(f"Kafka did not answer while {doing}: {cause.str()}")
    return Misconfigured(f"Kafka refused what was asked while {doing}: {cause.str()}.")


def in_parts(things: Iterable[T], size: int) -> Iterable[list[T]]:
    """Lists of at most `size`: one request must not ask for too much."""
    part: list[T] = []
    for thing in things:
        part.append(thing)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
