"""Certification: an agency's adapter, run against a hostile bus and a hostile agency system, and what it withstood.

    trials.py ── what is tried, a promise each ──→ stand.py (a real Kafka, the adapter as a process, killed at will)
                                                      └── system.py (the agency's system, as nasty as a trial wants)

Nothing of the agency's own is touched: the adapter gets a database, tokens and a Kafka of this run, and a system that
stands in for the agency's. What it keeps is the agency's mapping, handlers and patience.
"""
