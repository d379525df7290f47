"""The composition root: the one module that knows all the others."""

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from pydantic_settings import BaseSettings
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from . import errors
from .environment import Settings, read
from .health import Probes, Registry
from .items import items_router
from .resilience import BodyLimit, Drain, LoadLimit, Recovery, Timeout
from .settings import HealthSettings, ServiceSettings, configure_checks
from .telemetry import AccessLog
from .wiring import Assembly, Wiring
from .wiring.grpc import GRPC  # feature: grpc
from .wiring.kafka import KAFKA  # feature: kafka
from .wiring.postgres import POSTGRES  # feature: postgres
from .wiring.redis import REDIS  # feature: redis
from .wiring.sentinel import SENTINEL  # feature: sentinel

TITLE = "Reference Service"
DISTRIBUTION = "reference-service"

DEPENDENCIES: tuple[Wiring[Any], ...] = (
    # In this order: each may wrap what those before it have put together.
    POSTGRES,  # feature: postgres
    REDIS,  # feature: redis
    SENTINEL,  # feature: sentinel
    KAFKA,  # feature: kafka
    GRPC,  # feature: grpc
)
SETTINGS: tuple[type[BaseSettings], ...] = (
    ServiceSettings,
    HealthSettings,
    *(wiring.settings for wiring in DEPENDENCIES),
)


def create_app(settings: Settings | None = None) -> Probes:
    """Put the service together; nothing is opened before the server starts it.

    Raises SettingsError when the settings cannot be used.
    """
    settings = settings or read(SETTINGS)
    service = Assembly()
    for wiring in DEPENDENCIES:
        wiring.add_to(service, settings)
    resources = service.resources

    registry = Registry(configure_checks(resources.checks()), settings[HealthSettings].options())
    resources.watch(registry.suspect)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await resources.close()

    app = FastAPI(
        title=TITLE,
        version=version(DISTRIBUTION),
        lifespan=lifespan,
        middleware=_middleware(settings[ServiceSettings], registry),
        redirect_slashes=False,  # a redirect would repeat whatever host the client says
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.include_router(items_router(service.store))
    errors.install(app, {error for resource in resources for error in resource.unavailable})
    return Probes(app, registry)


def _middleware(settings: ServiceSettings, registry: Registry) -> list[Middleware]:
    """Return the layers between the probes and the application, outermost first."""
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    cors = Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"])
    return [
        Middleware(AccessLog, slow=settings.slo_p99, json_lines=settings.json_lines),
        *([cors] if origins else []),
        Middleware(Drain, draining=lambda: registry.draining),
        Middleware(LoadLimit, limit=settings.max_in_flight),
        Middleware(BodyLimit, max_bytes=settings.max_body),
        Middleware(Recovery),
        Middleware(Timeout, seconds=settings.request_timeout),
    ]
