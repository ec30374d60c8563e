"""What an agency writes is read as it means it, or refused: no number, time or day is guessed at."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.mapping.clocks import parse_clock
from adapters.mapping.places import from_degrees, to_degrees
from adapters.mapping.values import Dst, NumberFormat, TimeFormat, WrongValue, amount_of, read_integer, read_text

INDONESIAN = NumberFormat(decimal=",", thousands=".")
SAN_FRANCISCO = ZoneInfo("America/Los_Angeles")


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.250.000,50", "1250000.50"), ("1250000", "1250000"), ("-0,5", "-0.5"), (" 7 ", "7"), ("+3", "3")],
)
def test_decimal_comma_and_thousands_are_read(text: str, number: str) -> None:
    assert INDONESIAN.read(text) == Decimal(number)


@pytest.mark.parametrize(
    "text", ["12.50", "1.25.000", "1,250.5", "1e3", "1 000", "Rp 5", "٣", "--1", ",5", "5,", "9" * 50, "1.2500"]
)
def test_what_may_be_a_decimal_or_a_thousand_is_refused(text: str) -> None:
    with pytest.raises(WrongValue, match="is no number"):
        INDONESIAN.read(text)


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=4))
def test_a_number_written_as_the_agency_writes_is_read_back(number: Decimal) -> None:
    for form in (INDONESIAN, NumberFormat()):
        assert form.read(form.write(number)) == number
    assert Decimal(amount_of(number)) == number


@pytest.mark.parametrize("number", ["0.00001", "1e15", "1e999999", "1e-999999", "12.123456"])
def test_an_amount_is_never_rounded(number: str) -> None:
    with pytest.raises(WrongValue, match="Round it there"):
        amount_of(Decimal(number))


@pytest.mark.parametrize("value", ["1.5", 1.5, True, "x", Decimal("1e50")])
def test_a_whole_number_is_whole(value: Any) -> None:
    with pytest.raises(WrongValue):
        read_integer(value, NumberFormat())


def test_a_clock_time_that_was_twice_is_refused_unless_the_mapping_says_which() -> None:
    for text in ("2026-11-01 01:30", datetime(2026, 11, 1, 1, 30)):  # noqa: DTZ001 - as drivers give it
        with pytest.raises(WrongValue) as caught:
            TimeFormat(zone=SAN_FRANCISCO).read(text)
        assert caught.value.code == "ambiguous_time"
    found = {dst: _read("2026-11-01 01:30", dst) for dst in ("earlier", "later")}
    assert found["earlier"] == datetime(2026, 11, 1, 8, 30, tzinfo=UTC)
    assert found["later"] == datetime(2026, 11, 1, 9, 30, tzinfo=UTC)


def test_a_clock_time_that_never_was_is_refused_unless_the_mapping_says_which() -> None:
    with pytest.raises(WrongValue) as caught:
        TimeFormat(zone=SAN_FRANCISCO).read("2026-03-08 02:30")
    assert caught.value.code == "no_such_time"
    assert _read("2026-03-08 02:30", "earlier") == datetime(2026, 3, 8, 9, 30, tzinfo=UTC)
    assert _read("2026-03-08 02:30", "later") == datetime(2026, 3, 8, 10, 30, tzinfo=UTC)


def test_a_time_with_an_offset_needs_no_clock() -> None:
    assert TimeFormat(zone=SAN_FRANCISCO).read("2026-11-01T01:30:00-08:00") == datetime(2026, 11, 1, 9, 30, tzinfo=UTC)


def test_a_date_alone_stands_for_the_hour_that_is_stated() -> None:
    form = TimeFormat(zone=ZoneInfo("Asia/Makassar"), patterns=("%d/%m/%Y", "iso"), at=time(8))
    for text in ("24/11/2026", "2026-11-24"):
        assert form.read(text) == datetime(2026, 11, 24, tzinfo=UTC)


def test_a_number_is_a_time_only_where_the_mapping_says_so() -> None:
    form = TimeFormat(zone=ZoneInfo("UTC"), patterns=("epoch-ms",))
    assert form.read(1795507200000) == form.read("1795507200000") == datetime(2026, 11, 24, 8, tzinfo=UTC)
    for value in (1e30, -1, "9" * 30):
        with pytest.raises(WrongValue):
            form.read(value)


@given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2099, 1, 1)))  # noqa: DTZ001 - hypothesis asks
def test_every_moment_is_read_back_from_what_was_written(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC, microsecond=0)
    for patterns in (("iso",), ("epoch",), ("%Y-%m-%d %H:%M:%S%z",)):
        form = TimeFormat(zone=SAN_FRANCISCO, patterns=patterns)
        assert form.read(form.write(moment)) == moment
    local = TimeFormat(zone=SAN_FRANCISCO, patterns=("%d/%m/%Y %H:%M:%S",))
    with contextlib.suppress(WrongValue):  # an hour of each year was twice
        assert local.read(local.write(moment)) == moment


@settings(deadline=None)  # the projection is made ready in the first one
@given(st.floats(115.17, 115.28), st.floats(-8.77, -8.58))
def test_a_place_goes_to_another_projection_and_back(longitude: float, latitude: float) -> None:
    x, y = from_degrees(longitude, latitude, "EPSG:32750")
    assert list(to_degrees(x, y, "EPSG:32750")) == pytest.approx([longitude, latitude], abs=1e-7)


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals())
def test_whatever_a_column_holds_it_is_a_text_that_json_carries_or_refused(value: Any) -> None:
    with contextlib.suppress(WrongValue):
        text = read_text(value)
        assert text is None or (text == text.strip() and text.encode())


def _read(text: str, dst: Dst) -> datetime | None:
    found = TimeFormat(zone=SAN_FRANCISCO, dst=dst).read(text)
    assert found is not None
    assert found.utcoffset() in (timedelta(hours=-7), timedelta(hours=-8))
    return found


@pytest.mark.parametrize(
    "pattern",
    [
        "%d/%m/%Y %H:%M",
        "%Y-%m-%d",
        "%Y%m%d%H%M%S",
        "%d.%m.%Y  %H.%M.%S",
        "%m-%d-%Y Jam %H",
        "%d %b %Y",
        "%H:%M",
        "%d%d%Y",
    ],
)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_clock_time_is_what_strptime_says_whatever_the_text(pattern: str, data: st.DataObject) -> None:
    """The quick way of the common patterns, against Python's own."""
    moment = data.draw(st.datetimes())
    try:
        written = moment.strftime(pattern)
    except ValueError:
        written = "x"
    damage = st.tuples(st.integers(0, 12), st.sampled_from(["", "0", "9", " ", "\t", "JAM", "٣", "/", "60"]))
    for place, piece in data.draw(st.lists(damage, max_size=2)):
        written = written[:place] + piece + written[place + data.draw(st.integers(0, 2)) :]

    def outcome(read: Any) -> Any:
        try:
            return read(written, pattern)
        except (ValueError, re.error):
            return None

    assert outcome(parse_clock) == outcome(datetime.strptime)
