"""Which requests are traced by default, and how many of them callers can force."""

import signal
import time

import pytest
from opentelemetry import propagate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision

from reference_service.environment import read_section
from reference_service.telemetry.trace_sampling import (
    RateLimitedSampler,
    request_sampler,
)
from reference_service.telemetry.trace_settings import TraceSettings

from ..conftest import StartService
from ..domain import PATH
from ..processes import wait_until
from .collector import Collector
from .tracing import TRACE_ID, TRACEPARENT, start_with_traces

LIMIT = 3
REQUESTS = 60


def read_settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> TraceSettings:
    """Return the settings for `OTEL_TRACES_…` variables."""
    for name in ("SAMPLER", "SAMPLER_ARG", "FORCED_PER_SECOND"):
        monkeypatch.setenv(f"OTEL_TRACES_{name}", variables.get(name, ""))
    return read_section(TraceSettings)


def test_forced_traces_are_limited_and_counted(
    start_service: StartService, collector: Collector
) -> None:
    service = start_with_traces(
        start_service,
        collector.url,
        OTEL_TRACES_SAMPLER="",
        OTEL_TRACES_FORCED_PER_SECOND=LIMIT,
    )
    started = time.monotonic()
    for number in range(REQUESTS):
        traceparent = f"00-{number + 1:032x}-{TRACEPARENT[36:]}"
        assert service.api.get(PATH, headers={"traceparent": traceparent}).status_code == 200
    seconds = time.monotonic() - started
    metrics = service.management.get("/metrics").text
    dropped = metrics.partition("\nforced_traces_dropped_total{")[2].split()[1]
    service.signal(signal.SIGTERM)
    assert service.ends_with() == 0
    forced = {span.trace_id for span in collector.spans if int(span.trace_id, 16) <= REQUESTS}
    assert LIMIT <= len(forced) <= LIMIT * (seconds + 2)
    assert len(forced) + float(dropped) == REQUESTS


def test_log_lines_beyond_the_limit_have_trace_id_of_caller(
    start_service: StartService, collector: Collector
) -> None:
    settings = {"OTEL_TRACES_SAMPLER": "", "OTEL_TRACES_FORCED_PER_SECOND": 0}
    service = start_with_traces(start_service, collector.url, **settings)
    assert service.api.get(PATH, headers={"traceparent": TRACEPARENT}).status_code == 200
    wait_until(lambda: service.records("request"))
    [line] = service.records("request")
    assert line["trace_id"] == TRACE_ID
    service.signal(signal.SIGTERM)
    assert service.ends_with() == 0
    assert TRACE_ID not in {span.trace_id for span in collector.spans}


def test_trace_id_beyond_the_limit_is_passed_on_as_not_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = read_settings(monkeypatch, FORCED_PER_SECOND="0")
    provider = TracerProvider(sampler=request_sampler(settings, on_drop=lambda: None))
    caller = propagate.extract({"traceparent": TRACEPARENT})
    passed_on: dict[str, str] = {}
    with provider.get_tracer("a request").start_as_current_span("GET /orders", caller):
        propagate.inject(passed_on)
    assert passed_on["traceparent"].startswith(f"00-{TRACE_ID}-")
    assert passed_on["traceparent"].endswith("-00")


def test_each_second_has_the_same_limit() -> None:
    drops: list[bool] = []
    now = 0.0
    sampler = RateLimitedSampler(2, lambda: drops.append(True), lambda: now)
    context = propagate.extract({"traceparent": TRACEPARENT})

    def decide(times: int) -> list[bool]:
        results = [sampler.should_sample(context, 1, "GET /orders") for _ in range(times)]
        return [result.decision == Decision.RECORD_AND_SAMPLE for result in results]

    assert decide(3) == [True, True, False]
    now = 1.0
    assert decide(3) == [True, True, False]
    assert len(drops) == 2


@pytest.mark.parametrize(
    ("variables", "ratio"),
    [
        ({}, 0.01),
        ({"SAMPLER_ARG": "0.5"}, 0.5),
        ({"SAMPLER": "parentbased_traceidratio"}, 1),
        ({"SAMPLER": "TraceIdRatio", "SAMPLER_ARG": "0.2"}, 0.2),
        ({"SAMPLER": "parentbased_always_on", "SAMPLER_ARG": "0.2"}, 1),
        ({"SAMPLER": "always_off"}, 0),
    ],
)
def test_standard_variables_set_ratio(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], ratio: float
) -> None:
    sampler = request_sampler(read_settings(monkeypatch, **variables), on_drop=lambda: None)
    assert f"TraceIdRatioBased{{{ratio:.4g}}}" in sampler.get_description().replace(".0}", "}")


@pytest.mark.parametrize(
    ("sampler", "flag", "sampled"),
    [
        ("parentbased_always_on", "01", True),  # whatever the limit, because all are traced
        ("parentbased_always_on", "00", False),
        ("parentbased_always_off", "01", False),  # beyond the limit
        ("always_on", "00", True),
        ("always_off", "01", False),
        ("traceidratio", "00", True),
    ],
)
def test_sampler_decides_for_caller(
    monkeypatch: pytest.MonkeyPatch, sampler: str, flag: str, *, sampled: bool
) -> None:
    settings = read_settings(monkeypatch, SAMPLER=sampler, FORCED_PER_SECOND="0")
    provider = TracerProvider(sampler=request_sampler(settings, on_drop=lambda: None))
    caller = propagate.extract({"traceparent": f"{TRACEPARENT[:-2]}{flag}"})
    span = provider.get_tracer("a request").start_span("GET /orders", caller)
    assert span.get_span_context().trace_flags.sampled == sampled
