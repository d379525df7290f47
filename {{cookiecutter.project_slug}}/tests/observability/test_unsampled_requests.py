"""Requests that are not sampled: they have no span, and pass the trace context on."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi import FastAPI
from fastapi.telemetry import get_telemetry_data
from opentelemetry import baggage, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reference_service.environment import read_section
from reference_service.telemetry.logs import span_ids
from reference_service.telemetry.trace_sampling import (
    TraceIds,
    UnsampledRequests,
    request_sampler,
)
from reference_service.telemetry.trace_settings import TraceSettings

from ..conftest import StartService
from ..domain import PATH
from ..processes import wait_until
from .collector import Collector
from .tracing import TRACE_ID, TRACEPARENT, start_with_traces

UNSAMPLED = f"{TRACEPARENT[:-2]}00"
REQUESTS = 200


class TracedApp:
    """An application whose handler returns what it knows of its trace, and the spans it sent."""

    def __init__(self, settings: TraceSettings) -> None:
        self.dropped = 0
        self._exporter = InMemorySpanExporter()
        sampler, ids = request_sampler(settings, self._count_drop), TraceIds()
        provider = TracerProvider(sampler=sampler, id_generator=ids)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        app = FastAPI(telemetry={"tracer_provider": provider, "operation_spans": False})

        @app.get("/")
        async def handle() -> dict[str, object]:
            with provider.get_tracer("a client").start_as_current_span("a call"):
                passed_on: dict[str, str] = {}
                propagate.inject(passed_on)
            traced = get_telemetry_data() is not None
            return {**span_ids(), "traced": traced, "passed_on": passed_on, **baggage.get_all()}

        self._app = UnsampledRequests(app, sampler, ids)

    async def get(self, **headers: str) -> dict[str, object]:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            response = await client.get("/", headers=headers)
        body: dict[str, object] = response.json()
        return body

    def spans(self) -> list[str]:
        return [span.name for span in self._exporter.get_finished_spans()]

    def _count_drop(self) -> None:
        self.dropped += 1


def traced_app(monkeypatch: pytest.MonkeyPatch, sampler: str = "", ratio: str = "0") -> TracedApp:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
    return TracedApp(read_section(TraceSettings))


@contextmanager
def no_span_leaks() -> Iterator[None]:
    """Require that the caller's own context is the same afterwards."""
    before = trace.get_current_span()
    yield
    assert trace.get_current_span() is before


async def test_unsampled_request_has_ids_and_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    app = traced_app(monkeypatch)
    with no_span_leaks():
        first, second = await app.get(), await app.get()
    assert not first["traced"]
    assert first["trace_id"] != second["trace_id"]
    assert first["span_id"] != second["span_id"]
    assert not app.spans()


async def test_spans_of_unsampled_request_belong_to_its_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = await traced_app(monkeypatch).get()
    assert isinstance(body["passed_on"], dict)
    version, trace_id, _, flags = body["passed_on"]["traceparent"].split("-")
    assert (version, trace_id) == ("00", body["trace_id"])
    assert not int(flags, 16) & 1


async def test_context_of_unsampled_caller_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    app = traced_app(monkeypatch, ratio="1")
    caller = {"traceparent": UNSAMPLED, "tracestate": "vendor=1", "baggage": "tenant=blue"}
    body = await app.get(**caller)
    assert not body["traced"]
    assert (body["trace_id"], body["tenant"]) == (TRACE_ID, "blue")
    assert isinstance(body["passed_on"], dict)
    assert body["passed_on"]["traceparent"].startswith(f"00-{TRACE_ID}-")
    assert body["passed_on"]["traceparent"].endswith("-00")
    assert body["passed_on"]["tracestate"] == "vendor=1"
    assert body["passed_on"]["baggage"] == "tenant=blue"
    assert not app.spans()


async def test_baggage_without_trace_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    body = await traced_app(monkeypatch).get(baggage="tenant=blue")
    assert not body["traced"]
    assert isinstance(body["passed_on"], dict)
    assert body["passed_on"]["baggage"] == "tenant=blue"


async def test_forced_request_is_traced_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_FORCED_PER_SECOND", "0")
    app = traced_app(monkeypatch)
    body = await app.get(traceparent=TRACEPARENT)
    assert (body["traced"], body["trace_id"]) == (True, TRACE_ID)
    assert app.dropped == 1
    assert not app.spans()


@pytest.mark.parametrize("sampler", ["", "traceidratio", "parentbased_traceidratio"])
async def test_each_request_is_sampled_or_skipped(
    monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    app = traced_app(monkeypatch, sampler, ratio="0.5")
    bodies = [await app.get() for _ in range(REQUESTS)]
    traced = sum(bool(body["traced"]) for body in bodies)
    assert 0 < traced < REQUESTS
    assert app.spans().count("GET /") == app.spans().count("a call") == traced


@pytest.mark.parametrize(
    ("sampler", "traceparent", "traced"),
    [
        ("always_on", UNSAMPLED, True),
        ("always_on", TRACEPARENT, True),
        ("parentbased_always_on", UNSAMPLED, False),
        ("parentbased_always_on", TRACEPARENT, True),
        ("always_off", UNSAMPLED, False),
        ("parentbased_always_off", UNSAMPLED, False),
    ],
)
async def test_sampler_decides_for_caller(
    monkeypatch: pytest.MonkeyPatch, sampler: str, traceparent: str, *, traced: bool
) -> None:
    app = traced_app(monkeypatch, sampler)
    assert (await app.get(traceparent=traceparent))["traced"] == traced
    assert ("GET /" in app.spans()) == traced


async def test_invalid_traceparent_starts_new_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    body = await traced_app(monkeypatch).get(traceparent="00-0-0-01")
    assert not body["traced"]
    assert body["trace_id"] != TRACE_ID


def test_log_lines_of_unsampled_request_have_trace_ids(
    start_service: StartService, collector: Collector
) -> None:
    settings = {"OTEL_TRACES_SAMPLER": "", "OTEL_TRACES_SAMPLER_ARG": "0"}
    service = start_with_traces(start_service, collector.url, **settings)
    service.api.get(PATH)
    service.api.get(PATH, headers={"traceparent": UNSAMPLED})
    wait_until(lambda: len(service.records("request")) == 2)
    new, continued = service.records("request")
    assert new["trace_id"] != TRACE_ID
    assert new["span_id"]
    assert continued["trace_id"] == TRACE_ID
