"""Traces of a running service: received spans, failing collectors, and settings."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from dev.ports import free_port

from reference_service.environment import read_section
from reference_service.telemetry.trace_settings import TraceSettings
from reference_service.telemetry.traces import CLOSE_TIMEOUT

from ..conftest import StartService
from ..domain import PATH, ROUTE
from ..processes import Service, wait_until
from ..service.test_lifecycle import run_service
from .collector import Collector, Span
from .tracing import TRACE_ID, TRACEPARENT, start_with_traces

TOLERANCE = 1.5
"""Seconds that a busy machine may add."""


@pytest.fixture
def service(start_service: StartService, collector: Collector) -> Service:
    """Start a service that sends traces."""
    return start_with_traces(start_service, collector.url)


def server_span(collector: Collector, name: str) -> Span:
    wait_until(lambda: any(span.name == name for span in collector.spans))
    return next(span for span in collector.spans if span.name == name)


def test_request_span_continues_trace_of_caller(service: Service, collector: Collector) -> None:
    service.api.get(PATH, headers={"traceparent": TRACEPARENT})
    span = server_span(collector, f"GET {PATH}")
    assert (span.trace_id, span.parent_id) == (TRACE_ID, TRACEPARENT[36:52])
    assert span.service == "reference-service"
    assert span.attributes["http.route"] == PATH
    assert span.attributes["http.response.status_code"] == 200


def test_probes_and_checks_create_no_spans(service: Service, collector: Collector) -> None:
    for _ in range(5):
        service.probe("ready")
    service.management.get("/health")
    service.api.get(f"{PATH}/no-uuid")
    server_span(collector, f"GET {ROUTE}")  # other spans would have arrived before it
    assert {span.name for span in collector.spans} == {f"GET {ROUTE}"}


def test_log_lines_of_request_have_trace_ids(service: Service, collector: Collector) -> None:
    response = service.api.get("/faults/raise/ValueError", headers={"traceparent": TRACEPARENT})
    span = server_span(collector, "GET /faults/raise/{family}")
    assert span.status == "ERROR"
    ids = {
        "request_id": response.headers["x-request-id"],
        "trace_id": TRACE_ID,
        "span_id": span.span_id,
    }
    wait_until(lambda: service.records("request"))  # access lines are flushed together
    lines = [*service.records("request failed"), *service.records("request")]
    assert len(lines) == 2
    for line in lines:
        assert ids.items() <= line.items()


def test_sampled_request_has_exemplar(service: Service) -> None:
    service.api.get(PATH, headers={"traceparent": TRACEPARENT})
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    text = service.management.get("/metrics", headers=accept).text
    exemplars = [line for line in text.splitlines() if f'# {{trace_id="{TRACE_ID}"}}' in line]
    assert len(exemplars) == 1
    assert exemplars[0].startswith("http_request_duration_seconds_bucket{")


def test_unsampled_request_creates_no_span(service: Service, collector: Collector) -> None:
    service.api.get(PATH, headers={"traceparent": f"{TRACEPARENT[:-2]}00"})
    service.api.get(f"{PATH}/no-uuid")
    server_span(collector, f"GET {ROUTE}")
    assert [span.name for span in collector.spans] == [f"GET {ROUTE}"]


def test_no_collector_no_traces_and_no_log_lines(start_service: StartService) -> None:
    service = start_service()
    service.until_ready()
    service.api.get(PATH, headers={"traceparent": TRACEPARENT, "x-trace-health": "true"})
    response = service.api.get("/health/ready", headers={"x-trace-health": "true"})
    assert "traceresponse" not in response.headers
    wait_until(lambda: service.records("request"))
    [line] = service.records("request")
    assert "trace_id" not in line
    assert "opentelemetry" not in service.log.read_text().lower()


@contextmanager
def collector_down() -> Iterator[str]:
    """Yield the URL of a collector that refuses connections."""
    yield f"http://127.0.0.1:{free_port()}"


@contextmanager
def collector_hanging() -> Iterator[str]:
    """Yield the URL of a collector that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@pytest.mark.parametrize("failing_collector", [collector_down, collector_hanging])
def test_failing_collector_delays_only_shutdown(
    start_service: StartService,
    failing_collector: Callable[[], AbstractContextManager[str]],
) -> None:
    with failing_collector() as url:
        service = start_with_traces(start_service, url)
        for _ in range(50):
            assert service.api.get(PATH).status_code == 200
        slowest = max(service.api.get(PATH).elapsed.total_seconds() for _ in range(50))
        assert slowest < 1, "a request waited for the collector"
        assert service.probe("ready") == 200
        wait_until(lambda: export_errors(service))
        started = time.monotonic()
        service.signal(signal.SIGTERM)
        assert service.ends_with() == 0
        assert time.monotonic() - started < CLOSE_TIMEOUT + TOLERANCE
        assert len(export_errors(service)) == 1


def export_errors(service: Service) -> list[str]:
    lines = service.log.read_text().splitlines()
    return [line for line in lines if '"logger": "opentelemetry' in line]


def test_pending_spans_are_sent_at_shutdown(
    start_service: StartService, collector: Collector
) -> None:
    service = start_with_traces(start_service, collector.url, OTEL_BSP_SCHEDULE_DELAY=60_000)
    service.api.get(PATH)
    service.signal(signal.SIGTERM)
    assert service.ends_with() == 0
    assert f"GET {PATH}" in {span.name for span in collector.spans}


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, ""),
        ({"ENDPOINT": "http://collector:4318"}, "http://collector:4318/v1/traces"),
        ({"ENDPOINT": "http://collector:4318/"}, "http://collector:4318/v1/traces"),
        ({"TRACES_ENDPOINT": "https://collector/spans"}, "https://collector/spans"),
        ({"ENDPOINT": "http://collector:4318", "EXPORTER": "none"}, ""),
        ({"ENDPOINT": "http://collector:4318", "DISABLED": "true"}, ""),
    ],
)
def test_standard_variables_set_traces_url(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    names = {
        "ENDPOINT": "OTEL_EXPORTER_OTLP_ENDPOINT",
        "TRACES_ENDPOINT": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "EXPORTER": "OTEL_TRACES_EXPORTER",
        "DISABLED": "OTEL_SDK_DISABLED",
    }
    for name, variable in names.items():
        monkeypatch.delenv(variable, raising=False)
        if name in variables:
            monkeypatch.setenv(variable, variables[name])
    assert read_section(TraceSettings).url == url


def test_other_standard_variables_are_not_reported_as_misspelled(
    environment: dict[str, str],
) -> None:
    other = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318/v1/metrics"}
    with socket.create_server(("127.0.0.1", 0)) as occupied:
        port = str(occupied.getsockname()[1])  # so that the service exits
        done = run_service(**environment, **other, SERVICE_PORT=port, SERVICE_HOTS="here")
    assert "SERVICE_HOTS is not a setting" in done.stdout
    assert "OTEL_" not in done.stdout
