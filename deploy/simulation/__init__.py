"""The simulated agencies: a system for each agency of a city, with a database of its own, for demos and tests.

They stand outside the bus, as a real agency's system does: they POST to their adapter and answer its webhook, and they
know nothing of Kafka, of the log or of another agency's database. What the bus lost, duplicated or reordered is counted
from what these databases sent and received (`counts.py`), never from the bus's own counters.

    requests.py ─plan─→ records.py (an SQLite file for each agency) ←─ receiver.py ←─ the adapter's webhook
                             │    ↑                                        │
                             ↓    └───────────── behaviour.react ←─────────┘
                         poster.py ──→ the adapter's POST /agencies/<id>/events
"""
