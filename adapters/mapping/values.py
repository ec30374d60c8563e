"""An agency's texts, numbers and times, read as it writes them: decimal comma, day first, its own clock. Pure.

Nothing is guessed: a date without a time of day, a clock time that happened twice, a point that may be a decimal or a
thousand is refused, unless the mapping states what it means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

from adapters.mapping.clocks import parse_clock
from bus.expressions import is_finite
from schemas.moments import NotAMoment, check_moment

Dst = Literal["refuse", "earlier", "later"]

NUMBER_CHARACTERS_MAX = 40

_iso = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?P<rest>[T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?\s*(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)
_epochs = {"epoch": 1, "epoch-ms": 1000}
_hour = re.compile(r"%-?[HIcXTR]")


@cache
def _has_hour(pattern: str) -> bool:
    return _hour.search(pattern) is not None


class WrongValue(ValueError):
    """A value that cannot be read: a code for machines, a sentence, and what to do."""

    def __init__(self, code: str, problem: str, fix: str) -> None:
        self.code, self.problem, self.fix = code, problem, fix
        super().__init__(f"{problem}. {fix}")


@dataclass(frozen=True, kw_only=True)
class NumberFormat:
    """How the agency writes numbers."""

    decimal: str = "."
    thousands: str | None = None

    def read(self, value: Any) -> Decimal | None:
        """The number; None where there is none.

        Raises:
            WrongValue: it is no number in this form, or not finite.
        """
        if isinstance(value, bool):
            raise WrongValue("not_a_number", "this is true or false, no number", "Send a number.")
        if isinstance(value, int):
            return Decimal(value)
        if isinstance(value, (float, Decimal)):
            if not is_finite(value):
                raise WrongValue("not_finite", "the number is not finite", "Send a finite number, or leave it empty.")
            return value if isinstance(value, Decimal) else Decimal(repr(value))
        text = read_text(value)
        if text is None:
            return None
        plain = _number(self.decimal, self.thousands).fullmatch(text) if len(text) <= NUMBER_CHARACTERS_MAX else None
        if plain is None:
            grouped = f", thousands apart by {self.thousands!r}" if self.thousands else ""
            raise WrongValue(
                "not_a_number",
                f"{shown(text)} is no number with {self.decimal!r} before its decimals{grouped}",
                "Correct it, or state decimal and thousands in the mapping.",
            )
        sign, whole, decimals = plain.group("sign", "whole", "decimals")
        if self.thousands:
            whole = whole.replace(self.thousands, "")
        return Decimal(f"{sign or ''}{whole}.{decimals}" if decimals else f"{sign or ''}{whole}")

    def write(self, number: Decimal) -> str:
        """The number as the agency writes it, without thousands apart."""
        return format(number, "f").replace(".", self.decimal)


@cache
def _number(decimal: str, thousands: str | None) -> re.Pattern[str]:
    """A number that is written so."""
    whole = r"[0-9]+"
    if thousands:
        whole = rf"(?:[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+)"
    return re.compile(rf"(?P<sign>-)?\+?(?P<whole>{whole})(?:{re.escape(decimal)}(?P<decimals>[0-9]+))?")


@dataclass(frozen=True, kw_only=True)
class TimeFormat:
    """How the agency writes times."""

    zone: ZoneInfo
    """Where its clock hangs, for times without an offset."""
    patterns: Sequence[str] = ("iso",)
    """`iso`, `epoch`, `epoch-ms`, or strptime's patterns; the first that fits counts."""
    dst: Dst = "refuse"
    """What a clock time means that happened twice, or not at all, when the clocks were changed."""
    at: time | None = None
    """The time of day that a date alone stands for."""

    def read(self, value: Any) -> datetime | None:
        """The moment, aware; None where there is none.

        Raises:
            WrongValue: it is no time in this form, or a clock time that is ambiguous.
        """
        if isinstance(value, datetime):
            found: datetime | None = value
        elif isinstance(value, date):
            found = self._of_day(value)
        elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            found = self._of_epoch(value)
        else:
            text = read_text(value)
            found = self._of_text(text) if text is not None else None
        if found is None:
            return None
        if found.tzinfo is None:
            found = self._placed(found)
        try:
            return check_moment(found)
        except NotAMoment as error:
            raise WrongValue("not_a_moment", str(error), "Correct it.") from error

    def write(self, moment: datetime) -> str:
        """The moment as the agency writes it, by its own clock."""
        there = moment.astimezone(self.zone)
        pattern = self.patterns[0]
        if pattern in _epochs:
            return str(int(there.timestamp() * _epochs[pattern]))
        return there.isoformat() if pattern == "iso" else there.strftime(pattern)

    def _of_text(self, text: str) -> datetime:
        for pattern in self.patterns:
            if pattern in _epochs:
                if text.isascii() and text.isdigit():
                    return self._of_epoch(int(text[:20]))
                continue
            try:
                if pattern != "iso":
                    found = parse_clock(text, pattern)
                    return found if _has_hour(pattern) else self._of_day(found.date())
                if (parts := _iso.fullmatch(text)) is not None:
                    if parts["rest"] is None:
                        return self._of_day(date.fromisoformat(text))
                    return datetime.fromisoformat(text.replace(",", ".").replace(" ", "T", 1).replace(" ", ""))
            except (ValueError, re.error):
                continue
        raise WrongValue(
            "not_a_moment",
            f"{shown(text)} is no time of the form {' or '.join(self.patterns)}",
            "Correct it, or state the form (time) in the mapping.",
        )

    def _of_epoch(self, value: float | Decimal) -> datetime:
        scale = next((_epochs[pattern] for pattern in self.patterns if pattern in _epochs), None)
        if scale is None:
            problem = "this is a number, and the mapping does not say that times are numbers"
            raise WrongValue("not_a_moment", problem, 'State time = "epoch" (seconds) or "epoch-ms" in the mapping.')
        try:
            return datetime.fromtimestamp(float(value) / scale, UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise WrongValue("not_a_moment", "the number is no time", "Correct it.") from error

    def _of_day(self, day: date) -> datetime:
        if self.at is None:
            problem = "this is a date without a time of day"
            raise WrongValue("not_a_moment", problem, 'State the hour that it stands for: at = "08:00" in the mapping.')
        return datetime.combine(day, self.at)

    def _placed(self, naive: datetime) -> datetime:
        """A clock time of the zone, as the moment that it was."""
        try:
            one, other = (naive.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
            if one.utcoffset() == other.utcoffset():
                return one
            moments = sorted(each.astimezone(UTC) for each in (one, other))
        except OverflowError as error:
            raise WrongValue("not_a_moment", f"the year {naive.year} is no year of ours", "Correct it.") from error
        if self.dst != "refuse":
            there = moments[0 if self.dst == "earlier" else 1].astimezone(self.zone)
            # By offset: Python finds a time that the zone has twice unequal to every other, even to itself in UTC.
            return there.replace(tzinfo=timezone(there.utcoffset() or timedelta()), fold=0)
        skipped = moments[0].astimezone(self.zone).replace(tzinfo=None) != naive
        clock = f"{naive:%Y-%m-%d %H:%M} by the clock of {self.zone.key}"
        raise WrongValue(
            "no_such_time" if skipped else "ambiguous_time",
            f"{clock} {'never was: the clocks were put forward' if skipped else 'was twice: the clocks were put back'}",
            'Send it with an offset, or state dst = "earlier" or dst = "later" in the mapping.',
        )


@dataclass(frozen=True, kw_only=True)
class Forms:
    """How the agency writes numbers and times."""

    time: TimeFormat
    number: NumberFormat = field(default_factory=NumberFormat)


def read_text(value: Any) -> str | None:
    """A column's value as text without blanks around it; None where it is empty.

    A spreadsheet's 12.0 is the text `12`.

    Raises:
        WrongValue: bytes that are not UTF-8, a number that is not finite, a list or an object.
    """
    if type(value) is str or isinstance(value, str):
        text = value.strip()
        return (text or None) if text.isascii() else _stripped(text)
    if value is None:
        return None
    if isinstance(value, bytes):
        try:
            return _stripped(value.decode())
        except UnicodeDecodeError as error:
            raise WrongValue("not_utf8", "these bytes are not UTF-8", "Store text in this column.") from error
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, Decimal)):
        if not is_finite(value):
            raise WrongValue("not_finite", "the number is not finite", "Send a finite number, or leave it empty.")
        exact = Decimal(repr(value)) if isinstance(value, float) else value
        if abs(exact.adjusted()) > NUMBER_CHARACTERS_MAX:
            raise WrongValue("not_a_number", "the number is too large, or too small", "Correct it.")
        if exact == exact.to_integral_value():
            return str(int(exact))
        return format(exact, "f")
    if isinstance(value, int):
        if abs(value) >= 10**NUMBER_CHARACTERS_MAX:  # Python refuses to write out one of 5,000 digits
            raise WrongValue("not_a_number", "the number is too large", "Correct it.")
        return str(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (list, tuple, dict)):
        problem = "this is a list or an object, where one value is wanted"
        raise WrongValue("not_a_text", problem, "Name what is in it: a path such as address.street, or an expression.")
    return _stripped(str(value))


