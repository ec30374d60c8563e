"""Makes a cluster what a plan says, one step after the other, and nothing else.

A plan that is cut short in the middle is no harm: the next look finds what is still to do. A user's password is handed
to `keep` before Kafka has it, so that no credentials exist that nobody knows.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from itertools import groupby

from confluent_kafka.admin import (
    AclBindingFilter,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from bus.kafka.admin.client import ClusterAdmin, in_parts
from bus.kafka.admin.looking import binding_of
from bus.kafka.quotas import alter_quotas
from bus.topology import Change, Grant, Plan

PASSWORD_BYTES = 32
SCRAM_ITERATIONS = 8192
TOPICS_AT_ONCE, GRANTS_AT_ONCE = 40, 500

Keep = Callable[[str, str], None]
"""Told each new user and its password, before Kafka is."""


def apply(admin: ClusterAdmin, plan: Plan, keep: Keep) -> None:
    """Do what the plan says, in its order.

    Raises:
        NotAllowed, BrokerUnavailable, Misconfigured: where it stopped; a new plan says what is left.
    """
    for (act, what), group in groupby(plan.changes, key=lambda change: (change.act, change.what)):
        changes = list(group)
        match act, what:
            case "create", "topic":
                _create_topics(admin, changes)
            case "delete", "topic":
                for part in in_parts([change.name for change in changes], TOPICS_AT_ONCE):
                    admin.outcomes(admin.client.delete_topics(part), "deleting the topic")
            case "create", "grant":
                for some in in_parts(_grants(changes), GRANTS_AT_ONCE):
                    admin.outcomes(admin.client.create_acls([binding_of(grant) for grant in some]), "granting")
            case "delete", "grant":
                for some in in_parts(_grants(changes), GRANTS_AT_ONCE):
                    admin.outcomes(admin.client.delete_acls([_exactly(grant) for grant in some]), "taking away")
            case "create", "user":
                _create_users(admin, [change.name for change in changes], keep)
            case "delete", "user":
                gone = [UserScramCredentialDeletion(c.name, ScramMechanism.SCRAM_SHA_512) for c in changes]
                admin.outcomes(admin.client.alter_user_scram_credentials(gone), "removing the user")
            case _, "quota":
                asyncio.run(alter_quotas(admin.settings, {change.name: change.quotas for change in changes}))
            case _:
                _alter_settings(admin, changes)


def _create_topics(admin: ClusterAdmin, changes: list[Change]) -> None:
    new = [
        NewTopic(
            change.topic.name,
            num_partitions=change.topic.partitions,
            replication_factor=change.topic.replication_factor,
            config=dict(change.topic.settings),
        )
        for change in changes
        if change.topic is not None
    ]
    for part in in_parts(new, TOPICS_AT_ONCE):
        admin.outcomes(admin.client.create_topics(part), "creating the topic")


def _create_users(admin: ClusterAdmin, users: list[str], keep: Keep) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS)
    made = []
    for user in users:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        keep(user, password)
        made.append(UserScramCredentialUpsertion(user, info, password.encode()))
    admin.outcomes(admin.client.alter_user_scram_credentials(made), "making the user")


def _alter_settings(admin: ClusterAdmin, changes: list[Change]) -> None:
    resources = []
    for name, group in groupby(changes, key=lambda change: change.name):
        entries = [
            ConfigEntry(change.key, change.after, incremental_operation=AlterConfigOpType.SET) for change in group
        ]
        resources.append(ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries))
    admin.outcomes(admin.client.incremental_alter_configs(resources), "changing the settings of")


def _grants(changes: Iterable[Change]) -> list[Grant]:
    return [change.grant for change in changes if change.grant is not None]


def _exactly(grant: Grant) -> AclBindingFilter:
    """A filter that this one ACL alone fits."""
    binding = binding_of(grant)
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
