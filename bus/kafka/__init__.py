"""Kafka, as Subak uses it. The only package that imports aiokafka and FastStream.

A stage is imported from `bus.kafka.stage`: it needs FastStream, whose import would delay every command.
"""

from bus.kafka.errors import BrokerUnavailable, Fenced, NotAllowed
from bus.kafka.lane import LaneSettings
from bus.kafka.offsets import committed, ends, group_positions
from bus.kafka.pace import Lateness
from bus.kafka.reader import TopicReader, partitions_of
from bus.kafka.settings import KafkaSettings
from bus.kafka.tool_offsets import ToolOffsets
from bus.kafka.topics import ensure_topics, require_topics
from bus.kafka.transactions import TransactionalProducer
from bus.records import Output, Record, partition_for

__all__ = [
    "BrokerUnavailable",
    "Fenced",
    "KafkaSettings",
    "LaneSettings",
    "Lateness",
    "NotAllowed",
    "Output",
    "Record",
    "ToolOffsets",
    "TopicReader",
    "TransactionalProducer",
    "committed",
    "ends",
    "ensure_topics",
    "group_positions",
    "partition_for",
    "partitions_of",
    "require_topics",
]
