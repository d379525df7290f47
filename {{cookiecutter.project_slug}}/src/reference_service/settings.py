"""The service's own settings, the health engine's, and those of each check."""

import dataclasses
from collections.abc import Iterable
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from .environment import SettingsError, describe
from .health import Check, Options, Status

SLO_P99 = 1.0  # feature: edge
SLO_P99 = 0.2  # feature: core

ENGINE = Options()


class ServiceSettings(BaseSettings):
    """How the service serves. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="SERVICE_")

    environment: Literal["development", "production"] = Field(
        "development", description="Development logs for people and listens on loopback."
    )
    host: str | None = Field(
        None, description="Address to listen on; loopback in development, all in production."
    )
    port: int = Field(8000, ge=0, le=65535, description="Port of the API and the probes.")
    management_port: int = Field(
        9000, ge=0, le=65535, description="Port of the details; never public."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Lowest level that is logged."
    )
    cors_origins: str = Field(
        "", description="Origins that browsers may call from, separated by commas."
    )
    request_timeout: float = Field(
        10.0, gt=0, description="Seconds until a request that has no answer is answered 504."
    )
    concurrency_limit: int = Field(
        5000, gt=0, description="Requests at once beyond which new ones are answered 503."
    )
    max_body_bytes: int = Field(
        1_048_576, gt=0, description="Bytes of a request body beyond which it is answered 413."
    )
    max_header_bytes: int = Field(
        65_536, gt=0, description="Bytes of a request's head beyond which it is answered 431."
    )
    header_timeout: float = Field(
        10.0, gt=0, description="Seconds until a client that sends no whole head is cut off."
    )
    io_timeout: float = Field(
        # Less than a request may take: who stalls is cut off, and not answered 504 as by our fault.
        5.0,
        gt=0,
        description="Seconds until one that sends no body, or takes no response, is cut off.",
    )
    keep_alive_timeout: int = Field(
        # More than the usual 60 of proxies: who closes first loses no request to a closed end.
        75,
        gt=0,
        description="Seconds that an idle connection is kept: longer than the proxy in front does.",
    )
    slow_request_seconds: float = Field(
        SLO_P99, gt=0, description="Seconds that 99 % of requests take at most: the objective."
    )
    drain_delay: float = Field(
        5.0, ge=0, description="Seconds that `ready` is 503 before the listener closes."
    )
    shutdown_timeout: float = Field(
        20.0, gt=0, description="Seconds that running requests then have to finish."
    )

    @property
    def json_lines(self) -> bool:
        """Whether logs are for programs."""
        return self.environment == "production"

    @property
    def bind_host(self) -> str:
        """The service port's address."""
        return self.host or ("127.0.0.1" if self.environment == "development" else "0.0.0.0")  # noqa: S104

    @property
    def management_bind_host(self) -> str:
        """The management port's address: loopback in development, whatever the host."""
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
        ENGINE.timeout, gt=0, description="Seconds an attempt may take before it is abandoned."
    )
    failure_threshold: int = Field(
        ENGINE.failure_threshold, gt=0, description="Failures in a row that turn a check to fail."
    )
    live_fails_on_shutdown: bool = Field(
        ENGINE.live_fails_on_shutdown, description="Whether `live` answers 503 while draining."
    )

    def options(self) -> Options:
        """Return the engine's figures."""
        return Options(
            interval=self.check_interval,
            max_interval=self.check_max_interval,
            timeout=self.check_timeout,
            failure_threshold=self.failure_threshold,
            live_fails_on_shutdown=self.live_fails_on_shutdown,
        )


class CheckSettings(BaseSettings):
    """What can be changed of one check, as HEALTH_<CHECK>_IMPACT (dots become underscores)."""

    impact: Literal[Status.FAIL, Status.WARN] | None = Field(
        None, description="What its failure does to readiness: fail or warn."
    )
    timeout: float | None = Field(None, gt=0, description="Seconds an attempt may take.")
    interval: float | None = Field(None, gt=0, description="Seconds between attempts.")
    failure_threshold: int | None = Field(
        None, gt=0, description="Failures in a row that make it fail."
    )


def check_prefix(name: str) -> str:
    """Return what the names of a check's variables begin with."""
    return f"HEALTH_{name.upper().replace('.', '_').replace('-', '_')}_"


def configure_checks(checks: Iterable[Check]) -> list[Check]:
    """Return the checks as the environment changes them.

    Raises SettingsError with every fault found.
    """
    faults: list[str] = []
    configured: list[Check] = []
    for check in checks:
        prefix = check_prefix(check.name)
        try:
            settings = CheckSettings(_env_prefix=prefix)  # type: ignore[call-arg]
        except ValidationError as error:
            faults += describe(CheckSettings, error, prefix)
            continue
        changes = settings.model_dump(exclude_none=True)
        configured.append(dataclasses.replace(check, **changes))
    if faults:
        raise SettingsError(faults)
    return configured
