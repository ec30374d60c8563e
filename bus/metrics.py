"""Every metric of Subak, with its kind, its labels and what it tells. Nothing else defines one.

Children are looked up once and kept (`LaneMetrics`): `labels(...)` on every event costs six times the increment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from bus.logic import Decided
    from bus.records import Record

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 86400)
_RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

# -- stages (gateway, workflows, places, router)
transactions_committed = Counter(
    "subak_transactions_committed_total", "Transactions that a stage committed.", ["stage", "partition"]
)
transactions_aborted = Counter(
    "subak_transactions_aborted_total",
    "Transactions whose outcome was unknown or void, and that were decided again.",
    ["stage", "partition"],
)
transactions_fenced = Counter(
    "subak_transactions_fenced_total",
    "Times that a newer owner took a partition number over.",
    ["stage", "partition"],
)
transaction_seconds = Histogram(
    "subak_transaction_seconds", "From the first record written to the commit.", ["stage"], buckets=_SECONDS
)
batch_records = Histogram("subak_batch_records", "Records consumed in one transaction.", ["stage"], buckets=_RECORDS)
stage_records = Counter(
    "subak_stage_records_total", "Records that a stage handled, by what became of them.", ["stage", "outcome"]
)
stage_outputs = Counter("subak_stage_outputs_total", "Records that a stage wrote.", ["stage"])
stage_delay_seconds = Gauge(
    "subak_stage_delay_seconds",
    "How old the newest handled record was when its transaction was committed: lag in seconds, seen from inside.",
    ["stage", "partition"],
)
lag_records = Gauge("subak_lag_records", "Records that wait for this process.", ["process", "partition"])
lag_seconds = Gauge(
    "subak_lag_seconds",
    "Age of the oldest record that waits for this process; 0 where none does.",
    ["process", "partition"],
)
memory_entries = Gauge(
    "subak_memory_entries",
    "What a stage remembers of a partition, by kind: live, closed and parked cases; the ids of the last day.",
    ["stage", "partition", "kind"],
)

# -- security
certificate_ends = Gauge(
    "subak_certificate_expires_timestamp_seconds",
    "When a certificate ends, by the file that holds it or the broker that shows it (seconds since 1970).",
    ["file"],
)

# -- people
identity_provider_up = Gauge(
    "subak_identity_provider_up",
    "Whether the OpenID provider answers as it must (1), or nobody can sign in now (0).",
    ["issuer"],
)

# -- events, end to end
event_seconds = Histogram(
    "subak_event_end_to_end_seconds",
    "From an event's outbox (`recordedtime`) to the inbox of an agency that hears of it.",
    ["type"],
    buckets=_SECONDS,
)

# -- adapters
outbox_depth = Gauge("subak_outbox_depth", "Events in the outbox that the relay has not published.", ["agency"])
outbox_oldest_age_seconds = Gauge(
    "subak_outbox_oldest_age_seconds",
    "Age of the oldest event that waits in the outbox; 0 where none does.",
    ["agency"],
)
relayed_records = Counter("subak_relay_records_total", "Events that the relay published.", ["agency"])
relay_fenced = Counter("subak_relay_fenced_total", "Times that a newer relay took an outbox over.", ["agency"])
inbox_waiting = Gauge("subak_inbox_waiting", "Events in the inbox that the agency has not taken.", ["agency"])
inbox_oldest_age_seconds = Gauge(
    "subak_inbox_oldest_age_seconds",
    "Age of the oldest event that waits in the inbox; 0 where none does.",
    ["agency"],
)
inbox_duplicates = Counter("subak_inbox_duplicates_total", "Events that the inbox had already.", ["agency"])
deliveries = Counter(
    "subak_deliveries_total",
    "Calls of an agency's system, by outcome (delivered, retried, refused).",
    ["agency", "outcome"],
)
delivery_seconds = Histogram("subak_delivery_seconds", "One call of an agency's system.", ["agency"], buckets=_SECONDS)
deliveries_parked = Gauge(
    "subak_deliveries_parked",
    "Events that the agency refused for good and that wait for a person.",
    ["agency"],
)
source_requests = Counter(
    "subak_source_requests_total",
    "Requests to an adapter's HTTP source, by status code.",
    ["agency", "status"],
)
source_files = Counter(
    "subak_source_files_total",
    "Files that a files source has finished (done, failed, known: it had been read before).",
    ["agency", "outcome"],
)
source_rows = Counter(
    "subak_source_rows_total",
    "Rows that a source read, by outcome (taken, refused: they are kept with the reasons).",
    ["agency", "outcome"],
)

# -- casebook
casebook_events = Counter(
    "subak_casebook_events_total", "Events that the casebook has put into its tables.", ["outcome"]
)
casebook_batch_seconds = Histogram(
    "subak_casebook_batch_seconds", "One SQL transaction of the casebook.", buckets=_SECONDS
)
cases_open = Gauge("subak_cases_open", "Cases that are not closed, by the agency that holds them.", ["agency", "state"])
cases_overdue = Gauge(
    "subak_cases_overdue", "Open cases whose deadline, or whose step's deadline, has passed.", ["agency"]
)


class LaneMetrics:
    """One lane's children, looked up once."""

    def __init__(self, stage: str, number: int) -> None:
        partition = str(number)
        self.aborted = transactions_aborted.labels(stage, partition)
        self.fenced = transactions_fenced.labels(stage, partition)
        self._stage = stage
        self._committed = transactions_committed.labels(stage, partition)
        self._seconds = transaction_seconds.labels(stage)
        self._records = batch_records.labels(stage)
        self._outputs = stage_outputs.labels(stage)
        self._delay = stage_delay_seconds.labels(stage, partition)

    def committed(self, records: Sequence[Record], decided: Decided, seconds: float, now: float) -> None:
        """Count one transaction: its records, its outcome, its `seconds`, and how old its newest record is at `now`."""
        self._committed.inc()
        self._seconds.observe(seconds)
        if records:
            self._records.observe(len(records))
            self._delay.set(max(0.0, now - records[-1].timestamp_ms / 1000))
        self._outputs.inc(len(decided.outputs))
        for outcome, count in decided.counted.items():
            stage_records.labels(self._stage, outcome).inc(count)
