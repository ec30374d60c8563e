"""A target that the agency writes itself: a Python function that takes events."""

from adapters.targets.python.target import KIND

__all__ = ["KIND"]
