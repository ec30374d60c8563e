"""Where the system of an agency with words of its own lies on this machine: what its staff needs to know."""

from __future__ import annotations

from schemas.strict import Strict


class OwnSystem(Strict):
    """Where one agency's own system lies on this machine, for whoever simulates it."""

    example: str
    """The example's folder."""
    source: str
    """The kind in which it speaks: `sql`, `files`, `python`."""
    source_name: str
    """As its ids are derived with it."""
    target: str | None
    """The kind in which it is told; None: by webhook."""
    url: str | None = None
    """Its database, where it has one."""
    outgoing: str | None = None
    """The folder in which it lays files."""
    incoming: str | None = None
    """The folder in which it finds files."""
    spreadsheet: bool = False
    """Whether the files that it lays down are XLSX."""
    delimiters: tuple[str, str] = (",", ",")
    """Of the CSV that goes out, and of the one that comes in."""

    @property
    def shown(self) -> str:
        """How it speaks, for a person: the kind, and what for."""
        return f"{self.source} ({'XLSX' if self.spreadsheet else 'CSV'})" if self.outgoing is not None else self.source
