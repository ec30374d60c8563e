"""What the gateway holds against an event: the door's grammar, the city's rules, the right partition. Pure.

The sender is the topic, which Kafka's ACLs guard, and never a field: a payload is not trusted about who sent it.
"""

from __future__ import annotations

from bus.admission import reasons_against
from bus.city import City
from bus.records import Record, partition_for
from bus.topics import agency_of_out
from schemas.door import read_record
from schemas.envelope import Event
from schemas.failures import Reason, Refused


def admit(record: Record, city: City, partitions: int) -> Event:
    """The event in a record of an agency's out topic, if it may enter the city's log.

    Raises:
        Refused: with every reason that can be found; the later checks need what the earlier ones establish.
    """
    event: Event = read_record(record.headers, record.key, record.value)
    reasons = _wrong_partition(event, record, partitions)
    reasons += reasons_against(event, agency_of_out(record.topic), city)
    if reasons:
        raise Refused(reasons)
    return event


def _wrong_partition(event: Event, record: Record, partitions: int) -> list[Reason]:
    expected = partition_for(event.key, partitions)
    if record.partition == expected:
        return []
    problem = f"the case belongs on partition {expected}, and the event came on {record.partition}"
    fix = "Partition by murmur2 on the key; with librdkafka set partitioner=murmur2_random."
    return [Reason("wrong_partition", "subject", problem, fix)]
