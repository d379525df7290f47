"""Readiness requests with `X-Trace-Health`: the spans that a collector receives."""

import asyncio
import time
from typing import Any, Self

import pytest

from reference_service.health import (
    Answer,
    Check,
    CheckFailed,
    Options,
    Probes,
    Registry,
)
from reference_service.telemetry import health_traces
from reference_service.telemetry.health_traces import (
    TRACER,
    HealthTraces,
    HealthTraceSampler,
)
from reference_service.telemetry.instrumentation import ServiceInfo
from reference_service.telemetry.trace_settings import TraceSettings
from reference_service.telemetry.traces import Tracing

from .collector import Collector, Span

TRACE_HEADER = (b"x-trace-health", b"true")
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ROOT = "GET /health/ready"
TIMEOUT = 0.3
DATABASE = {"db.system.name": "mysql", "db.operation.name": "SELECT"}


class NoQuorum(CheckFailed):
    """An error type of a check."""


async def passes() -> None:
    pass


async def hangs() -> None:
    await asyncio.sleep(60)


async def refuses() -> None:
    raise NoQuorum("two of three are gone")


@pytest.fixture(autouse=True)
def short_export_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


class TracedProbes:
    """Probes that can be traced, and the collector that receives their spans."""

    def __init__(self, collector: Collector, *checks: Check, opt_in: str = "") -> None:
        self.collector = collector
        self.registry = Registry(checks, Options(timeout=TIMEOUT, interval=60))
        self.tracing = Tracing(
            TraceSettings.model_validate({"exporter_otlp_endpoint": collector.url}),
            ServiceInfo("orders", "1.0"),
        )
        tracer = self.tracing.provider(HealthTraceSampler()).get_tracer(TRACER)
        traces = HealthTraces(tracer, self.registry, opt_in)
        self.probes = Probes(no_app, self.registry, trace=traces)

    async def __aenter__(self) -> Self:
        self.registry.started_up = True
        await self.registry.start()
        async with asyncio.timeout(10):
            while not all(m.state.attempts for m in self.registry.monitors.values()):
                await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.registry.stop()
        await self.tracing.close()

    async def request(self, *headers: tuple[bytes, bytes], path: str = "/health/ready") -> str:
        """Send a request and return the trace id of its `traceresponse`; empty if there is none."""
        response: dict[str, Any] = {}

        async def send(message: Any) -> None:
            response.update(message)

        scope = {"type": "http", "method": "GET", "scheme": "http", "path": path}
        await self.probes({**scope, "headers": list(headers)}, no_body, send)
        traceresponse: bytes = dict(response["headers"]).get(b"traceresponse", b"")
        return traceresponse.decode()[3:35]

    async def spans(self, trace_id: str) -> dict[str, Span]:
        """Wait for the complete trace and return its spans by name."""
        async with asyncio.timeout(10):
            while ROOT not in (spans := self.collector.trace(trace_id)):
                await asyncio.sleep(0.02)
        return spans

    async def trace(self, *headers: tuple[bytes, bytes]) -> dict[str, Span]:
        """Request a trace and return its spans by name."""
        return await self.spans(await self.request(TRACE_HEADER, *headers))


async def no_app(*_: Any) -> None:
    raise AssertionError("the probe request reached the application")


async def no_body() -> Any:
    raise AssertionError("the probe read a request body")


async def test_span_of_slow_check_has_error(collector: Collector) -> None:
    checks = [Check("cache", passes), Check("database", hangs, attributes=DATABASE)]
    async with TracedProbes(collector, *checks) as probes:
        spans = await probes.trace()
    slow, fast, root = spans["check database"], spans["check cache"], spans[ROOT]
    assert (slow.status, fast.status, root.status) == ("ERROR", "OK", "ERROR")
    assert slow.attributes["error.type"] == "TimeoutError"
    assert slow.events == ("exception",)
    assert slow.seconds >= TIMEOUT > fast.seconds
    assert root.attributes["health.failures"] == ["database: TimeoutError"]
    assert slow.parent_id == fast.parent_id == root.span_id


async def test_span_has_error_type_of_check(collector: Collector) -> None:
    async with TracedProbes(collector, Check("quorum", refuses)) as probes:
        span = (await probes.trace())["check quorum"]
    assert (span.status, span.attributes["error.type"]) == ("ERROR", "NoQuorum")


async def test_spans_have_stable_attribute_names(collector: Collector) -> None:
    async with TracedProbes(collector, Check("database", passes, attributes=DATABASE)) as probes:
        spans = await probes.trace()
    assert {span.scope for span in spans.values()} == {"health-probe"}
    check, root = spans["check database"].attributes, spans[ROOT].attributes
    assert DATABASE.items() <= check.items()
    assert check["otel.status_code"] == root["otel.status_code"] == "OK"
    assert root["http.response.status_code"] == 200
    assert not {"http.status_code", "db.system", "db.operation"} & {*check, *root}


