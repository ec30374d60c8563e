"""One shared field, read from a record: column, expression or constant, then code list, form and default. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adapters.mapping.codes import CodeList
from adapters.mapping.places import to_degrees
from adapters.mapping.records import RecordView, Wrong, wrong
from adapters.mapping.shapes import Shape
from adapters.mapping.values import Forms, WrongValue, amount_of, read_integer, read_text
from bus.expressions import Expression
from schemas.failures import Reason


@dataclass(frozen=True, kw_only=True)
class SharedField:
    """How one field of a shared type comes from a record."""

    path: str
    """In the event: `data.reporter.name`, `time`."""
    shape: Shape
    forms: Forms
    column: str | None = None
    expression: Expression | None = None
    constant: Any = None
    """In the shared form already, as are `default`, and what `codes` gives."""
    default: Any = None
    codes: CodeList | None = None
    cut: bool = False
    currency: str | None = None
    currency_column: str | None = None
    x: str | None = None
    y: str | None = None
    projection: str = ""

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """Where it stands in the data."""
        return tuple(self.path.split(".")[1:])

    @cached_property
    def is_member(self) -> bool:
        """Whether it stands right in the data."""
        return len(self.steps) == 1 and self.shape.kind != "attributes"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it comes from."""
        named = (self.column, self.x, self.y, self.currency_column)
        return tuple(each for each in named if each is not None) + (self.expression.names if self.expression else ())

    @property
    def where(self) -> str:
        """What a refusal names: the columns; the field itself where it comes from none."""
        return ", ".join(self.columns) or self.path

    def read(self, record: RecordView) -> Any:
        """The field's value as it stands in JSON; None where it is left out.

        Raises:
            Wrong: it cannot be read, or is missing although it is required.
        """
        if self.constant is not None:
            return self.constant
        try:
            found = self._reader(record)
        except WrongValue as error:
            raise wrong(self.where, error) from error
        if found is None:
            found = self.default
        if found is None and self.shape.required:
            problem = f"it is empty, and the type requires {self.path}"
            raise Wrong(Reason("missing", self.where, problem, "Fill it, or state a default in the mapping."))
        return found

    @cached_property
    def _reader(self) -> Callable[[RecordView], Any]:
        """How this field is read: decided once, since it is read of every record."""
        if self.x is not None and self.y is not None:
            x, y = self.x, self.y
            return lambda record: self._place(record, x, y)
        raw = self._raw()
        kind = self.shape.kind
        if kind in ("text", "attributes"):
            if not self.cut:
                return lambda record: read_text(raw(record))
            return lambda record: self._cut(read_text(raw(record)))
        if kind == "integer":
            return lambda record: read_integer(raw(record), self.forms.number)
        if kind == "number":
            return lambda record: self._number(raw(record))
        if kind == "moment":
            return lambda record: self._moment(raw(record))
        if kind == "money":
            return lambda record: self._money(record, raw(record))
        return lambda record: None if (found := raw(record)) == "" else found

    def _raw(self) -> Callable[[RecordView], Any]:
        """What stands in the column, or the expression says, in the shared codes where there are any."""
        column, expression, codes = self.column, self.expression, self.codes
        said: Callable[[RecordView], Any]
        if expression is not None:
            path = self.path
            said = lambda record: record.value(expression, path)  # noqa: E731
        elif column is not None:
            said = lambda record: record.get(column)  # noqa: E731
        else:
            said = lambda _: None  # noqa: E731
        if codes is None:
            return said
        return lambda record: codes.to_shared(code) if (code := read_text(said(record))) is not None else None

    def _cut(self, text: str | None) -> str | None:
        return text[: self.shape.length_max].rstrip() if text is not None else None

    def _number(self, raw: Any) -> float | None:
        number = self.forms.number.read(raw)
        return float(number) if number is not None else None

    def _moment(self, raw: Any) -> str | None:
        moment = self.forms.time.read(raw)
        return moment.isoformat() if moment is not None else None

    def _money(self, record: RecordView, raw: Any) -> dict[str, str] | None:
        number = self.forms.number.read(raw)
        if number is None:
            return None
        currency = self.currency
        if self.currency_column is not None:
            currency = read_text(record.get(self.currency_column))
            if currency is None:
                fix = "Fill it, or state one currency in the mapping."
                raise Wrong(Reason("missing", self.currency_column, "the amount has no currency", fix))
        return {"amount": amount_of(number), "currency": currency or ""}

    def _place(self, record: RecordView, x: str, y: str) -> dict[str, Any] | None:
        found = []
        for column in (x, y):
            try:
                found.append(self.forms.number.read(record.get(column)))
            except WrongValue as error:
                raise wrong(column, error) from error
        east, north = found
        if east is None and north is None:
            return None
        if east is None or north is None:
            empty, other = (x, y) if east is None else (y, x)
            raise Wrong(Reason("missing", empty, f"it is empty, but {other} is not", "Fill both, or neither."))
        place = to_degrees(float(east), float(north), self.projection)
        return {"type": "Point", "coordinates": list(place)}
