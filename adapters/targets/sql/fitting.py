"""A value of an event, as the agency's column holds it: text, number, moment or day; never cut or guessed. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, String

from schemas.failures import Reason
from schemas.strict import bounded_reason


class DoesNotFit(Exception):
    """One value that a column cannot hold."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(str(reason))


def fitted(column: Column[Any], value: Any, zone: tzinfo) -> Any:
    """The value in the column's own type.

    Args:
        zone: the city's, for columns that hold moments without an offset.

    Raises:
        DoesNotFit: it has another type, or is too long.
    """
    if value is None:
        return None
    try:
        wanted = column.type.python_type
    except NotImplementedError:  # a type that SQLAlchemy does not know: the database decides
        return value
    try:
        found = _moment(value, column, zone) if wanted is datetime else _READ.get(wanted, _as_it_is)(value)
    except (ValueError, TypeError, InvalidOperation, OverflowError) as error:
        problem = f"the column holds {column.type}, and the event has a {type(value).__name__} that is none"
        fix = "Set form (integer, number, time, date ...) for it in the mapping, or change the column."
        raise DoesNotFit(bounded_reason("wrong_type", column.name, problem, fix)) from error
    length = column.type.length if isinstance(column.type, String) else None
    if length is not None and isinstance(found, str) and len(found) > length:
        problem = f"the text has {len(found)} characters, and the column holds {length}"
        fix = f"Widen the column, or set cut = {length} for it in the mapping."
        raise DoesNotFit(bounded_reason("too_long", column.name, problem, fix))
    return found


def _as_it_is(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)


def _integer(value: Any) -> int:
    if isinstance(value, str):
        return int(value)
    if value != int(value):
        raise ValueError("it has decimals")
    return int(value)


def _decimal(value: Any) -> Decimal:
    found = Decimal(str(value)) if not isinstance(value, bool) else Decimal(int(value))
    if not found.is_finite():
        raise ValueError("it is no number")
    return found


def _truth(value: Any) -> bool:
    found = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
    if found is None:
        raise ValueError("it is neither true nor false")
    return found


def _moment(value: Any, column: Column[Any], zone: tzinfo) -> datetime:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - placed just below
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if isinstance(column.type, DateTime) and column.type.timezone:
        return found if found.tzinfo is not None else found.replace(tzinfo=zone)
    return found if found.tzinfo is None else found.astimezone(zone).replace(tzinfo=None)


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(value)


_READ: Mapping[Any, Callable[[Any], Any]] = {
    str: _text,
    int: _integer,
    float: lambda value: float(_decimal(value)),
    Decimal: _decimal,
    bool: _truth,
    date: _day,
    bytes: lambda value: value if isinstance(value, bytes) else str(value).encode(),
    UUID: lambda value: value if isinstance(value, UUID) else UUID(str(value)),
    dict: lambda value: json.loads(value) if isinstance(value, str) else value,
}
