"""Events committed with the agency's own change, waiting for Kafka; and the relay that moves them there."""

from bus.outbox.horizon import Horizon
from bus.outbox.outbox import Outbox, OutboxFull
from bus.outbox.relay import Relay, RelaySettings
from bus.outbox.rows import Receipt, Submission, insert_events

__all__ = ["Horizon", "Outbox", "OutboxFull", "Receipt", "Relay", "RelaySettings", "Submission", "insert_events"]
