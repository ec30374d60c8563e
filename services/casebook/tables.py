"""The casebook's tables: cases, their parties, their timelines, what was refused, and how far the log has been read.

All of it is made from the log and can be made again, so there are no migrations: another version of these tables
asks for a rebuild. Nothing in a row depends on when it was written, so a rebuild gives the same rows. Times are UTC
text (`moments.py`), money is a decimal string beside its currency, data is JSON text without personal fields.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text, text

VERSION = "4"
"""The version of these tables. Another one in the database: rebuild."""

metadata = MetaData()

# PostgreSQL compares text by the rules of a language unless told otherwise; ids, codes and times need the bytes' order.
_Code = String().with_variant(String(collation="C"), "postgresql")

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    comment="What this database is: the version of the tables, the city.",
)

positions = Table(
    "positions",
    metadata,
    Column("topic", String(255), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False, comment="Where reading goes on."),
    Column("last_offset", BigInteger, comment="The last record taken in: it must still be there, and be the same."),
    Column("last_digest", String(64), comment="That record's digest."),
    comment="How far each partition has been taken into these tables. Moved in the transaction that writes the rows.",
)

_is_open, _is_parked = text("closed_at IS NULL"), text("parked_at IS NOT NULL")

cases = Table(
    "cases",
    metadata,
    Column("id", _Code, primary_key=True, comment="The case id, also the event's subject and the Kafka key."),
    Column("workflow", Text, comment="The workflow and version that the case is pinned to."),
    Column("kind", _Code, nullable=False, comment="What it is about: request, proposal, budget."),
    Column("title", Text, comment="What it is called, where it has a name."),
    Column("service_code", _Code, nullable=False, comment="Empty where it is about no one service."),
    Column("area", _Code, nullable=False),
    Column("state", _Code, nullable=False),
    Column("outcome", _Code, comment="How it ended, once it is closed."),
    Column("opened_by", _Code, nullable=False, comment="The agency that opened it."),
    Column("holder", _Code, comment="The agency in whose hands it is now."),
    Column("held_since", Text, comment="Since when."),
    Column("agency", _Code, comment="The agency that does the work."),
    Column("parties", Text, nullable=False, comment="All agencies that took part, with commas."),
    Column("opened_at", _Code, nullable=False),
    Column("updated_at", Text, nullable=False, comment="When the log took its newest event."),
    Column("closed_at", Text),
    Column("due_at", _Code, comment="By when the city means to have it done (Open311 expected_datetime)."),
    Column("answer_by", _Code, comment="By when the step that it is in should end."),
    Column("estimate_amount", Text),
    Column("estimate_currency", Text),
    Column("cost_amount", Text),
    Column("cost_currency", Text),
    Column("escalation_step", Integer, nullable=False),
    Column("parked_at", _Code, comment="Since when a failed decision waits for a person."),
    Column("parked_event_id", Text),
    Column("parked_event_type", Text),
    Column("parked_error", Text),
    Column("parked_seq", Integer, comment="Where in the timeline it was parked."),
    Column("told_event_id", Text, comment="The newest event that is no consequence of another."),
    Column("events", Integer, nullable=False, comment="Entries in its timeline."),
    Column("log_partition", Integer, nullable=False),
    Column("log_offset", BigInteger, nullable=False, comment="Its newest event in city-events."),
    Index("cases_by_opening", "opened_at", "id"),
    Index("cases_by_state", "state", "opened_at", "id"),
    Index("cases_by_service", "service_code", "opened_at", "id"),
    Index("cases_by_kind", "kind", "opened_at", "id"),
    Index("cases_open", "opened_at", "id", sqlite_where=_is_open, postgresql_where=_is_open),
    Index("cases_parked", "parked_at", "id", sqlite_where=_is_parked, postgresql_where=_is_parked),
    # What is counted at each look at the whole: read from the index alone.
    Index("cases_counted", "state", "holder", "agency", "opened_by", "closed_at", "due_at", "answer_by"),
)

case_parties = Table(
    "case_parties",
    metadata,
    Column("agency", _Code, primary_key=True),
    Column("case_id", _Code, primary_key=True),
    sqlite_with_rowid=False,
    comment="Which agencies took part in which cases.",
)

timeline = Table(
    "timeline",
    metadata,
    Column("case_id", _Code, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="Place in the case, from 1."),
    Column("event_id", _Code, nullable=False),
    Column("type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("agency", Text, nullable=False, comment="The last part of the source: an agency, or a process of the bus."),
    Column("time", Text, nullable=False, comment="When it happened there, exactly as sent."),
    Column("recordedtime", Text, comment="When the sender's outbox took it, exactly as sent."),
    Column("logged_at", Text, nullable=False, comment="When the city's log took it."),
    Column("correlationid", Text),
    Column("causationid", Text),
    Column("recipient", Text),
    Column("jurisdiction", Text),
    Column("parties", Text),
    Column("workflowversion", Text),
    Column("data", Text, comment="JSON, without personal fields and without fields that the schema does not name."),
    Column("withheld", Text, comment="Why there is no data here."),
    Column("refusal_id", Text, comment="The rejection by which the case refused it: it counts for nothing."),
    Column("log_partition", Integer, nullable=False),
    Column("log_offset", BigInteger, nullable=False),
    Index("timeline_by_event", "event_id"),
    sqlite_with_rowid=False,
)

links = Table(
    "links",
    metadata,
    Column("ref", _Code, primary_key=True, comment="What is named: another case's id, a contract's, a payment's."),
    Column("kind", _Code, primary_key=True, comment="case, ocid, contract, invoice, payment, asset, allocation ..."),
    Column("case_id", _Code, primary_key=True, comment="The case in which it is named."),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="Where in its timeline."),
    Index("links_by_case", "case_id", "seq"),
    sqlite_with_rowid=False,
    comment="What the entries of timelines name, so that a case is found from a payment or another case.",
)

acts = Table(
    "acts",
    metadata,
    Column("case_id", _Code, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False, comment="Where in the case's timeline."),
    Column("kind", _Code, nullable=False, comment="replay, discard, correction, resend."),
    Column("at", _Code, nullable=False, comment="When the log took it."),
    Column("by", Text, comment="The operator."),
    Column("reason", Text),
    Column("event_id", Text, comment="The event to which it was done."),
    Column("rejection_id", _Code, comment="The rejection to which it was done."),
    Column("new_event_id", Text, comment="The event that took its place."),
    Index("acts_by_time", "at", "case_id", "seq"),
    Index("acts_by_rejection", "rejection_id"),
    sqlite_with_rowid=False,
    comment="What operators did to parked cases and rejected events.",
)

rejected = Table(
    "rejected",
    metadata,
    Column("id", _Code, primary_key=True),
    Column("rejected_at", _Code, nullable=False),
    Column("rejected_by", Text, nullable=False, comment="The process that refused it."),
    Column("case_id", Text, nullable=False),
    Column("agency", _Code, nullable=False, comment="Who sent it, by its topic."),
    Column("event_id", Text),
    Column("event_type", Text),
    Column("topic", Text, nullable=False, comment="Where the refused record stands."),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("reasons", Text, nullable=False, comment="JSON: code, field, problem, fix."),
    Column("code", _Code, nullable=False, comment="The first reason's code: the cause by which refusals are counted."),
    Column("headers", Text, comment="JSON: the record's headers, as far as they may be shown."),
    Column("data", Text, comment="JSON, without personal fields and without fields that the schema does not name."),
    Column("withheld", Text, comment="Why there is no data here."),
    Column("size_bytes", Integer, comment="Of the record's value."),
    Column("log_partition", Integer, nullable=False),
    Column("log_offset", BigInteger, nullable=False, comment="In city-rejected, which holds it whole."),
    Index("rejected_by_time", "rejected_at", "id"),
    Index("rejected_by_cause", "code", "agency", "event_type", "rejected_at", "id"),
    Index("rejected_by_place", "topic", "partition", "offset"),
)
