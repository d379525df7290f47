"""The service as a collector sees it."""

from dev.server import Server

from ..conftest import StartService
from ..processes import Service, wait_until
from .collector import Collector, Span

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
"""A traceparent: its trace is sampled."""
TRACE = CALLER[3:35]


def traced(start_service: StartService, url: str, **settings: object) -> Service:
    """Start the service, ready, whose spans come soon."""
    service = start_service(
        OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY=100, **settings
    )
    service.until_ready()
    return service


def health_trace(service: Service, collector: Collector, *names: str) -> list[Span]:
    """Ask a probe for a trace, and return its spans when those with these names have come."""
    answer = service.api.get("/health/ready", headers={"x-trace-health": "true"})
    trace_id = answer.headers["traceresponse"][3:35]
    spans: list[Span] = []

    def whole() -> bool:
        spans[:] = [span for span in collector.spans if span.trace_id == trace_id]
        return {"GET /health/ready", *names} <= {span.name for span in spans}

    wait_until(whole)
    return spans


def trace_while_frozen(server: Server, service: Service, collector: Collector) -> dict[str, Span]:
    """Freeze a server, return the spans of a health trace by their names, and let all heal."""
    server.pause()
    try:
        service.until_ready(504)
        spans = health_trace(service, collector)
    finally:
        server.resume()
    service.until_ready()
    return {span.name: span for span in spans}


def below(spans: list[Span], name: str) -> list[Span]:
    """Return what the drivers did in the spans whose name begins so."""
    parents = {span.span_id for span in spans if span.name.startswith(name)}
    return [span for span in spans if span.parent_id in parents]
