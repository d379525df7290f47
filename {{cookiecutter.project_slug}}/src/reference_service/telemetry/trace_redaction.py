"""Hide secrets in traces: drivers put their messages into spans."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.util.types import AttributeValue

from ..redaction import redact


class RedactingExporter(OTLPSpanExporter):
    """Hides secrets in the spans that it sends. It runs in the background."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        return super().export([_redact_span(span) for span in spans])


def _redact_span(span: ReadableSpan) -> ReadableSpan:
    events = [Event(e.name, _redact_all(e.attributes), e.timestamp) for e in span.events]
    description = span.status.description and redact(span.status.description)
    return ReadableSpan(
        redact(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_redact_all(span.attributes),
        events=events,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, description),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _redact_all(attributes: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
    return {name: _redact_value(value) for name, value in (attributes or {}).items()}


def _redact_value(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    return tuple(map(_redact_value, value)) if isinstance(value, Sequence) else value
