"""Sends what requests did, and what they waited for, to an OpenTelemetry collector."""

import asyncio
from importlib.metadata import entry_points
from typing import Annotated, Literal

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Sampler
from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

CLOSE_TIMEOUT = 2.0
"""Seconds in which the end waits for a collector."""


def _is_url(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        message = "not the URL of a collector"
        raise ValueError(message)
    return text


Url = Annotated[str, AfterValidator(_is_url)]


class TraceSettings(BaseSettings):
    """The standard variables of OpenTelemetry that are read here; its SDK reads the others.

    Those are for the sampler, the resource, the batches, headers and certificates, see
    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
    """

    model_config = SettingsConfigDict(env_prefix="OTEL_")

    exporter_otlp_endpoint: Url = Field(
        "", description="Collector of traces, as http://collector:4318; without it there are none."
    )
    exporter_otlp_traces_endpoint: Url = Field(
        "", description="The same as a whole URL, as http://collector:4318/v1/traces."
    )
    exporter_otlp_protocol: Literal["http/protobuf"] = Field(
        "http/protobuf", description="How traces are sent; there is one way."
    )
    exporter_otlp_timeout: float = Field(
        2.0, gt=0, description="Seconds that the collector has to take a batch."
    )
    traces_exporter: Literal["otlp", "none"] = Field(
        "otlp", description="Whether traces are sent: otlp or none."
    )
    sdk_disabled: bool = Field(False, description="Whether there are no traces at all.")
    service_name: str = Field("", description="Name of the service in traces.")
    traces_sampler: str = Field(
        "parentbased_always_on", description="Which requests are traced: see the SDK's samplers."
    )
    traces_sampler_arg: str = Field("", description="Share of them, as 0.01, for a ratio sampler.")
    semconv_stability_opt_in: str = Field(
        "", description="Where older names stand beside the stable ones, as http/dup,database/dup."
    )

    @property
    def url(self) -> str:
        """Where traces go, nothing if they go nowhere."""
        if self.sdk_disabled or self.traces_exporter == "none":
            return ""
        base = self.exporter_otlp_endpoint.rstrip("/")
        return self.exporter_otlp_traces_endpoint or (base and f"{base}/v1/traces")


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


def trace_clients(provider: TracerProvider) -> None:
    """Have the clients of dependencies make spans, each by the library installed for it."""
    trace.set_tracer_provider(provider)
    for library in entry_points(group="opentelemetry_instrumentor"):
        instrumentor = library.load()()
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument(tracer_provider=provider)
