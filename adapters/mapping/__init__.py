"""Between an agency's columns and codes and the shared events, both ways, as its mapping.toml says."""

from adapters.mapping.mapping import AgencyRow, Mapping

__all__ = ["AgencyRow", "Mapping"]
