"""A good event and a good record, from which tests of bad ones differ in one thing; and what a refusal said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.envelope import Event
from schemas.failures import Reason, Refused

CASE = "019ab3c2-7d10-7a44-8f3e-5b1c2d3e4f50"
DATA = b'{"service_code":"drain","area":"51.71.01.1005","description":"Saluran tersumbat."}'

GOOD = Event(
    id="PRO-2026-0017",
    type="subak.request.submitted.v1",
    source="urn:subak:denpasar:communications",
    subject=CASE,
    time="2026-11-24T07:42:10+08:00",
    data=DATA,
)

FULL = Event(
    id="019ab3c2-9f21-7c55-a0b1-c2d3e4f5a6b7",
    type="subak.request.submitted.v1",
    source="urn:subak:denpasar:communications",
    subject=CASE,
    time="2026-11-24T07:42:10.5+08:00",
    recordedtime="2026-11-23T23:42:11Z",
    correlationid="019ab3c2-9f21-7c55-a0b1-c2d3e4f5a6b7",
    causationid="PRO-2026-0017",
    sequence="00000017",
    recipient="public-works",
    jurisdiction="51.71.01.1005",
    parties="communications,public-works,kelurahan-renon",
    workflowversion="repair@1",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    dataref="https://files.example.org/019ab3c2.json",
    expirytime="2026-12-24T00:00:00Z",
    history="complaints-2019",
    signature="c2lnbmF0dXJl",
    data=DATA,
)
"""Every attribute that there is; only the bus may say all of them."""


def record(**changed: bytes | None) -> list[tuple[str, bytes | None]]:
    """The headers of the good event, with some replaced (by attribute or header name) and, where None, left out."""
    headers: dict[str, bytes | None] = dict(GOOD.headers())
    for name, value in changed.items():
        header = "content-type" if name == "content_type" else f"ce_{name}"
        headers.pop(header, None)
        if value is not None:
            headers[header] = value
    return list(headers.items())


def outcome(read: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What `read` gives, or the reasons why it refuses. Any other error comes through."""
    try:
        return read(*arguments, **named)
    except Refused as refused:
        return refused.reasons


def reasons(read: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[Reason, ...]:
    """Why `read` refuses these arguments; fails where it does not, or says too little."""
    with pytest.raises(Refused) as refused:
        read(*arguments, **named)
    assert refused.value.reasons, "a refusal without a reason"
    for reason in refused.value.reasons:
        assert all(reason.as_dict().values()), f"a reason that does not say all: {reason}"
    return refused.value.reasons


def told(read: Callable[..., Any], *arguments: Any, **named: Any) -> list[tuple[str, str]]:
    """The code and field of every reason why `read` refuses these arguments."""
    return [(reason.code, reason.field) for reason in reasons(read, *arguments, **named)]
