"""Settings of traces: the standard variables of OpenTelemetry."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _is_url(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise ValueError("not the URL of a collector")
    return text


Url = Annotated[str, AfterValidator(_is_url)]


class TraceSettings(BaseSettings):
    """The standard variables of OpenTelemetry that the service reads. The SDK reads the others.

    See https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
    """

    model_config = SettingsConfigDict(env_prefix="OTEL_", use_attribute_docstrings=True)

    exporter_otlp_endpoint: Url = ""
    """Base URL of the collector, for example http://collector:4318; empty: none."""
    exporter_otlp_traces_endpoint: Url = ""
    """Complete URL for traces, for example http://collector:4318/v1/traces."""
    exporter_otlp_headers: SecretStr | None = None
    """Headers for the collector, for example authorization=Basic%20dXNlcjpwYXNz."""
    exporter_otlp_traces_headers: SecretStr | None = None
    """The same for traces only."""
    exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    """Protocol of the collector. The only one is http/protobuf."""
    exporter_otlp_timeout: Annotated[float, Field(gt=0)] = 2.0
    """Maximum seconds for sending one batch of spans."""
    traces_exporter: Literal["otlp", "none"] = "otlp"
    """Exporter of traces: otlp, or none to send no traces."""
    sdk_disabled: bool = False
    """Whether to create no traces at all."""
    service_name: str = ""
    """Name of the service in traces."""
    traces_sampler: str = "parentbased_always_on"
    """Sampler that selects the traced requests."""
    traces_sampler_arg: str = ""
    """Argument of the sampler, for example 0.01 for a ratio sampler."""
    semconv_stability_opt_in: str = ""
    """Legacy attribute names to add, for example http/dup,database/dup."""

    @property
    def url(self) -> str:
        """The URL that traces are sent to; empty if none are sent."""
        if self.sdk_disabled or self.traces_exporter == "none":
            return ""
        base = self.exporter_otlp_endpoint.rstrip("/")
        return self.exporter_otlp_traces_endpoint or (base and f"{base}/v1/traces")
