"""One column of the agency's, from an event: field, attribute, expression or constant, then code and form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from adapters.mapping.codes import CodeList
from adapters.mapping.places import from_degrees
from adapters.mapping.records import Wrong, wrong
from adapters.mapping.values import TimeFormat, WrongValue, read_number, read_text, whole
from bus.expressions import Expression, ExpressionFailed
from schemas.failures import Reason
from schemas.moments import NotAMoment, parse_moment
from schemas.strict import bounded_reason

Form = Literal["text", "integer", "number", "time", "local-time", "date", "x", "y"]


@dataclass(frozen=True)
class EventView:
    """One event, as expressions and columns see it."""

    data: Mapping[str, Any]
    event: Mapping[str, Any]
    """Its attributes."""

    def field(self, path: str) -> Any:
        """The value of a field of the data, by its path; None where it is absent."""
        found: Any = self.data
        for step in path.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        return found

    def holds(self, condition: Expression, where: str) -> bool:
        """Whether a condition is true of the event.

        Raises:
            Wrong: it failed.
        """
        try:
            return condition.holds(self._given(condition))
        except ExpressionFailed as error:
            raise _failed(error, where) from error

    def value(self, expression: Expression, where: str) -> Any:
        """What an expression says of the event.

        Raises:
            Wrong: it failed.
        """
        try:
            return expression.value(self._given(expression))
        except ExpressionFailed as error:
            raise _failed(error, where) from error

    def _given(self, expression: Expression) -> dict[str, Any]:
        return {name: getattr(self, name) for name in expression.names}


@dataclass(frozen=True, kw_only=True)
class AgencyCell:
    """How one column of the agency's comes from an event."""

    column: str
    time: TimeFormat
    time_as_text: bool
    """Whether a time is written in a form of the agency's own."""
    form: Form = "text"
    field: str | None = None
    attribute: str | None = None
    expression: Expression | None = None
    constant: Any = None
    default: Any = None
    codes: CodeList | None = None
    cut: int | None = None
    projection: str = ""

    def read(self, event: EventView) -> Any:
        """The column's value; None where it is left as it is.

        Raises:
            Wrong: the event's value does not fit the column.
        """
        if self.constant is not None:
            return self.constant
        if self.field is not None:
            raw = event.field(self.field)
        elif self.attribute is not None:
            raw = event.event.get(self.attribute)
        else:
            raw = event.value(self.expression, self.column) if self.expression is not None else None
        try:
            found = self._formed(raw)
        except WrongValue as error:
            raise wrong(self.column, error) from error
        except NotAMoment as error:
            raise Wrong(bounded_reason("not_a_moment", self.column, str(error), "Name a field with a time.")) from error
        return self.default if found is None else found

    def _formed(self, raw: Any) -> Any:
        if raw is None:
            return None
        if self.form in ("x", "y"):
            return self._coordinate(raw)
        if self.codes is not None:
            code = read_text(raw)
            raw = self.codes.to_agency(code) if code is not None else None
        if self.form in ("time", "local-time", "date") or self.time_as_text:
            moment = raw if isinstance(raw, datetime) else parse_moment(str(raw)[:100])
            there = moment.astimezone(self.time.zone)
            if self.time_as_text:
                return self.time.write(moment)
            if self.form == "time":
                return there
            return there.replace(tzinfo=None) if self.form == "local-time" else there.date()
        text = read_text(raw["amount"] if isinstance(raw, Mapping) and "amount" in raw else raw)
        if text is None:
            return None
        if self.form == "text":
            return text[: self.cut] if self.cut is not None else text
        number = read_number(text)
        return number if self.form == "number" else whole(number)

    def _coordinate(self, raw: Any) -> float:
        try:
            longitude, latitude = (float(each) for each in raw["coordinates"])
        except (KeyError, TypeError, ValueError) as error:
            raise WrongValue(
                "not_a_place", "this is no place", "Name a field with a place, such as location."
            ) from error
        return from_degrees(longitude, latitude, self.projection)[0 if self.form == "x" else 1]


def _failed(error: ExpressionFailed, where: str) -> Wrong:
    return Wrong(Reason("expression_failed", where, str(error), "Correct the expression in the mapping."))
