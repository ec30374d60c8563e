"""One trace from the POST at one agency's adapter to the call of another agency's system, over every real process."""

from __future__ import annotations

import http.server
import json
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

from bus.runfile import RunFile
from deploy.local.up import LocalCity
from tests.support.collector import Collector, collecting

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENDER = "00f067aa0ba902b7"
SERVICE = "street-cleaning"


class Calls:
    """What the agencies' systems were told, with the headers that it came with."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, str], dict[str, object]]] = []
        calls = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                calls.told.append((self.path.strip("/"), {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    def url(self, agency: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{agency}"


@pytest.fixture(scope="module")
def calls() -> Iterator[Calls]:
    found = Calls()
    found.thread.start()
    yield found
    found.server.shutdown()
    found.thread.join()
    found.server.server_close()


def post(run: RunFile, agency: str) -> str:
    adapter = run.adapters[agency]
    body = {
        "type": "subak.request.submitted.v1",
        "data": {"service_code": SERVICE, "area": "06075", "reporter": {"name": "Somebody Private"}},
    }
    request = urllib.request.Request(
        adapter["url"],
        data=json.dumps(body).encode(),
        headers={
            "content-type": "application/json",
            "authorization": f"Bearer {adapter['token']}",
            "traceparent": f"00-{TRACE}-{SENDER}-01",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.loads(answer.read())["subject"])


@pytest.fixture(scope="module")
def traced(calls: Calls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A city whose every process is traced, one request through it, and every process ended."""
    with collecting() as collector:
        city = LocalCity(
            "san-francisco",
            home=tmp_path_factory.mktemp("traced"),
            webhook_urls=calls.url,
            environment={"SUBAK_OTLP_ENDPOINT": collector.url},
        )
        holder = city.city.candidates(SERVICE, city.city.area)[0]
        run = city.start()
        try:
            case = post(run, city.city.citizens_channel)
            deadline = time.monotonic() + 60
            while not any(to == holder and told["subject"] == case for to, _, told in calls.told):
                assert time.monotonic() < deadline, "the agency that must act was never called"
                time.sleep(0.1)
            while not any(span.name == "casebook" for span in collector.spans):
                assert time.monotonic() < deadline, "the casebook told of nothing"
                time.sleep(0.1)
        finally:
            city.stop()
        yield collector


def test_every_stop_of_the_journey_is_of_the_trace_that_the_sender_began(traced: Collector) -> None:
    assert {span.trace for span in traced.spans} == {TRACE}
    stops = {(span.service, span.name) for span in traced.spans}
    assert {
        ("subak-adapter-citizens", "POST events"),
        ("subak-adapter-citizens", "outbox"),
        ("subak-adapter-citizens", "relay"),
        ("subak-gateway", "gateway"),
        ("subak-workflows", "workflows"),
        ("subak-router", "router"),
        ("subak-casebook", "casebook"),
        ("subak-adapter-agencies", "inbox"),
        ("subak-adapter-agencies", "deliver"),
    } <= stops


def test_each_stop_is_a_child_of_another_and_the_first_of_the_sender(traced: Collector) -> None:
    known = {span.id: span for span in traced.spans}
    roots = [span for span in traced.spans if span.parent not in known]
    assert [(root.name, root.parent) for root in roots] == [("POST events", SENDER)]
    (stored,) = [span for span in traced.spans if span.name == "outbox"]
    assert stored.parent == roots[0].id
    assert all(span.parent == stored.id for span in traced.spans if span.name in ("relay", "gateway", "deliver"))


def test_the_stops_follow_each_other_in_time(traced: Collector) -> None:
    ended = {name: min(s.ended_ns for s in traced.spans if s.name == name) for name in ("outbox", "gateway", "router")}
    assert ended["outbox"] < ended["gateway"] < ended["router"]


def test_the_agency_that_is_called_can_go_on_with_the_trace(traced: Collector, calls: Calls) -> None:
    delivered = {span.id for span in traced.spans if span.name == "deliver"}
    headers = [told["traceparent"] for _, told, _ in calls.told]
    assert headers
    for header in headers:
        _, trace, span, _ = header.split("-")
        assert trace == TRACE
        assert span in delivered


def test_no_trace_carries_a_personal_field(traced: Collector) -> None:
    assert traced.bodies
    assert not any(b"Somebody Private" in body for body in traced.bodies)
