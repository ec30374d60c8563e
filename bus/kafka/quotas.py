"""Client quotas of a cluster: what there are, and setting them.

Neither confluent_kafka nor aiokafka's administrator has them yet (docs/decisions/0015). aiokafka knows the question;
the order is written down here, as Kafka's protocol has it (AlterClientQuotas, version 0), and both go through
aiokafka's own connections.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, for_code
from aiokafka.protocol.admin import DescribeClientQuotasRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int16, Int32, Schema, String

from bus.kafka.closing import closed_for_good
from bus.kafka.refusal import explained
from bus.kafka.settings import KafkaSettings
from bus.topology import EVERY, Limited
from schemas.failures import Misconfigured

ANSWER_SECONDS_MAX = 30.0
USERS_AT_ONCE = 500

_USER, _CLIENT = "user", "client-id"


async def described_quotas(settings: KafkaSettings) -> dict[Limited, dict[str, float]]:
    """All quotas of users and client ids.

    Raises:
        NotAllowed: the administrator may not see them (it needs DescribeConfigs on the cluster).
        BrokerUnavailable: no answer in time.
        Misconfigured: the cluster has no such thing as quotas.
    """
    async with _connected(settings, "looking at the quotas") as client:
        answer = await client.send(client.get_random_node(), DescribeClientQuotasRequest([], False))
        _raise_for(answer.error_code, answer.error_message)
        found: dict[Limited, dict[str, float]] = {}
        for entity, values in answer.entries:
            named = {kind: EVERY if name is None else name for kind, name in entity}
            if named.keys() <= {_USER, _CLIENT}:  # an address (ip) is nobody of the bus
                found[Limited(named.get(_USER), named.get(_CLIENT))] = dict(values)
        return found


async def alter_quotas(settings: KafkaSettings, users: Mapping[str, Mapping[str, float | None]]) -> None:
    """Set quotas of users, by Kafka's names; None takes one away. What is not named stays as it is.

    Raises:
        NotAllowed: the administrator may not change them (it needs AlterConfigs on the cluster).
        BrokerUnavailable: no answer in time; the next look says what was done.
        Misconfigured: Kafka does not take a quota.
    """
    names = sorted(users)
    async with _connected(settings, "setting quotas") as client:
        for first in range(0, len(names), USERS_AT_ONCE):
            some = {user: users[user] for user in names[first : first + USERS_AT_ONCE]}
            answer = await client.send(client.get_random_node(), _Alter(some))
            for code, message, _ in answer.entries:
                _raise_for(code, message)


@contextlib.asynccontextmanager
async def _connected(settings: KafkaSettings, doing: str) -> AsyncIterator[AIOKafkaClient]:
    """A connection that is closed whatever happens; its errors are sorted."""
    client = AIOKafkaClient(**settings.client("quotas"))
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await client.bootstrap()
            yield client
    except (IncompatibleBrokerVersion, NotImplementedError) as error:
        raise Misconfigured(f"this cluster knows no client quotas ({error}). Kafka has them since 2.6.") from error
    except Exception as error:
        raise await explained(error, doing, settings) from error
    finally:
        await closed_for_good(client.close, tls=settings.security.protocol != "PLAINTEXT")


def _raise_for(code: int, message: str | None) -> None:
    if code == 0:
        return
    error = for_code(code)
    if error.retriable or "Authorization" in error.__name__:
        raise error(message or "")
    raise Misconfigured(f"Kafka does not take the quotas: {message or error.__name__}.")


class _AlterResponse(Response):  # type: ignore[misc] # aiokafka has no types here
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "entries",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("entity", Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))),
            ),
        ),
    )


class _AlterRequest(RequestStruct):  # type: ignore[misc] # as above
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _AlterResponse
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))),
                ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _Alter(Request[_AlterRequest]):  # type: ignore[misc] # as above
    API_KEY = 49

    def __init__(self, users: Mapping[str, Mapping[str, float | None]]) -> None:
        self._entries: Iterable[object] = [
            ([(_USER, user)], [(key, value or 0.0, value is None) for key, value in sorted(quotas.items())])
            for user, quotas in users.items()
        ]

    def build(self, request_struct_class: type[_AlterRequest]) -> _AlterRequest:
        return request_struct_class(self._entries, False)
