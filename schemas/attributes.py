"""The grammar of an event's attributes: what each may look like at the door, and what a sender is told otherwise.

CloudEvents leaves most of this open (an id is any text, a source any URI reference). The city does not: what is
accepted here stands in topics, logs, SQL and URLs for years. Patterns are matched whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from schemas.envelope import OPTIONAL_ATTRIBUTES, REQUIRED_ATTRIBUTES, SPEC_VERSION
from schemas.failures import Reason
from schemas.identifiers import AGENCY_ID_PATTERN, EVENT_ID_PATTERN, SOURCE_PATTERN, TYPE_PATTERN, UUID_PATTERN
from schemas.moments import NotAMoment, is_moment, parse_moment
from schemas.strict import bounded_reason

ATTRIBUTES = (*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES)

BUS_ATTRIBUTES = frozenset({"parties", "workflowversion"})
"""What Subak's own processes alone may set: `parties` decides who hears of a case, so an agency may not write it."""

PARTITION_KEY = "partitionkey"
"""CloudEvents' registered extension, which its SDKs set to choose the Kafka key. It may say the subject again, and is
then dropped: the key says it already."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """What one attribute looks like."""

    pattern: str
    """What the text must be, as a regular expression over the whole of it."""
    accepts: Callable[[str], object]
    """Whether a text is one; what it gives counts as true or false."""
    problem: str
    fix: str
    description: str
    """What the attribute says, for the published documents."""


def _grammar(pattern: str, problem: str, fix: str, description: str) -> Grammar:
    return Grammar(
        pattern, re.compile(pattern.removeprefix("^").removesuffix("$")).fullmatch, problem, fix, description
    )


def _moment_grammar(description: str) -> Grammar:
    fix = "Send RFC 3339 with an offset, as in 2026-11-24T08:00:00+08:00, in the years 1970 to 2100."
    return Grammar("", is_moment, "this is not a time", fix, description)


_AGENCY = AGENCY_ID_PATTERN.removeprefix("^").removesuffix("$")
_ID_FIX = "Send 1 to 128 letters, digits and . _ : ~ / + = @ -, a letter or digit first. A UUID is best."

GRAMMARS: dict[str, Grammar] = {
    "id": _grammar(
        EVENT_ID_PATTERN, "this is not an event's id", _ID_FIX, "The event, told from all others of its source."
    ),
    "type": _grammar(
        TYPE_PATTERN,
        "this is not the name of an event type",
        "Send subak.<domain>.<event>.v<major>, as in subak.request.submitted.v1.",
        "What happened: `subak.<domain>.<event>.v<major>`.",
    ),
    "source": _grammar(
        SOURCE_PATTERN,
        "this is not the name of a sender",
        "Send urn:subak:<city>:<agency>, as in urn:subak:denpasar:public-works.",
        "Who says so: `urn:subak:<city>:<agency>`.",
    ),
    "subject": _grammar(
        UUID_PATTERN,
        "this is not a case's id",
        "Send the case's id, a UUID of RFC 9562 in lower case; a first event brings a new one.",
        "The case, and the Kafka key.",
    ),
    "time": _moment_grammar("When it happened there, with an offset."),
    "recordedtime": _moment_grammar("When the sender's outbox took it."),
    "correlationid": _grammar(
        EVENT_ID_PATTERN, "this is not an event's id", _ID_FIX, "The event that set all this off."
    ),
    "causationid": _grammar(EVENT_ID_PATTERN, "this is not an event's id", _ID_FIX, "The event that this one answers."),
    "sequence": _grammar(
        r"^[0-9A-Za-z._-]{1,64}$",
        "this is not a sequence",
        "Send 1 to 64 letters, digits and . _ - that sort in the order of sending.",
        "The order of sending within the source, as text that sorts.",
    ),
    "recipient": _grammar(
        rf"^(?=.{{1,64}}$){_AGENCY}$",
        "this is not an agency's id",
        "Send one id in kebab case, such as public-works.",
        "The one agency that a command is addressed to.",
    ),
    "jurisdiction": _grammar(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        "this is not an area's code",
        "Send the city's own code, such as 51.71.01.1005.",
        "The area where the matter lies.",
    ),
    "parties": _grammar(
        rf"^(?=.{{1,2000}}$){_AGENCY}(,{_AGENCY})*$",
        "this is not a list of agencies",
        "Send ids in kebab case with commas between and no spaces.",
        "The agencies that take part in the case. Only the bus sets it.",
    ),
    "workflowversion": _grammar(
        r"^[a-z][a-z0-9-]{0,63}@[1-9][0-9]{0,5}$",
        "this is not a workflow with its version",
        "Send name@number, as in repair@1.",
        "The workflow and version that the case is pinned to. Only the bus sets it.",
    ),
    "traceparent": _grammar(
        r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        "this is not a trace context",
        "Send W3C Trace Context's traceparent, or leave it out.",
        "W3C Trace Context.",
    ),
    "dataref": _grammar(
        r"^[a-z][a-z0-9+.-]{1,15}:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,1990}$",
        "this is not an absolute URI",
        "Send an absolute URI in ASCII of at most 2000 characters.",
        "Where large content lies.",
    ),
    "expirytime": _moment_grammar("When it is no longer worth handling."),
    "history": _grammar(
        rf"^(?=.{{1,64}}$){_AGENCY}$",
        "this is not the name of an import",
        "Send one name in kebab case, such as complaints-2019, or leave it out for what happens now.",
        "The import that brought it, long after it happened. It is kept and shown; nobody is told or asked.",
    ),
    "signature": _grammar(
        r"^[!-~]{1,4096}$",
        "this is not a signature",
        "Send at most 4096 printable ASCII characters without spaces.",
        "The sender's signature.",
    ),
}

_TRANSPORT_FIXES = {
    "datacontenttype": "On Kafka it is the header content-type.",
    "dataschema": "The type says which schema counts: remove it.",
    "specversion": f"Send {SPEC_VERSION}.",
}


def unknown_attribute(name: str, field: str) -> Reason:
    """The reason for an attribute that no event has, with the nearest that there is."""
    fix = _TRANSPORT_FIXES.get(name)
    if fix is None:
        near = get_close_matches(name[:100].lower().replace("_", ""), ATTRIBUTES, n=1)
        fix = f"Did you mean {near[0]}? Otherwise remove it." if near else "Remove it."
    return bounded_reason("unknown_attribute", field, f"events have no attribute {name!r}", fix)


def attribute_reasons(found: Mapping[str, str], *, from_bus: bool, unreadable: Iterable[str] = ()) -> list[Reason]:
    """Every reason against attributes that could be read as text; `unreadable` ones were reported before."""
    reasons = [
        Reason("missing", name, "every event has this attribute", "Add it.")
        for name in REQUIRED_ATTRIBUTES
        if name not in found and name not in unreadable
    ]
    for name, text in found.items():
        grammar = GRAMMARS[name]
        if not grammar.accepts(text):
            reasons.append(bounded_reason("malformed", name, _told(grammar, text), grammar.fix))
        if name in BUS_ATTRIBUTES and not from_bus:
            reasons.append(Reason("reserved_attribute", name, "only the bus itself sets this attribute", "Remove it."))
    return reasons


def partition_key_reasons(found: dict[str, str]) -> list[Reason]:
    """The reason against a partition key that is not the subject; takes it out of `found` in any case."""
    partition_key = found.pop(PARTITION_KEY, None)
    if partition_key is None or partition_key == found.get("subject"):
        return []
    return [Reason("key_mismatch", PARTITION_KEY, "it is not the subject", "Send the case's id, or leave it out.")]


def _told(grammar: Grammar, text: str) -> str:
    if grammar.accepts is is_moment:
        try:
            parse_moment(text)
        except NotAMoment as error:
            return str(error)
    return f"{grammar.problem}: {text[:100]!r}"
