"""Settings of traces: the standard variables of OpenTelemetry."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Milliseconds = Annotated[int, Field(gt=0)]


class TraceSettings(BaseSettings):
    """The standard variables of OpenTelemetry that the service reads. The SDK reads the others.

    Before, the package removes those that cannot be used: see `standard_variables`.

    See https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
    """

    model_config = SettingsConfigDict(env_prefix="OTEL_", use_attribute_docstrings=True)

    exporter_otlp_endpoint: str = ""
    """Base URL of the collector, for example http://collector:4318; empty: none."""
    exporter_otlp_traces_endpoint: str = ""
    """Complete URL for traces, for example http://collector:4318/v1/traces."""
    exporter_otlp_headers: SecretStr | None = None
    """Headers for the collector, for example authorization=Basic%20dXNlcjpwYXNz."""
    exporter_otlp_traces_headers: SecretStr | None = None
    """The same for traces only."""
    exporter_otlp_protocol: str = "http/protobuf"
    """Protocol of the collector. The only one is http/protobuf."""
    exporter_otlp_timeout: Milliseconds = 2000
    """Maximum milliseconds for sending one batch of spans."""
    exporter_otlp_traces_timeout: Milliseconds | None = None
    """The same for traces alone."""
    traces_exporter: str = "otlp"
    """Exporter of traces: otlp, or none to send no traces."""
    sdk_disabled: bool = False
    """Whether to create no traces at all."""
    service_name: str = ""
    """Name of the service in traces. Default: that in OTEL_RESOURCE_ATTRIBUTES, or its own."""
    traces_sampler: str = "parentbased_traceidratio"
    """Sampler that selects the traced requests."""
    traces_sampler_arg: float | None = None
    """Ratio of a ratio sampler. Default: 0.01, or 1 if OTEL_TRACES_SAMPLER is set."""
    traces_forced_per_second: int = 10
    """Maximum traces per second that callers force, unless every request is traced anyway."""
    semconv_stability_opt_in: str = ""
    """Legacy attribute names to add, for example http/dup,database/dup."""

    @property
    def url(self) -> str:
        """The URL that traces are sent to; empty if none are sent."""
        if self.sdk_disabled or self.traces_exporter == "none":
            return ""
        base = self.exporter_otlp_endpoint.rstrip("/")
        return self.exporter_otlp_traces_endpoint or (base and f"{base}/v1/traces")

    @property
    def timeout(self) -> float:
        """Maximum seconds for sending one batch of spans."""
        return (self.exporter_otlp_traces_timeout or self.exporter_otlp_timeout) / 1000
