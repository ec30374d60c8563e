"""Compiles the field rules of a mapping against the fields of a shared type. Pure; what is wrong is noted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import time
from decimal import Decimal
from functools import cache
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters.mapping.codes import CodeList
from adapters.mapping.fields import SharedField
from adapters.mapping.model import CellRule, FieldRule, MappingFile
from adapters.mapping.places import check_projection
from adapters.mapping.problems import Problems
from adapters.mapping.shapes import Shape
from adapters.mapping.values import Forms, NumberFormat, TimeFormat, WrongValue, amount_of
from bus.city import City
from bus.city.problems import nearest
from schemas.failures import Misconfigured
from schemas.moments import is_moment

_currency = re.compile(r"[A-Z]{3}")
_OF_NUMBERS = ("decimal", "thousands")
_OF_TIMES = ("time", "zone", "dst", "at")
_OF_MONEY = ("currency", "currency_column")
_OF_PLACES = ("longitude", "latitude", "x", "y", "projection")
_SUITS = {
    "integer": _OF_NUMBERS,
    "number": _OF_NUMBERS,
    "moment": _OF_TIMES,
    "money": (*_OF_NUMBERS, *_OF_MONEY),
    "point": (*_OF_NUMBERS, *_OF_PLACES),
}


class FieldBuilder:
    """Compiles the rules of one file."""

    def __init__(self, file: MappingFile, city: City, problems: Problems) -> None:
        self._file, self._city, self._problems = file, city, problems
        self._projection = cache(self._check_projection)
        self._codes_of_city: Mapping[str, tuple[str, Mapping[str, Any]]] = {
            "service_code": ("service", city.services),
            "area": ("area", city.areas),
            "jurisdiction": ("area", city.areas),
            "agency": ("agency", city.agencies),
        }
        self.projection(file.formats.projection, "formats.projection")
        self.time_format(None, "formats")

    def fields(
        self, rules: Mapping[str, Any], where: str, path: str, shapes: Mapping[str, Shape], type: str
    ) -> Iterator[SharedField]:
        """The fields of a type, or of an object in it."""
        for name, rule in rules.items():
            if name not in shapes:
                self._problems.note(f"{where}.{name}", f"{type} has no such field", nearest(name, shapes))
                continue
            shape = shapes[name]
            if shape.kind in ("object", "attributes", "localised"):
                if not isinstance(rule, dict):
                    fix = f'Name what is in it, such as {name}.{next(iter(shape.fields or ()), "CODE")} = "column".'
                    self._problems.note(f"{where}.{name}", "this field holds several", fix)
                elif shape.fields is not None:
                    yield from self.fields(rule, f"{where}.{name}", f"{path}.{name}", shape.fields, type)
                else:
                    part = Shape("text", required=False, length_max=1000)
                    kind = Shape("attributes", required=False, length_max=1000) if shape.kind == "attributes" else part
                    for code, each in rule.items():
                        found = self.field(each, f"{where}.{name}.{code}", f"{path}.{name}.{code}", kind)
                        if found is not None:
                            yield found
            elif (built := self.field(rule, f"{where}.{name}", f"{path}.{name}", shape)) is not None:
                yield built
        for name, shape in shapes.items():
            if shape.required and name not in rules:
                fix = f'Say where it comes from: {name} = "column", or {{ value = ... }}.'
                self._problems.note(f"{where}.{name}", f"{type} requires it, and it is not filled", fix)

    def field(self, rule: Any, where: str, path: str, shape: Shape) -> SharedField | None:
        """One field."""
        if isinstance(rule, str):
            rule = {"column": rule}
        if not isinstance(rule, dict):
            fix = f"For a constant write {{ value = {str(rule).lower()} }}."
            self._problems.note(where, "a field is the name of a column, or a table that says where it comes from", fix)
            return None
        said = self._problems.read(FieldRule, rule, where)
        if said is None:
            return None
        self._check_source(said, where, shape)
        self._check_suits(said, where, shape)
        codes = self.codes(said.codes, said.unmapped, where)
        self._check_city(said, where, path)
        return SharedField(
            path=path,
            shape=shape,
            forms=Forms(time=self.time_format(said, where), number=self._number_format(said)),
            column=said.column,
            expression=self._problems.expression(said.cel, f"{where}.cel"),
            constant=self._literal(said.value, said, f"{where}.value", shape),
            default=self._literal(said.default, said, f"{where}.default", shape),
            codes=codes,
            cut=said.cut,
            currency=self._currency(said, where, shape),
            currency_column=said.currency_column,
            x=said.longitude or said.x,
            y=said.latitude or said.y,
            projection=self.projection(said.projection, f"{where}.projection") if said.x else "EPSG:4326",
        )

    def codes(self, codes: str | Mapping[str, str] | None, unmapped: str | None, where: str) -> CodeList | None:
        """A code list, by its name or as it stands."""
        if codes is None:
            if unmapped is not None:
                self._problems.note(f"{where}.unmapped", "it stands without codes", "Name the code list, or remove it.")
            return None
        if isinstance(codes, str):
            if codes not in self._file.codes:
                fix = nearest(codes, self._file.codes)
                self._problems.note(f"{where}.codes", f"there is no code list [codes.{codes}]", fix)
                return None
            return CodeList(codes, self._file.codes[codes], unmapped)
        return CodeList(where, codes, unmapped)

    def time_format(self, rule: FieldRule | CellRule | None, where: str) -> TimeFormat:
        """How times are written here."""
        formats = self._file.formats
        stated = rule if rule is not None else formats
        zone = getattr(rule, "zone", None) or formats.zone
        patterns = getattr(rule, "time", None) or formats.time
        patterns = (patterns,) if isinstance(patterns, str) else patterns
        at = getattr(rule, "at", None) or formats.at
        for pattern in patterns if stated.time is not None else ():
            if pattern not in ("iso", "epoch", "epoch-ms") and "%" not in pattern:
                fix = 'Write "iso", "epoch", "epoch-ms", or a pattern such as "%d/%m/%Y %H.%M".'
                self._problems.note(f"{where}.time", f"{pattern!r} is no form of a time", fix)
        return TimeFormat(
            zone=self._zone(zone, where if stated.zone is not None else None),
            patterns=patterns,
            dst=getattr(rule, "dst", None) or formats.dst,
            at=time.fromisoformat(at) if at is not None else None,
        )

    def projection(self, stated: str | None, where: str) -> str:
        """The projection here, checked."""
        if stated is None:
            return self._file.formats.projection
        if (problem := self._projection(stated)) is not None:
            self._problems.note(where, problem, "Correct it.")
        return stated

    @staticmethod
    def _check_projection(projection: str) -> str | None:
        try:
            check_projection(projection)
        except Misconfigured as error:
            return str(error)
        return None

    def _zone(self, zone: str | None, where: str | None) -> ZoneInfo:
        """The zone of that name; noted, where it is stated here and there is none."""
        if zone is None:
            return self._city.zone
        try:
            return ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            if where is not None:
                fix = "Use IANA's name, such as Asia/Makassar."
                self._problems.note(f"{where}.zone", f"there is no time zone {zone!r}", fix)
            return self._city.zone

    def _number_format(self, rule: FieldRule) -> NumberFormat:
        formats = self._file.formats
        decimal, thousands = rule.decimal or formats.decimal, rule.thousands or formats.thousands
        return NumberFormat(decimal=decimal, thousands=thousands if thousands != decimal else None)

    def _currency(self, rule: FieldRule, where: str, shape: Shape) -> str | None:
        if shape.kind != "money" or rule.currency_column is not None:
            return None
        currency = rule.currency or self._file.formats.currency
        if currency is None or not _currency.fullmatch(currency):
            problem = "the currency is not stated" if currency is None else f"{currency!r} is no code of ISO 4217"
            self._problems.note(where, problem, f'State currency = "{self._city.currency}", or currency_column.')
        return currency

    def _check_source(self, rule: FieldRule, where: str, shape: Shape) -> None:
        degrees, metres = (rule.longitude, rule.latitude), (rule.x, rule.y)
        stated = [
            name
            for name, there in (
                ("column", rule.column is not None),
                ("cel", rule.cel is not None),
                ("value", rule.value is not None),
                ("longitude and latitude", degrees != (None, None)),
                ("x and y", metres != (None, None)),
            )
            if there
        ]
        wanted = "longitude and latitude, or x and y" if shape.kind == "point" else "column, cel or value"
        if len(stated) != 1:
            problem = f"it says {' and '.join(stated)}" if stated else "it does not say where it comes from"
            self._problems.note(where, problem, f"State one of {wanted}.")
        elif shape.kind == "point" and stated[0] in ("column", "cel", "value"):
            self._problems.note(where, "a place comes from two columns", f"State {wanted}.")
        elif (None in degrees and degrees != (None, None)) or (None in metres and metres != (None, None)):
            self._problems.note(where, f"it says only one of {stated[0]}", "State both columns.")

    def _check_suits(self, rule: FieldRule, where: str, shape: Shape) -> None:
        suited = _SUITS.get(shape.kind, ())
        for name in (*_OF_NUMBERS, *_OF_TIMES, *_OF_MONEY, *_OF_PLACES):
            if getattr(rule, name) is not None and name not in suited:
                problem = f"the field is no {_KIND_OF[name]}, and this key says nothing about it"
                self._problems.note(f"{where}.{name}", problem, "Remove it.")

    def _check_city(self, rule: FieldRule, where: str, path: str) -> None:
        """Codes that the city would refuse, found before a record brings one."""
        name = path.rpartition(".")[2]
        if path not in (f"data.{name}", name) or name not in self._codes_of_city:
            return
        what, known = self._codes_of_city[name]
        lists = rule.codes if isinstance(rule.codes, dict) else self._file.codes.get(rule.codes or "", {})
        said = [(f"codes.{code}", value) for code, value in lists.items()]
        said += [(key, getattr(rule, key)) for key in ("value", "default", "unmapped")]
        for key, value in said:
            if value is not None and value not in known:
                problem = f"the city has no {what} {value!r}"
                self._problems.note(f"{where}.{key}", problem, nearest(str(value), known))

    def _literal(self, said: Any, rule: FieldRule, where: str, shape: Shape) -> Any:
        """A constant or a default, as it stands in the event."""
        if said is None:
            return None
        kind, problem = shape.kind, ""
        if kind in ("text", "attributes", "localised", "moment"):
            if shape.choices and said not in shape.choices:
                problem = f"it is one of {', '.join(shape.choices)}"
            elif not isinstance(said, str):
                problem = "it is a text: write it in quotes"
            elif kind == "moment" and not is_moment(said):
                problem = "it is a time such as 2026-11-24T08:00:00+08:00"
        elif kind == "integer" and (isinstance(said, bool) or not isinstance(said, int)):
            problem = "it is a whole number"
        elif kind == "money":
            try:
                currency = rule.currency or self._file.formats.currency or ""
                return {"amount": amount_of(Decimal(str(said))), "currency": currency}
            except (WrongValue, ArithmeticError):
                problem = 'it is an amount such as "1250000"'
        elif kind == "point":
            problem = "a place has no constant"
        if problem:
            self._problems.note(where, f"{said!r} does not fit the field: {problem}", "Correct it.")
        return said


_KIND_OF: dict[str, Literal["number", "time", "amount of money", "place"]] = {
    **dict.fromkeys(_OF_NUMBERS, "number"),
    **dict.fromkeys(_OF_TIMES, "time"),
    **dict.fromkeys(_OF_MONEY, "amount of money"),
    **dict.fromkeys(_OF_PLACES, "place"),
}
