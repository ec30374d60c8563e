"""Traces: one for each journey, from the POST at an adapter to the call of another agency's system. Off by default.

An event carries its trace in `traceparent` (CloudEvents' distributed tracing extension, W3C Trace Context), so every
stop of the journey is a child of the stop where the event was stored, and stages pass the attribute through untouched.
What a workflow or a router makes of an event follows it, and is of the same trace.

Without `SUBAK_OTLP_ENDPOINT` nothing here does anything, and OpenTelemetry is not even imported: a stage asks once for
each transaction. With it, spans wait in a bounded queue for a thread that sends them; when the collector is away they
are dropped, and nothing else notices. No span carries content: ids, types, places and times only.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.envelope import Event
from schemas.failures import Misconfigured

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

    from bus.records import Record

QUEUE_SPANS_MAX = 8192
"""Spans that may wait for the collector. Beyond, the newest are dropped."""

SEND_SECONDS_MAX = 5.0
"""How long one request to the collector may take, and how long a process that ends waits for its last spans."""

Attributes = Mapping[str, str | int]

_NOTHING: AbstractContextManager[None] = contextlib.nullcontext()


class _Tracing:
    """What is there while traces are made. The functions below ask for it; nobody else does."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace

        self.trace = trace
        self._tracer = provider.get_tracer("subak", version("subak"))

    def context_of(self, traceparent: str) -> Context:
        """The context that a `traceparent` names. Its grammar was checked where the event came in."""
        _, trace_id, span_id, flags = traceparent.split("-")
        remote = self.trace.SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=self.trace.TraceFlags(int(flags, 16))
        )
        return self.trace.set_span_in_context(self.trace.NonRecordingSpan(remote))

    def begin(
        self, name: str, kind: str, parent: str | None, attributes: Attributes, *, began_ns: int | None = None
    ) -> Any:
        """A span that has begun; a child of `parent`, or of the span that is current here, or of none."""
        return self._tracer.start_span(
            name,
            context=None if parent is None else self.context_of(parent),
            kind=self.trace.SpanKind[kind],
            attributes=attributes,
            start_time=began_ns,
        )


_active: _Tracing | None = None


def is_on() -> bool:
    """Whether traces are made in this process."""
    return _active is not None


@contextmanager
def exported(endpoint: str, *, process: str, share: float = 1.0) -> Iterator[None]:
    """Send what is traced while the block runs to a collector; nothing where `endpoint` is empty.

    Args:
        endpoint: of OTLP over HTTP, without the path, such as `http://collector:4318`.
        process: what this one is called; the service is `subak-<process>`.
        share: of the journeys that begin here, how many are traced. Those that began elsewhere are as they were told.

    Raises:
        Misconfigured: the extra `otel` is not installed.
    """
    global _active
    if not endpoint:
        yield
        return
    provider, give_up = _provider(endpoint, process, share)
    _active = _Tracing(provider)
    try:
        yield
    finally:
        _active = None
        # Its last spans are sent, but a collector that is away must not keep a process from ending: by itself the
        # provider would wait for half a minute.
        deadline = threading.Timer(SEND_SECONDS_MAX, give_up)
        deadline.start()
        provider.shutdown()
        deadline.cancel()


def _provider(endpoint: str, process: str, share: float) -> tuple[TracerProvider, Callable[[], None]]:
    """What makes spans and sends them, and what stops the sending at once."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"SUBAK_OTLP_ENDPOINT needs the extra `otel`, which is not installed ({error.name} is missing): "
            "pip install 'subak[otel]'."
        ) from error
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"subak-{process}", "service.version": version("subak")}),
        sampler=ParentBased(TraceIdRatioBased(share)),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_SECONDS_MAX)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS_MAX, schedule_delay_millis=1000)
    )
    return provider, exporter.shutdown


# -- the stops of the journey, in its order


def request(method: str, what: str, agency: str, traceparent: bytes | None) -> AbstractContextManager[None]:
    """What an agency's system POSTs, for as long as the block runs; a child of what its header names."""
    if _active is None or method != "POST":
        return _NOTHING
    told = traceparent.decode("latin-1") if traceparent is not None else None
    parent = told if told is not None and _is_traceparent(told) else None
    return _current(_active, f"POST {what}", "SERVER", parent, {"subak.agency": agency})


