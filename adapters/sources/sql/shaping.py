"""From a change to events in the short form: by the mapping, or as they stand in the agency's own columns. Pure."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from adapters.mapping import Mapping
from adapters.sources.sql.changes import Change
from bus.logs import get_logger
from schemas.failures import Reason, Refused
from schemas.identifiers import derived_id

log = get_logger("sql_source")

ATTRIBUTES = ("id", "subject", "time", "jurisdiction", "correlationid", "causationid", "recipient", "dataref")
"""What a row without a mapping may say besides `type` and `data`, each in a column of that name."""


class Shaping:
    """What one source makes of changes."""

    def __init__(self, mapping: Mapping | None, source: str) -> None:
        """
        Args:
            source: the agency's URI, a slash and the source's name.
        """
        self._mapping = mapping
        self._source = source

    def events(self, change: Change) -> list[dict[str, Any]] | Refused:
        """The events of a change, each with the time of the change where nothing else is said."""
        try:
            if self._mapping is None:
                said = [self._direct(change)]
            else:
                said = self._mapping.to_shared(change.record(), source=self._source)
            for number, event in enumerate(said):
                event.setdefault("time", change.changed_at)
                if "id" not in event:
                    event["id"] = derived_id(f"{self._source}/{change.uid}", number)
            return said
        except Refused as refused:
            return refused
        except Exception as error:
            log.exception("mapping_failed", source=self._source, table=change.table, change=change.uid)
            return Refused([Reason("failed", "row", f"the mapping failed: {type(error).__name__}", "Report it.")])

    def told(self, event: dict[str, Any], refused: Refused) -> Refused:
        """The reasons why an event was refused, with the agency's columns."""
        return refused if self._mapping is None else self._mapping.in_columns(str(event.get("type")), refused)

    def _direct(self, change: Change) -> dict[str, Any]:
        """A row that is an event already: `type`, `data` as JSON, and some attributes."""
        row = change.record()
        event = {name: str(row[name]) for name in ("type", *ATTRIBUTES) if row.get(name) is not None}
        data = row.get("data")
        try:
            event["data"] = json.loads(data) if isinstance(data, str) else json.loads(json.dumps(data, default=float))
            msgspec.json.encode(event)
        except (ValueError, TypeError, RecursionError) as error:
            fix = "Write a JSON object into the column data, or name a mapping."
            raise Refused([Reason("not_json", "data", f"the column data is no JSON ({error})"[:300], fix)]) from error
        return event
