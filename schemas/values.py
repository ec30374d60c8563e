"""The values that event types are made of: text, codes, ids, times, money, places, and the mark of a personal field.

Each is closed and bounded, so that a value which has passed here fits every database and every reader behind. Patterns
are written so that Rust, ECMAScript (the published JSON Schemas) and Python read them alike. Names come from Open311
GeoReport v2, GeoJSON (RFC 7946), OC4IDS (`amount`, `currency`) and BCP 47.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, PydanticCustomError

from schemas.identifiers import AGENCY_ID_PATTERN, EVENT_ID_PATTERN, UUID_PATTERN
from schemas.moments import MOMENT_PATTERN, NotAMoment, check_moment, parse_moment
from schemas.strict import Strict, explain_pattern

T = TypeVar("T")

_NO_NUL = explain_pattern(
    r"^[^\u0000]*$",
    "text",
    "Remove it: no database of the city can store it.",
    problem="the text holds a NUL character",
)
_CODE = explain_pattern(
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
    "a code",
    "Send 1 to 64 letters, digits, dots, underscores and hyphens, a letter or digit first.",
)
_LANGUAGE = explain_pattern(
    r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}$", "a language tag", "Send a tag of BCP 47, such as id or en."
)
_AMOUNT = explain_pattern(
    r"^-?[0-9]{1,15}(\.[0-9]{1,4})?$",
    "a decimal amount",
    "Send up to 15 digits, then a dot and up to 4 more where there are any, as in 1250000 or 99.50.",
)
_NON_NEGATIVE_AMOUNT = explain_pattern(
    r"^[0-9]{1,15}(\.[0-9]{1,4})?$",
    "a decimal amount that is not negative",
    "Send up to 15 digits, then a dot and up to 4 more where there are any, as in 1250000 or 99.50.",
)
_CURRENCY = explain_pattern(r"^[A-Z]{3}$", "a currency's code", "Send a code of ISO 4217, such as IDR.")
_URL = explain_pattern(
    r"^https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?#][A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?$",
    "a web address",
    "Send an absolute http or https URL in ASCII, other characters percent-encoded, without a user name.",
)
_SHA256 = explain_pattern(r"^[0-9a-f]{64}$", "a SHA-256", "Send 64 hexadecimal digits in lower case.")
_MEDIA_TYPE = explain_pattern(
    r"^[a-z]+/[a-z0-9][a-z0-9.+-]{0,99}$",
    "a media type",
    "Send a type such as image/jpeg, in lower case, and nothing after it.",
)
explain_pattern(UUID_PATTERN, "a UUID", "Send a UUID of RFC 9562 in lower case, with hyphens.")
explain_pattern(AGENCY_ID_PATTERN, "an agency's id", "Send it in kebab case, such as public-works.")
explain_pattern(
    EVENT_ID_PATTERN,
    "an event's id",
    "Send 1 to 128 letters, digits and . _ : ~ / + = @ -, a letter or digit first. A UUID is best.",
)


def bounded_text(length_max: int) -> StringConstraints:
    """Text of 1 to `length_max` characters without NUL, which PostgreSQL cannot store."""
    return StringConstraints(min_length=1, max_length=length_max, pattern=_NO_NUL)


Text64 = Annotated[str, bounded_text(64)]
Text100 = Annotated[str, bounded_text(100)]
Text200 = Annotated[str, bounded_text(200)]
Text500 = Annotated[str, bounded_text(500)]
Text1000 = Annotated[str, bounded_text(1000)]
Text4000 = Annotated[str, bounded_text(4000)]

Uuid = Annotated[str, StringConstraints(pattern=UUID_PATTERN, max_length=36)]
"""A UUID in lower case, kept as the string that was sent."""

EventId = Annotated[str, StringConstraints(pattern=EVENT_ID_PATTERN, max_length=128)]
"""An event's id, unique within its source."""

AgencyId = Annotated[str, StringConstraints(pattern=AGENCY_ID_PATTERN, max_length=64)]
"""An agency of the city, in kebab case: `public-works`."""

ServiceCode = Annotated[str, StringConstraints(pattern=_CODE, max_length=64)]
"""A kind of public service, by the city's own code (Open311 `service_code`)."""

AreaCode = Annotated[str, StringConstraints(pattern=_CODE, max_length=64)]
"""A place of the city, by the city's own code: `51.71.01.1005`."""

HttpUrl = Annotated[str, StringConstraints(pattern=_URL, max_length=2000)]
"""An absolute http or https URL in ASCII (RFC 3986), without a user name, as it was sent."""

LanguageTag = Annotated[str, StringConstraints(pattern=_LANGUAGE, max_length=50)]
"""A language, as in BCP 47: `id`, `en`, `ban-Bali`."""

