"""All settings of the service, with one typed field per section."""

import dataclasses
from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from .dependencies.grpc import GrpcSettings  # feature: grpc
from .dependencies.kafka import KafkaSettings  # feature: kafka
from .dependencies.postgres import PostgresSettings  # feature: postgres
from .dependencies.redis import RedisSettings  # feature: redis
from .dependencies.sentinel import SentinelSettings  # feature: sentinel
from .environment import read, read_all
from .health import Check, Options, Status
from .telemetry.trace_settings import TraceSettings  # feature: observability

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]
PREFIX = r"^(/\.{0,2}[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)*/?$"

ENGINE = Options()  # the health engine's own defaults

[SLOW_REQUEST_SECONDS, *_] = [  # the objective: 99 % of requests are answered within this time
    0.2,  # feature: core
    1.0,  # feature: edge
]


def _require_networks(text: str) -> str:
    try:
        for each in text.split(",") if text not in ("", "*") else ():
            ip_network(each.strip())
    except ValueError:
        raise ValueError("not a list like 10.0.0.0/8,::1") from None
    return text


class ServiceSettings(BaseSettings):
    """Settings of the server. The docstring of each setting is its description in `--help`."""

    model_config = SettingsConfigDict(env_prefix="SERVICE_", use_attribute_docstrings=True)

    environment: Literal["development", "production"] = "development"
    """Where the service runs. Development logs for people and listens on loopback."""
    host: str | None = None
    """Address of the service port. Default: loopback in development, else all addresses."""
    port: Port = 8000
    """Port of the API and the probes."""
    management_port: Port = 9000
    """Port of details and metrics. It has no authentication: never make it public."""
    operations_token: SecretStr | None = None
    """Token for the switches on the management port. Without it, there are none."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level of log messages that are written."""
    log_user_agent: bool = False
    """Whether access lines have the `User-Agent` of the client."""
    root_path: Annotated[str, Field(pattern=PREFIX), AfterValidator(lambda p: p.rstrip("/"))] = ""
    """Path prefix at which clients reach the service through a proxy, for example /shop."""
    trusted_proxies: Annotated[str, AfterValidator(_require_networks)] = ""
    """Proxies whose X-Forwarded-For, X-Forwarded-Proto and X-Request-ID are used: addresses and
    networks, separated by commas. `*` trusts all."""
    cors_origins: Annotated[str, Field(pattern=r"^( *(\*|[\w-]+://[^\s/*?#@,]+) *(,|$))*$")] = ""
    """Origins whose browser scripts may call the API, separated by commas."""
    cors_headers: str = "authorization,baggage,content-type,traceparent,tracestate,x-request-id"
    """Request headers that these scripts may send."""
    cors_exposed_headers: str = "location,retry-after,x-request-id"
    """Response headers that these scripts may read."""
    request_timeout: Seconds = 10.0
    """Maximum seconds to the first byte of a response. Later requests are answered 504."""
    concurrency_limit: Literal["auto"] | Count = "auto"
    """Maximum requests in flight; more are answered 503. `auto` finds what meets the objective."""
    max_body_bytes: Count = 1_048_576
    """Maximum bytes of a request body: a larger one is answered 413. In total, 64 times as many."""
    max_header_bytes: Count = 65_536
    """Maximum bytes of request headers; larger ones are answered 431."""
    max_websockets: Count = 1000
    """Maximum open WebSockets, each of which holds memory; more handshakes are answered 503."""
    header_timeout: Seconds = 10.0
    """Maximum seconds to receive request headers. Slower clients are disconnected."""
    # Less than `request_timeout`: a stalled client is disconnected, not answered 504.
    io_timeout: Seconds = 5.0
    """Maximum seconds without progress of a body. Slower clients are disconnected."""
    # Longer than the 60 s of most proxies: a request that is sent while the service closes is lost.
    keep_alive_timeout: Count = 75
    """Seconds that an idle connection stays open. Must exceed the proxy's keep-alive timeout."""
    slow_request_seconds: Seconds = SLOW_REQUEST_SECONDS
    """Seconds after which a request is logged as a warning."""
    drain_delay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """Seconds between `ready` turning 503 and the listener closing."""
    shutdown_timeout: Seconds = 20.0
    """Maximum seconds to finish requests in flight after the listener has closed."""

    @property
    def json_lines(self) -> bool:
        """Whether log lines are JSON."""
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
    """Settings that all health checks share."""

    model_config = SettingsConfigDict(env_prefix="HEALTH_", use_attribute_docstrings=True)

    check_interval: Seconds = ENGINE.interval
    """Seconds between attempts of a check while the service is idle."""
    check_max_interval: Seconds = ENGINE.max_interval
    """Seconds between attempts under full load."""
    check_timeout: Seconds = ENGINE.timeout
    """Maximum seconds of an attempt. A longer one is abandoned."""
    failure_threshold: Count = ENGINE.failure_threshold
    """Consecutive failures that turn a check to `fail`; up to two more under load."""
    startup_needs_checks: bool = ENGINE.startup_needs_checks
    """Whether `startup` waits until every check with impact `fail` has passed once."""
    live_fails_on_shutdown: bool = ENGINE.live_fails_on_shutdown
    """Whether `live` answers 503 while draining."""

    def options(self) -> Options:
        """Return the same as options of the registry."""
        return Options(
            interval=self.check_interval,
            max_interval=self.check_max_interval,
            timeout=self.check_timeout,
            failure_threshold=self.failure_threshold,
            startup_needs_checks=self.startup_needs_checks,
            live_fails_on_shutdown=self.live_fails_on_shutdown,
        )


class CheckSettings(BaseSettings):
    """Settings of one check, for example HEALTH_<CHECK>_IMPACT. Dots and hyphens become "_"."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    impact: Literal["fail", "warn"] | None = None
    """What a failure of the check does to readiness: fail or warn. It applies to the parts of the
    check too: that of `db` also to `db.pool`."""
    timeout: Seconds | None = None
    """Maximum seconds of an attempt."""
    interval: Seconds | None = None
    """Seconds between attempts."""
    failure_threshold: Count | None = None
    """Consecutive failures that turn the check to `fail`."""


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


def configure_checks(checks: list[Check]) -> list[Check]:
    """Return the checks with the changes that the environment makes to them.

    Raises SettingsError with every error.
    """
    names = [check.name for check in checks]
    settings = dict(
        zip(names, read_all((CheckSettings, check_prefix(n)) for n in names), strict=True)
    )
    configured = []
    for check in checks:
        changes = settings[check.name].model_dump(exclude_none=True)
        wholes = [name for name in names if name != check.name and check.belongs_to(name)]
        for name in (*wholes, check.name):  # the check's own setting decides
            if impact := settings[name].impact:
                changes["impact"] = Status(impact)
                changes["impact_reason"] = f"set by {check_prefix(name)}IMPACT"
        configured.append(dataclasses.replace(check, **changes))
    return configured
