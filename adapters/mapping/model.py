"""mapping.toml as it stands: every key, what it says, and its default. `docs/reference/mapping.md` is made from this.

Only the form is here. `load.py` holds it against the shared types and the city, and makes of it what reads records.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.strict import Strict

Names = str | tuple[str, ...]


class FormatsSection(Strict):
    """`[formats]`: how the agency writes numbers, times, money and places. A field may state its own."""

    time: Names = "iso"
    """`iso` (2026-11-24 08:00:00), `epoch`, `epoch-ms`, or patterns such as `%d/%m/%Y %H.%M`; the first that fits
    counts."""
    zone: str | None = None
    """Where the agency's clock hangs, such as `Asia/Makassar`. Default: the city's."""
    dst: Literal["refuse", "earlier", "later"] = "refuse"
    """What a clock time means that was twice, or never, when the clocks were changed."""
    at: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = None
    """The time of day that a date alone stands for, such as `08:00`. Without it a date alone is refused."""
    decimal: Literal[".", ","] = "."
    """What stands before the decimals."""
    thousands: Literal[".", ",", " ", "'"] | None = None
    """What stands between thousands, if anything."""
    currency: str | None = None
    """The currency of amounts (ISO 4217), such as `IDR`."""
    projection: str = "EPSG:4326"
    """The projection of coordinates, such as `EPSG:32750`."""


class FieldRule(Strict):
    """One shared field, from a record. A bare text is short for `{ column = "..." }`."""

    column: str | None = None
    """The column that holds it; in nested records a path, such as `address.street`."""
    cel: str | None = None
    """Or an expression over the record's columns. `record["Nama Jalan"]` reaches a name that is no identifier."""
    value: str | int | float | bool | None = None
    """Or a constant."""
    default: str | int | float | bool | None = None
    """What counts where the column is empty. Without it the field is left out; where it is required, the record is
    refused."""
    codes: str | dict[str, str] | None = None
    """The code list that turns the agency's code into the shared one: its name under `[codes]`, or the list itself."""
    unmapped: str | None = None
    """What counts for a code that the list lacks. Without it the record is refused, with the nearest known codes."""
    cut: bool = False
    """Shorten a text that is too long for the field, instead of refusing the record."""
    time: Names | None = None
    """The form of a time here, as in `[formats]`."""
    zone: str | None = None
    """As in `[formats]`."""
    dst: Literal["refuse", "earlier", "later"] | None = None
    """As in `[formats]`."""
    at: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = None
    """As in `[formats]`."""
    decimal: Literal[".", ","] | None = None
    """As in `[formats]`."""
    thousands: Literal[".", ",", " ", "'"] | None = None
    """As in `[formats]`."""
    currency: str | None = None
    """For an amount of money: its currency, as in `[formats]`."""
    currency_column: str | None = None
    """For an amount of money: the column that holds its currency."""
    longitude: str | None = None
    """For a place: the column of its longitude, in degrees."""
    latitude: str | None = None
    """For a place: the column of its latitude, in degrees."""
    x: str | None = None
    """For a place in another projection: the column of its easting."""
    y: str | None = None
    """For a place in another projection: the column of its northing."""
    projection: str | None = None
    """For a place: as in `[formats]`."""


class CaseRule(Strict):
    """`case` of an `[[event]]`: which case it is about."""

    column: str | None = None
    """The column that holds the case id: for cases that came from the bus."""
    reference: Names | None = None
    """Or the agency's own reference, from which the case id is derived: for cases that it opened itself. With both, the
    column counts where it is filled. Default for a type that opens a case: the key."""
    of: str | None = None
    """The name of the source whose record opened the case, where that is another source than this."""


class EventRule(Strict):
    """`[[event]]`: the shared event that a record becomes."""

    type: str | None = None
    """The event type, such as `subak.request.submitted.v1`."""
    when: str | None = None
    """A condition over the record's columns (CEL), such as `status == "BARU"`. Without it every record fits."""
    skip: bool = False
    """Such a record becomes no event."""
    name: str | None = None
    """Part of the event's id. Default: the type."""
    id: Names | None = None
    """Columns that tell this event from others of the record: where they change, it is another event. Default: the
    key."""
    case: CaseRule | None = None
    """Which case it is about."""
    time: Any = None
    """When it happened: a field, as in `data`. Without it, the moment at which the adapter takes the record."""
    jurisdiction: Any = None
    """The area where the matter lies, for a type that has no `area`: a field, as in `data`."""
    data: dict[str, Any] = {}
    """The fields of the type, each a field rule: `area = "desa"`, `cost = { column = "biaya", currency = "IDR" }`."""


class CellRule(Strict):
    """One column of the agency's, from an event. A bare text is short for `{ field = "..." }`."""

    field: str | None = None
    """The field of the data, such as `service_code` or `reporter.name`."""
    attribute: str | None = None
    """Or an attribute of the event: `subject` (the case id), `id`, `time`, `source`, `type`, `jurisdiction`."""
    cel: str | None = None
    """Or an expression over `data` and `event`, such as `has(data.reason) ? data.reason : "-"`."""
    value: str | int | float | bool | None = None
    """Or a constant."""
    default: str | int | float | bool | None = None
    """What counts where the event has no such field. Without it the column is left as it is."""
    codes: str | dict[str, str] | None = None
    """The code list, read backwards: of several codes for one value, the first."""
    unmapped: str | None = None
    """The agency's code for a value that the list lacks. Without it the event is refused."""
    form: Literal["text", "integer", "number", "time", "local-time", "date", "x", "y"] = "text"
    """What the column holds. `time` is a moment with an offset, `local-time` one without; `x` and
    `y` are a place's easting (or longitude) and northing (or latitude)."""
    cut: int | None = Field(default=None, ge=1)
    """Shorten a text to so many characters."""
    time: str | None = None
    """The form in which a time is written as text, as in `[formats]`."""
    zone: str | None = None
    """As in `[formats]`."""
    projection: str | None = None
    """As in `[formats]`."""


class RowRule(Strict):
    """`[[row]]`: the row that the agency's system gets for an event."""

    type: Names
    """The event types that become this row: names, or beginnings such as `subak.request.*`."""
    when: str | None = None
    """A condition over `data` and `event` (CEL). Without it every event of these types becomes one."""
    table: str
    """The agency's table, or its file."""
    key: dict[str, Any] = Field(min_length=1)
    """The columns that tell the row from others, each a column rule: `kasus = { attribute = "subject" }`."""
    values: dict[str, Any] = {}
    """The other columns, each a column rule."""


class MappingFile(Strict):
    """The file's own keys."""

    key: Names = ()
    """The columns that identify a record. From them ids are derived, so that a record which is read again is known."""
    match: Literal["first", "all"] = "first"
    """Whether a record becomes the first `[[event]]` whose condition holds, or all of them."""
    otherwise: Literal["refuse", "skip"] = "refuse"
    """What becomes of a record that fits no `[[event]]`."""
    missing_columns: Literal["refuse", "empty"] = "refuse"
    """Whether a record without a named column is refused (tables), or the column counts as empty (JSON)."""
    formats: FormatsSection = FormatsSection()
    codes: dict[str, dict[str, str]] = {}
    """`[codes.<name>]`: code lists, the agency's code = the shared one."""
    event: tuple[EventRule, ...] = ()
    row: tuple[RowRule, ...] = ()
