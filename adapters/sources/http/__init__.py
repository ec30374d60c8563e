"""A source that is called: an agency's system POSTs JSON in its own columns; the mapping makes events of it."""

from adapters.sources.http.source import KIND

__all__ = ["KIND"]
