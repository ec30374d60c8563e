"""Compiles the column rules of a `[[row]]` against the fields of its event types. Pure; what is wrong is noted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.mapping.build_fields import FieldBuilder
from adapters.mapping.cells import AgencyCell
from adapters.mapping.model import CellRule
from adapters.mapping.problems import Problems
from adapters.mapping.shapes import Shape
from bus.city.problems import nearest
from schemas.attributes import ATTRIBUTES


def build_cells(
    rules: Mapping[str, Any],
    where: str,
    types: Sequence[Mapping[str, Shape]],
    builder: FieldBuilder,
    problems: Problems,
) -> Iterator[AgencyCell]:
    """The columns of one row. `types`: the fields of each event type that becomes one."""
    for column, rule in rules.items():
        here = f"{where}.{column}"
        if isinstance(rule, str):
            rule = {"field": rule}
        if not isinstance(rule, dict):
            fix = f"For a constant write {{ value = {str(rule).lower()} }}."
            problems.note(here, "a column is the name of a field, or a table that says where it comes from", fix)
            continue
        said = problems.read(CellRule, rule, here)
        if said is None:
            continue
        _check(said, here, types, problems)
        yield AgencyCell(
            column=column,
            time=builder.time_format(said, here),
            time_as_text=said.time is not None,
            form=said.form,
            field=said.field,
            attribute=said.attribute,
            expression=problems.expression(said.cel, f"{here}.cel", names=("data", "event")),
            constant=said.value,
            default=said.default,
            codes=builder.codes(said.codes, said.unmapped, here),
            cut=said.cut,
            projection=builder.projection(said.projection, f"{here}.projection") if said.form in ("x", "y") else "",
        )


def _check(rule: CellRule, where: str, types: Sequence[Mapping[str, Shape]], problems: Problems) -> None:
    stated = [name for name in ("field", "attribute", "cel", "value") if getattr(rule, name) is not None]
    if len(stated) != 1:
        problem = f"it says {' and '.join(stated)}" if stated else "it does not say where it comes from"
        problems.note(where, problem, "State one of field, attribute, cel or value.")
    if rule.attribute is not None and rule.attribute not in ATTRIBUTES:
        problems.note(
            f"{where}.attribute", f"events have no attribute {rule.attribute!r}", nearest(rule.attribute, ATTRIBUTES)
        )
    if rule.field is not None and types:
        found = [shape for fields in types if (shape := _shape(rule.field, fields)) is not None]
        if not found:
            names = sorted({name for fields in types for name in fields})
            problems.note(
                f"{where}.field",
                f"none of the row's event types has a field {rule.field!r}",
                nearest(rule.field, names),
            )
        elif rule.form in ("x", "y") and all(shape.kind != "point" for shape in found):
            problems.note(f"{where}.form", f"{rule.field} is no place", "Name one, such as location.")
        elif rule.form == "text" and all(shape.kind == "point" for shape in found):
            problems.note(
                where, "a place does not fit one column", 'State form = "x" here, and form = "y" in another column.'
            )
    if rule.form not in ("x", "y") and rule.projection is not None:
        problems.note(f"{where}.projection", "the column holds no coordinate", "Remove it.")


def _shape(path: str, fields: Mapping[str, Shape]) -> Shape | None:
    """The field at a path; for what is in money or in text of several languages, the whole field."""
    first, _, rest = path.partition(".")
    shape = fields.get(first)
    if not rest or shape is None:
        return shape
    if shape.fields is not None:
        return _shape(rest, shape.fields)
    return Shape("text", required=False) if shape.kind in ("money", "localised", "any") else None
