"""What a city's directory asks of a Kafka cluster, against what is there. Pure."""

from bus.topology.difference import Change, Plan, difference
from bus.topology.identities import IDENTITIES_OF_SERVICES, Standing, standing_of, user_of
from bus.topology.model import EVERY, Found, Grant, Limited, Shape, Topic, Topology
from bus.topology.wanted import wanted

__all__ = [
    "EVERY",
    "IDENTITIES_OF_SERVICES",
    "Change",
    "Found",
    "Grant",
    "Limited",
    "Plan",
    "Shape",
    "Standing",
    "Topic",
    "Topology",
    "difference",
    "standing_of",
    "user_of",
    "wanted",
]
