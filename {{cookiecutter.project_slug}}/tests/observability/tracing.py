"""Helpers for tests of traces: a service that sends traces, and the spans of a health trace."""

from dev.server import Server

from ..conftest import StartService
from ..processes import Service, wait_until
from .collector import Collector, Span

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
"""The traceparent of a sampled trace."""
TRACE_ID = TRACEPARENT[3:35]


def start_with_traces(start_service: StartService, url: str, **settings: object) -> Service:
    """Start a service that exports all spans within 0.1 s, and wait until it is ready."""
    settings = {"OTEL_TRACES_SAMPLER": "parentbased_always_on", **settings}
    service = start_service(
        **{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": 100, **settings}
    )
    service.until_ready()
    return service


def health_trace(service: Service, collector: Collector, *names: str) -> list[Span]:
    """Request a health trace and return its spans once those with these names have arrived."""
    response = service.api.get("/health/ready", headers={"x-trace-health": "true"})
    trace_id = response.headers["traceresponse"][3:35]
    spans: list[Span] = []

    def is_complete() -> bool:
        spans[:] = [span for span in collector.spans if span.trace_id == trace_id]
        return {"GET /health/ready", *names} <= {span.name for span in spans}

    wait_until(is_complete)
    return spans


def trace_while_frozen(server: Server, service: Service, collector: Collector) -> dict[str, Span]:
    """Freeze a server; return the spans of a health trace by name; resume and wait for recovery."""
    server.pause()
    try:
        wait_until(lambda: service.api.get("/health/ready").json() != {"status": "pass"})
        spans = health_trace(service, collector)
    finally:
        server.resume()
    service.until_status("pass")
    return {span.name: span for span in spans}


def children(spans: list[Span], prefix: str) -> list[Span]:
    """Return the child spans of the spans whose name starts with the prefix."""
    parents = {span.span_id for span in spans if span.name.startswith(prefix)}
    return [span for span in spans if span.parent_id in parents]
