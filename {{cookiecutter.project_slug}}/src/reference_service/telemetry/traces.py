"""Send traces of requests, and of what they wait for, to an OpenTelemetry collector."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import CarrierT, Getter, default_getter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import Status
from opentelemetry.util.types import AttributeValue

from ..redaction import redact
from .instrumentation import ServiceInfo
from .trace_settings import TraceSettings

CLOSE_TIMEOUT = 2.0  # maximum seconds that a shutdown waits for the collector
LOG_INTERVAL = 60.0  # seconds between two log lines about an unavailable collector


class Tracing:
    """Providers that send to one collector, each in the background, with an exporter of its own.

    A slow or dead collector does not delay requests: spans that do not fit into the queue are
    dropped. (Providers that share an exporter all stop exporting when the first one shuts down.)
    """

    def __init__(self, settings: TraceSettings, info: ServiceInfo) -> None:
        self._settings = settings
        own = {"service.name": info.service_id, "service.version": info.version}
        from_environment = OTELResourceDetector().detect().attributes
        self._resource = Resource.create({**own, **from_environment})
        self._providers: list[TracerProvider] = []
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_rate_limit())

    def provider(self, sampler: Sampler, ids: IdGenerator | None = None) -> TracerProvider:
        """Return a new provider. sampler: decides what is traced. ids: of traces and spans."""
        provider = TracerProvider(
            sampler=sampler, resource=self._resource, shutdown_on_exit=False, id_generator=ids
        )
        exporter = RedactingExporter(self._settings.url, timeout=self._settings.timeout)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        self._providers.append(provider)
        return provider

    async def close(self) -> None:
        """Send what is buffered, within `CLOSE_TIMEOUT`; abandon slow threads.

        The SDK ignores its own timeouts if the collector is dead.
        """
        closing = [asyncio.create_task(asyncio.to_thread(p.shutdown)) for p in self._providers]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)


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


def _rate_limit() -> Callable[[logging.LogRecord], bool]:
    """Limit the exporter's log lines: it writes two for every batch that fails, for hours."""
    silent_until = 0.0

    def is_due(_: logging.LogRecord) -> bool:
        nonlocal silent_until
        now = time.monotonic()
        if now < silent_until:
            return False
        silent_until = now + LOG_INTERVAL
        return True

    return is_due


class _NoPropagation(CompositePropagator):
    """Propagate nothing: `OTEL_PROPAGATORS=none`.

    OpenTelemetry's own extracts None then, which is not a context and fails every request.
    """

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """Return the context as it is."""
        return super().extract(carrier, context or Context(), getter)


def trace_clients(provider: TracerProvider) -> None:
    """Create spans for the clients of dependencies, with each instrumentation that is installed."""
    trace.set_tracer_provider(provider)
    if not propagate.get_global_textmap().fields:
        propagate.set_global_textmap(_NoPropagation([]))
    for library in entry_points(group="opentelemetry_instrumentor"):
        instrumentor = library.load()()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(tracer_provider=provider)
