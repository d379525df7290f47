"""All settings of the service, with one typed field per section."""

import dataclasses
from collections.abc import Iterable
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from .dependencies.grpc import GrpcSettings  # feature: grpc
from .dependencies.kafka import KafkaSettings  # feature: kafka
from .dependencies.postgres import PostgresSettings  # feature: postgres
from .dependencies.redis import RedisSettings  # feature: redis
from .dependencies.sentinel import SentinelSettings  # feature: sentinel
from .environment import SettingsError, read, read_section
from .health import Check, Options, Status
from .telemetry.trace_settings import TraceSettings  # feature: observability

ENGINE = Options()
"""The health engine's own defaults."""

[SLOW_REQUEST_SECONDS, *_] = [
    0.2,  # feature: core
    1.0,  # feature: edge
]
"""The objective: 99 % of requests are answered within this time."""


class ServiceSettings(BaseSettings):
    """How the service serves. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="SERVICE_")

    environment: Literal["development", "production"] = Field(
        "development",
        description="Where the service runs. Development logs for people and listens on loopback.",
    )
    host: str | None = Field(
        None,
        description="Address of the service port. Default: loopback in development, all addresses "
        "in production.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port of the API and the probes.")
    management_port: int = Field(
        9000,
        ge=0,
        le=65535,
        description="Port of details and metrics. It has no authentication: never make it public.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Lowest level of log messages that are written."
    )
    cors_origins: str = Field(
        "", description="Origins whose browser scripts may call the API, separated by commas."
    )
    request_timeout: float = Field(
        10.0, gt=0, description="Maximum seconds to the first byte of a response; then 504."
    )
    concurrency_limit: int = Field(
        5000, gt=0, description="Maximum requests in flight; further ones are answered 503."
    )
    max_body_bytes: int = Field(
        1_048_576,
        gt=0,
        description="Maximum bytes of a request body; larger ones are answered 413.",
    )
    max_header_bytes: int = Field(
        65_536, gt=0, description="Maximum bytes of request headers; larger ones are answered 431."
    )
    header_timeout: float = Field(
        10.0, gt=0, description="Maximum seconds to receive request headers; then disconnect."
    )
    io_timeout: float = Field(
        # Less than `request_timeout`: a client that stalls is disconnected, and not answered 504 as
        # if the service had failed.
        5.0,
        gt=0,
        description="Maximum seconds in which a client sends none of a body, or takes none of a "
        "response; then disconnect.",
    )
    keep_alive_timeout: int = Field(
        # More than the 60 of most proxies: the side that closes first loses no request.
        75,
        gt=0,
        description="Seconds that an idle connection stays open: longer than the proxy in front "
        "keeps it.",
    )
    slow_request_seconds: float = Field(
        SLOW_REQUEST_SECONDS,
        gt=0,
        description="Seconds after which a request is logged as a warning.",
    )
    drain_delay: float = Field(
        5.0, ge=0, description="Seconds between `ready` turning 503 and the listener closing."
    )
    shutdown_timeout: float = Field(
        20.0, gt=0, description="Maximum seconds for running requests to finish after that."
    )

    @property
    def json_lines(self) -> bool:
        """Whether log lines are for programs."""
        return self.environment == "production"

    @property
    def bind_host(self) -> str:
        """The address of the service port."""
        return self.host or ("127.0.0.1" if self.environment == "development" else "0.0.0.0")  # noqa: S104

    @property
    def management_bind_host(self) -> str:
        """The address of the management port: loopback in development, whatever the host."""
        return "127.0.0.1" if self.environment == "development" else self.bind_host


class HealthSettings(BaseSettings):
    """How the health engine checks. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="HEALTH_")

    check_interval: float = Field(
        ENGINE.interval, gt=0, description="Seconds between attempts of a check while idle."
    )
    check_max_interval: float = Field(
        ENGINE.max_interval, gt=0, description="Seconds between attempts under full load."
    )
    check_timeout: float = Field(
        ENGINE.timeout, gt=0, description="Maximum seconds of an attempt; then it is abandoned."
    )
    failure_threshold: int = Field(
        ENGINE.failure_threshold,
        gt=0,
        description="Consecutive failures that turn a check to `fail`; up to two more under load.",
    )
    live_fails_on_shutdown: bool = Field(
        ENGINE.live_fails_on_shutdown, description="Whether `live` answers 503 while draining."
    )

    def options(self) -> Options:
        """Return the engine's options."""
        return Options(
            interval=self.check_interval,
            max_interval=self.check_max_interval,
            timeout=self.check_timeout,
            failure_threshold=self.failure_threshold,
            live_fails_on_shutdown=self.live_fails_on_shutdown,
        )


class CheckSettings(BaseSettings):
    """Settings of one check, as HEALTH_<CHECK>_IMPACT. Dots in its name become underscores."""

    impact: Literal[Status.FAIL, Status.WARN] | None = Field(
        None, description="What a failure of the check does to readiness: fail or warn."
    )
    timeout: float | None = Field(None, gt=0, description="Maximum seconds of an attempt.")
    interval: float | None = Field(None, gt=0, description="Seconds between attempts.")
    failure_threshold: int | None = Field(
        None, gt=0, description="Consecutive failures that turn the check to `fail`."
    )


@dataclasses.dataclass(frozen=True)
class Settings:
    """Every section. A section of your own is a settings class and one more field."""

    service: ServiceSettings
    health: HealthSettings
    traces: TraceSettings  # feature: observability
    postgres: PostgresSettings  # feature: postgres
    redis: RedisSettings  # feature: redis
    sentinel: SentinelSettings  # feature: sentinel
    kafka: KafkaSettings  # feature: kafka
    grpc: GrpcSettings  # feature: grpc


def read_settings() -> Settings:
    """Return all settings from the environment. Raises SettingsError with every error."""
    return read(Settings)


def check_prefix(name: str) -> str:
    """Return the prefix of a check's variables."""
    return f"HEALTH_{name.upper().replace('.', '_').replace('-', '_')}_"


def configure_checks(checks: Iterable[Check]) -> list[Check]:
    """Return the checks with the changes that the environment makes to them.

    Raises SettingsError with every error.
    """
    errors: list[str] = []
    configured: list[Check] = []
    for check in checks:
        try:
            changes = read_section(CheckSettings, check_prefix(check.name))
        except SettingsError as error:
            errors += error.errors
            continue
        configured.append(dataclasses.replace(check, **changes.model_dump(exclude_none=True)))
    if errors:
        raise SettingsError(errors)
    return configured
