"""What a cluster has: the bus's topics with their settings, all SCRAM users, all ACLs, all quotas. Changes nothing."""

from __future__ import annotations

import asyncio

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
    ScramMechanism,
)

from bus.kafka.admin.client import ANSWER_SECONDS_MAX, ClusterAdmin, in_parts, sorted_error
from bus.kafka.quotas import described_quotas
from bus.topology import Found, Grant, Topic
from bus.topology.difference import is_of_the_bus

CONFIGS_AT_ONCE = 200

EVERYBODY = "User:"
"""How Kafka writes a principal that is a user."""


def look(admin: ClusterAdmin) -> Found:
    """What is there.

    Raises:
        NotAllowed: the administrator may not see it.
        BrokerUnavailable: no answer in time.
    """
    grants = _grants(admin)
    return Found(
        topics=_topics(admin),
        users=_users(admin),
        grants=grants or frozenset(),
        quotas=asyncio.run(described_quotas(admin.settings)),
        authorizes=grants is not None,
    )


def _topics(admin: ClusterAdmin) -> dict[str, Topic]:
    try:
        listed = admin.client.list_topics(timeout=ANSWER_SECONDS_MAX).topics
    except KafkaException as error:
        raise sorted_error(error, "looking at the topics") from error
    names = sorted(name for name in listed if is_of_the_bus(name))
    settings: dict[str, dict[str, str]] = {}
    for part in in_parts(names, CONFIGS_AT_ONCE):
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in part]
        for resource, future in admin.client.describe_configs(resources).items():
            entries = admin.outcome(future, f"reading the settings of {resource.name}")
            settings[resource.name] = {key: str(entry.value) for key, entry in entries.items()}
    return {
        name: Topic(
            name=name,
            partitions=len(listed[name].partitions),
            replication_factor=min((len(p.replicas) for p in listed[name].partitions.values()), default=0),
            settings=settings[name],
        )
        for name in names
    }


def _users(admin: ClusterAdmin) -> frozenset[str]:
    described = admin.outcome(admin.client.describe_user_scram_credentials(), "looking at the users")
    return frozenset(
        name
        for name, user in described.items()
        if any(info.mechanism == ScramMechanism.SCRAM_SHA_512 for info in user.scram_credential_infos)
    )


def _grants(admin: ClusterAdmin) -> frozenset[Grant] | None:
    """All ACLs as grants; None where the cluster has no authorizer."""
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    future = admin.client.describe_acls(everything)
    try:
        found = future.result(ANSWER_SECONDS_MAX)
    except KafkaException as error:
        if error.args and error.args[0].code() == KafkaError.SECURITY_DISABLED:
            return None
        raise sorted_error(error, "looking at the ACLs") from error
    return frozenset(grant_of(binding) for binding in found)


def grant_of(binding: AclBinding) -> Grant:
    """An ACL as a grant. What is bound to one host keeps it in the user's name: it is nobody's of ours."""
    user = str(binding.principal).removeprefix(EVERYBODY)
    if binding.host != "*":
        user = f"{user} from {binding.host}"
    return Grant(
        user,
        binding.operation.name.lower(),
        binding.restype.name.lower(),
        binding.name,
        binding.resource_pattern_type == ResourcePatternType.PREFIXED,
        binding.permission_type == AclPermissionType.ALLOW,
    )


def binding_of(grant: Grant) -> AclBinding:
    """A grant as an ACL."""
    return AclBinding(
        ResourceType[grant.kind.upper()],
        grant.name,
        ResourcePatternType.PREFIXED if grant.prefixed else ResourcePatternType.LITERAL,
        f"{EVERYBODY}{grant.user}",
        "*",
        AclOperation[grant.operation.upper()],
        AclPermissionType.ALLOW if grant.allow else AclPermissionType.DENY,
    )
