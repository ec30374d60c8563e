"""CSV files for an agency's system: one for each table of its mapping and each hour, day or month."""

from adapters.targets.files.target import KIND

__all__ = ["KIND"]
