"""A record as the agency's system gives it: columns by name, or by path where it is nested. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.mapping.values import WrongValue, shown
from bus.city.problems import nearest
from bus.expressions import Expression, ExpressionFailed
from schemas.failures import Reason
from schemas.strict import bounded_reason


class Wrong(Exception):
    """One thing that is wrong with a record."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(str(reason))


def wrong(field: str, error: WrongValue) -> Wrong:
    """What is wrong with a value, told with the column that it stands in."""
    return Wrong(bounded_reason(error.code, field, error.problem, error.fix))


class RecordView:
    """One record, and what becomes of a column that it lacks."""

    def __init__(self, record: Mapping[str, Any], *, missing_is_empty: bool) -> None:
        self._record = record
        self._missing_is_empty = missing_is_empty

    def get(self, column: str) -> Any:
        """The value of a column; None where it is empty.

        Raises:
            Wrong: the record has no such column.
        """
        if column in self._record:
            return self._record[column]
        if "." in column:
            found: Any = self._record
            for step in column.split("."):
                if isinstance(found, Mapping) and step in found:
                    found = found[step]
                elif isinstance(found, Sequence) and not isinstance(found, (str, bytes)) and _is_index(step, found):
                    found = found[int(step)]
                else:
                    break
            else:
                return found
        if self._missing_is_empty:
            return None
        names = [str(name)[:100] for name in list(self._record)[:1000]]
        fix = f"{nearest(column, names)} Rename it in the mapping, or in the agency's system."
        raise Wrong(bounded_reason("missing_column", column, f"the record has no column {shown(column)}", fix))

    def _given(self, expression: Expression) -> dict[str, Any]:
        return {name: self._record if name == "record" else self.get(name) for name in expression.names}

    def value(self, expression: Expression, field: str) -> Any:
        """What an expression says of the record.

        Raises:
            Wrong: it failed, or the record lacks a column that it names.
        """
        try:
            return expression.value(self._given(expression))
        except ExpressionFailed as error:
            raise _failed(error, expression, field) from error

    def holds(self, expression: Expression, field: str) -> bool:
        """Whether a condition is true of the record.

        Raises:
            Wrong: as `value`, or it is neither true nor false.
        """
        try:
            return expression.holds(self._given(expression))
        except ExpressionFailed as error:
            raise _failed(error, expression, field) from error


def _failed(error: ExpressionFailed, expression: Expression, field: str) -> Wrong:
    columns = ", ".join(expression.names)
    said = f"{error}, for {field}"
    fix = "Correct the record, or the expression in the mapping."
    return Wrong(bounded_reason("expression_failed", columns or field, said, fix))


def _is_index(step: str, items: Sequence[Any]) -> bool:
    return step.isascii() and step.isdigit() and len(step) <= 6 and int(step) < len(items)
