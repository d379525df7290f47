"""What a collector receives from a running service, and what it costs when there is none."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from dev.ports import free_port

from reference_service.environment import (
    SettingsError,
    read_section,
)
from reference_service.telemetry.trace_settings import TraceSettings
from reference_service.telemetry.traces import CLOSE_TIMEOUT

from ..conftest import StartService
from ..processes import Service, wait_until
from ..service.test_lifecycle import run_service
from .collector import Collector, Span
from .tracing import CALLER, TRACE, traced

SLACK = 1.5
"""Seconds for a busy machine."""


@pytest.fixture
def service(start_service: StartService, collector: Collector) -> Service:
    """The service, ready, whose spans come soon."""
    return traced(start_service, collector.url)


def server_span(collector: Collector, name: str) -> Span:
    wait_until(lambda: any(span.name == name for span in collector.spans))
    return next(span for span in collector.spans if span.name == name)


def test_a_request_is_a_span_of_the_callers_trace(service: Service, collector: Collector) -> None:
    service.api.get("/items", headers={"traceparent": CALLER})
    span = server_span(collector, "GET /items")
    assert (span.trace_id, span.parent_id) == (TRACE, CALLER[36:52])
    assert span.service == "reference-service"
    assert span.attributes["http.route"] == "/items"
    assert span.attributes["http.response.status_code"] == 200


def test_probes_and_their_checks_make_no_spans(service: Service, collector: Collector) -> None:
    for _ in range(5):
        service.probe("ready")
    service.management.get("/health")
    service.api.get("/items/no-uuid")
    server_span(collector, "GET /items/{item_id}")  # so the others would have come too
    assert {span.name for span in collector.spans} == {"GET /items/{item_id}"}


def test_every_line_of_a_request_names_its_trace(service: Service, collector: Collector) -> None:
    answer = service.api.get("/faults/raise/ValueError", headers={"traceparent": CALLER})
    span = server_span(collector, "GET /faults/raise/{family}")
    assert span.status == "ERROR"
    ids = {
        "request_id": answer.headers["x-request-id"],
        "trace_id": TRACE,
        "span_id": span.span_id,
    }
    lines = [*service.records("request failed"), *service.records("request")]
    assert len(lines) == 2
    for line in lines:
        assert ids.items() <= line.items()


def test_a_sampled_request_is_an_exemplar(service: Service) -> None:
    service.api.get("/items", headers={"traceparent": CALLER})
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    text = service.management.get("/metrics", headers=accept).text
    exemplars = [line for line in text.splitlines() if f'# {{trace_id="{TRACE}"}}' in line]
    assert len(exemplars) == 1
    assert exemplars[0].startswith("http_request_duration_seconds_bucket{")


def test_a_request_that_is_not_sampled_is_none(service: Service, collector: Collector) -> None:
    service.api.get("/items", headers={"traceparent": f"{CALLER[:-2]}00"})
    service.api.get("/items/no-uuid")
    server_span(collector, "GET /items/{item_id}")
    assert [span.name for span in collector.spans] == ["GET /items/{item_id}"]


def test_without_a_collector_there_is_neither_trace_nor_word(start_service: StartService) -> None:
    service = start_service()
    service.until_ready()
    service.api.get("/items", headers={"traceparent": CALLER, "x-trace-health": "true"})
    answer = service.api.get("/health/ready", headers={"x-trace-health": "true"})
    assert "traceresponse" not in answer.headers
    [line] = service.records("request")
    assert "trace_id" not in line
    assert "opentelemetry" not in service.log.read_text().lower()


@contextmanager
def nobody() -> Iterator[str]:
    """Give the URL of a collector that is down."""
    yield f"http://127.0.0.1:{free_port()}"


@contextmanager
def hanging() -> Iterator[str]:
    """Give the URL of one that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@pytest.mark.parametrize("collector_that_fails", [nobody, hanging])
def test_a_collector_that_fails_costs_requests_nothing_and_the_end_two_seconds(
    start_service: StartService,
    collector_that_fails: Callable[[], AbstractContextManager[str]],
) -> None:
    with collector_that_fails() as url:
        service = traced(start_service, url)
        for _ in range(50):
            assert service.api.get("/items").status_code == 200
        slowest = max(service.api.get("/items").elapsed.total_seconds() for _ in range(50))
        assert slowest < 1, "a request has waited for the collector"
        assert service.probe("ready") == 200
        wait_until(lambda: complaints(service))
        started = time.monotonic()
        service.signal(signal.SIGTERM)
        assert service.ends_with() == 0
        assert time.monotonic() - started < CLOSE_TIMEOUT + SLACK
        assert len(complaints(service)) == 1


def complaints(service: Service) -> list[str]:
    lines = service.log.read_text().splitlines()
    return [line for line in lines if '"logger": "opentelemetry' in line]


def test_what_waits_is_sent_before_the_end(
    start_service: StartService, collector: Collector
) -> None:
    service = start_service(
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY=60_000
    )
    service.until_ready()
    service.api.get("/items")
    service.signal(signal.SIGTERM)
    assert service.ends_with() == 0
    assert "GET /items" in {span.name for span in collector.spans}


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "not the URL of a collector"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "Input should be 'http/protobuf'"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "Input should be 'otlp' or 'none'"),
    ],
)
def test_a_setting_that_cannot_work_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as stopped:
        read_section(TraceSettings)
    [fault] = stopped.value.errors
    assert fault.startswith(f"{variable}: {sentence} (it is '{value}').")


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
def test_the_standard_variables_say_where_traces_go(
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


def test_standard_variables_that_are_read_elsewhere_are_not_called_misspelt(
    environment: dict[str, str],
) -> None:
    elsewhere = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318/v1/metrics"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])  # so that it ends
        done = run_service(**environment, **elsewhere, SERVICE_PORT=port, SERVICE_HOTS="here")
    assert "SERVICE_HOTS is not a setting" in done.stdout
    assert "OTEL_" not in done.stdout
