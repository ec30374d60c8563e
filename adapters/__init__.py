"""The agency's side: an adapter takes what an agency's system says, and tells that system what concerns it.

agency's system ── POST ──→ http_source ──→ outbox ──→ relay ──→ agency-<id>-out
agency's system ←─ call ── webhook ←─ delivery ←─ inbox ←─────── agency-<id>-in
"""
