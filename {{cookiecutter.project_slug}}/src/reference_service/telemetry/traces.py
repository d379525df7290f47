"""Sends what requests did, and what they waited for, to an OpenTelemetry collector."""

import asyncio
import logging
import time
from importlib.metadata import entry_points

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Sampler

from .trace_settings import TraceSettings

CLOSE_TIMEOUT = 2.0
"""Seconds in which the end waits for a collector."""
LOG_GAP = 60.0
"""Seconds between two lines about a collector that is away."""


class Tracing:
    """Providers that send to the one collector, each in the background, on an exporter of its own.

    A collector that is slow or dead costs requests nothing: what does not fit in the queue is
    dropped. (Providers that share an exporter silence each other when the first one ends.)
    """

    def __init__(self, settings: TraceSettings, name: str, version: str) -> None:
        self._settings = settings
        self._resource = Resource.create(
            {"service.name": settings.service_name or name, "service.version": version}
        )
        self._providers: list[TracerProvider] = []
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_Patience())

    def provider(self, sampler: Sampler | None = None) -> TracerProvider:
        """Return a new provider; without a sampler the environment decides what is traced."""
        provider = TracerProvider(sampler=sampler, resource=self._resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(
            self._settings.url, timeout=self._settings.exporter_otlp_timeout
        )
        provider.add_span_processor(BatchSpanProcessor(exporter))
        self._providers.append(provider)
        return provider

    async def close(self) -> None:
        """Send what waits, but no longer than `CLOSE_TIMEOUT`.

        Threads do it, and are left behind: the SDK's own limits do not hold with a dead collector.
        """
        closing = [asyncio.create_task(asyncio.to_thread(p.shutdown)) for p in self._providers]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)


class _Patience(logging.Filter):
    """Lets the exporter complain once a while: it does so twice for every batch, for hours."""

    def __init__(self) -> None:
        super().__init__()
        self._silent_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - whatever it is
        """Tell whether enough time has passed."""
        now = time.monotonic()
        if now < self._silent_until:
            return False
        self._silent_until = now + LOG_GAP
        return True


def trace_clients(provider: TracerProvider) -> None:
    """Have the clients of dependencies make spans, each by the library installed for it."""
    trace.set_tracer_provider(provider)
    for library in entry_points(group="opentelemetry_instrumentor"):
        instrumentor = library.load()()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(tracer_provider=provider)
