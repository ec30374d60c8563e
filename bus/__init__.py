"""The library that every process of Subak stands on: exactly-once stages, outbox, relay, inbox, settings, metrics."""
