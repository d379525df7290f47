"""A readiness request that asks for a trace: the spans that a collector receives of it."""

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

WANTED = (b"x-trace-health", b"true")
CALLER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ROOT = "GET /health/ready"
TIMEOUT = 0.3
DATABASE = {"db.system.name": "mysql", "db.operation.name": "SELECT"}


class NoQuorum(CheckFailed):
    """A fault that a check names."""


async def passes() -> None:
    pass


async def hangs() -> None:
    await asyncio.sleep(60)


async def refuses() -> None:
    raise NoQuorum("two of three are gone")


@pytest.fixture(autouse=True)
def spans_come_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


class Probed:
    """A `ready` that can be asked for a trace."""

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

    async def ask(self, *headers: tuple[bytes, bytes], path: str = "/health/ready") -> str:
        """Ask, and return the id of the trace that the answer names, if it names one."""
        answer: dict[str, Any] = {}

        async def send(message: Any) -> None:
            answer.update(message)

        scope = {"type": "http", "method": "GET", "scheme": "http", "path": path}
        await self.probes({**scope, "headers": list(headers)}, no_body, send)
        traceresponse: bytes = dict(answer["headers"]).get(b"traceresponse", b"")
        return traceresponse.decode()[3:35]

    async def spans(self, trace_id: str) -> dict[str, Span]:
        """Wait for the whole trace, and return its spans by their names."""
        async with asyncio.timeout(10):
            while ROOT not in (spans := self.collector.trace(trace_id)):
                await asyncio.sleep(0.02)
        return spans

    async def traced(self, *headers: tuple[bytes, bytes]) -> dict[str, Span]:
        """Ask for a trace, and return it."""
        return await self.spans(await self.ask(WANTED, *headers))


async def no_app(*_: Any) -> None:
    raise AssertionError("a probe has gone on to the application")


async def no_body() -> Any:
    raise AssertionError("a probe has no body")


async def test_the_slow_dependency_is_named(collector: Collector) -> None:
    checks = [Check("cache", passes), Check("database", hangs, attributes=DATABASE)]
    async with Probed(collector, *checks) as probed:
        spans = await probed.traced()
    slow, fast, root = spans["check database"], spans["check cache"], spans[ROOT]
    assert (slow.status, fast.status, root.status) == ("ERROR", "OK", "ERROR")
    assert slow.attributes["error.type"] == "TimeoutError"
    assert slow.events == ("exception",)
    assert slow.seconds >= TIMEOUT > fast.seconds
    assert root.attributes["health.failures"] == ["database: TimeoutError"]
    assert slow.parent_id == fast.parent_id == root.span_id


async def test_a_fault_that_a_check_names_is_named(collector: Collector) -> None:
    async with Probed(collector, Check("quorum", refuses)) as probed:
        span = (await probed.traced())["check quorum"]
    assert (span.status, span.attributes["error.type"]) == ("ERROR", "NoQuorum")


async def test_spans_bear_the_stable_names(collector: Collector) -> None:
    async with Probed(collector, Check("database", passes, attributes=DATABASE)) as probed:
        spans = await probed.traced()
    assert {span.scope for span in spans.values()} == {"health-probe"}
    check, root = spans["check database"].attributes, spans[ROOT].attributes
    assert DATABASE.items() <= check.items()
    assert check["otel.status_code"] == root["otel.status_code"] == "OK"
    assert root["http.response.status_code"] == 200
    assert not {"http.status_code", "db.system", "db.operation"} & {*check, *root}


async def test_the_older_names_stand_beside_them_on_demand(collector: Collector) -> None:
    checks = [
        Check("database", passes, attributes=DATABASE),
        Check("downstream", passes, attributes={"rpc.system.name": "jsonrpc"}),
    ]
    opt_in = "http/dup, database/dup,rpc/dup"
    async with Probed(collector, *checks, opt_in=opt_in) as probed:
        spans = await probed.traced()
    check, root = spans["check database"].attributes, spans[ROOT].attributes
    assert (check["db.system"], check["db.system.name"]) == ("mysql", "mysql")
    assert check["db.operation"] == check["db.operation.name"] == "SELECT"
    assert root["http.status_code"] == root["http.response.status_code"] == 200
    assert spans["check downstream"].attributes["rpc.system"] == "jsonrpc"


async def test_the_trace_is_the_callers_and_marked_as_light(collector: Collector) -> None:
    parent, state = (b"traceparent", CALLER), (b"tracestate", b"vendor=1")
    async with Probed(collector, Check("cache", passes)) as probed:
        spans = await probed.traced(parent, state)
    assert spans[ROOT].trace_id == CALLER[3:35].decode()
    assert spans[ROOT].parent_id == CALLER[36:52].decode()
    for span in spans.values():
        assert span.trace_state.split(",") == ["health=light", "vendor=1"]


async def test_a_caller_that_samples_nothing_has_no_veto(collector: Collector) -> None:
    async with Probed(collector, Check("cache", passes)) as probed:
        spans = await probed.traced((b"traceparent", CALLER[:-2] + b"00"))
    assert set(spans) == {ROOT, "check cache"}


async def test_only_readiness_is_traced_and_only_on_demand(collector: Collector) -> None:
    async with Probed(collector, Check("cache", passes)) as probed:
        assert not await probed.ask()
        assert not await probed.ask((b"x-trace-health", b"false"))
        assert not await probed.ask(WANTED, path="/health/live")
        assert not await probed.ask(WANTED, path="/health/startup")


async def test_the_probe_is_answered_at_once_and_the_fresh_run_counts(
    collector: Collector,
) -> None:
    hanging = asyncio.Event()

    async def works_until_it_hangs() -> None:
        if hanging.is_set():
            await asyncio.sleep(60)

    check = Check("database", works_until_it_hangs, failure_threshold=1)
    async with Probed(collector, check) as probed:
        hanging.set()
        started = time.monotonic()
        trace_id = await probed.ask(WANTED)
        assert time.monotonic() - started < TIMEOUT
        assert probed.registry.ready() is Answer.PASS
        root = (await probed.spans(trace_id))[ROOT]
        assert probed.registry.ready() is Answer.TIMEOUT
    assert root.attributes["http.response.status_code"] == 200  # what was answered
    assert root.attributes["health.status"] == "fail"  # what was found


async def test_a_check_that_is_not_made_any_more_is_named(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_traces, "PATIENCE", 0.2)
    async with Probed(collector, Check("cache", passes)) as probed:
        await probed.registry.stop()
        root = (await probed.traced())[ROOT]
    assert root.status == "ERROR"
    assert root.attributes["health.failures"] == ["cache: NotAttempted"]


async def test_a_flood_makes_one_run_a_second(collector: Collector) -> None:
    attempts = 0

    async def counts() -> None:
        nonlocal attempts
        attempts += 1

    async with Probed(collector, Check("cache", counts)) as probed:
        before, started = attempts, time.monotonic()
        named = set()
        for _ in range(1000):
            named.add(await probed.ask(WANTED))
            await asyncio.sleep(0.002)
        seconds = time.monotonic() - started
        for trace_id in named:
            await probed.spans(trace_id)
    assert 1 <= len(named) <= seconds + 1
    assert attempts - before == len(named)
    assert len([span for span in collector.spans if span.name == ROOT]) == len(named)


async def test_who_asks_while_a_run_is_under_way_is_told_of_it(collector: Collector) -> None:
    async with Probed(collector, Check("database", hangs)) as probed:
        assert len({await probed.ask(WANTED) for _ in range(20)}) == 1
