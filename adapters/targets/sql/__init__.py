"""A target that keeps rows of the agency's own SQL database up to date."""

from adapters.targets.sql.target import KIND

__all__ = ["KIND"]
