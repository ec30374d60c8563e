"""A source that reads the agency's own SQL database."""

from adapters.sources.sql.build import KIND

__all__ = ["KIND"]