def _stripped(text: str) -> str | None:
    text = text.strip()
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise WrongValue("not_utf8", "the text holds half a character", "Correct the text.") from error
    return text or None


def read_integer(value: Any, form: NumberFormat) -> int | None:
    """A whole number; None where there is none.

    Raises:
        WrongValue: it is no number, or not whole.
    """
    number = form.read(value)
    return whole(number) if number is not None else None


def whole(number: Decimal) -> int:
    """The number as a whole one.

    Raises:
        WrongValue: it has decimals, or more digits than anybody counts.
    """
    if abs(number.adjusted()) > NUMBER_CHARACTERS_MAX or number != number.to_integral_value():
        raise WrongValue("not_a_number", "the number is not whole", "Send a whole number.")
    return int(number)


def read_number(text: str) -> Decimal:
    """The number in an event's text. Whoever sent the event chose it: "9e999999999" would fill the memory.

    Raises:
        WrongValue: it is none, is not finite, or has an exponent that nobody writes out.
    """
    try:
        number = Decimal(text)
    except ArithmeticError as error:
        raise WrongValue("not_a_number", "this is no number", "Name a field with a number.") from error
    if not number.is_finite() or abs(number.adjusted()) > NUMBER_CHARACTERS_MAX:
        problem = "the number is too large, too small, or not finite"
        raise WrongValue("not_a_number", problem, "Name a field with a number.")
    return number


def amount_of(number: Decimal) -> str:
    """The amount as the bus writes money: at most 15 digits, and 4 after the point.

    Raises:
        WrongValue: it has more.
    """
    if abs(number.adjusted()) <= NUMBER_CHARACTERS_MAX:
        try:
            exact = number.quantize(Decimal("0.0001"))
        except InvalidOperation:
            exact = None
        if exact is not None and exact == number and exact.adjusted() < 15:
            text = format(exact, "f").rstrip("0").rstrip(".")
            return "0" if text in ("", "-0") else text
    raise WrongValue("not_an_amount", "the amount has more than 15 digits, or more than 4 decimals", "Round it there.")


def shown(text: str) -> str:
    """A value as a refusal repeats it: quoted, and short whatever its length."""
    return repr(text if len(text) <= 60 else text[:59] + "…")
