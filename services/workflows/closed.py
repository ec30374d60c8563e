"""The cases that are closed: each for ever, in some thirty bytes. Pure.

A late event for a closed case is told so, and one that opens a case opens none twice: so no closed case is forgotten. A
city closes a million a year, which as a dictionary is 130 MB. Here an id is its 16 bytes, and two for its workflow's
version, in one of many rows of bytes that are searched whole.
"""

from __future__ import annotations

from schemas.identifiers import is_uuid

_ROWS = 16_384
_ID_BYTES, _VERSION_BYTES = 16, 2
_ENTRY_BYTES = _ID_BYTES + _VERSION_BYTES


class ClosedCases:
    """Case id → the workflow's version that it closed in."""

    def __init__(self) -> None:
        self._rows: dict[int, bytearray] = {}
        self._others: dict[str, str] = {}
        """Ids that are no UUIDs."""
        self._versions: list[str] = []
        self._numbers: dict[str, bytes] = {}
        self._count = 0

    def add(self, id: str, workflow: str) -> None:
        """This case is closed. One that was closed already stays as it is."""
        if not is_uuid(id):
            self._others.setdefault(id, workflow)
            return
        key = bytes.fromhex(id.replace("-", ""))
        row = self._rows.setdefault(_row_of(key), bytearray())
        if _place_in(row, key) < 0:
            row += key + self._number_of(workflow)
            self._count += 1

    def get(self, id: str) -> str | None:
        """The version of a closed case; None where it is not closed."""
        if not is_uuid(id):
            return self._others.get(id)
        key = bytes.fromhex(id.replace("-", ""))
        row = self._rows.get(_row_of(key))
        if row is None or (at := _place_in(row, key)) < 0:
            return None
        return self._versions[int.from_bytes(row[at + _ID_BYTES : at + _ENTRY_BYTES], "big")]

    def __len__(self) -> int:
        return self._count + len(self._others)

    def _number_of(self, workflow: str) -> bytes:
        number = self._numbers.get(workflow)
        if number is None:
            number = self._numbers[workflow] = len(self._versions).to_bytes(_VERSION_BYTES, "big")
            self._versions.append(workflow)
        return number


def _row_of(key: bytes) -> int:
    """By its last bytes, which are random in every version of a UUID that is in use."""
    return int.from_bytes(key[-2:], "big") % _ROWS


def _place_in(row: bytearray, key: bytes) -> int:
    """Where the entry of this id begins; -1 where there is none."""
    at = row.find(key)
    while at % _ENTRY_BYTES and at >= 0:  # bytes of two neighbours that together look like it
        at = row.find(key, at + 1)
    return at
