"""A folder where an agency's system puts CSV or XLSX files; each row becomes events through the mapping."""

from adapters.sources.files.source import KIND

__all__ = ["KIND"]
