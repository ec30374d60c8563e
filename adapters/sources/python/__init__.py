"""A source that the agency writes itself: a Python function that gives records or events."""

from adapters.sources.python.source import KIND

__all__ = ["KIND"]