LocalisedText = Annotated[dict[LanguageTag, Text1000], Field(min_length=1, max_length=50)]
"""One text in several languages: `{"id": "Saluran air", "en": "Drain"}`."""


def localised(text: Mapping[str, str], *languages: str) -> str:
    """`text` in the first of `languages` that it has, or else in the first language that it has at all."""
    for language in languages:
        if language in text:
            return text[language]
    return next(iter(text.values()))


def _moment(value: Any) -> datetime:
    try:
        if isinstance(value, str):
            return parse_moment(value)
        if isinstance(value, datetime):
            return check_moment(value)
    except NotAMoment as error:
        raise PydanticCustomError("not_a_moment", "{problem}", {"problem": str(error)}) from error
    raise PydanticCustomError("not_a_moment", "a time is a string such as 2026-11-24T08:00:00+08:00")


class _MomentSchema:
    """Says in the JSON Schema what `_moment` accepts."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "format": "date-time", "pattern": MOMENT_PATTERN}


Moment = Annotated[datetime, BeforeValidator(_moment), _MomentSchema()]
"""A time with an offset, from an RFC 3339 string and nothing else (no number, no date alone)."""


@dataclass(frozen=True, slots=True)
class PersonalMark:
    """The mark that `Personal[...]` leaves on a field; in the JSON Schema it reads `"x-personal": true`."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-personal": True}


Personal = Annotated[T, PersonalMark()]
"""A field that tells something about a person. Redaction, logs and public pages obey this mark."""


class Money(Strict):
    """An amount of money, exact. Never a float."""

    amount: Annotated[str, StringConstraints(pattern=_AMOUNT, max_length=21)]
    """The amount as a decimal string: `1250000` or `99.50`."""
    currency: Annotated[str, StringConstraints(pattern=_CURRENCY, max_length=3)]
    """The currency's code in ISO 4217: `IDR`."""

    @property
    def decimal(self) -> Decimal:
        """The amount as a number to reckon with."""
        return Decimal(self.amount)


class NonNegativeMoney(Money):
    """An amount of money, exact, and not below zero: what is set aside, billed or paid."""

    amount: Annotated[str, StringConstraints(pattern=_NON_NEGATIVE_AMOUNT, max_length=20)]
    """The amount as a decimal string: `1250000` or `99.50`."""


class Point(Strict):
    """A place on the earth: a GeoJSON Point in WGS 84. **Longitude comes first** (RFC 7946, section 3.1.1)."""

    type: Literal["Point"]
    """GeoJSON's name for one position. Required: the bytes travel on as they came, and GeoJSON readers need it."""
    coordinates: tuple[Annotated[float, Field(ge=-180, le=180)], Annotated[float, Field(ge=-90, le=90)]]
    """Longitude, then latitude, in degrees: `[115.2126, -8.6705]`."""

    @property
    def longitude(self) -> float:
        """Degrees east."""
        return self.coordinates[0]

    @property
    def latitude(self) -> float:
        """Degrees north."""
        return self.coordinates[1]


class Reporter(Strict):
    """The person who reported, as far as they said (Open311 `first_name`, `phone`, `email`)."""

    name: Personal[Text200] | None = None
    """What the person wishes to be called."""
    phone: Personal[Text64] | None = None
    """A telephone number, as the person gave it."""
    email: Personal[Text200] | None = None
    """An electronic mail address, as the person gave it."""


class Attribute(Strict):
    """One further answer that a service asks for (Open311 `attribute`)."""

    code: Annotated[str, StringConstraints(pattern=_CODE, max_length=64)]
    """Which question, by the service's own code: `DEPTH_CM`."""
    value: Text1000
    """The answer, as text."""


class Attachment(Strict):
    """A photo or document, kept elsewhere: it never travels in an event. Size and hash tell it from any other."""

    url: HttpUrl
    """Where it is kept. Whoever reads it there holds what comes against `size_bytes` and `sha256`."""
    media_type: Annotated[str, StringConstraints(pattern=_MEDIA_TYPE, max_length=120)]
    """What its content is: `image/jpeg`."""
    size_bytes: Annotated[int, Field(ge=1, le=1_000_000_000)]
    """How many bytes it has."""
    sha256: Annotated[str, StringConstraints(pattern=_SHA256, max_length=64)]
    """The SHA-256 of its bytes, in hexadecimal digits."""
    name: Personal[Text200] | None = None
    """The sender's name for it, to show to people. Never a path."""


Attachments = Annotated[tuple[Attachment, ...], Field(max_length=20)]
"""Photos and documents of one event."""
