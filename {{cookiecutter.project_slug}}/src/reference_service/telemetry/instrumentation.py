"""What monitoring attaches to a service. A service without monitoring uses the defaults."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp

from ..health.probes import Trace
from ..traffic import RequestObserver


class ServiceInfo(NamedTuple):
    """The identity of a service in metrics, traces and health reports."""

    service_id: str
    version: str

    def as_json(self) -> dict[str, str]:
        """Return the members of application/health+json that identify a service."""
        return {"serviceId": self.service_id, "version": self.version}


@dataclass(frozen=True, kw_only=True)
class Instrumentation:
    """The places where monitoring reads or extends a service."""

    fastapi: TelemetryConfig = field(
        default_factory=lambda: TelemetryConfig(tracing=False, metrics=False, logs=False)
    )
    wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app  # around the application, in the probes
    observers: tuple[RequestObserver, ...] = ()  # called for each request when its response ends
    mounts: Mapping[str, ASGIApp] = field(default_factory=dict)  # on the management port, by path
    trace: Trace | None = None  # traces a run of the checks when a readiness request asks for it
    on_startup: Callable[[FastAPI], None] = lambda _: None  # called before the first request
    on_loop_lag: Callable[[float], None] = lambda _: None  # called with seconds, ten times a second
    close: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0)  # called last on shutdown
