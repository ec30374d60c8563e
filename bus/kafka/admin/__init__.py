"""Administration of a cluster: what it has, and changing it. The only package that imports confluent_kafka."""

from bus.kafka.admin.acting import apply
from bus.kafka.admin.client import ClusterAdmin
from bus.kafka.admin.looking import look

__all__ = ["ClusterAdmin", "apply", "look"]
