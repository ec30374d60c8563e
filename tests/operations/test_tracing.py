"""One trace tells a whole journey; off it is nothing, and a collector that is away is nobody's trouble."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from bus import tracing
from bus.records import Record
from schemas.envelope import Event
from schemas.failures import Misconfigured
from schemas.identifiers import derived_id
from schemas.types.requests import RequestCommented
from tests.support.adapter import SmallAdapter, bearer
from tests.support.collector import collecting

CASE = derived_id("tracing", "case")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
REFUSED = f"00-{TRACE}-00f067aa0ba902b7-00"
"""A trace that its beginner does not keep."""


def comment(traceparent: str | None = None) -> Event:
    data = RequestCommented(text="a private word")
    event = Event.of(data, source="urn:subak:denpasar:communications", subject=CASE, time="2026-11-24T08:00:00+08:00")
    return msgspec.structs.replace(event, traceparent=traceparent)


def record(event: Event) -> Record:
    return Record("city-events", 2, 41, 0, event.key, event.data, event.headers())


def test_off_it_changes_nothing_and_opentelemetry_is_not_even_imported() -> None:
    assert not tracing.is_on()
    events = [comment()]
    with tracing.storing("communications", events) as stored:
        assert stored is events
    tracing.handled("gateway", [record(comment(traceparent=PARENT))], 0.1)
    assert tracing.outgoing() == {}
    code = "import sys, bus.tracing; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_event_is_stored_with_its_trace_and_each_stop_is_a_child_of_that() -> None:
    with collecting() as collector:
        with tracing.exported(collector.url, process="gateway"):
            with tracing.storing("communications", [comment()]) as (event,):
                pass
            assert event.traceparent is not None
            tracing.handled("gateway", [record(event)], 0.5)
        assert not tracing.is_on()
    outbox, gateway = sorted(collector.spans, key=lambda span: span.name == "gateway")
    assert event.traceparent[:53] == f"00-{outbox.trace}-{outbox.id}-"
    assert int(event.traceparent[53:], 16) & 1
    assert (gateway.trace, gateway.parent, gateway.service) == (outbox.trace, outbox.id, "subak-gateway")
    assert gateway.attributes["cloudevents.event_id"] == event.id
    assert gateway.attributes["messaging.kafka.offset"] == 41
    assert 0.4e9 < gateway.ended_ns - gateway.began_ns < 0.6e9


def test_no_span_carries_content() -> None:
    with collecting() as collector, tracing.exported(collector.url, process="gateway"):
        with tracing.storing("communications", [comment()]) as (event,):
            tracing.relayed("communications", [event.attributes()], 0.1)
        tracing.handled("gateway", [record(event)], 0.1)
    assert len(collector.spans) == 3
    assert not any(b"a private word" in body for body in collector.bodies)


def test_a_trace_that_its_beginner_does_not_keep_is_not_kept_here() -> None:
    with collecting() as collector, tracing.exported(collector.url, process="gateway"):
        with tracing.storing("communications", [comment(traceparent=REFUSED)]) as (event,):
            pass
        tracing.handled("gateway", [record(event)], 0.1)
    assert event.traceparent is not None
    assert event.traceparent.endswith("-00")
    assert event.traceparent[3:35] == TRACE
    assert collector.spans == []


def test_of_a_share_of_nothing_no_journey_is_traced() -> None:
    with collecting() as collector, tracing.exported(collector.url, process="gateway", share=0.0):
        with tracing.storing("communications", [comment()]) as (event,):
            pass
        tracing.handled("gateway", [record(event)], 0.1)
    assert collector.spans == []


@pytest.mark.parametrize("told", ["", "nonsense", PARENT.upper(), PARENT + "-more", f"00-{'0' * 32}-{'0' * 16}-01"])
def test_what_is_no_trace_context_begins_a_new_trace_and_breaks_nothing(told: str) -> None:
    with collecting() as collector, tracing.exported(collector.url, process="adapter"):
        with tracing.request("POST", "events", "communications", told.encode()):
            assert tracing.outgoing()["traceparent"][3:35] != TRACE
        broken = record(comment())
        headers = [*broken.headers, ("ce_traceparent", told.encode()), ("ce_type", None)]
        tracing.handled("gateway", [Record("t", 0, 0, 0, b"", b"", headers)], 0.1)
    assert [span.name for span in collector.spans] == ["POST events"]


async def test_a_post_is_of_the_trace_that_its_header_names(tmp_path: Path) -> None:
    with collecting() as collector, tracing.exported(collector.url, process="adapter"):
        async with SmallAdapter.opened(tmp_path) as adapter, adapter.served() as client:
            data = {"service_code": sorted(adapter.city.services)[0], "area": adapter.city.area}
            body = {"type": "subak.request.submitted.v1", "data": data}
            answer = await client.post(
                "/agencies/communications/events",
                json=body,
                headers={"traceparent": PARENT, **bearer("communications")},
            )
    assert answer.status_code == 202, answer.text
    posted = next(span for span in collector.spans if span.name == "POST events")
    assert (posted.trace, posted.parent) == (TRACE, PARENT[36:52])
    stored = next(span for span in collector.spans if span.name == "outbox")
    assert (stored.trace, stored.parent) == (TRACE, posted.id)


def test_a_collector_that_is_away_holds_nobody_up() -> None:
    began = time.monotonic()
    with tracing.exported("http://127.0.0.1:9", process="gateway"):
        event = record(comment(traceparent=PARENT))
        for _ in range(tracing.QUEUE_SPANS_MAX + 1000):
            tracing.handled("gateway", [event], 0.1)
        worked = time.monotonic() - began
    ended = time.monotonic() - began - worked
    assert worked < 30, "more spans than wait are dropped, not waited for"
    assert ended < 2 * tracing.SEND_SECONDS_MAX, f"the process ended {ended:.1f} s late"


def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with (
        pytest.raises(Misconfigured, match=r"pip install 'subak\[otel\]'"),
        tracing.exported("http://c:4318", process="x"),
    ):
        pass