async def test_opt_in_adds_legacy_attribute_names(collector: Collector) -> None:
    checks = [
        Check("database", passes, attributes=DATABASE),
        Check("downstream", passes, attributes={"rpc.system.name": "jsonrpc"}),
    ]
    opt_in = "http/dup, database/dup,rpc/dup"
    async with TracedProbes(collector, *checks, opt_in=opt_in) as probes:
        spans = await probes.trace()
    check, root = spans["check database"].attributes, spans[ROOT].attributes
    assert (check["db.system"], check["db.system.name"]) == ("mysql", "mysql")
    assert check["db.operation"] == check["db.operation.name"] == "SELECT"
    assert root["http.status_code"] == root["http.response.status_code"] == 200
    assert spans["check downstream"].attributes["rpc.system"] == "jsonrpc"


async def test_trace_continues_that_of_caller_and_is_marked_light(collector: Collector) -> None:
    parent, state = (b"traceparent", TRACEPARENT), (b"tracestate", b"vendor=1")
    async with TracedProbes(collector, Check("cache", passes)) as probes:
        spans = await probes.trace(parent, state)
    assert spans[ROOT].trace_id == TRACEPARENT[3:35].decode()
    assert spans[ROOT].parent_id == TRACEPARENT[36:52].decode()
    for span in spans.values():
        assert span.trace_state.split(",") == ["health=light", "vendor=1"]


async def test_unsampled_caller_still_gets_trace(collector: Collector) -> None:
    async with TracedProbes(collector, Check("cache", passes)) as probes:
        spans = await probes.trace((b"traceparent", TRACEPARENT[:-2] + b"00"))
    assert set(spans) == {ROOT, "check cache"}


async def test_only_readiness_with_header_is_traced(collector: Collector) -> None:
    async with TracedProbes(collector, Check("cache", passes)) as probes:
        assert not await probes.request()
        assert not await probes.request((b"x-trace-health", b"false"))
        assert not await probes.request(TRACE_HEADER, path="/health/live")
        assert not await probes.request(TRACE_HEADER, path="/health/startup")


async def test_response_comes_from_memory_and_new_attempt_counts(
    collector: Collector,
) -> None:
    hanging = asyncio.Event()

    async def passes_until_hanging() -> None:
        if hanging.is_set():
            await asyncio.sleep(60)

    check = Check("database", passes_until_hanging, failure_threshold=1)
    async with TracedProbes(collector, check) as probes:
        hanging.set()
        started = time.monotonic()
        trace_id = await probes.request(TRACE_HEADER)
        assert time.monotonic() - started < TIMEOUT
        assert probes.registry.ready() is Answer.PASS
        root = (await probes.spans(trace_id))[ROOT]
        assert probes.registry.ready() is Answer.TIMEOUT
    assert root.attributes["http.response.status_code"] == 200  # the response
    assert root.attributes["health.status"] == "fail"  # the result of the new attempt


async def test_check_that_is_busy_is_reported_as_not_attempted(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_traces, "RUN_TIMEOUT", 0.2)
    attempts = 0

    async def hangs_later() -> None:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            await asyncio.sleep(60)

    async with TracedProbes(collector, Check("cache", hangs_later, timeout=60.0)) as probes:
        probes.registry.recheck()
        async with asyncio.timeout(10):
            while attempts < 2:
                await asyncio.sleep(0.01)
        root = (await probes.trace())[ROOT]
    assert root.status == "ERROR"
    assert root.attributes["health.failures"] == ["cache: NotAttempted"]


async def test_flood_starts_one_run_per_second(collector: Collector) -> None:
    attempts = 0

    async def count() -> None:
        nonlocal attempts
        attempts += 1

    async with TracedProbes(collector, Check("cache", count)) as probes:
        before, started = attempts, time.monotonic()
        trace_ids = set()
        for _ in range(1000):
            trace_ids.add(await probes.request(TRACE_HEADER))
            await asyncio.sleep(0.002)
        seconds = time.monotonic() - started
        for trace_id in trace_ids:
            await probes.spans(trace_id)
    assert 1 <= len(trace_ids) <= seconds + 1
    assert attempts - before == len(trace_ids)
    assert len([span for span in collector.spans if span.name == ROOT]) == len(trace_ids)


async def test_requests_during_run_get_its_trace_id(collector: Collector) -> None:
    async with TracedProbes(collector, Check("database", hangs)) as probes:
        assert len({await probes.request(TRACE_HEADER) for _ in range(20)}) == 1
