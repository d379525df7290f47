"""Where traces go: the variables that OpenTelemetry has standardised."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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
