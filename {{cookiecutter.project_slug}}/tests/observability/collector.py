"""A collector for tests: receives spans with OTLP over HTTP and stores them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .receiver import receiving


@dataclass(frozen=True)
class Span:
    """A span as it was received. The ids are hexadecimal digits."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    status: str
    scope: str
    seconds: float
    attributes: dict[str, Any] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    service: str = ""


class Collector:
    """The received spans; `url` is the value for OTEL_EXPORTER_OTLP_ENDPOINT."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Span] = []

    def trace(self, trace_id: str) -> dict[str, Span]:
        """Return the spans of one trace by name."""
        return {span.name: span for span in self.spans if span.trace_id == trace_id}

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            service = values(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_spans:
                self.spans += [read(span, scope.scope.name, service) for span in scope.spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a loopback port."""
    with receiving(lambda _, body: collector.take(body)) as url:
        collector = Collector(url)
        yield collector


def read(span: Any, scope: str, service: str) -> Span:
    return Span(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        scope,
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        values(span.attributes),
        tuple(event.name for event in span.events),
        service,
    )


def values(attributes: Any) -> dict[str, Any]:
    return {each.key: value(each.value) for each in attributes}


def value(any_value: Any) -> Any:
    kind = any_value.WhichOneof("value")
    if kind == "array_value":
        return [value(each) for each in any_value.array_value.values]
    return getattr(any_value, kind) if kind else None