@contextmanager
def storing(agency: str, events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """The events as they are to be stored: each with the `traceparent` of its span, which lasts as the block does."""
    if _active is None:
        yield events
        return
    spans = [
        _active.begin("outbox", "PRODUCER", event.traceparent, {"subak.agency": agency, **_about(event.attributes())})
        for event in events
    ]
    try:
        yield [
            msgspec.structs.replace(event, traceparent=_traceparent(span))
            for event, span in zip(events, spans, strict=True)
        ]
    finally:
        for span in spans:
            span.end()


def relayed(agency: str, events: Iterable[Mapping[str, str]], seconds: float) -> None:
    """These events, by their attributes, went to Kafka in one transaction that took so long and ends now."""
    _passed(
        "relay",
        "PRODUCER",
        [({"subak.agency": agency, **_about(event)}, event.get("traceparent")) for event in events],
        seconds,
    )


def handled(process: str, records: Iterable[Record], seconds: float) -> None:
    """A process has done with these records in one transaction that took so long and ends now."""
    if _active is None:
        return
    things = []
    for record in records:
        headers = dict(record.headers)
        traceparent = (headers.get("ce_traceparent") or b"").decode("latin-1")
        if _is_kept(traceparent):
            told = {name: value.decode("utf-8", "replace") for name in _TOLD if (value := headers.get(f"ce_{name}"))}
            place: dict[str, str | int] = {
                "messaging.system": "kafka",
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
            }
            things.append((place | _about(told), traceparent))
    _passed(process, "CONSUMER", things, seconds)


def delivering(agency: str, attributes: str) -> AbstractContextManager[None]:
    """The call of an agency's system with an event, given by its attributes as JSON, while the block runs."""
    if _active is None or '"traceparent"' not in attributes:
        return _NOTHING
    event: dict[str, str] = msgspec.json.decode(attributes)
    return _current(_active, "deliver", "CLIENT", event["traceparent"], {"subak.agency": agency, **_about(event)})


def outgoing() -> dict[str, str]:
    """The header with which a call tells the other side what it is part of."""
    if _active is None:
        return {}
    span = _active.trace.get_current_span()
    return {"traceparent": _traceparent(span)} if span.get_span_context().is_valid else {}


# -- how

_TOLD = ("id", "type", "source", "subject")


def _about(attributes: Mapping[str, str]) -> dict[str, str | int]:
    """Which event, under the names of OpenTelemetry's conventions."""
    return {f"cloudevents.event_{name}": attributes[name] for name in _TOLD if name in attributes}


def _traceparent(span: Any) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _is_traceparent(text: str) -> bool:
    from schemas.attributes import GRAMMARS

    # All zeros are of the grammar, and W3C says that they name nothing.
    return bool(GRAMMARS["traceparent"].accepts(text)) and not {text[3:35], text[36:52]} & {"0" * 32, "0" * 16}


def _is_kept(traceparent: str) -> bool:
    """Whether it is one, and whoever began the trace keeps it. Most are not, where a share is traced."""
    return traceparent[-1:] in _ODD and _is_traceparent(traceparent)


_ODD = frozenset("13579bdf")


@contextmanager
def _current(active: _Tracing, name: str, kind: str, parent: str | None, attributes: Attributes) -> Iterator[None]:
    span = active.begin(name, kind, parent, attributes)
    with active.trace.use_span(span, end_on_exit=True, record_exception=False):
        yield


def _passed(name: str, kind: str, things: Sequence[tuple[Attributes, str | None]], seconds: float) -> None:
    """Spans that began so long ago and end now, one for each thing that is of a trace somebody keeps."""
    if _active is None:
        return
    now = time.time_ns()
    began = now - int(seconds * 1e9)
    for attributes, traceparent in things:
        if traceparent is not None and _is_kept(traceparent):
            _active.begin(name, kind, traceparent, attributes, began_ns=began).end(now)
