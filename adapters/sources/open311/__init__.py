"""An Open311 GeoReport v2 server: any app that speaks it becomes a source of the agency."""

from adapters.sources.open311.source import KIND

__all__ = ["KIND"]
